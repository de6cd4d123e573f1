"""The command line: one thin function a command; nothing is computed here and torch is never imported by it."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from rgbt_bench import __version__
from rgbt_bench.errors import INTERRUPTED, BadInputError, BenchError, MissingError, UsageError
from rgbt_bench.files import NO_ROOM
from rgbt_bench.printing import console
from rgbt_bench.torchrun import one_voice

from . import catalogue, completing, data, hub, leaderboard, manage, runs, scores, tools
from .options import json_alone

app = typer.Typer(
    name="rgbt-bench",
    help="The benchmark that makes numbers in RGB-thermal vision comparable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def main() -> None:
    """Run the command line; every failure the user can mend becomes one message and a stable exit code."""
    as_json = "--json" in sys.argv
    if isinstance(sys.stdout, TextIOWrapper):  # a file name that is not UTF-8 must not end the program
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with json_alone() if as_json and "--help" not in sys.argv else nullcontext():
            code = app(prog_name="rgbt-bench", standalone_mode=False) or 0
    except BenchError as error:
        message, code = str(error), error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        message, code = "", INTERRUPTED
    except OSError as error:
        message, code = _system_message(error)
    except Exception as error:
        if not hasattr(error, "format_message"):
            with one_voice() as first:
                if first:
                    console.crash(error, as_json)
                    raise
            raise SystemExit(1) from None
        # A mistyped command or option. Typer's own class for it has moved between its versions.
        message, code = _usage(error), UsageError.exit_code
    else:
        message = ""
    if code == INTERRUPTED:  # Typer turns Ctrl-C into this code
        message = "interrupted; the same command goes on where it stopped, or begins anew"
    if message:
        with one_voice() as first:
            if first:
                console.error(message, code, as_json)
    raise SystemExit(code)


def _system_message(error: OSError) -> tuple[str, int]:
    """Return what the system refused and its exit code; room on the disk has to be made first."""
    place = f"{error.filename}: " if error.filename else ""
    text = f"{place}{error.strerror or error}"
    if error.errno in NO_ROOM:
        return f"{text}: {NO_ROOM[error.errno]}, then the same command goes on where it stopped", MissingError.exit_code
    return text, BadInputError.exit_code


def _usage(error: Any) -> str:
    message = str(error.format_message())  # empty where Typer has printed the help already
    context = getattr(error, "ctx", None)
    if not (message and context):
        return message
    message = message.replace("?.", "?").rstrip(".")
    end = "" if message.endswith("?") else "."
    return f"{message}{end} Try '{context.command_path} --help'."


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None: ...


_COMMANDS: dict[str, Callable[..., None]] = {
    "convert": data.convert,
    "inspect": data.inspect,
    "splits": data.splits,
    "export": data.export,
    "push": hub.push,
    "pull": hub.pull,
    "list": catalogue.list_,
    "show": catalogue.show,
    "run": runs.run,
    "sweep": runs.sweep,
    "evaluate": scores.evaluate,
    "compare": scores.compare,
    "latency": scores.latency,
    "count": scores.count,
    "reproduce": scores.reproduce,
    "verify": leaderboard.verify,
    "submit": leaderboard.submit,
    "first-holder": leaderboard.first_holder,
    "predict": tools.predict,
    "preview": tools.preview,
    "export-model": tools.export_model,
    "diff": tools.diff,
    "doctor": tools.doctor,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(manage.runs)
app.add_typer(leaderboard.leaderboard)
completing.complete_names(app)
