"""Hostile files: each is refused, by its own rule, with a reason and something to do."""

import json
import shutil
import time
import tracemalloc

import pytest

from board_cases import empty_board
from checking_cases import brought, detections
from hostile_entries import OF_FORM
from hostile_files import OF_FILES, changes_of
from hostile_results import OF_RESULTS
from rgbt_bench.leaderboard.checking import RULES, Change, check_changes
from rgbt_bench.leaderboard.checking.texts import skeleton
from rgbt_bench.leaderboard.tracks import leaderboard

# no row of a board or no history of commits is spoilt here; other tests do
ELSEWHERE = {"look-alike", "copied", "history"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    board = empty_board(tmp_path_factory.mktemp("base") / "board")
    board.row_file("there").write_bytes(b"{}")
    return board.root


@pytest.mark.parametrize("name", OF_FILES)
def test_hostile_files_are_refused_by_their_rule(base, name):
    case = OF_FILES[name]
    changes = changes_of(name, case)
    began = time.process_time()
    report = check_changes(base, changes)
    assert time.process_time() - began < 3
    assert {fault.rule for fault in report.faults} == {case.rule} | case.also
    assert any(case.says in fault.what for fault in report.faults if fault.rule == case.rule), report.faults
    for fault in report.faults:
        for text in (fault.file, fault.what):
            assert text.isascii()
            assert text.isprintable()


def test_every_rule_has_a_hostile_entry():
    cases = OF_FORM | OF_RESULTS | OF_FILES
    assert {case.rule for case in cases.values()} | ELSEWHERE == set(RULES)
    assert len(cases) >= 40


def test_what_is_too_large_is_not_read(base):
    def read(limit):
        raise AssertionError("was read")

    entry = brought()
    large = [Change(path, "added", 0o100644, 9 * 10**6, read) for path in entry.all_files()]
    assert {fault.rule for fault in check_changes(base, large).faults} == {"size"}
    many = [Change(f"leaderboards/v1/predictions/r.s{n}.zip", "added", 0o100644, 4 * 10**6, read) for n in range(40)]
    assert {fault.rule for fault in check_changes(base, many).faults} == {"limits"}


@pytest.mark.parametrize("name", ["a-gzip-bomb", "a-zip-bomb-that-lies"])
def test_a_bomb_takes_no_more_than_its_bound(base, name):
    changes = changes_of(name, OF_FILES[name])
    tracemalloc.start()
    try:
        check_changes(base, changes)
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    finally:
        tracemalloc.stop()


def test_all_faults_are_told_at_once(base):
    entry = brought()
    entry.content["entry"] |= {"name": "<b>", "code_url": "https://localhost/"}
    entry.metrics["figures"]["AP50"] = 2.0
    entry.result["data"]["label_digest"] = "0" * 64
    entry.pack_json(b"[{}]")
    entry.files["setup.py"] = b"x"
    rules = [fault.rule for fault in entry.report(base).faults]
    assert {"name", "url", "figures", "data", "standing", "predictions-content", "other-files"} == set(rules)


def test_a_file_gone_wrong_in_one_way_has_a_bounded_report(base):
    entry = brought()
    entry.result["libraries"] = {f"a\u202e{number}": "1" for number in range(5000)}
    report = entry.report(base)
    assert len(report.faults) == 201
    assert "more faults, which are not told" in report.faults[-1].what


def test_an_older_version_takes_no_row(base, tmp_path, monkeypatch):
    newer = tmp_path / "board"
    shutil.copytree(base, newer)
    shutil.copytree(newer / "v1", newer / "v2")
    monkeypatch.setattr("rgbt_bench.leaderboard.checking.checker.leaderboard", leaderboard)
    faults = brought().report(newer).faults
    assert {fault.rule for fault in faults} == {"version"}
    assert faults[0].what == "is of v1, and the newest version is v2"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Good Net", "Good Net"), ("Good Net", "good-net"), ("GoodNet", "G00dNet"), ("Net lll", "Net 1Il"),
        ("Réseau", "Reseau"), ("Modern Net", "Modem Net"), ("Smørgås", "Smorgas"), ("Net (v2)", "Net v2"),
    ],
)  # fmt: skip
def test_a_name_that_looks_like_anothers_is_refused(base, tmp_path, name, other):
    there = brought(name=other)
    there.content["id"] = "another"
    (root := tmp_path / "board").mkdir()
    shutil.copytree(base, root, dirs_exist_ok=True)
    (root / "v1" / "rows" / "another.json").write_text(json.dumps(there.content))
    mine = brought(name=name)
    mine.pack_json(detections(9))
    assert [fault.rule for fault in mine.report(root).faults] == ["look-alike"]
    elsewhere = brought("flir/detection-rgb", name=name)
    assert elsewhere.report(root).faults == ()


@pytest.mark.parametrize(("name", "other"), [("Net v1.0", "Net v10"), ("FFKD", "FFKD+"), ("A Net", "B Net")])
def test_names_that_are_told_apart_pass(name, other):
    assert skeleton(name) != skeleton(other)


@pytest.mark.parametrize("identifier", ["good-net", "g00d-net", "go-od-net", "good-n-et"])
def test_an_id_that_looks_like_anothers_is_refused(base, tmp_path, identifier):
    there = brought("m3fd/detection-rgb", name="Far Off")
    there.content["id"] = identifier
    root = tmp_path / "board"
    shutil.copytree(base, root)
    (root / "v1" / "rows" / f"{identifier}.json").write_text(json.dumps(there.content))
    expected = {"taken"} if identifier == "good-net" else {"look-alike"}
    rules = {fault.rule for fault in brought().report(root).faults}
    assert rules - {"predictions-left-over"} == expected


def test_two_rows_of_one_change_are_held_against_each_other(base):
    entry, other = brought(), brought()
    other.content["id"] = "zzz"
    other.content["runs"][0]["predictions"]["file"] = "zzz.s0.json.gz"
    entry.files = {
        "leaderboards/v1/rows/zzz.json": json.dumps(other.content).encode(),
        "leaderboards/v1/predictions/zzz.s0.json.gz": next(iter(other.packed.values())),
    }
    assert {fault.rule for fault in entry.report(base).faults} == {"look-alike", "copied"}


def test_what_an_error_quotes_is_escaped(base):
    entry = brought()
    entry.content["entry"]["x\u202e\n::error::"] = 1
    (fault,) = entry.report(base).faults
    assert fault.rule == "row-form"
    assert "entry.x\\u202e" in fault.what
    assert fault.what.isascii()
    assert fault.what.isprintable()
