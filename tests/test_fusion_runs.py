"""Runs of fusion: the classical recipes through the harness, their controls, and what is told of the undefined."""

import io
import json
import shutil
from zlib import crc32

import numpy as np
import pytest
from PIL import Image as Pillow

from cli_cases import only_object
from model_cases import contents
from rgbt_bench.comparing import _judge, compare
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import read_json
from rgbt_bench.finding import find_run
from rgbt_bench.fused_images import FusedImage, Sources, read_fused_images, source_images
from rgbt_bench.fusion.controls import CONTROLS, noise
from rgbt_bench.harness import execute
from rgbt_bench.metrics.fusion import METRICS, fusion_figures
from rgbt_bench.metrics.fusion.conventions import find_convention
from rgbt_bench.png_folders import png_digest, save_png
from rgbt_bench.predicting import predict_pairs
from rgbt_bench.protocols import find_protocol
from rgbt_bench.protocols.fusion import FusionEvidence, control_figures
from rgbt_bench.results import FusionMetrics, read_result
from rgbt_bench.runs import plan_run
from rgbt_bench.statistics import blocks
from rgbt_bench.training.processes import Processes
from test_comparing import Spread

SAME = ("infrared", "visible", "average", "max")


@pytest.fixture(scope="module")
def finished(tiny_folder, tmp_path_factory):
    """A home with the tiny set and one finished run of each control that is a recipe, and of the pyramid."""
    folder = tmp_path_factory.mktemp("fusion") / "home"
    (folder / "datasets").mkdir(parents=True)
    shutil.copytree(tiny_folder, folder / "datasets" / "sample")
    dataset = Dataset(folder / "datasets" / "sample")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RGBT_BENCH_HOME", str(folder))
        for name in (*SAME, "laplacian"):
            execute(plan_run(name, dataset, "quick"), dataset, "cpu")
    return folder


@pytest.fixture
def done(finished, home):
    """The finished runs by recipe, in the home of this test."""
    shutil.copytree(finished, home)
    return {name: find_run(name) for name in (*SAME, "laplacian")}


@pytest.fixture
def dataset(home, tiny_folder):
    return Dataset(shutil.copytree(tiny_folder, home / "datasets" / "sample"))


def decoded(image):
    with Pillow.open(io.BytesIO(image.data)) as opened:
        return np.asarray(opened)


def test_a_recipe_that_trains_nothing_leaves_a_run_as_any_other(done, home):
    folder = done["average"].folder
    assert {path.name for path in folder.iterdir() if path.name != ".lock"} == {
        "predictions", "predictions.png", "result.json", "run.json", "weights.safetensors",
    }  # fmt: skip
    part = Dataset(home / "datasets" / "sample").part("test")
    assert sorted(path.stem for path in (folder / "predictions").iterdir()) == sorted(part.ids)
    for place, name in enumerate(part.ids):
        thermal = decoded(part[place].thermal).astype(int)
        luma = np.asarray(Pillow.fromarray(decoded(part[place].rgb)).convert("L")).astype(int)
        fused = np.asarray(Pillow.open(folder / "predictions" / f"{name}.png"))
        assert np.array_equal(fused, (luma + thermal + 1) // 2)
    sheet = Pillow.open(folder / "predictions.png")
    assert sheet.width > 3 * 256
    assert sheet.height > 8 * 256  # of 8 pairs


def test_the_result_says_what_it_is_of(done):
    result = read_result(done["average"].folder / "result.json")
    assert isinstance(result.metrics, FusionMetrics)
    assert (result.track, result.standing, result.evaluator) == ("sample/fusion", "unofficial", "rgbt-bench")
    assert (result.model.epochs, result.model.parameters["total"], result.model.seed) == (None, 0, 0)
    assert result.data.train_label_digest is None
    assert result.predictions_sha256 == png_digest(done["average"].folder / "predictions")
    assert list(result.metrics.figures) == list(METRICS)
    assert set(result.metrics.spread) == {name for name in METRICS if result.metrics.undefined.get(name) != 12}
    assert type(result).model_validate(result.model_dump(mode="json")) == result


@pytest.mark.parametrize("name", SAME)
def test_a_control_is_its_recipe_to_the_digit(done, name):
    metrics = read_result(done[name].folder / "result.json").metrics
    assert metrics.controls[name] == metrics.figures
    assert list(metrics.controls) == ["infrared", "visible", "average", "max", "noise"]
    other = read_result(done["laplacian"].folder / "result.json").metrics
    assert other.controls == metrics.controls
    assert other.figures != metrics.figures


def test_a_copy_of_the_infrared_has_more_mi_than_any_method(done):
    found = {name: read_result(run.folder / "result.json").metrics.figures["MI"] for name, run in done.items()}
    assert min(found["infrared"], found["visible"]) > 1.5 * max(found["average"], found["laplacian"])


def test_each_figure_is_the_mean_of_the_pairs_own(done, home):
    part = Dataset(home / "datasets" / "sample").part("test")
    images = read_fused_images(done["laplacian"].folder / "predictions", part.labels)
    rows = []
    for place in range(len(part)):
        sources = source_images(part[place], part.dataset.info)
        rows.append(fusion_figures(sources.luma, sources.thermal, images[place].luma))
    metrics = read_result(done["laplacian"].folder / "result.json").metrics
    for name, value in metrics.figures.items():
        column = np.array([row[name] for row in rows])
        known = column[~np.isnan(column)]
        assert metrics.undefined.get(name, 0) == len(column) - len(known)
        if not known.size:
            assert value is None
            continue
        assert value == pytest.approx(known.mean(), rel=1e-12)
        spread = metrics.spread[name]
        assert (spread.minimum, spread.maximum) == (known.min(), known.max())
        assert spread.median == pytest.approx(np.median(known))
        night = np.array([labels.illumination == "night" for labels in part.labels])
        assert metrics.subsets["night"][name] == pytest.approx(np.nanmean(column[night]), rel=1e-12)
    assert metrics.subset_samples == {"day": 8, "night": 4}


def test_small_images_leave_a_figure_undefined_and_counted(done, bench):
    metrics = read_result(done["infrared"].folder / "result.json").metrics
    assert metrics.undefined == {"SCD": 12, "MS-SSIM": 12}  # a copy has no difference, and 96 pixels no five scales
    assert (metrics.figures["SCD"], metrics.figures["MS-SSIM"]) == (None, None)
    assert "SCD" not in metrics.spread
    out = bench("evaluate", done["infrared"].folder / "predictions", "--dataset", "sample", "--task", "fusion")[1]
    assert "undefined, and left out of the mean, for so many of 12 pairs: SCD of 12, MS-SSIM of 12" in out
    assert "nan" not in out.lower().split()


def test_too_few_scenes_give_no_intervals_and_the_reason(done):
    intervals = read_result(done["average"].folder / "result.json").metrics.intervals
    assert set(intervals.figures) == set(METRICS)
    assert set(intervals.figures.values()) == {None}
    assert intervals.resampling["all"].reason.startswith("too few scenes: 2")


def test_enough_scenes_give_intervals_around_the_figures(home):
    folder = home / "datasets" / "sample"
    convert(Spread(), None, folder)
    dataset = Dataset(folder)
    runs = [plan_run(name, dataset, "quick") for name in ("average", "max")]
    metrics, _ = (execute(run, dataset, "cpu").metrics for run in runs)
    for name, value in metrics.figures.items():
        interval = metrics.intervals.figures[name]
        if value is None:
            assert interval is None
        else:
            assert interval[0] <= value <= interval[1]
            assert interval[0] < interval[1]
    folders = [str(run.folder / "predictions") for run in runs]
    (told,) = compare(folders, str(folder), metric="SD")["pairs"]
    assert told["verdict"] == "differs on this test set, one seed"
    cut = blocks([str(place) for place in range(12)])
    for step, ranks, word in ((0.1, False, "higher"), (-0.1, False, "lower"), (0.1, True, "better")):
        pair = {"p": 0.001, "difference": step, "seeds": [[seed, seed] for seed in range(5)]}
        _judge([pair], cut, ranks)
        assert pair["verdict"] == word  # of CE or Nabf, lower would be better, and fusion metrics rank nothing


def test_the_same_run_again_does_nothing_and_elsewhere_it_gives_the_same_bits(done, home, tmp_path):
    dataset = Dataset(home / "datasets" / "sample")
    run = plan_run("laplacian", dataset, "quick")
    assert run.folder == done["laplacian"].folder
    before = contents(run.folder)
    kept = execute(run, dataset, "cpu")
    assert contents(run.folder) == before
    again = execute(plan_run("laplacian", dataset, "quick", home=tmp_path / "elsewhere"), dataset, "cpu")
    assert again.predictions_sha256 == kept.predictions_sha256
    assert again.metrics == kept.metrics
    assert again.model.weights_sha256 == kept.model.weights_sha256


def test_noise_depends_on_the_sample_alone():
    first = Sources(np.zeros((40, 50, 3), np.uint8), np.zeros((40, 50), np.uint8), np.full((40, 50), 7, np.uint8))
    other = Sources(np.ones((40, 50, 3), np.uint8), np.ones((40, 50), np.uint8), np.ones((40, 50), np.uint8))
    assert np.array_equal(noise(first, "road_1"), noise(other, "road_1"))
    assert not np.array_equal(noise(first, "road_1"), noise(first, "road_2"))
    generator = np.random.Generator(np.random.PCG64(crc32(b"road_1")))
    assert np.array_equal(noise(first, "road_1"), generator.integers(0, 256, (40, 50), dtype=np.uint8))
    levels = np.bincount(noise(first, "x").ravel() // 64, minlength=4)
    assert levels.min() > 400


def kept_controls(home):
    """The file of each control by its name; they are told apart by what is in them."""
    files = {path: read_json(path) for path in (home / "controls").glob("*.json")}
    found = read_result(next(home.glob("runs/sample/max-quick/*/result.json"))).metrics.controls
    return {name: path for name, one in found.items() for path, content in files.items() if content == one}


def scored(dataset, folder, evaluator="rgbt-bench"):
    protocol, part = find_protocol("fusion"), dataset.part("test")
    return protocol.metrics(part, protocol.evidence(part, protocol.read(folder, part), evaluator), evaluator)


def test_controls_are_computed_once(done, home, monkeypatch):
    told = {name: path.stat().st_mtime_ns for name, path in kept_controls(home).items()}
    assert list(told) == list(CONTROLS)
    monkeypatch.setattr("rgbt_bench.protocols.fusion.CONTROLS", dict.fromkeys(CONTROLS))  # which cannot be called
    scored(Dataset(home / "datasets" / "sample"), done["max"].folder / "predictions")
    assert {name: path.stat().st_mtime_ns for name, path in kept_controls(home).items()} == told


DAMAGES = {
    "cut": "{",
    "empty": "",
    "number": "5",
    "null": "null",
    "list": "[]",
    "names alone": json.dumps(list(METRICS)),
    "no figures": "{}",
    "other figures": '{"EN": 1.0}',
    "another order": json.dumps(dict.fromkeys(reversed(METRICS), 1.0)),
    "text": json.dumps(dict.fromkeys(METRICS, "7.2")),
    "truth": json.dumps(dict.fromkeys(METRICS, True)),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_control_is_computed_anew(done, home, monkeypatch, kind):
    whole, found = read_result(done["max"].folder / "result.json").metrics.controls, find_convention("rgbt-bench")
    path = kept_controls(home)["average"]
    path.write_text(DAMAGES[kind])
    evidence = FusionEvidence(found.metrics, np.full((12, len(found.metrics)), 7.25))
    monkeypatch.setattr("rgbt_bench.protocols.fusion.pair_figures", lambda *_: evidence)
    anew = dict.fromkeys(METRICS, 7.25)
    part = Dataset(home / "datasets" / "sample").part("test")
    assert control_figures(part, found) == whole | {"average": anew}
    assert read_json(path) == anew


def test_controls_of_another_definition_convention_or_pixels_are_others(done, home, monkeypatch):
    dataset = Dataset(home / "datasets" / "sample")
    folder = done["max"].folder / "predictions"
    monkeypatch.setitem(find_protocol("fusion").metrics.__globals__["DEFINITIONS"], "definition", 2)
    scored(dataset, folder)
    assert len(list((home / "controls").iterdir())) == 10
    found = scored(dataset, folder, "cddfuse")
    assert len(list((home / "controls").iterdir())) == 15
    assert found.controls["max"] == found.figures
    assert set(found.figures) < {*METRICS, "MSE"}


def test_a_constant_image_is_scored_and_what_it_leaves_undefined_is_counted(done, home):
    folder = done["average"].folder / "predictions"
    save_png(np.full((96, 96), 128, np.uint8), folder / "sample_test_0003.png")
    found = scored(Dataset(home / "datasets" / "sample"), folder)
    assert found.spread["EN"].minimum == 0.0
    assert found.spread["SD"].minimum == 0.0
    assert found.undefined["CC"] == 1
    assert found.undefined["MS-SSIM"] == 12
    for name in ("EN", "MI", "SD", "CC", "SSIM", "PSNR"):
        assert np.isfinite(found.figures[name]), name


def test_a_changed_image_is_noticed(done, home, bench):
    save_png(np.zeros((96, 96), np.uint8), done["average"].folder / "predictions" / "sample_test_0003.png")
    message = "predictions: changed since result.json beside it was scored; delete result.json there"
    dataset = Dataset(home / "datasets" / "sample")
    with pytest.raises(BadInputError, match=message):
        execute(plan_run("average", dataset, "quick"), dataset, "cpu")
    for command in (("preview", "average"), ("compare", "average", "max", "--preset", "quick")):
        code, _, err = bench(*command)
        assert (code, message in err) == (3, True), err


def test_runs_are_compared_by_a_figure(done):
    content = compare(["average", "max"], preset="quick", metric="SD")
    (pair,) = content["pairs"]
    figures = [read_result(done[name].folder / "result.json").metrics.figures for name in ("average", "max")]
    assert pair["difference"] == pytest.approx(figures[1]["SD"] - figures[0]["SD"])
    assert pair["verdict"].startswith("not tested: too few scenes")
    assert list(pair["figures"]) == list(METRICS)
    assert pair["figures"]["MS-SSIM"]["difference"] is None
    assert compare(["max", "infrared"], preset="quick")["metric"] == "EN"


def test_a_preview_shows_pairs(done, bench, tmp_path):
    content = only_object(bench("preview", "laplacian", "--pairs", 3, "--out", tmp_path / "a.png", "--json")[1])
    assert len(content["pairs"]) == 3
    assert Pillow.open(tmp_path / "a.png").height > 3 * 256
    assert {row["illumination"] for row in content["pairs"]} <= {"day", "night"}
    code, out, err = bench("preview", "laplacian", "--pairs", 1, "--out", tmp_path / "b.png")
    assert (code, "sample_test_0000" in out, f"drawn to {tmp_path / 'b.png'}" in out) == (0, True, True), err
    code, _, err = bench("preview", "laplacian", "--worst")
    assert (code, "leave --worst out" in err) == (2, True)


def test_a_run_fuses_loose_pairs_of_any_size(done, tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (("FLIR_1", (37, 53)), ("a b", (3, 4)), ("FLIR_3", (64, 32))):
        for folder, shape in (("vi", (*size, 3)), ("ir", size)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Pillow.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(tmp_path / folder / f"{name}.png")
    for recipe in ("laplacian", "visible"):
        found = predict_pairs(done[recipe], [tmp_path / "vi"], [tmp_path / "ir"], 0.0, "cpu")
        found.write(tmp_path / recipe)
        assert {path.name for path in (tmp_path / recipe).iterdir()} == {"FLIR_1.png", "FLIR_3.png", "a b.png"}
        assert Pillow.open(tmp_path / recipe / "FLIR_1.png").size == (53, 37)
        found.draw(tmp_path / f"{recipe}.png")
    luma = Pillow.open(tmp_path / "vi" / "a b.png").convert("L")
    assert np.array_equal(np.asarray(luma), np.asarray(Pillow.open(tmp_path / "visible" / "a b.png")))


def test_predict_says_what_it_wrote(done, bench, tmp_path):
    for folder, shape in (("vi", (32, 40, 3)), ("ir", (32, 40))):
        (tmp_path / folder).mkdir()
        Pillow.fromarray(np.full(shape, 9, np.uint8)).save(tmp_path / folder / "1.png")
    words = ("predict", "max", "--rgb", tmp_path / "vi", "--thermal", tmp_path / "ir", "--out", tmp_path / "fused")
    code, out, err = bench(*words)
    assert code == 0, err
    assert "(40x32): 1.png" in " ".join(out.split())
    assert f"written into {tmp_path / 'fused'}" in out
    (pair,) = only_object(bench(*words, "--json")[1])["pairs"]
    assert pair["fused"] == "1.png"
    code, _, err = bench(*words[:4], "--out", tmp_path / "other")
    assert (code, "give --thermal, too" in err) == (2, True)


def test_an_interrupted_run_leaves_no_half_folder_and_goes_on_to_the_same_bytes(dataset, done_digest, monkeypatch):
    run = plan_run("average", dataset, "quick")
    whole = FusedImage.__init__
    calls = []

    def stop(one, *values):
        calls.append(values)
        if len(calls) == 5:
            raise KeyboardInterrupt
        whole(one, *values)

    with monkeypatch.context() as patch:
        patch.setattr(FusedImage, "__init__", stop)
        with pytest.raises(KeyboardInterrupt):
            execute(run, dataset, "cpu")
    assert not (run.folder / "predictions").exists()
    assert not (run.folder / "result.json").exists()
    assert run.state == "to evaluate"
    save_png(np.zeros((4, 4), np.uint8), run.folder / "predictions.partial" / "stray.png")
    assert execute(run, dataset, "cpu").predictions_sha256 == done_digest
    assert not (run.folder / "predictions.partial").exists()


@pytest.fixture(scope="module")
def done_digest(finished):
    (path,) = finished.glob("runs/sample/average-quick/*/predictions")
    return png_digest(path)


@pytest.mark.parametrize(
    ("indices", "message"), [((0, 1), "10 of 12 samples were not predicted"), ((0, 0), "predicted twice"),
                             ((12,), "number 12 of 12 samples"), ((-1,), "number -1 of 12 samples")]
)  # fmt: skip
def test_a_sample_left_out_fused_twice_or_of_no_place_is_an_error(tiny, tmp_path, indices, message):
    pixels = np.zeros((96, 96), np.uint8)
    with pytest.raises(ValueError, match=message):
        find_protocol("fusion").store(
            tmp_path / "fused", (FusedImage(index, pixels) for index in indices), tiny.part("test"), Processes()
        )
    assert not (tmp_path / "fused").exists()


def test_runs_are_listed_and_cleaned(done, bench):
    rows = only_object(bench("runs", "list", "--json")[1])["runs"]
    assert {row["state"] for row in rows} == {"done"}
    assert len(rows) == 5
    assert bench("runs", "list")[0] == 0
    assert bench("runs", "clean", "average", "--yes")[0] == 0
    assert not done["average"].folder.exists()
