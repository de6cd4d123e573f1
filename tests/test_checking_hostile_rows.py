"""Hostile rows: each is refused, by its own rule, with a reason and something to do."""

import time

import pytest

from board_cases import empty_board
from hostile_entries import OF_FORM
from hostile_results import OF_RESULTS
from rgbt_bench.leaderboard.checking import RULES

OF_ROWS = OF_FORM | OF_RESULTS


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return empty_board(tmp_path_factory.mktemp("base") / "board").root


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_hostile_row_is_refused_by_its_rule(base, name):
    case = OF_ROWS[name]
    entry = case.entry()
    began = time.process_time()
    report = entry.report(base)
    assert time.process_time() - began < 1
    assert {fault.rule for fault in report.faults} == {case.rule} | case.also
    assert any(case.says in fault.what for fault in report.faults if fault.rule == case.rule), report.faults
    for fault in report.faults:
        told = fault.to_dict()
        assert told["why"] == RULES[fault.rule].why
        assert told["do"]
        assert told["what"].isascii()
        assert told["what"].isprintable()
