"""`leaderboard check --base --head`: a real repository, of whose head nothing is checked out, executed or followed."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from board_cases import empty_board
from checking_cases import NAME, PREDICTIONS, ROWS, Repository, brought
from cli_cases import only_object
from hostile_entries import OF_FORM
from hostile_files import NOT_IN_GIT, OF_FILES
from hostile_results import OF_RESULTS
from rgbt_bench.leaderboard.checking import check_git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

CASES = {name: case for name, case in (OF_FORM | OF_RESULTS | OF_FILES).items() if name not in NOT_IN_GIT}
# one of each rule, and all of files: what is inside a row is read alike wherever it comes from
CHOSEN = {*{case.rule: name for name, case in CASES.items()}.values(), *(OF_FILES.keys() & CASES.keys())}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository whose base branch has a board, a row of it, and a README."""
    made = Repository(tmp_path_factory.mktemp("repository") / "it.git")
    board = empty_board(tmp_path_factory.mktemp("board") / "board")
    files = {f"leaderboards/{path.relative_to(board.root)}": path for path in board.root.rglob("*") if path.is_file()}
    content = {path: one.read_bytes() for path, one in files.items()}
    there = brought("m3fd/detection-rgb", name="There")
    there.content["id"] = "there"
    content[f"{ROWS}there.json"] = json.dumps(there.content).encode()
    content[f"{PREDICTIONS}there.s0.json.gz"] = b"as it is"
    content["README.md"] = b"a board"
    made.base = made.commit(content)
    made.git("update-ref", "refs/heads/main", made.base)
    return made


def commit(repository, entry, **options):
    return repository.commit(entry.all_files(), [repository.base], entry.modes, onto=repository.base, **options)


@pytest.fixture
def check(repository):
    return lambda head: check_git(repository.folder, "main", head)


def test_a_good_head_passes(repository, check):
    report = check(commit(repository, brought(seeds=(0, 1, 2))))
    assert report.faults == ()
    assert [(row.id, row.seeds) for row in report.rows] == [(NAME, 3)]


@pytest.mark.parametrize("name", sorted(CHOSEN))
def test_a_hostile_head_is_refused_by_its_rule(repository, check, name):
    case = CASES[name]
    report = check(commit(repository, case.entry()))
    assert {fault.rule for fault in report.faults} == {case.rule} | case.also
    assert any(case.says in fault.what for fault in report.faults if fault.rule == case.rule), report.faults


def test_a_head_that_changes_no_row_is_no_entry(repository, check):
    head = repository.commit({"README.md": b"better"}, [repository.base], onto=repository.base)
    report = check(head)
    assert (report.is_entry, report.passed) == (False, True)


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({f"{ROWS}there.json": b"{}"}, "existing"),
        ({f"{ROWS}there.json": None}, "existing"),
        ({f"{PREDICTIONS}there.s0.json.gz": b"other"}, "existing"),
        ({f"{ROWS}there.json": None, f"{ROWS}moved.json": b"{}"}, "existing"),
    ],
    ids=["changed", "deleted", "changed-predictions", "renamed"],
)
def test_what_is_there_stays(repository, check, files, rule):
    head = repository.commit(files, [repository.base], onto=repository.base)
    assert rule in {fault.rule for fault in check(head).faults}


def test_a_row_that_became_a_link_is_refused(repository, check):
    path = f"{ROWS}there.json"
    head = repository.commit({path: b"../../../README.md"}, [repository.base], {path: 0o120000}, onto=repository.base)
    assert {fault.rule for fault in check(head).faults} == {"existing", "mode"}


def test_a_row_that_came_to_the_base_since_is_not_overwritten(repository, check):
    """The head left the base branch before: to git it adds the row, too."""
    head = commit(repository, brought())
    other = brought(name="Came First")
    moved = repository.commit(other.all_files(), [repository.base], onto=repository.base)
    assert check_git(repository.folder, repository.base, head).passed
    faults = check_git(repository.folder, moved, head).faults
    assert {fault.rule for fault in faults} >= {"taken"}


def test_a_head_of_another_history_is_refused(repository, check):
    head = repository.commit(brought().all_files())
    (fault,) = check(head).faults
    assert (fault.rule, "no history in common" in fault.what) == ("history", True)


def test_a_head_with_two_merge_bases_is_refused(repository):
    """What git shows as its changes need not be what a merge makes of it."""
    one, two = (repository.commit({name: b"x"}, [repository.base], onto=repository.base) for name in "ab")
    base = repository.commit({"c": b"x"}, [one, two], onto=one)
    head = repository.commit(brought().all_files(), [two, one], onto=two)
    (fault,) = check_git(repository.folder, base, head).faults
    assert (fault.rule, "2 merge bases" in fault.what) == ("history", True)


def test_a_replaced_object_is_not_taken_for_the_real_one(repository, check):
    """A replacement is of this repository alone: a merge elsewhere brings what it stands for."""
    bad = brought()
    bad.metrics["figures"]["AP50"] = 2.0
    head = commit(repository, bad)
    good = commit(repository, brought())
    repository.git("replace", head, good)
    try:
        assert {fault.rule for fault in check(head).faults} == {"figures"}
    finally:
        repository.git("replace", "-d", head)


@pytest.mark.parametrize(
    "ref",
    ["--output=/tmp/x", "-p", "--help", "main..main", "main:README.md", "nothing", "", "a b", "main\n", "HEAD^{tree}"],
)
def test_a_name_that_is_no_commit_is_a_mistake(repository, bench, ref):
    good = commit(repository, brought())
    for pair in ([f"--base={ref}", f"--head={good}"], ["--base=main", f"--head={ref}"]):
        code, _, err = bench("leaderboard", "check", *pair, "--repository", repository.folder)
        assert code == 2
        assert "commit" in err
    assert not os.path.lexists("/tmp/x")


def test_no_repository_and_no_board_are_told(repository, tmp_path, bench):
    code, _, err = bench("leaderboard", "check", "--base", "a", "--head", "b", "--repository", tmp_path)
    assert (code, "not a git repository" in err) == (4, True)
    bare = repository.commit({"README.md": b"x"})
    code, _, err = bench("leaderboard", "check", "--base", bare, "--head", "main", "--repository", repository.folder)
    assert (code, "has no folder leaderboards/" in err) == (4, True)


def test_the_command_tells_what_it_found(repository, bench):
    options = ("--base", "main", "--repository", repository.folder, "--json")
    code, out, _ = bench("leaderboard", "check", "--head", commit(repository, brought()), *options)
    assert (code, only_object(out)["passed"], len(only_object(out)["rows"])) == (0, True, 1)
    code, out, _ = bench("leaderboard", "check", "--head", commit(repository, OF_FORM["a-pickle"].entry()), *options)
    assert (code, only_object(out)["faults"][0]["file"]) == (3, f"{ROWS}{NAME}.json")


def evil(marker):
    """Files that are executed wherever somebody works in a checkout of them."""
    python = f"open({str(marker)!r}, 'a').write(__file__ + '\\n')\n".encode()
    shell = f"#!/bin/sh\necho shell >> {marker}\n".encode()
    names = ("sitecustomize.py", "usercustomize.py", "conftest.py", "setup.py", "rgbt_bench/__init__.py", "json.py")
    names += ("leaderboards/__init__.py", f"{ROWS}__init__.py", f"{ROWS}conftest.py", "converters/flir.py", "numpy.py")
    attributes = b"* filter=evil diff=evil textconv=evil merge=evil export-subst\n"
    return dict.fromkeys(names, python) | {
        ".gitattributes": attributes,
        f"{ROWS}.gitattributes": attributes,
        ".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch%%20x\n\tignore = all\n',
        ".git-hooks/post-checkout": shell,
        "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n',
        "git": shell,
    }


def test_nothing_of_the_head_is_executed(repository, tmp_path):
    """In a checkout of the base, with the filters that its owner has, as another process."""
    marker, work = tmp_path / "executed", tmp_path / "work"
    entry = brought()
    entry.files = evil(marker)
    entry.modes = {"git": 0o100755, ".git-hooks/post-checkout": 0o100755}
    head = commit(repository, entry)
    repository.git("update-ref", "refs/pull/7/head", head)
    subprocess.run(["git", "clone", "--quiet", str(repository.folder), str(work)], check=True, capture_output=True)
    subprocess.run(["git", "-C", str(work), "fetch", "--quiet", "origin", "refs/pull/7/head"], check=True)
    for name in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "diff.evil.command"):
        subprocess.run(["git", "-C", str(work), "config", name, f"sh -c 'echo {name} >> {marker}; cat'"], check=True)
    subprocess.run(["git", "-C", str(work), "config", "core.hooksPath", ".git-hooks"], check=True)
    before = sorted(path for path in work.rglob("*") if ".git" not in path.parts)
    command = [
        sys.executable,
        "-m",
        "rgbt_bench",
        "leaderboard",
        "check",
        "--base",
        "origin/main",
        "--head",
        head,
        "--json",
    ]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    content = only_object(done.stdout)
    assert done.returncode == 3, done.stderr
    assert {fault["rule"] for fault in content["faults"]} == {"other-files", "path"}
    assert {fault["file"] for fault in content["faults"]} == set(evil(marker))
    assert [row["id"] for row in content["rows"]] == [NAME]
    assert not marker.exists()
    assert sorted(path for path in work.rglob("*") if ".git" not in path.parts) == before


def test_the_proof_of_execution_would_notice(tmp_path):
    """What the test above looks for does happen where a head is checked out and worked in."""
    for path, data in evil(tmp_path / "executed").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    subprocess.run([sys.executable, "-c", "import json"], cwd=tmp_path, capture_output=True, check=False)
    assert "json.py" in (tmp_path / "executed").read_text()


def test_the_settings_of_the_repository_hide_nothing(repository, check):
    """Such settings narrow what git shows to people."""
    path = f"{ROWS}sub.json"
    head = repository.commit({path: b"", "x.py": b"x"}, [repository.base], {path: 0o160000}, onto=repository.base)
    for name, value in (("diff.ignoreSubmodules", "all"), ("diff.relative", "true"), ("diff.renames", "copies")):
        repository.git("config", name, value)
    assert {fault.rule for fault in check(head).faults} == {"mode", "other-files"}
