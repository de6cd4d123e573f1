"""The leaderboard's pages without a browser: whole, linked, the same bytes again, and put in place whole."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

from board_cases import add_row, empty_board, make_row
from rgbt_bench.errors import UsageError
from rgbt_bench.files import json_bytes
from rgbt_bench.leaderboard.board import Board, Proof
from rgbt_bench.leaderboard.papers import papers
from rgbt_bench.leaderboard.reported import reported_on
from rgbt_bench.leaderboard.site.building import MARKER, build
from rgbt_bench.leaderboard.site.commands import rerun, settled_digest
from rgbt_bench.leaderboard.site.facts import BoardFacts
from rgbt_bench.leaderboard.site.paper_pages import paper_table
from rgbt_bench.leaderboard.tracks import PROTOCOLS, leaderboard
from rgbt_bench.locking import locked
from site_cases import Parsed, parse, timed

TRACK = "v1/flir/detection-rgbt/index.html"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    made = empty_board(tmp_path_factory.mktemp("board"))
    for place, (name, value) in enumerate({"good": 0.34, "fair": 0.335, "poor": 0.22}.items()):
        row = make_row(name, value=value, noise=place, recipe="ffkd-student", seeds=(0, 1))
        add_row(made, timed(row, {"a gpu": 0.01 * (place + 1), "a cpu": 0.1}))
    add_row(made, make_row("unofficial", value=0.9, standing="unofficial"))
    add_row(made, make_row("waiting", track="mfnet/segmentation-thermal", value=0.4, standing="pending"))
    row = made.row("good")
    proof = Proof(row="good", row_digest=row.digest, kind="rescored", rgbt_bench="0.1.0", created="2026-11-23T00:00:00")
    made.proof_file("good").parent.mkdir()
    made.proof_file("good").write_bytes(json_bytes(proof.model_dump(mode="json")))
    return made


@pytest.fixture(scope="module")
def site(board, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "site"
    build(out, board.root)
    return out


def pages(site) -> dict[str, Parsed]:
    return {path.relative_to(site).as_posix(): parse(path) for path in sorted(site.rglob("*.html"))}


def test_every_track_row_paper_and_version_has_its_page(site, board):
    found = set(pages(site))
    assert {"index.html", "v1/index.html", "papers/index.html"} <= found
    assert {f"v1/{track}/index.html" for track in leaderboard().tracks} <= found
    assert {f"v1/rows/{row}.html" for row in board.rows} <= found
    assert {f"papers/{key}.html" for key in papers()} <= found


def test_every_link_leads_to_a_file_and_an_element_of_the_site(site):
    found = pages(site)
    for place, page in found.items():
        for target in page.targets:
            if target.startswith("https://"):
                continue
            path, _, fragment = target.partition("#")
            there = (site / place).parent / path if path else site / place
            assert there.resolve().is_relative_to(site), (place, target)
            assert there.is_file(), (place, target)
            if fragment:
                assert fragment in found[there.resolve().relative_to(site).as_posix()].ids, (place, target)


def test_no_page_has_inline_script_or_style_or_fetches_from_elsewhere(site):
    for place, page in pages(site).items():
        assert "default-src 'none'" in page.policy, place
        assert "unsafe" not in page.policy
        assert not page.inline, (place, page.inline)
        assert all(not source.startswith(("http", "//", "data:")) for source in page.sources), place


def test_ids_are_there_once_and_headings_begin_with_one(site):
    for place, page in pages(site).items():
        assert len(page.ids) == len(set(page.ids)), place
        assert page.headings[0] == "h1", place
        assert page.headings.count("h1") == 1, place


def test_the_same_board_gives_the_same_bytes(site, board, tmp_path):
    build(tmp_path / "again", board.root)
    files = {path.relative_to(site) for path in site.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert files == again
    assert [path for path in files if (site / path).read_bytes() != (tmp_path / "again" / path).read_bytes()] == []


def test_the_track_page_ranks_as_the_ranking_does_and_leaves_the_unofficial_out(site, board):
    rows = parse(site / TRACK).rows
    ranks = {row["name"]: row["rank"] for row in rows if row["body"] != "reported"}
    assert ranks == {"Good": "1=", "Fair": "1=", "Poor": "3", "Unofficial": "not ranked"}
    assert [row["name"] for row in rows][:4] == ["Good", "Fair", "Poor", "Unofficial"]


def test_reported_rows_are_apart_unnumbered_and_hidden_without_the_switch(site):
    text = (site / TRACK).read_text()
    reported = [row for row in parse(site / TRACK).rows if row["body"] == "reported"]
    assert [row["name"] for row in reported] == [one.row for one in reported_on("flir/detection-rgbt")]
    assert {row["rank"] for row in reported} == {"not ranked"}
    assert re.search(r'<input type="checkbox"[^>]*id="show-reported">', text)
    style = (site / "assets" / "site.css").read_text()
    assert re.search(r"^\.reported \{ display: none; \}$", style, re.MULTILINE)
    assert all(figure not in text.partition('class="reported"')[0] for figure in ("33.0", "27.9"))


def test_times_of_two_devices_are_never_in_one_plot(site):
    found = parse(site / TRACK)
    assert [len(plot) for plot in found.plots] == [3, 3, 4]  # a cpu, a gpu, parameters with the unranked row
    assert all("10.0 ms" not in title for title in found.plots[0])


def test_a_pending_track_says_what_is_missing_and_who_confirms_it(site):
    text = (site / "v1/mfnet/segmentation-thermal/index.html").read_text()
    assert "nothing ranks here yet" in text
    assert "official label digest of mfnet" in text
    assert "rgbt-bench inspect mfnet --json" in text
    assert "Waiting" in text


def test_frozen_definitions_are_shown_whole(site):
    text = (site / TRACK).read_text()
    data = leaderboard().data["flir-test"]
    for expected in (data.label_digest, leaderboard().protocols["coco"], "1,013", "8,591"):
        assert expected in text
    named = [name for name, value in PROTOCOLS["coco"].items() if value is not None]
    assert all(name.replace("_", " ") in text for name in named)


def test_the_row_page_says_what_a_badge_does_not(site):
    text = (site / "v1/rows/good.html").read_text()
    assert "not that the predictions are the model's" in text.replace("&#39;", "'")
    assert "a gpu" in text
    assert "p99" in text
    assert "clock 1,200 to 1,980 MHz, median 1,500 in 9 readings of nvml" in text
    assert "its clock was not told" in text
    assert json.loads((site / "v1/board.json").read_text())["rows"][1]["badge"] == "rescored"


def test_the_commands_of_a_row_run_it_again_and_verify_it(site):
    text = parse(site / "v1/rows/good.html").commands
    assert "rgbt-bench verify good --version v1" in text
    assert "rgbt-bench run ffkd-student --dataset flir --preset paper --seed 0" in text
    assert "rgbt-bench run ffkd-student --dataset flir --preset paper --seed 1" in text


@pytest.mark.parametrize("setting", ["loss.a=$(touch x)", "a='; rm -rf ~'", "b=`id`", 'c="', "d=a b\\"])
def test_settings_are_quoted_for_a_shell(setting):
    result = make_row(recipe="ffkd-student").first
    result = result.model_copy(update={"model": result.model.model_copy(update={"settings": (setting,)})})
    line = rerun([result]).lines[0]
    assert shlex.split(line)[-1] == f"--set={setting}"
    assert subprocess.run(["sh", "-c", f"printf '%s' {line}"], capture_output=True, text=True, check=True,
                          ).stdout.endswith(f"--set={setting}")  # fmt: skip


def test_a_recipe_is_never_an_option_and_what_does_not_print_is_no_command():
    result = make_row(recipe="ffkd-student").first
    hostile = result.model_copy(update={"model": result.model.model_copy(update={"recipe": "--out=/etc"})})
    assert rerun([hostile]).lines[0].endswith(" -- --out=/etc")
    hidden = result.model_copy(update={"model": result.model.model_copy(update={"settings": ("a=\u202ex",)})})
    assert rerun([hidden]).lines == ()
    assert "do not print" in rerun([hidden]).note


def test_a_paper_is_filled_only_by_rows_that_stand_for_its_rows(tmp_path):
    board = empty_board(tmp_path)
    digest = settled_digest("ffkd-student", "paper", ())
    table = papers()["ffkd"].tables["table-2"]

    def row_of(name, **changes):
        row = make_row(name, value=0.3004, recipe="ffkd-student", seeds=(0, 1))
        runs = []
        for run in row.runs:
            model = run.result.model.model_copy(update={"recipe_digest": digest} | changes)
            result = run.result.model_copy(update={"model": model})
            runs.append(run.model_copy(update={"result": result}))
        return add_row(board, row.model_copy(update={"runs": tuple(runs)}))

    row_of("fits")
    row_of("quick", preset="quick")
    row_of("changed", recipe_digest="0" * 64)
    row_of("given", weights_from="hub:a/b@c")
    lines = {line.name: line for line in paper_table("table-2", table, BoardFacts(board)).lines}
    assert [one.name for one in lines["S-Distillation"].measured] == ["Fits"]
    assert lines["S-Distillation"].measured[0].cells[0].text == "30.1"  # of 0.3004 and 0.3014
    assert lines["S-Distillation"].measured[0].cells[0].around == "± 0.1"
    assert [line.name for line in lines.values() if line.measured] == ["S-Distillation"]


def test_a_folder_that_is_no_site_is_never_replaced(board, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="holds no site"):
        build(tmp_path / "mine", board.root)
    with pytest.raises(UsageError, match="is a file"):
        build(tmp_path / "file", board.root)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    build(tmp_path / "empty", board.root)
    assert (tmp_path / "empty" / MARKER).is_file()


def test_a_failing_build_leaves_the_old_site_and_nothing_beside_it(board, tmp_path, monkeypatch):
    out = tmp_path / "site"
    build(out, board.root)
    before = contents(out)
    monkeypatch.setattr("rgbt_bench.leaderboard.site.building.row_pages", lambda *_: iter([1 / 0]))
    with pytest.raises(ZeroDivisionError):
        build(out, board.root)
    assert contents(out) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"site", ".site.lock"}


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_killed_build_leaves_the_old_site_whole(board, tmp_path):
    out = tmp_path / "site"
    build(out, board.root)
    before = contents(out)
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from rgbt_bench.leaderboard.site import building\n"
        "def report(stage, done, total):\n"
        "    if done == 20: print('going', flush=True)\n"
        "    if done >= 20: time.sleep(0.2)\n"
        "building.build(Path(sys.argv[1]), Path(sys.argv[2]), progress=report)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(out), str(board.root)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"going\n"
        os.kill(process.pid, signal.SIGKILL)
    assert contents(out) == before
    assert (tmp_path / ".site.site-partial").is_dir()
    build(out, board.root)
    assert contents(out) == before
    assert not (tmp_path / ".site.site-partial").exists()


def test_a_build_killed_between_the_two_renames_is_mended_by_the_next(board, tmp_path):
    out = tmp_path / "site"
    build(out, board.root)
    before = contents(out)
    out.rename(tmp_path / ".site.site-replaced")
    build(out, board.root)
    assert contents(out) == before


def test_all_versions_are_built_and_say_what_changed(board, tmp_path):
    root = tmp_path / "boards"
    shutil.copytree(board.root, root)
    shutil.copytree(root / "v1", root / "v2")
    text = (root / "v2" / "leaderboard.yaml").read_text().replace("version: 1", "version: 2", 1)
    (root / "v2" / "leaderboard.yaml").write_text(text.replace("the published COCO json", "another COCO json"))
    add_row(Board(root, "v2"), make_row("good", value=0.35, recipe="ffkd-student", seeds=(0, 1)))
    (root / "v2" / "rows" / "poor.json").unlink()
    build(tmp_path / "site", root)
    text = (tmp_path / "site" / "v2" / "index.html").read_text()
    assert "What changed against v1" in text
    assert "<b>flir-test</b>: changed" in text
    assert "+0.0100" in text
    assert parse(tmp_path / "site" / "v2" / "index.html").text.count("poor") == 1  # it was there, and is no link
    assert "What changed" not in (tmp_path / "site" / "v1" / "index.html").read_text()
    assert "v2/flir/detection-rgbt/index.html" in (tmp_path / "site" / "index.html").read_text()


def test_the_site_of_the_packaged_board_is_built_by_the_command(bench, tmp_path):
    code, out = bench("leaderboard", "build", "--out", str(tmp_path / "site"), "--docs", "--json")[:2]
    assert code == 0
    assert json.loads(out)["site"] == str(tmp_path / "site")
    assert 'href="docs/index.html"' in (tmp_path / "site" / "index.html").read_text()


def test_building_loads_neither_torch_nor_numba(board, tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom rgbt_bench.leaderboard.site.building import build\n"
        "build(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(*[name for name in ('torch', 'numba', 'torchvision') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "site"), str(board.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_two_builds_of_one_site_do_not_meet(board, tmp_path):
    with locked(tmp_path / ".site.lock", "the site"), pytest.raises(UsageError, match="works on the site site"):
        build(tmp_path / "site", board.root)
    assert not (tmp_path / "site").exists()
