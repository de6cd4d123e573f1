"""Every command that the workflows run is one of ours, with the options that they give it."""

import shlex

import pytest

from rgbt_bench.cli.page import commands
from workflow_cases import NAMES, load, read, scripts


def calls(script):
    """Yield the words behind the name of our command line, of each line that calls it."""
    for line in script.splitlines():
        words = shlex.split(line, comments=True)
        if "rgbt-bench" in words:
            yield words[words.index("rgbt-bench") + 1 :]


def complaint(words):
    """Return what the command line has against a call, or nothing."""
    known = dict(commands())
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
    if name is None:
        return f"no such command: {' '.join(words)}"
    options = {option for parameter in known[name].params for option in parameter.opts}
    wrong = sorted({word.partition("=")[0] for word in words if word.startswith("-")} - options)
    return f"{name} has no {' '.join(wrong)}" if wrong else ""


def test_every_command_of_the_workflows_is_there_with_its_options():
    found = [words for name in NAMES for script in scripts(load(read(name))) for words in calls(script)]
    assert {"leaderboard check", "leaderboard build", "verify --all"} <= {" ".join(words[:2]) for words in found}
    assert [complaint(words) for words in found if complaint(words)] == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("rgbt-bench leaderbord build", "no such command: leaderbord build"),
        ("  rgbt-bench runs tidy --yes", "no such command: runs tidy --yes"),
        ("rgbt-bench pull owner/name --quietly", "pull has no --quietly"),
    ],
)
def test_a_command_or_an_option_that_is_not_there_is_found(script, said):
    assert [complaint(words) for words in calls(script)] == [said]
