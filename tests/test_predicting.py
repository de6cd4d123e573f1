"""Predictions on loose pairs with a run's weights, and previews of what a run predicted."""

import io
import json
import pickle
import re
import shutil

import numpy as np
import pytest
from PIL import Image as Pillow

from cli_cases import only_object
from rgbt_bench.datasets.loose import LoosePairs, PairFiles, pair_files
from rgbt_bench.datasets.sample import INFO
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import read_json, write_json
from rgbt_bench.finding import find_run
from rgbt_bench.predictions import Detections
from rgbt_bench.previewing import count_pair, worst_places
from rgbt_bench.schema import Box, Labels
from rgbt_bench.submissions import Submission
from run_cases import make_done

RGBT = "ffkd-student-fusion"
DEEP = INFO.model_copy(update={"thermal_range": (1000.0, 5000.0)})


class Echo(Submission):
    """Finds one box a pair, a pixel in from each side, that says which pictures it was given."""

    sections = {}  # noqa: RUF012

    def train(self, stage, context):
        raise NotImplementedError

    def parameters(self):
        return {"total": 0, "trainable": 0}

    def latency_subject(self, batch, device):
        raise NotImplementedError

    def predict(self, weights, part, device, progress):
        means = []
        for one in part:
            thermal = one.thermal and Pillow.open(io.BytesIO(one.thermal.data))
            means.append(0.0 if thermal is None else float(np.asarray(thermal).mean()) / 255)
        count = len(part)
        bbox = np.array([[1.0, 1.0, labels.width - 2, labels.height - 2] for labels in part.labels]).reshape(-1, 4)
        return Detections(np.arange(count), np.full(count, 2, np.int64), bbox, np.array(means))


@pytest.fixture
def echo(monkeypatch):
    monkeypatch.setattr("rgbt_bench.predicting.load_submission", lambda name: Echo)


@pytest.fixture
def run(home, tiny_folder, echo):
    return make_done(home, tiny_folder, recipe=RGBT)


@pytest.fixture
def files(tmp_path):
    """Write pictures of one value; return a function from name, value and shape to the file."""

    def write(name, value=100, size=(40, 30), dtype=np.uint8, colour=False):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        shape = (size[1], size[0], 3) if colour else (size[1], size[0])
        Pillow.fromarray(np.full(shape, value, dtype)).save(path)
        return path

    return write


def test_pairs_keep_their_order_and_their_names(run, files, bench):
    rgb = [files(f"{name}.png", colour=True) for name in "cab"]
    thermal = [files(f"{name}_t.png", 51 * (place + 1)) for place, name in enumerate("cab")]
    options = [word for pair in zip(rgb, thermal, strict=True) for word in ("--rgb", pair[0], "--thermal", pair[1])]
    content = only_object(bench("predict", RGBT, *options, "--json", "--min-score", 0)[1])
    assert [pair["rgb"] for pair in content["pairs"]] == [str(path) for path in rgb]
    assert content["classes"] == ["person", "bike", "car"]
    for place, pair in enumerate(content["pairs"]):
        assert (pair["width"], pair["height"], pair["thermal"]) == (40, 30, str(thermal[place]))
        (found,) = pair["detections"]
        assert found == {
            "class": "car", "category_id": 3, "bbox": [1, 1, 38, 28], "score": pytest.approx((place + 1) / 5)
        }  # fmt: skip


def test_folders_are_paired_by_stem(run, files, bench, tmp_path):
    for place, name in enumerate("bac"):
        files(f"rgb/{name}.jpg", colour=True)
        files(f"t/{name}.png", 51 * (place + 1))
    (tmp_path / "rgb" / "notes.txt").write_text("no image")
    (tmp_path / "rgb" / "._a.jpg").write_bytes(b"left by an operating system")
    options = ("--rgb", tmp_path / "rgb", "--thermal", tmp_path / "t", "--out", tmp_path / "p.json")
    code, out, _ = bench("predict", RGBT, *options, "--min-score", 0.3)
    assert code == 0
    pairs = read_json(tmp_path / "p.json")["pairs"]
    assert [pair["thermal"].rpartition("/")[2] for pair in pairs] == ["a.png", "b.png", "c.png"]
    assert [len(pair["detections"]) for pair in pairs] == [1, 0, 1]  # 0.2 is below the least score
    assert re.search(r"^car +0\.60 +1\.0 +1\.0 +38\.0 +28\.0$", out, re.MULTILINE)


def test_the_picture_shows_the_boxes_and_no_legend_of_labels(run, files, bench, tmp_path):
    options = ("--rgb", files("a.png", colour=True), "--thermal", files("b.png", 200), "--draw", tmp_path / "d.png")
    assert f"drawn to {tmp_path / 'd.png'}" in bench("predict", RGBT, *options)[1]
    with Pillow.open(tmp_path / "d.png") as picture:
        assert picture.width > 2 * 640
        line = 20 + 4 + 16 + 240  # legend, gap, caption, the middle of a picture that is scaled 16 times
        left = {picture.getpixel((4 + x, line)) for x in range(10, 24)}
        assert Pillow.new("RGB", (1, 1), "#ff5c8a").getpixel((0, 0)) in left
        assert (100, 100, 100) in left


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda files, rgb, thermal: [rgb, files("s.png", size=(20, 30))], r"a\.png is 40x30 and .*s\.png is 20x30"),
        (lambda files, rgb, thermal: [rgb, _cut(thermal)], r"b\.png: cannot be decoded"),
        (lambda files, rgb, thermal: [_cut(files("a.jpg", colour=True)), thermal], r"a\.jpg: cannot be decoded"),
        (lambda files, rgb, thermal: [_written(rgb, b""), thermal], r"a\.png: cannot be decoded"),
        (lambda files, rgb, thermal: [_written(rgb, b"%!PS-Adobe"), thermal], r"a\.png: cannot be decoded"),
        (lambda files, rgb, thermal: [rgb, files("f.png", [10, 20, 30], colour=True)], "neither one channel nor three"),
        (lambda files, rgb, thermal: [rgb, files("d.png", 3000, dtype=np.uint16)],
         r"d\.png: a 16-bit thermal image, but sample declares the range 0\.\.255"),
        (lambda files, rgb, thermal: [files("d.png", 3000, dtype=np.uint16), thermal], r"8-bit colour was expected"),
    ],
)  # fmt: skip
def test_images_that_cannot_be_used_are_named(run, files, bench, spoil, message):
    rgb, thermal = spoil(files, files("a.png", colour=True), files("b.png"))
    code, _, err = bench("predict", RGBT, "--rgb", rgb, "--thermal", thermal)
    assert code == 3
    assert re.search(message, err), err


def _cut(path):
    return _written(path, path.read_bytes()[: path.stat().st_size // 2])


def _written(path, content):
    path.write_bytes(content)
    return path


def test_every_fault_is_named_at_once(run, files):
    pairs = [PairFiles(_written(files(f"{name}.png"), b"x"), None) for name in "ab"]
    with pytest.raises(BadInputError, match=r"a\.png(.|\n)*b\.png"):
        LoosePairs(pairs, INFO)


@pytest.mark.parametrize(("value", "info", "good"), [(3000, DEEP, True), (3000, INFO, False)])
def test_16_bit_thermal_is_taken_where_the_set_declares_its_range(files, value, info, good):
    pair = PairFiles(files("a.png", colour=True), files("t.png", value, dtype=np.uint16))
    if good:
        assert len(LoosePairs([pair], info).part()) == 1
    else:
        with pytest.raises(BadInputError, match="16-bit"):
            LoosePairs([pair], info)


def test_8_bit_thermal_is_refused_where_the_set_is_16_bit(files):
    with pytest.raises(BadInputError, match=r"8-bit thermal image, but sample declares the range 1000\.\.5000"):
        LoosePairs([PairFiles(files("a.png", colour=True), files("t.png"))], DEEP)


@pytest.mark.parametrize(
    ("rgb", "thermal", "error", "message"),
    [
        (["a.png"], [], UsageError, "reads rgb and thermal images: give --thermal, too"),
        ([], ["t.png"], UsageError, "give --rgb, too"),
        (["a.png", "b.png"], ["t.png"], UsageError, "2 --rgb and 1 --thermal files"),
        (["a.png", "gone.png"], ["t.png", "t.png"], MissingError, "gone.png: no such file"),
        (["folder"], ["t.png"], UsageError, "files only, or one folder"),
        (["folder", "folder"], ["other"], UsageError, "give one folder"),
        (["folder"], ["other"], BadInputError, r"no partner of the same name(.|\n)*x\.png"),
        (["folder"], ["empty"], BadInputError, "no image here"),
        (["twice"], ["other"], BadInputError, r"y\.jpg and y\.png have one stem"),
    ],
)
def test_what_is_no_pair_is_refused(files, tmp_path, rgb, thermal, error, message):
    for name in ("a.png", "b.png", "t.png", "folder/x.png", "other/y.png", "twice/y.png", "twice/y.jpg"):
        files(name)
    (tmp_path / "empty").mkdir()
    given = ([tmp_path / name for name in names] for names in (rgb, thermal))
    with pytest.raises(error, match=message):
        pair_files(*given, ("rgb", "thermal"), "some-recipe")


def test_loose_pairs_go_to_the_workers_of_a_loader(files):
    part = LoosePairs([PairFiles(files("a.png", colour=True), files("t.png", 7))], INFO).part()
    again = pickle.loads(pickle.dumps(part))
    assert again[0] == part[0]
    assert again.labels == part.labels
    assert part.record.samples == 1
    assert part.record == LoosePairs(part.dataset.files, INFO).part().record


def test_other_weights_than_the_results_are_refused(run, files, bench):
    (run / "weights.safetensors").write_bytes(b"others")
    options = ("--rgb", files("a.png", colour=True), "--thermal", files("b.png"))
    code, _, err = bench("predict", RGBT, *options)
    assert code == 3
    assert "not the weights that the result was made with" in err
    (run / "weights.safetensors").unlink()
    code, _, err = bench("predict", run, *options)
    assert code == 4
    assert "no such weights file" in err


def test_a_run_scored_on_other_classes_is_refused(run, files, bench):
    result = read_json(run / "result.json")
    result["metrics"]["per_class"] = dict(reversed(result["metrics"]["per_class"].items()))
    write_json(run / "result.json", result)
    code, _, err = bench("predict", RGBT, "--rgb", files("a.png", colour=True), "--thermal", files("b.png"))
    assert code == 3
    assert "was scored on the classes car, bike, person, but sample has person, bike, car" in err


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [RGBT, "ffkd-student-thermal"])
def test_a_real_network_finds_on_loose_files_what_it_finds_on_the_set(home, tiny, tiny_folder, bench, tmp_path, recipe):
    from rgbt_bench.progress import no_progress
    from rgbt_bench.recipes import load_recipe
    from rgbt_bench.registry import load_submission
    from rgbt_bench.training.checkpoints import save_weights

    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    submission = load_submission("ffkd")(load_recipe(recipe, "quick"), tiny.info)
    save_weights(tmp_path / "w.safetensors", submission.build())
    make_done(home, tiny_folder, weights=(tmp_path / "w.safetensors").read_bytes(), recipe=recipe)
    part = tiny.part("test")
    options = []
    for one in part:
        for modality in submission.recipe.modalities:
            path = tmp_path / f"{modality}-{one.sample_id}.png"
            path.write_bytes(one.image(modality).data)
            options += [f"--{modality}", path]
    code, out, err = bench("predict", recipe, *options, "--device", "cpu", "--json", "--min-score", 0)
    assert code == 0, err
    expected = submission.predict(tmp_path / "w.safetensors", part, "cpu", no_progress)
    found = only_object(out)["pairs"]
    assert sum(len(pair["detections"]) for pair in found) == len(expected) > 0
    for place, pair in enumerate(found):
        of_pair = expected.take(expected.sample_index == place)
        scores = np.array([one["score"] for one in pair["detections"]])
        np.testing.assert_allclose(scores, np.sort(of_pair.score)[::-1], rtol=1e-6)


def box(x, category=0, **flags):
    return Box((float(x), 0.0, 10.0, 10.0), category, 100.0, **flags)


def found_at(*rows):
    x, category, score = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.empty(0),) * 3
    bbox = np.stack([x, x * 0, x * 0 + 10, x * 0 + 10], axis=1).astype(np.float64).reshape(-1, 4)
    return Detections(np.zeros(len(rows), np.int64), category.astype(np.int64), bbox, score.astype(np.float64))


@pytest.mark.parametrize(
    ("boxes", "found", "counts"),
    [
        ([], [], (0, 0, 0)),
        ([box(0)], [], (0, 1, 0)),
        ([], [(0, 0, 0.9)], (0, 0, 1)),
        ([box(0)], [(1, 0, 0.9)], (1, 0, 0)),
        ([box(0)], [(4, 0, 0.9)], (0, 1, 1)),  # an IoU of 6/14
        ([box(0)], [(0, 1, 0.9)], (0, 1, 1)),  # another class
        ([box(0)], [(0, 0, 0.9), (0, 0, 0.8)], (1, 0, 1)),  # one label is hit once
        ([box(0), box(2)], [(1, 0, 0.5), (0, 0, 0.9)], (2, 0, 0)),
        ([box(0, ignore=True)], [(0, 0, 0.9), (1, 0, 0.8)], (0, 0, 0)),
        ([box(0, iscrowd=True), box(0)], [(0, 0, 0.9)], (1, 0, 0)),
    ],
)
def test_hits_misses_and_false_positives_by_hand(boxes, found, counts):
    counted = count_pair(Labels(sample_id="a", width=50, height=10, objects=tuple(boxes)), found_at(*found))
    assert (counted.hits, counted.misses, counted.false_positives) == counts


def perfect_but(tiny, *spoiled):
    """Predictions that hit every label of the test part, and none on the spoiled samples."""
    return [
        {"image_id": labels.sample_id, "category_id": box.category + 1, "bbox": list(box.bbox), "score": 0.9}
        for place, labels in enumerate(tiny.part("test").labels)
        for box in labels.objects
        if place not in spoiled
    ]


@pytest.fixture
def previewed(home, tiny, tiny_folder):
    run = make_done(home, tiny_folder, predictions=perfect_but(tiny, 3))
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    return run


def test_a_preview_counts_what_it_shows(previewed, tiny, bench):
    content = only_object(bench("preview", "ffkd-student-rgb", "--pairs", 12, "--json")[1])
    labels = tiny.part("test").labels
    assert [row["sample_id"] for row in content["pairs"]] == [one.sample_id for one in labels]
    for place, (row, one) in enumerate(zip(content["pairs"], labels, strict=True)):
        hit = 0 if place == 3 else len(one.objects)
        assert (row["hits"], row["misses"], row["false_positives"]) == (hit, len(one.objects) - hit, 0)
    with Pillow.open(previewed / "preview.png") as picture:
        assert picture.format == "PNG"


def test_the_worst_pairs_come_first(previewed, tiny, bench, tmp_path):
    options = ("--worst", "--pairs", 2, "--out", tmp_path / "worst.png", "--json")
    content = only_object(bench("preview", previewed, *options)[1])
    assert content["pairs"][0]["sample_id"] == tiny.part("test").ids[3]
    assert (tmp_path / "worst.png").is_file()


def test_ties_are_in_their_order():
    counts = [
        count_pair(Labels(sample_id="a", width=9, height=9, objects=(box(0),) * n), found_at()) for n in (1, 2, 1, 2)
    ]
    assert worst_places(counts, 3) == [1, 3, 0]


def test_a_higher_score_is_asked_of_what_is_shown(previewed, bench):
    content = only_object(bench("preview", "ffkd-student-rgb", "--min-score", 0.95, "--json")[1])
    assert {row["hits"] for row in content["pairs"]} == {0}


def test_a_preview_on_other_labels_names_both(previewed, home, tiny_folder, bench):
    result = read_json(previewed / "result.json")
    mine = result["data"]["label_digest"]
    write_json(previewed / "result.json", {**result, "data": {**result["data"], "label_digest": "f" * 64}})
    code, _, err = bench("preview", "ffkd-student-rgb")
    assert code == 3
    assert "f" * 16 in err
    assert mine[:16] in err
    assert not (previewed / "preview.png").exists()


def test_a_preview_of_changed_predictions_is_refused(previewed, bench):
    (previewed / "predictions.json").write_text("[]")
    code, _, err = bench("preview", "ffkd-student-rgb")
    assert code == 3
    assert "changed since result.json beside it was scored; delete result.json there" in err


def test_a_preview_without_the_set_says_how_to_get_it(home, tiny_folder, bench):
    make_done(home, tiny_folder)
    code, _, err = bench("preview", "ffkd-student-rgb")
    assert code == 4
    assert "rgbt-bench convert sample" in err
    assert bench("preview", "ffkd-student-rgb", "--dataset", tiny_folder)[0] == 0


def test_a_found_run_reads_its_own_recipe(home, tiny_folder):
    make_done(home, tiny_folder, recipe=RGBT)
    recipe = find_run(RGBT).load_recipe()
    assert (recipe.name, recipe.preset, recipe.modalities) == (RGBT, "quick", ("rgb", "thermal"))
    assert json.loads(recipe.model_dump_json())["model"]["image_size"] == 96
