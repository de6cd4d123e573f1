"""Runs whose predictions are label maps: made once, gone on with, and noticed where they were changed."""

import shutil

import numpy as np
import pytest
from PIL import Image as Pillow

from cli_cases import only_object
from label_map_cases import maps_of, put_maps, truths, without_class
from model_cases import contents
from painter import RECIPE, Painter
from rgbt_bench.comparing import compare
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import read_json
from rgbt_bench.finding import find_run
from rgbt_bench.harness import execute
from rgbt_bench.label_maps import LabelMap
from rgbt_bench.png_folders import png_digest, save_png
from rgbt_bench.protocols import find_protocol
from rgbt_bench.results import read_result
from rgbt_bench.runs import plan_run
from rgbt_bench.sides import find_side
from rgbt_bench.statistics import blocks, draw_weights
from rgbt_bench.training.processes import Processes
from run_cases import make_done
from test_comparing import Spread

PUSH = ("push", RECIPE, "--hub", "ann/model", "--dry-run")


def convert_spread(folder):
    convert(Spread(), None, folder)
    return folder


@pytest.fixture(autouse=True)
def painter(monkeypatch):
    class Own(Painter):
        pass

    monkeypatch.setattr("rgbt_bench.protocols.miou.SHEET_SAMPLES", 2)  # the rest of a sheet takes the time
    for module in ("harness", "predicting"):
        monkeypatch.setattr(f"rgbt_bench.{module}.load_submission", lambda name: Own)
    return Own


@pytest.fixture
def dataset(home, tiny_folder):
    return Dataset(shutil.copytree(tiny_folder, home / "datasets" / "sample"))


@pytest.fixture
def plan(dataset):
    return lambda seed=0: plan_run(RECIPE, dataset, "quick", seed)


@pytest.fixture
def done(plan, dataset):
    """Do a run; return it."""

    def done(seed=0):
        run = plan(seed)
        execute(run, dataset, "cpu")
        return run

    return done


def test_a_run_leaves_a_label_map_a_sample_and_its_result(done, dataset):
    run = done()
    part = dataset.part("test")
    assert sorted(path.stem for path in (run.folder / "predictions").iterdir()) == list(part.ids)
    result = read_result(run.folder / "result.json")
    assert result.predictions_sha256 == png_digest(run.folder / "predictions")
    assert (result.track, result.model.recipe) == ("sample/segmentation-thermal", RECIPE)
    assert 0.2 < result.metrics.figures["mIoU"] < 0.95
    assert Pillow.open(run.folder / "predictions.png").width > 800
    assert not list(run.folder.glob("predictions.p*l"))
    assert not (run.folder / "predictions.json").exists()


def test_the_same_run_again_does_nothing_and_elsewhere_it_gives_the_same_bytes(done, dataset, tmp_path, painter):
    run = done()
    before = contents(run.folder)
    assert execute(run, dataset, "cpu") == read_result(run.folder / "result.json")
    assert contents(run.folder) == before
    other = plan_run(RECIPE, dataset, "quick", 0, home=tmp_path / "elsewhere")
    again = execute(other, dataset, "cpu")
    assert painter.calls == 2
    assert again.predictions_sha256 == read_result(run.folder / "result.json").predictions_sha256
    assert again.metrics == read_result(run.folder / "result.json").metrics


def test_nothing_learns_from_weights_that_were_changed(dataset, painter):
    student = plan_run("cekd-cenet", dataset, "quick")
    teacher = student.requires["baseline"]
    execute(student, dataset, "cpu")
    shutil.rmtree(student.folder)
    teacher.weights.write_text("0\n")
    with pytest.raises(BadInputError, match=r"weights\.safetensors: not the weights that .* delete the file"):
        execute(student, dataset, "cpu")
    assert (painter.calls, student.weights.exists()) == (2, False)
    teacher.weights.unlink()
    execute(student, dataset, "cpu")
    assert painter.calls == 4


def test_a_run_killed_while_it_predicts_goes_on_to_the_same_bytes(done, plan, dataset, painter, tmp_path):
    painter.stop_at = 5
    run = plan()
    with pytest.raises(KeyboardInterrupt):
        execute(run, dataset, "cpu")
    assert len(list((run.folder / "predictions.partial").glob("*.png"))) == 5
    assert not (run.folder / "predictions").exists()
    assert run.state == "to evaluate"
    painter.stop_at = None
    save_png(np.zeros((4, 4), np.uint8), run.folder / "predictions.partial" / "stray.png")
    result = execute(run, dataset, "cpu")
    assert painter.calls == 1
    assert not (run.folder / "predictions.partial").exists()
    other = execute(plan_run(RECIPE, dataset, "quick", 0, home=tmp_path / "elsewhere"), dataset, "cpu")
    assert result.predictions_sha256 == other.predictions_sha256


def test_a_run_killed_before_it_is_scored_goes_on(plan, dataset, monkeypatch):
    run = plan()
    with monkeypatch.context() as patch:
        patch.setattr("rgbt_bench.harness.score_file", Painter.latency_subject)
        with pytest.raises(TypeError):
            execute(run, dataset, "cpu")
    digest = png_digest(run.folder / "predictions")
    (run.folder / "predictions.replaced").mkdir()  # as a kill between two renames leaves it
    assert run.state == "to evaluate"
    assert execute(run, dataset, "cpu").predictions_sha256 == digest
    assert run.state == "done"
    assert not (run.folder / "predictions.replaced").exists()


def changed(folder):
    save_png(np.zeros((96, 96), np.uint8), folder / "predictions" / "sample_test_0003.png")


def renamed(folder):
    (folder / "predictions" / "sample_test_0003.png").rename(folder / "predictions" / "sample_test_0003.PNG")


def left_over(folder):
    (folder / "predictions" / "notes.txt").write_text("x")


def taken(folder):
    (folder / "predictions" / "sample_test_0003.png").unlink()


@pytest.mark.parametrize("spoil", [changed, renamed, left_over, taken])
def test_changed_label_maps_are_noticed_by_whatever_reads_them(done, dataset, spoil, bench):
    run = done()
    spoil(run.folder)
    message = f"{run.folder / 'predictions'}: changed since result.json beside it was scored; delete result.json there"
    with pytest.raises(BadInputError, match=message):
        execute(run, dataset, "cpu")
    commands = (("compare", RECIPE, RECIPE, "--preset", "quick"), ("preview", RECIPE), PUSH) if spoil is changed else ()
    for command in commands:
        code, _, err = bench(*command)
        assert (code, message in err) == (3, True), err
    (run.folder / "result.json").unlink()
    assert execute(run, dataset, "cpu").metrics.figures["mIoU"] > 0.2
    assert execute(run, dataset, "cpu")


def test_label_maps_that_are_gone_are_named_and_made_again(done, dataset):
    run = done()
    shutil.rmtree(run.folder / "predictions")
    (run.folder / "predictions.json").write_text("[]")  # somebody else's
    assert run.state == "to evaluate"
    with pytest.raises(MissingError, match=r"predictions: missing; `rgbt-bench run` makes them again"):
        compare([str(run.folder)] * 2)
    execute(run, dataset, "cpu")
    assert run.state == "done"


def test_a_folder_beside_a_run_of_boxes_changes_nothing(home, dataset, tiny_folder):
    folder = make_done(home, tiny_folder)
    (folder / "predictions").mkdir()
    run = find_run("ffkd-student-rgb")
    assert (run.state, run.predictions) == ("done", folder / "predictions.json")
    assert compare([str(folder)] * 2)["pairs"][0]["seeds"] == [[0, 0]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda maps: maps[:-1], "1 of 12 samples were not predicted, such as sample_test_0011"),
        (lambda maps: [*maps, maps[3]], "sample_test_0003: was predicted twice"),
        (lambda maps: [LabelMap(-1, maps[0].labels)], "number -1 of 12 samples was predicted"),
        (lambda maps: [LabelMap(12, maps[0].labels)], "number 12 of 12 samples was predicted"),
        (lambda maps: [LabelMap(0, maps[0].labels + 1)], "the value 4 is none of 4 classes"),
        (lambda maps: [LabelMap(0, maps[0].labels[1:])], r"uint8\(96, 96\) expected, not uint8\(95, 96\)"),
    ],
)
def test_a_submission_that_breaks_its_word_leaves_the_old_maps(tmp_path, tiny, spoil, message):
    part, protocol, path = tiny.part("test"), find_protocol("miou"), tmp_path / "predictions"
    protocol.store(path, maps_of(part), part, Processes())
    before = contents(path)
    with pytest.raises(ValueError, match=message):
        protocol.store(path, spoil(maps_of(part, 0.5)), part, Processes())
    assert contents(path) == before
    protocol.store(path, maps_of(part, 0.5), part, Processes())
    assert contents(path) != before
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["predictions"]


def test_two_runs_are_compared_on_the_same_resamples(done, dataset):
    first, second = done(3), done(0)
    content = compare([str(first.folder), str(second.folder)])
    (pair,) = content["pairs"]
    assert (content["metric"], pair["seeds"]) == ("mIoU", [[3, 0]])
    figures = [read_result(run.folder / "result.json").metrics.figures["mIoU"] for run in (first, second)]
    assert [pair["first_figure"], pair["second_figure"]] == figures
    assert pair["difference"] == figures[1] - figures[0] > 0.1
    assert pair["verdict"] == "not tested: too few scenes: 2, an interval needs at least 10"
    assert set(pair["figures"]) >= {"mAcc_present", "IoU_e", "background IoU", "car Acc"}
    assert pair["figures"]["IoU_e"]["difference"] is None
    assert compare([RECIPE, RECIPE], preset="quick")["pairs"][0]["seeds"] == [[0, 0], [3, 3]]


def test_folders_of_ones_own_are_compared(dataset, tmp_path):
    part = dataset.part("test")
    folders = [
        str(put_maps(tmp_path / f"{noise}", part, maps_of(part, noise, edge_step=4 if noise else None)))
        for noise in (0.4, 0.1, 0.0)
    ]
    content = compare(folders, dataset="sample", all_pairs=True, metric="car IoU")
    assert [pair["difference"] > 0 for pair in content["pairs"]] == [True] * 3
    assert content["metric"] == "car IoU"
    assert [pair["figures"]["IoU_e"]["difference"] is None for pair in content["pairs"]] == [False, True, True]
    assert find_side(folders[0]).scored[0].seed is None
    with pytest.raises(UsageError, match="say with --dataset what these predictions are of"):
        compare(folders)
    with pytest.raises(UsageError, match=r"unknown metric 'miou'\. Did you mean 'mIoU'"):
        compare(folders, dataset="sample", metric="miou")
    with pytest.raises(UsageError, match=r"unknown metric 'AP'"):
        compare(folders, dataset="sample", metric="AP")


def test_maps_and_boxes_are_not_compared(done, dataset, home, tiny_folder, tmp_path):
    folder = put_maps(tmp_path / "maps", dataset.part("test"), maps_of(dataset.part("test")))
    (tmp_path / "p.json").write_text("[]")
    boxes, maps = make_done(home, tiny_folder), done()
    for pair in ((folder, tmp_path / "p.json"), (maps.folder, boxes), (folder, boxes), (maps.folder, "p.json")):
        names = [str(tmp_path / one) if one == "p.json" else str(one) for one in pair]
        with pytest.raises(BadInputError, match=r"is scored by miou and .* by coco; nothing can be compared"):
            compare(names, dataset="sample")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match="empty: no run here"):
        compare([str(tmp_path / "empty"), str(folder)], dataset="sample")
    (folder / "more.png").write_bytes(b"")
    with pytest.raises(BadInputError, match=r"more\.png: no sample of this part"):
        compare([str(folder)] * 2, dataset="sample")


def test_a_resample_is_undefined_where_it_is_for_either_side(home, tmp_path, monkeypatch):
    """Where a resample has no bike, its IoU is 0 for who says one all the same, and undefined for who says none."""
    spread = Dataset(convert_spread(tmp_path / "spread"))
    stored = [(name, mask if name == "sample_test_0006" else without_class(mask, 2)) for name, mask in spread.masks()]
    monkeypatch.setattr(Dataset, "masks", lambda self: stored)
    part = spread.part("test")
    bold, shy = maps_of(part), maps_of(part)
    for one in bold:
        one.labels[:9, :9] = 2
    folders = [str(put_maps(tmp_path / name, part, maps)) for name, maps in (("bold", bold), ("shy", shy))]
    has_bike = np.array([(truth == 2).any() for truth in truths(part)])
    without = int((draw_weights(blocks(part.ids))[:, has_bike].sum(axis=1) == 0).sum())
    assert without > 300
    for pair in (folders, folders[::-1]):
        content = compare(pair, dataset=str(spread.root), metric="bike IoU")
        assert content["resampling"]["undefined"]["bike IoU"] == without
        assert content["pairs"][0]["verdict"].startswith("differs on this test set")


def test_a_preview_shows_what_a_run_says_and_the_worst_come_first(done, dataset, bench, tmp_path):
    run = done()
    content = only_object(bench("preview", RECIPE, "--pairs", 4, "--json")[1])
    assert content["sheet"] == str(run.folder / "preview.png")
    assert [row["illumination"] for row in content["pairs"]] == ["day", "day", "night", "night"]
    part, protocol = dataset.part("test"), find_protocol("miou")
    maps = protocol.read(run.folder / "predictions", part)
    share = [float((one.labels != truth)[truth != 255].mean()) for one, truth in zip(maps, truths(part), strict=True)]
    for row in content["pairs"]:
        assert row["wrong"] == pytest.approx(share[part.ids.index(row["sample_id"])], abs=1e-12)
    every = only_object(bench("preview", RECIPE, "--pairs", 12, "--json", "--out", tmp_path / "a.png")[1])["pairs"]
    lowest = {row["sample_id"] for row in sorted(every, key=lambda row: row["mean_iou"])[:3]}
    options = ("--worst", "--pairs", 3, "--out", tmp_path / "worst.png")
    worst = only_object(bench("preview", RECIPE, *options, "--json")[1])["pairs"]
    assert {row["sample_id"] for row in worst} == lowest
    out = bench("preview", RECIPE, *options)[1]
    assert "mean IoU is over the classes that occur in the pair or its prediction" in out
    assert all(row["illumination"] in out and f"{row['mean_iou']:.4f}" in out for row in worst)


def test_edges_are_stored_scored_and_compared(done, painter):
    painter.edge_step = 2
    run = done()
    assert len(list((run.folder / "predictions" / "edges").iterdir())) == 12
    assert 0 < read_json(run.folder / "result.json")["metrics"]["figures"]["IoU_e"] < 1
    assert compare([RECIPE, RECIPE], preset="quick", metric="IoU_e")["pairs"][0]["difference"] == 0


def test_runs_are_listed_with_the_figure_of_their_task(done, home, tiny_folder, bench):
    run = done()
    rows = only_object(bench("runs", "list", "--json")[1])["runs"]
    figures = read_json(run.folder / "result.json")["metrics"]["figures"]
    assert [(row["AP"], row["mIoU"], row["state"]) for row in rows] == [(None, figures["mIoU"], "done")]
    out = bench("runs", "list")[1]
    assert "mIoU" in out
    assert " AP " not in out
    make_done(home, tiny_folder)
    out = bench("runs", "list")[1]
    assert " AP " in out
    assert f"{figures['mIoU']:.4f}" in out
    assert bench("runs", "clean", RECIPE, "--yes")[0] == 0
    assert not run.folder.exists()
