"""`submit`: a row of runs or of anybody's predictions, whole in the board or not at all."""

import json
import os

import pytest
from PIL import Image as Pillow

from board_cases import empty_board
from hub_fixtures import TOKEN
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.files import read_json
from rgbt_bench.leaderboard import submitting
from rgbt_bench.leaderboard.submitting import make_row, read_entry, write_row
from rgbt_bench.leaderboard.verifying import verify_rows
from run_cases import make_done
from verified_rows import convert_home, detections, reopened, submitted, tiny_board

ROW = "sample-detection-rgbt-mine"


@pytest.fixture
def board(tmp_path, home, tiny_folder, monkeypatch):
    convert_home(home, tiny_folder)
    return tiny_board(tmp_path / "leaderboards", tiny_folder, monkeypatch)


def entry(**given):
    return read_entry(None, {"name": "Mine", "dataset": "sample", "task": "detection-rgbt"} | given)


def snapshot(board):
    return {str(path): path.read_bytes() for path in board.root.rglob("*") if path.is_file()}


def test_predictions_and_a_short_yaml_make_a_row_of_several_seeds(board, tmp_path):
    for seed in (0, 3):
        detections(tmp_path / f"p{seed}.json", seed=seed)
    (tmp_path / "entry.yaml").write_text(
        "name: My detector\nauthors: Ann Author\npaper: A paper\npaper_url: https://example.org/paper\n"
        'dataset: sample\ntask: detection-rgbt\nparameters: 4800000\npredictions: {"0": p0.json, "3": p3.json}\n'
    )
    content = submitting.submit_row(board, (), read_entry(tmp_path / "entry.yaml", {}))
    row = reopened(board).row("sample-detection-rgbt-my-detector")
    assert [run.seed for run in row.runs] == [0, 3]
    assert (row.size.parameters, row.size.by) == (4_800_000, "stated")
    assert content["row"]["value"] == pytest.approx(sum(run.result.metrics.figures["AP"] for run in row.runs) / 2)
    assert [one.state for one in verify_rows(reopened(board), [row], count=1)] == ["proven"]
    assert any("git add leaderboards/v1/" in step for step in content["steps"])


def test_a_paper_of_the_leaderboard_is_named_by_its_key(board, tmp_path):
    made = make_row(board, [str(detections(tmp_path / "p.json"))], entry(paper="ffkd"))
    assert made.row.entry.paper_key == "ffkd"
    assert made.row.entry.paper.startswith("Feature Fusion")


def test_a_run_brings_its_provenance_and_is_counted(board, home, tiny_folder):
    make_done(home, tiny_folder, predictions=json.loads(detections(home / "p.json").read_text()))
    made = make_row(board, ["aaaa11112222"], read_entry(None, {"name": "A run"}), preset="quick")
    run = made.row.runs[0]
    assert (run.seed, run.result.model.recipe) == (0, "ffkd-student-rgb")
    assert made.row.size.by == "measured"
    assert made.row.size.parameters > 100_000


def test_a_result_that_does_not_come_out_again_is_refused(board, home, tiny_folder):
    folder = make_done(home, tiny_folder, predictions=json.loads(detections(home / "p.json").read_text()))
    content = read_json(folder / "result.json")
    content["metrics"]["figures"]["AP"] += 0.1
    (folder / "result.json").write_text(json.dumps(content))
    with pytest.raises(BadInputError, match=r"result.json beside it is not what(.|\n)*metrics.figures.AP"):
        make_row(board, ["aaaa11112222"], read_entry(None, {"name": "A run"}), preset="quick")


def test_a_row_is_never_written_over(board, tmp_path):
    board = submitted(board, [detections(tmp_path / "p.json")])
    before = snapshot(board)
    with pytest.raises(BadInputError, match="is there already on the base branch"):
        submitted(board, [detections(tmp_path / "other.json", seed=5)])
    with pytest.raises(UsageError, match="a new result is a new row"):
        write_row(board, make_row(board, [str(tmp_path / "other.json")], entry()))
    assert snapshot(board) == before


def test_a_killed_submit_leaves_no_row_and_the_next_one_completes_it(board, tmp_path, monkeypatch):
    path = detections(tmp_path / "p.json")
    made = make_row(board, [str(path)], entry())
    real = submitting.write_bytes

    def killed(place, data):
        if place.suffix == ".json":
            raise KeyboardInterrupt
        real(place, data)

    monkeypatch.setattr(submitting, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        write_row(board, made)
    assert reopened(board).rows == {}
    monkeypatch.setattr(submitting, "write_bytes", real)
    submitting.submit_row(board, [str(path)], entry())
    assert list(reopened(board).rows) == [ROW]


def test_a_dry_run_writes_nothing(board, tmp_path):
    before = snapshot(board)
    content = submitting.submit_row(board, [str(detections(tmp_path / "p.json"))], entry(), dry_run=True)
    assert snapshot(board) == before
    assert (content["written"], content["steps"]) == ([], [])


def test_what_ci_would_refuse_is_refused_here_and_nothing_is_written(board, tmp_path, monkeypatch):
    before = snapshot(board)
    path = str(detections(tmp_path / "p.json"))
    with pytest.raises(BadInputError, match=r"CI would refuse this row(.|\n)*\(name\)"):
        submitting.submit_row(board, [path], entry(name="M\u0438ne", id="mine"))
    monkeypatch.undo()
    assert snapshot(board) == before


def test_labels_that_are_not_the_official_ones_are_refused(tmp_path, home, tiny_folder):
    convert_home(home, tiny_folder)
    board = empty_board(tmp_path / "leaderboards")
    with pytest.raises(BadInputError, match=r"data\.samples is 12, and 128 is frozen"):
        submitting.submit_row(board, [str(detections(tmp_path / "p.json"))], entry())
    assert not reopened(board).rows


def test_an_installed_copy_takes_no_rows(tmp_path):
    board = empty_board(tmp_path / "site-packages" / "rgbt_leaderboards")
    with pytest.raises(UsageError, match="is an installed copy; clone the repository"):
        submitting.submit_row(board, ["x"], entry())


def test_too_large_predictions_need_a_place_on_the_hub(board, tmp_path, monkeypatch):
    monkeypatch.setattr(submitting, "MAX_PACKED_BYTES", 100)
    path = str(detections(tmp_path / "p.json"))
    with pytest.raises(UsageError, match="--hub OWNER/NAME"):
        submitting.submit_row(board, [path], entry())
    assert not reopened(board).rows
    assert make_row(board, [path], entry()).packed, "a maintainer's own run is compared whatever its size"


def test_predictions_on_the_hub_are_pinned_and_verified_from_there(board, tmp_path, hub):
    path = detections(tmp_path / "p.json")
    assert os.environ["HF_TOKEN"] == TOKEN
    content = submitting.submit_row(board, [str(path)], entry(), hub="ann/predictions")
    row = reopened(board).row(ROW)
    place = row.runs[0].predictions
    assert place.file is None
    assert place.hub.startswith("hub:ann/predictions@")
    assert [name for name in content["written"] if "predictions" in name.rsplit("/", 2)[-2]] == []
    assert [one.state for one in verify_rows(reopened(board), [row], count=1)] == ["proven"]


def test_nothing_is_pushed_before_ci_would_take_it_nor_in_a_dry_run(board, tmp_path, monkeypatch):
    def pushed(*given):
        raise AssertionError("was pushed")

    monkeypatch.setattr(submitting, "push_packed", pushed)
    path = str(detections(tmp_path / "p.json"))
    submitting.submit_row(board, [path], entry(), hub="ann/predictions", dry_run=True)
    with pytest.raises(BadInputError, match="CI would refuse"):
        submitting.submit_row(board, [path], entry(name="M\u0438ne", id="mine"), hub="ann/predictions")
    with pytest.raises(UsageError, match="names no repository"):
        submitting.submit_row(board, [path], entry(), hub="nonsense")


def test_a_hub_out_of_reach_is_no_fault_of_the_row(board, tmp_path, hub, monkeypatch):
    submitting.submit_row(board, [str(detections(tmp_path / "p.json"))], entry(), hub="ann/predictions")
    row = reopened(board).row(ROW)
    there = row.runs[0].predictions.hub
    nowhere = row.runs[0].predictions.model_copy(update={"hub": there.replace("ann/predictions", "ann/nothing")})
    moved = row.model_copy(update={"runs": (row.runs[0].model_copy(update={"predictions": nowhere}),)})
    (finding,) = verify_rows(board, [moved], count=1)
    assert (finding.state, finding.faults) == ("not here", ())
    assert "ann/nothing" in finding.missing[0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("nme: x\n", "unknown key 'nme'. Did you mean 'name'"),
        ("name: x\npaper_url: http://example.org\n", "paper_url"),
        ("name: x\npaper_url: javascript:alert(1)\n", "paper_url"),
        ("name: ''\n", "name"),
        ("- name\n", "a mapping of keys"),
        ("name: !!python/object:os.system x\n", "tags"),
        ("name: x\nparameters: many\n", "parameters"),
        ("name: x\nparameters: -5\n", "parameters"),
    ],
)
def test_a_wrong_entry_file_names_the_key(tmp_path, text, fault):
    (tmp_path / "entry.yaml").write_text(text)
    with pytest.raises(BadInputError, match=r"entry\.yaml") as refused:
        read_entry(tmp_path / "entry.yaml", {})
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("targets", "given", "fault"),
    [
        ((), {}, "name a run"),
        (("p.json",), {"dataset": None}, "--dataset"),
        (("p.json", "p.json"), {}, "different seeds"),
        (("p.json",), {"name": "!?"}, None),
        (("p.json",), {"name": "☃", "task": "detection-rgb"}, None),
    ],
)
def test_what_cannot_be_a_row_says_why(board, tmp_path, monkeypatch, targets, given, fault):
    monkeypatch.chdir(tmp_path)
    detections(tmp_path / "p.json")
    if fault is None:
        assert make_row(board, targets, entry(**given)).row.id.startswith("sample-detection-rgb")
        return
    with pytest.raises(UsageError, match=fault):
        make_row(board, targets, entry(**given))


def test_an_id_that_is_none_is_refused():
    with pytest.raises(UsageError, match="the entry: id: String should match"):
        entry(id="Not An Id")


def test_fused_images_or_maps_are_packed_as_one_file(board, tmp_path, tiny_folder):
    from rgbt_bench.datasets.store import Dataset

    folder = tmp_path / "maps"
    folder.mkdir()
    for sample in Dataset(tiny_folder).part("test"):
        Pillow.new("L", (sample.width, sample.height)).save(folder / f"{sample.sample_id}.png")
    made = make_row(board, [str(folder)], entry(task="segmentation-thermal"))
    assert list(made.packed) == ["sample-segmentation-thermal-mine.sx.zip"]
    again = make_row(board, [str(folder)], entry(task="segmentation-thermal"))
    assert made.packed == again.packed, "the same predictions pack to the same bytes"
