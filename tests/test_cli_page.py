"""The page of the command line: the one that is committed is the one that the commands make."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rgbt_bench import errors
from rgbt_bench.cli.page import HOW, PAGE, commands, page
from rgbt_bench.errors import EXIT_CODES, BenchError
from rgbt_bench.training.loop import DivergedError

ROOT = Path(__file__).parent.parent


def test_the_page_is_not_stale():
    written = (ROOT / PAGE).read_text(encoding="utf-8")
    assert written == page(), f"{PAGE} is stale; make it again: {HOW}"


def test_every_command_has_its_words_on_the_page():
    text = page()
    for name, command in commands():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, (name, parameter.name)
        section = re.search(rf"^## {name}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert f"`{parameter.opts[0]}" in section, (name, parameter.name)


def test_every_row_of_a_table_has_the_cells_of_its_header():
    width = None
    for line in page().splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert width is None or cells in (None, width), line
        width = cells


def test_every_exit_code_is_one_of_the_table():
    errors_ = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, BenchError)]
    assert {one.exit_code for one in (*errors_, DivergedError)} == {1, 2, 3, 4, 5, 7}
    assert EXIT_CODES.keys() == {0, 1, 2, 3, 4, 5, 7, errors.DIFFERENT, errors.INTERRUPTED}


@pytest.mark.parametrize("place", ["here", "elsewhere"])
def test_the_page_is_written_from_the_root_of_the_sources(tmp_path, place):
    if place == "here":
        (tmp_path / PAGE.parent).mkdir(parents=True)
    command = [sys.executable, "-m", "rgbt_bench.cli.page"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if place == "here":
        assert (tmp_path / PAGE).read_text(encoding="utf-8") == page()
    else:
        assert done.returncode != 0
        assert "run this from the root of the sources" in done.stderr
