"""A trained detector as ONNX: a reader who knows only the file finds what `predict` finds."""

import io
import json
import math

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnx, onnxruntime and onnxscript, which the extra onnx brings")

import onnx
import onnxruntime
import torch
from PIL import Image as Pillow
from safetensors.torch import load_file, save_file

from cli_cases import only_object
from rgb_cases import SMALL
from rgbt_baselines.rdrkd.submission import RdrKd
from rgbt_bench import onnx_export
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import read_json, sha256_file, write_json
from rgbt_bench.finding import read_run
from rgbt_bench.harness import execute
from rgbt_bench.predictions import write_predictions
from rgbt_bench.progress import no_progress
from rgbt_bench.runs import plan_run

SETTINGS = (*SMALL, "schedule.epochs=1", "model.min_score=0.001", "model.left_out=[bike]", "model.nms_iou=0.6")


@pytest.fixture(scope="module")
def run(tiny_folder, tmp_path_factory):
    """A run of one epoch whose features are then made to vary: as trained, it says the same of all places."""
    out = tmp_path_factory.mktemp("onnx")
    dataset = Dataset(tiny_folder)
    execute(plan_run("rdrkd-baseline", dataset, "quick", 0, SETTINGS, out), dataset, "cpu")
    (folder,) = out.glob("*/*/*")
    found = read_run(folder)
    submission = RdrKd(found.load_recipe(), dataset.info)
    make_features_vary(submission.build(), found.weights, dataset.part("train"))
    result = read_json(folder / "result.json")
    result["model"]["weights_sha256"] = sha256_file(found.weights)
    write_json(folder / "result.json", result)
    part = dataset.part("test")
    write_predictions(found.predictions, submission.predict(found.weights, part, "cpu", no_progress), part.ids)
    return found


def make_features_vary(detector, weights, part):
    """Give every normalisation the statistics of a part's images, and the head's last layers louder weights."""
    from rgbt_baselines.yolo.images import shown

    detector.load_state_dict(load_file(weights))
    for one in detector.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            one.momentum = 1.0
    (batch,) = shown(part, range(len(part)), 64, len(part))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        detector.train()(batch.images)
        for name, one in detector.named_parameters():
            if ".22.cv" in name and name.endswith(".2.weight"):
                one += torch.randn(one.shape, generator=generator)
    save_file(detector.state_dict(), weights)


@pytest.fixture(scope="module")
def exported(run, tiny_folder):
    return onnx_export.export_model(run, run.folder / "m.onnx", 12, str(tiny_folder))


def read(path):
    """The file's metadata and a session: all that a user has."""
    told = {one.key: one.value for one in onnx.load(path).metadata_props}
    return told, onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def as_told(pixels, size):
    """A picture uint8[H, W, 3] as the file's words ask for it; nothing here is the project's."""
    cv2 = pytest.importorskip("cv2")
    height, width = pixels.shape[:2]
    ratio = size / max(height, width)
    fitted = min(math.ceil(width * ratio), size), min(math.ceil(height * ratio), size)
    square = np.full((size, size, 3), 114, np.uint8)
    square[: fitted[1], : fitted[0]] = cv2.resize(pixels, fitted, interpolation=cv2.INTER_LINEAR)
    scale = np.array([width / fitted[0], height / fitted[1]] * 2)
    return np.float32(square.transpose(2, 0, 1)) / 255, scale


def chosen(decoded, selection):
    """Score, class and x1, y1, x2, y2 of what is chosen of one image's outputs, by loops."""
    kept = []
    rows = [
        (float(score), category, *map(float, decoded[:4, place]))
        for category in range(len(decoded) - 4)
        for place, score in enumerate(decoded[4 + category])
        if score > selection["min_score"]
    ]
    for score, category, x, y, w, h in sorted(rows, key=lambda row: -row[0]):
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        if all(other[1] != category or overlap(box, other[2:]) <= selection["nms_iou"] for other in kept):
            kept.append((score, category, *box))
    return kept[: selection["max_detections"]]


def overlap(one, other):
    shared = [min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1)]
    shared = max(shared[0], 0) * max(shared[1], 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)


def test_who_reads_the_file_alone_finds_what_the_run_predicted(exported, tiny):
    told, session = read(exported.file)
    selection, names = json.loads(told["selection"]), json.loads(told["classes"])
    found = []
    for sample in tiny.part("test"):
        pixels = np.asarray(Pillow.open(io.BytesIO(sample.rgb.data)).convert("RGB"))
        image, scale = as_told(pixels, int(told["image_size"]))
        (decoded,) = session.run(None, {"images": image[None]})
        limits = np.array([pixels.shape[1], pixels.shape[0]] * 2)
        for score, category, *box in chosen(decoded[0], selection):
            x, y, right, bottom = np.clip(np.array(box) * scale, 0, limits)
            if right > x and bottom > y:
                place = tiny.info.classes.index(names[category]) + 1
                found.append((sample.sample_id, place, score, x, y, right - x, bottom - y))
    rows = read_json(exported.run.predictions)
    expected = [(row["image_id"], row["category_id"], row["score"], *row["bbox"]) for row in rows]
    assert len(found) == len(expected) > 100
    assert names == ["person", "car"]
    key = lambda row: (row[0], -round(row[2], 5), row[1], round(row[3], 2))  # noqa: E731
    for one, other in zip(sorted(found, key=key), sorted(expected, key=key), strict=True):
        assert one[:2] == other[:2]
        np.testing.assert_allclose(one[2:], other[2:], atol=0.01)


def test_all_detections_are_in_both(exported):
    content = exported.to_dict()
    rows = read_json(exported.run.predictions)
    assert content["samples"] == 12
    assert content["detections"]["both"] + content["detections"]["near_ties"] >= len(rows) > 100
    assert content["detections"]["both"] >= 0.99 * len(rows)
    assert content["detections"]["largest"]["box"] <= 0.01


def test_the_metadata_say_which_run_it_is_of(exported):
    told, _ = read(exported.file)
    result = exported.run.result().model
    assert told["weights_sha256"] == sha256_file(exported.run.weights) == result.weights_sha256
    assert told["recipe_digest"] == result.recipe_digest
    assert (told["recipe"], told["preset"], told["dataset"]) == ("rdrkd-baseline", "quick", "sample")
    assert (told["detector"], told["image_size"]) == ("yolov8n", "64")
    for word in ("longer side is not 64", "INTER_LINEAR", "top left", "grey 114", "divided by 255", "red first"):
        assert word in told["preprocessing"]
    assert "pixels of the input" in json.loads(told["outputs"])["detections"]


@pytest.mark.parametrize("batch", [1, 3])
def test_the_batch_is_free_and_each_image_is_for_itself(exported, batch):
    _, session = read(exported.file)
    assert session.get_inputs()[0].shape == ["batch", 3, 64, 64]
    assert session.get_outputs()[0].shape == ["batch", 6, 84]
    images = np.random.default_rng(0).random((batch, 3, 64, 64), dtype=np.float32)
    (together,) = session.run(None, {"images": images})
    for place in range(batch):
        (alone,) = session.run(None, {"images": images[place : place + 1]})
        np.testing.assert_allclose(together[place], alone[0], atol=1e-3)


def test_the_command_prints_it(run, tiny_folder, bench, monkeypatch, exported):
    proto = onnx.load(exported.file)
    monkeypatch.setattr(onnx_export, "_as_proto", lambda *arguments: proto)
    code, printed, err = bench("export-model", run.folder, "--dataset", tiny_folder, "--samples", 4, "--json")
    assert code == 0, err
    assert only_object(printed)["outputs"] == {"detections": ["batch", 6, 84]}
    assert (run.folder / "model.onnx").is_file()


def damaged(run, tmp_path, change):
    """A copy of the run's weights that is changed."""
    tensors = load_file(run.weights)
    change(tensors)
    save_file(tensors, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensors: tensors.popitem(), "weights of another network"),
        (lambda tensors: tensors["model.0.conv.weight"].fill_(torch.nan), "values that are not finite"),
    ],
)
def test_other_weights_have_no_form(run, tiny, tmp_path, change, says):
    with pytest.raises(BadInputError, match=says):
        RdrKd(run.load_recipe(), tiny.info).onnx_form(damaged(run, tmp_path, change))


def test_a_file_of_other_weights_is_not_kept(run, exported, tiny_folder, tmp_path, monkeypatch):
    """One bias of the head is another one."""
    proto = onnx.load(exported.file)
    one = next(one for one in proto.graph.initializer if one.name == "model.22.cv3.0.2.bias")
    changed = onnx.numpy_helper.to_array(one) + np.float32([0.05, 0])
    one.CopyFrom(onnx.numpy_helper.from_array(changed, one.name))
    monkeypatch.setattr(onnx_export, "_as_proto", lambda *arguments: proto)
    with pytest.raises(BadInputError, match=r"scores differ by up to 0\.\d+, and 0\.0001 may be; most in sample_test_"):
        onnx_export.export_model(run, tmp_path / "m.onnx", 12, str(tiny_folder))
    assert list(tmp_path.iterdir()) == []


def test_exporting_changes_no_other_detector(exported):
    from rgbt_baselines.yolo.detector import build_detector

    other = build_detector("yolov8n", 2).eval()
    assert isinstance(other(torch.zeros(1, 3, 64, 64)), tuple)
    assert torch.is_tensor(other.model[-1].stride)
