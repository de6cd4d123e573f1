"""What a shell is offered: through the protocol that the installed completion scripts speak."""

import os
import subprocess
import sys
from textwrap import dedent

import pytest

from rgbt_bench.cli import completing
from rgbt_bench.registry import converters, recipe_files
from run_cases import make_folder


@pytest.fixture
def offered(home):
    """Ask as bash does, for the last word of a line, in another process; return what is offered."""

    def ask(line, **environment):
        words = line.split(" ")
        variables = {
            "_RGBT_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
            "RGBT_BENCH_HOME": str(home), **environment,
        }  # fmt: skip
        command = [sys.executable, "-m", "rgbt_bench"]
        done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.stdout.split("\n") if done.stdout.strip() else []

    return ask


def test_bash_is_offered_commands_options_and_names(offered, home):
    folder = make_folder(home)
    strip = lambda lines: [line for line in lines if line]  # noqa: E731
    assert strip(offered("rgbt-bench ev")) == ["evaluate"]
    assert strip(offered("rgbt-bench runs c")) == ["clean"]
    assert "--worst" in strip(offered("rgbt-bench preview --w"))
    assert strip(offered("rgbt-bench show ffkd-teacher-")) == sorted(
        name for name in recipe_files() if name.startswith("ffkd-teacher-")
    )
    assert strip(offered("rgbt-bench preview aa")) == [folder.name]


def test_zsh_is_offered_names_too(offered):
    line = "rgbt-bench convert sam"
    (shown,) = [
        line
        for line in offered("", _RGBT_BENCH_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line)
        if line.startswith("_arguments")
    ]
    assert '"sample"' in shown
    assert "flir" not in shown


def test_the_scripts_that_are_installed_speak_this_protocol(offered):
    for shell in ("bash", "zsh"):
        script = "\n".join(offered("", _RGBT_BENCH_COMPLETE=f"source_{shell}"))
        assert f"_RGBT_BENCH_COMPLETE=complete_{shell}" in script
        assert "rgbt-bench" in script


def params(*names):
    """The completion of a parameter of a command, as the shell asks for it."""
    import typer

    from rgbt_bench.cli import app

    command = typer.main.get_command(app)
    *path, parameter = names
    for name in path:
        command = command.commands[name]
    (found,) = [one for one in command.params if one.name == parameter]
    return lambda incomplete: [item.value for item in found.shell_complete(None, incomplete)]


@pytest.mark.parametrize(
    ("parameter", "typed", "expected"),
    [
        (("convert", "dataset"), "", sorted(converters())),
        (("inspect", "dataset"), "", ["other", "sample", "sample@small"]),
        (("push", "what"), "s", ["sample", "sample/ffkd-student-rgb-quick/bbbb11112222"]),
        (("push", "what"), "ff", ["ffkd-student-rgb"]),
        (("diff", "a"), "s", ["sample", "sample@small"]),
        (("run", "dataset"), "o", ["other"]),
        (("run", "preset"), "", ["paper", "quick"]),
        (("run", "device"), "c", ["cpu", "cuda"]),
        (("list", "what"), "t", ["tables"]),
        (("reproduce", "table"), "ffkd/table-2", ["ffkd/table-2"]),
        (("predict", "run"), "bbbb", ["bbbb11112222"]),
        (("predict", "run"), "sample/", ["sample/ffkd-student-rgb-quick/bbbb11112222"]),
        (("runs", "clean", "names"), "ffkd", ["ffkd-student-rgb"]),
        (("runs", "list", "recipe"), "ffkd-student-r", ["ffkd-student-rgb"]),
        (("show", "name"), "nothing", []),
    ],
)
def test_names_are_offered_where_they_are_meant(home, parameter, typed, expected):
    make_folder(home, key="bbbb11112222")
    for name in ("sample", "other", "made.partial"):
        (home / "datasets" / name / "splits").mkdir(parents=True)
        (home / "datasets" / name / "dataset.json").write_text("{")  # nothing is opened for an offer
    for split in ("default", "small"):
        (home / "datasets" / "sample" / "splits" / f"{split}.json").write_text("{}")
    assert params(*parameter)(typed) == expected


def test_a_fault_offers_nothing(monkeypatch):
    def failing():
        raise RuntimeError("broken plug-in")

    monkeypatch.setattr("rgbt_bench.registry.recipe_files", failing)
    assert params("show", "name")("") == []


def test_a_home_without_anything_offers_nothing():
    assert list(completing.runs()) == list(completing.sets()) == []


def test_no_offer_imports_torch_or_opens_a_set():
    code = """
    import sys
    from rgbt_bench.cli import completing
    for offer in {*completing.OFFERS.values()}:
        list(offer())
    heavy = {"torch", "numpy", "pyarrow", "datasets", "PIL"} & set(sys.modules)
    assert not heavy, heavy
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
