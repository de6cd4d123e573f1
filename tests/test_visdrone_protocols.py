"""The VisDrone protocols through every command that goes by protocol, on a made-up visdrone@val."""

import json
import re

import numpy as np
import pytest

from board_cases import edited, empty_board
from rgbt_bench.comparing import compare
from rgbt_bench.converting import convert
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.leaderboard.board import Board
from rgbt_bench.leaderboard.checking import check_folder
from rgbt_bench.leaderboard.checking.numbers import number_problems
from rgbt_bench.leaderboard.first_holder import compare_digests
from rgbt_bench.leaderboard.rows import parse_row, row_bytes
from rgbt_bench.leaderboard.site.building import build
from rgbt_bench.leaderboard.submitting import read_entry, submit_row
from rgbt_bench.leaderboard.verifying import verify_rows
from rgbt_bench.metrics.detection import FURTHER
from rgbt_bench.opening import open_dataset
from rgbt_bench.protocols import find_protocol
from rgbt_bench.recipes import load_recipe
from rgbt_bench.scoring import official_note, score_file
from rgbt_converters.visdrone import VisDrone
from run_cases import make_folder
from visdrone_cases import put_original

NAMES = {"detection-official-rgb": "visdrone-official", "detection-clean-rgb": "visdrone-clean"}
BOTH = pytest.mark.parametrize("task", NAMES)


def lines(rng):
    """Annotations of one image: boxes of three classes, some ignored, others, and a region."""
    found = []
    for _ in range(rng.integers(3, 9)):
        x, y, w, h = *rng.integers(0, 40, 2), *rng.integers(3, 20, 2)
        found.append(f"{x},{y},{w},{h},{int(rng.random() < 0.8)},{rng.choice([1, 4, 9, 11])},0,0")
    return [*found, "50,30,10,0,1,4,0,0", f"{rng.integers(0, 50)},5,12,12,0,0,0,0"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A set of 14 scenes in val and 3 in train."""
    rng, base = np.random.default_rng(0), tmp_path_factory.mktemp("visdrone")
    stems = {part: [f"{first + n:07}_00001_d_0000001" for n in range(count)] for part, first, count in PARTS}
    texts = {part: {stem: lines(rng) for stem in names} for part, names in stems.items()}
    convert(VisDrone(), put_original(base / "in", lines=texts), base / "visdrone")
    return base / "visdrone"


PARTS = (("train", 10, 3), ("val", 100, 14))


@pytest.fixture
def part(converted, home):
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "visdrone").symlink_to(converted)
    return open_dataset("visdrone@val").part("test")


def predicted(part, path, seed=0, copies=1):
    """Detections near the labels and elsewhere, others too."""
    rng = np.random.default_rng(seed)
    rows = []
    for labels in part.labels:
        for box in labels.objects * copies:
            x, y, w, h = np.array(box.bbox) + rng.normal(0, 1.5, 4)
            bbox = [float(value) for value in (x, y, max(w, 1), max(h, 1))]
            score = float(rng.uniform(0.01, 1))
            rows.append({"image_id": labels.sample_id, "category_id": box.category + 1, "bbox": bbox, "score": score})
    path.write_text(json.dumps([rows[place] for place in rng.permutation(len(rows))]))
    return path


@BOTH
def test_evaluate_prints_and_writes_every_figure(task, part, bench, tmp_path):
    path = predicted(part, tmp_path / "p.json")
    code, out, err = bench("evaluate", path, "--dataset", "visdrone@val", "--task", task, "--json")
    assert code == 0, err
    result = json.loads(out)
    names = [name for category, name in find_protocol(NAMES[task]).columns(part.dataset.info) if category is None]
    assert list(result["metrics"]["figures"]) == names
    assert all(0 < value < 1 for name, value in result["metrics"]["figures"].items() if name != "AP_L" and value)
    assert result["metrics"]["per_class"]["others"]["AP"] is None
    assert (result["evaluator"], result["standing"]) == ("rgbt-bench", "unofficial")
    assert result["standing_reason"] == "these are 14 samples, and the official test part has 548"
    low, high = result["metrics"]["intervals"]["figures"]["AP"]
    assert low < result["metrics"]["figures"]["AP"] < high
    assert "further" not in result["metrics"]
    code, out, err = bench("evaluate", path, "--dataset", "visdrone@val", "--task", task)
    assert code == 0, err
    assert "AR500" in out
    assert f"track visdrone/{task}, unofficial" in out


def test_the_order_of_a_file_decides_nothing(part, tmp_path):
    path = predicted(part, tmp_path / "p.json")
    rows = json.loads(path.read_text())
    (tmp_path / "q.json").write_text(json.dumps(sorted(rows, key=lambda row: row["score"])))
    for task in NAMES:
        first, second = (score_file(one, part, task).metrics for one in (path, tmp_path / "q.json"))
        assert first == second


@BOTH
def test_bad_predictions_are_refused_and_empty_ones_are_zero(task, part, tmp_path):
    path = tmp_path / "p.json"
    path.write_text("[]")
    figures = score_file(path, part, task).metrics.figures
    assert set(figures.values()) <= {0.0, None}
    assert figures["AP"] == 0.0
    row = {"image_id": part.ids[0], "category_id": 12, "bbox": [1, 1, 0, 5], "score": 0.5}
    path.write_text(json.dumps([row] * 1001))
    with pytest.raises(BadInputError) as caught:
        score_file(path, part, task)
    for fault in ("category_id is none of 1 pedestrian", "no width or no height", "more than 1,000 rows"):
        assert fault in str(caught.value)
    with pytest.raises(UsageError, match="unknown evaluator 'hotcoco'"):
        score_file(path, part, task, "hotcoco")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("visdrone-official", "is a protocol; its tasks are detection-official-rgbt, detection-official-rgb"),
        ("detection-official", "Did you mean 'detection-official-rgb' or 'detection-official-rgbt'"),
        ("coco", "is a protocol; its tasks are detection-rgbt, detection-rgb, detection-thermal"),
        ("detection-oficial-rgb", "Did you mean 'detection-official-rgb'"),
        ("visdrone/detection-official-rgb", "is a track; its task is detection-official-rgb"),
    ],
)
def test_a_newcomers_typing_gets_the_task_offered(typed, told, part, bench, tmp_path):
    path = predicted(part, tmp_path / "p.json")
    code, _, err = bench("evaluate", path, "--dataset", "visdrone@val", "--task", typed)
    assert code == 2
    assert told in " ".join(err.split())


def test_a_wrong_track_gets_the_right_one_offered(bench):
    code, _, err = bench("leaderboard", "show", "visdrone/detection-oficial-rgb")
    assert code == 2
    assert "Did you mean 'visdrone/detection-official-rgb'" in " ".join(err.split())


@BOTH
def test_a_recipe_takes_the_protocol(task):
    recipe = load_recipe("ffkd-student-rgb", "quick")
    assert recipe.model_copy(update={"protocol": NAMES[task]}).task == task


def run_of(home, part, task, seed):
    """A finished run of the protocol, with its result."""
    folder = make_folder(home, key=f"{seed}bbb1111222{seed}", seed=seed, dataset="visdrone@val")
    record = json.loads((folder / "run.json").read_text())
    record["recipe"]["protocol"] = NAMES[task]
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "weights.safetensors").write_bytes(b"weights")
    score_file(predicted(part, folder / "predictions.json", seed), part, task).write(folder / "result.json")
    return folder


@BOTH
def test_runs_are_compared_by_their_protocol_and_drawn(task, part, home, bench, tmp_path):
    first, second = (run_of(home, part, task, seed) for seed in (0, 1))
    content = compare([str(first), str(second)], resamples=100)
    assert (content["metric"], content["dataset"]) == ("AP", "visdrone@val")
    (pair,) = content["pairs"]
    told = [json.loads((one / "result.json").read_text())["metrics"]["figures"]["AP"] for one in (first, second)]
    assert [pair["first_figure"], pair["second_figure"]] == pytest.approx(told, abs=1e-12)
    assert compare([str(first), str(second)], metric="pedestrian AR500", resamples=100)["pairs"][0]["p"] is not None
    code, _, err = bench("preview", first, "--out", tmp_path / "sheet.png")
    assert code == 0, err
    assert (tmp_path / "sheet.png").stat().st_size > 1000


@pytest.fixture
def board(part, tmp_path, monkeypatch):
    """An empty board that has frozen the made-up set."""
    board = empty_board(tmp_path / "leaderboards")
    path, record = board.folder / "leaderboard.yaml", part.record
    before, data = path.read_text().split("  visdrone-val:\n")
    data = data.replace("samples: 548", f"samples: {record.samples}", 1)
    data = re.sub("label_digest: pending", f"label_digest: {record.label_digest}", data, count=1)
    path.write_text(f"{before}  visdrone-val:\n{data}")
    board = Board(board.root, board.version)
    for place in ("tracks", "checking.checker"):
        monkeypatch.setattr(f"rgbt_bench.leaderboard.{place}.leaderboard", lambda: board.definitions)
    return board


def submitted(board, part, tmp_path, task, **options):
    path = predicted(part, tmp_path / "p.json", **options)
    entry = read_entry(None, {"name": "Mine", "authors": "Ann", "dataset": "visdrone@val", "task": task})
    submit_row(board, [str(path)], entry)
    board = Board(board.root, board.version)
    return board, next(iter(board.rows.values()))


@pytest.mark.parametrize("task", ["detection-rgb", *NAMES])
def test_a_row_is_submitted_checked_proven_ranked_and_shown(task, board, part, bench, tmp_path):
    board, row = submitted(board, part, tmp_path, task)
    assert (row.track, row.first.standing) == (f"visdrone/{task}", "official")
    assert row.first.data.thermal_digest is None
    assert check_folder(board.root).faults == ()
    assert [one.state for one in verify_rows(board, [row], count=1)] == ["proven"]
    code, out, err = bench("leaderboard", "show", row.track, "--board", board.root)
    assert code == 0, err
    assert f"{100 * row.first.metrics.figures['AP']:.2f}" in out or f"{row.first.metrics.figures['AP']:.4f}" in out
    code, _, err = bench("leaderboard", "export", "--out", tmp_path / "rows.csv", "--board", board.root)
    assert code == 0, err
    assert row.track in (tmp_path / "rows.csv").read_text()
    build(tmp_path / "site", board.root)
    pages = {path.name: path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    page = next(text for name, text in pages.items() if row.id in name)
    assert ("AR500" in page) == (task != "detection-rgb")
    assert "AP@300" not in page
    assert not [name for name, text in pages.items() if "None" in re.sub("<[^>]*>", "", text)]


def test_a_first_holder_confirms_labels_and_images_but_no_thermal_image(part, board):
    digests = compare_digests(part.dataset)
    states = {name: one["state"] for name, one in digests["digests"].items()}
    assert states == {
        "ids_sha256": "confirms", "label_digest": "the same", "rgb_digest": "confirms", "thermal_digest": "the same"
    }  # fmt: skip
    assert (digests["official"], digests["official_samples"]) == (True, 14)
    assert official_note("visdrone", "test", part.record.label_digest, "val") == "official labels (14 samples)"


def test_a_part_of_the_official_images_confirms_nothing(part):
    digests = compare_digests(part.dataset)
    assert (digests["official"], digests["official_samples"]) == (False, 548)
    assert {one["state"] for one in digests["digests"].values()} == {"pending", "the same"}
    assert "nobody has confirmed" in official_note("visdrone", "test", part.record.label_digest, "val")
    assert official_note("visdrone", "test", "a" * 64) == "no official digest is frozen for this part"


@BOTH
def test_numbers_that_do_not_follow_are_refused(task, board, part, tmp_path):
    board, row = submitted(board, part, tmp_path, task)
    values = row.first.metrics.model_dump(mode="json")
    assert list(number_problems(row.runs[0])) == []
    for changes in (
        {"figures__AP": values["figures"]["AP"] + 1e-6},
        {"per_class__car__AR500": 0.5},
        {
            "per_class__car__samples": values["per_class"]["car"]["samples"]
            + (1 if task != "detection-clean-rgb" else -99)
        },
        {"further": {"AP@300": 0.5}},
        {"further": dict.fromkeys(FURTHER, 0.5)},
    ):
        one = {f"runs__0__result__metrics__{name}": value for name, value in changes.items()}
        other = parse_row(edited(row, **one), "x")
        assert list(number_problems(other.runs[0])), changes


def test_dense_detections_bring_further_figures_to_evaluate_and_the_pages(board, part, bench, tmp_path):
    board, row = submitted(board, part, tmp_path, "detection-rgb", copies=60)
    further = row.first.metrics.further
    assert tuple(further) == FURTHER
    assert further["AR300"] >= row.first.metrics.figures["AR100"]
    assert check_folder(board.root).faults == ()
    assert [one.state for one in verify_rows(board, [row], count=1)] == ["proven"]
    assert parse_row(row_bytes(row), "x") == row
    build(tmp_path / "site", board.root)
    page = next(path for path in (tmp_path / "site").rglob("*.html") if row.id in path.name).read_text()
    assert "AP@300" in page
    assert "AR500" in page
    code, out, err = bench("evaluate", tmp_path / "p.json", "--dataset", "visdrone@val", "--task", "detection-rgb")
    assert code == 0, err
    assert f"AP@300 {further['AP@300']:.4f}" in " ".join(out.split())
    for name, value in (("AP@300", 1.5), ("AP@300", -0.1)):
        path = "runs__0__result__metrics__further"
        assert list(number_problems(parse_row(edited(row, **{path: further | {name: value}}), "x").runs[0]))
