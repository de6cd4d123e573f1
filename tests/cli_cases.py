"""What tests of the command line share."""

import json
import re
import sys

import pytest

from rgbt_bench import cli

PLAIN = re.compile(r"\x1b\[[0-9;]*m")


def run_in_process(monkeypatch, capsys, arguments):
    """Run the command line in this process; return its exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["rgbt-bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    return ended.value.code or 0, PLAIN.sub("", captured.out), PLAIN.sub("", captured.err)


def only_object(text):
    """Return the one JSON object that a text is; more text beside it is refused by the parser."""
    content = json.loads(text)
    assert isinstance(content, dict)
    return content
