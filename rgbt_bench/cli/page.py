"""The page of the command line, made from the commands themselves: `python -m rgbt_bench.cli.page` writes it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from rgbt_bench.errors import EXIT_CODES, MissingError
from rgbt_bench.files import write_text

from . import app

PAGE = Path("docs/reference/cli.md")
HOW = "python -m rgbt_bench.cli.page"
_NAME = "rgbt-bench"


def commands(group: Any = None, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command by its full name, such as `runs list`; groups themselves and hidden commands are left out."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        full = f"{above} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, full)
        elif not command.hidden:
            yield full, command


def page() -> str:
    """Return the page as Markdown."""
    root = typer.main.get_command(app)
    found = list(commands(root))
    lines = [
        "# The command line",
        "",
        f"This page is made from the commands themselves. Make it again with `{HOW}`.",
        "",
        str(root.help),
        "",
        *_table("| command | does |", ([f"[`{name}`](#{_anchor(name)})", command.help] for name, command in found)),
        "## Options before the command",
        "",
        *_parameters(root),
    ]
    for name, command in found:
        lines += [
            f"## {name}",
            "",
            f"`{_usage(name, command)}`",
            "",
            _one_line(command.help),
            "",
            *_parameters(command),
        ]
    lines += [
        "## Exit codes",
        "",
        *_table("| exit code | means |", ([str(code), meaning] for code, meaning in EXIT_CODES.items())),
        'With `--json`, stdout holds one JSON object: the outcome, or `{"error": …, "exit_code": …}`. Everything else'
        " goes to stderr.",
    ]
    return "\n".join(lines) + "\n"


def _usage(name: str, command: Any) -> str:
    words = [_NAME, name]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            word = _argument(parameter)
            words.append(word if parameter.required else f"[{word}]")
    needed = (one for one in command.params if one.param_type_name == "option" and one.required)
    return " ".join([*words, *(_option(one) for one in needed), "[OPTIONS]"])


def _parameters(command: Any) -> list[str]:
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        option = parameter.param_type_name == "option"
        written = f"`{_option(parameter) if option else _argument(parameter)}`"
        rows.append([written, _default(parameter), parameter.help or ""])
    return _table("| argument or option | default | does |", rows) if rows else []


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()) + ("..." if parameter.nargs == -1 else "")


def _option(parameter: Any) -> str:
    names = "/".join((*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} {parameter.metavar or 'VALUE'}"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    return "" if parameter.default in (None, False) else f"`{parameter.default}`"


def _table(header: str, rows: Any) -> list[str]:
    rule = "|" + "---|" * (header.count("|") - 1)
    body = ["| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [header, rule, *body, ""]


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def write_page(path: Path, text: str) -> None:
    """Write a page of the documentation, from the root of the sources.

    Raises:
        MissingError: not run from there.
    """
    if not path.parent.is_dir():
        raise MissingError(f"{path.parent}: no such folder; run this from the root of the sources")
    write_text(path, text)
    sys.stderr.write(f"written to {path}\n")


if __name__ == "__main__":
    write_page(PAGE, page())
