"""The detectors, held against the library that describes them and against what was published."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from rgbt_baselines.yolo.detector import NAMES, Targets, build_detector, detect, detection_losses
from rgbt_baselines.yolo.offline import library
from rgbt_bench.errors import UsageError
from rgbt_bench.training.pretrained import read_weights

DATA = Path(__file__).parents[3] / "shared" / "data"
WEIGHTS = DATA / "weights" / "yolov8n_coco.safetensors"


def seeded(name="yolov5n", classes=3):
    torch.manual_seed(0)
    return build_detector(name, classes)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def lively(name="yolov5n", classes=3):
    """A detector whose scores differ from place to place, as a trained one's do."""
    detector = seeded(name, classes)
    generator = torch.Generator().manual_seed(1)
    head = detector.model[-1]
    for layers in (*head.cv2, *head.cv3):
        layers[-1].weight.data = torch.randn(layers[-1].weight.shape, generator=generator) / 4
        layers[-1].bias.data.zero_()
    for layer in detector.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():  # statistics of its own inputs, else hardly anything comes through
        detector.train()(images(8))
    return detector.eval()


def images(batch=2, height=64, width=96):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


TARGETS = Targets(
    torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.2, 0.3, 0.2, 0.2], [0.7, 0.6, 0.3, 0.3]]),
    torch.tensor([0, 2, 1]),
    torch.tensor([0, 0, 1]),
)
EMPTY = Targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))


# The published counts of yolov5su, yolov8n and yolov8l at 80 classes, in millions and GFLOPs at 640 px.
@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [("yolov5s", 80, 9_153_152), ("yolov5s", 6, 9_124_514), ("yolov5n", 6, 2_509_634), ("yolov8n", 80, 3_157_200)],
)
def test_a_detector_has_its_parameters(name, classes, parameters):
    assert count(seeded(name, classes)) == parameters


def test_yolov5su_has_the_published_size_and_work():
    detector = seeded("yolov5s", 80).eval()
    assert round(count(detector) / 1e6, 2) == 9.15
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector(torch.zeros(1, 3, 640, 640))
    assert round(counter.get_total_flops() / 1e9, 1) == 24.0


def test_a_seed_decides_the_start_and_an_unknown_name_is_told():
    first, second = (seeded().state_dict() for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    with pytest.raises(UsageError, match="Did you mean 'yolov5s'"):
        build_detector("yolo5s", 6)
    assert "yolov8l" in NAMES


def test_a_file_of_the_same_name_in_the_working_folder_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("yolov5n.yaml").write_text("nc: 1\n")
    assert count(seeded(classes=6)) == 2_509_634


@pytest.mark.parametrize("targets", [TARGETS, EMPTY], ids=["boxes", "no boxes"])
@pytest.mark.parametrize("training", [True, False])
def test_the_losses_are_the_librarys_own(targets, training):
    detector = seeded().train(training)
    pictures = images()
    found = detection_losses(detector, pictures, targets)
    # the library's own way: its model as its trainer makes it, asked for the loss of a whole batch
    theirs = library("nn.tasks").DetectionModel({**detector.yaml}, ch=3, nc=3, verbose=False).train(training)
    theirs.load_state_dict(seeded().state_dict())
    theirs.args = library("utils").DEFAULT_CFG
    batch = {"img": pictures, "batch_idx": targets.index, "cls": targets.classes, "bboxes": targets.boxes}
    total, items = theirs.loss(batch)
    torch.testing.assert_close(found["total"] * len(pictures), total.sum())
    for name, key in (("box", "box_loss"), ("cls", "cls_loss"), ("dfl", "dfl_loss")):
        torch.testing.assert_close(found[name], items[key])
    assert (found["box"] > 0) == (targets is TARGETS)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_reach_the_images(training):
    detector = seeded().train(training)
    pictures = images().requires_grad_()
    with torch.inference_mode():
        detector(images())  # what was kept of this would break the gradient
    detection_losses(detector, pictures, TARGETS)["total"].backward()
    assert pictures.grad.isfinite().all()
    assert (pictures.grad.flatten(1).abs().sum(1) > 0).all()


def test_the_gradient_is_the_slope_of_the_loss():
    detector = lively()
    pictures = images().requires_grad_()
    detection_losses(detector, pictures, TARGETS)["cls"].backward()
    uphill = pictures.grad / pictures.grad.norm()
    step = 0.02
    with torch.no_grad():
        up, down = (detection_losses(detector, pictures + sign * step * uphill, TARGETS)["cls"] for sign in (1, -1))
    torch.testing.assert_close(pictures.grad.norm(), (up - down) / (2 * step), rtol=0.05, atol=0)


def test_a_step_lowers_the_loss():
    detector = seeded()
    optimizer = torch.optim.AdamW(detector.parameters(), 0.002)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = detection_losses(detector, images(), TARGETS)["total"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize(("min_score", "iou", "limit"), [(0.001, 0.6, 300), (0.5, 0.3, 20), (0.8, 0.7, 300)])
def test_detections_are_the_librarys(min_score, iou, limit):
    detector = lively()
    pictures = images(3)
    with torch.no_grad():
        decoded = detector(pictures)
    theirs = library("utils.nms").non_max_suppression(decoded, min_score, iou, multi_label=True, max_det=limit)
    for mine, other in zip(detect(detector, pictures, min_score, iou, limit), theirs, strict=True):
        assert len(mine.scores)
        torch.testing.assert_close(mine.boxes.float(), other[:, :4], atol=2e-2, rtol=0)  # it shifts boxes by 7,680
        torch.testing.assert_close(mine.scores.float(), other[:, 4])
        assert torch.equal(mine.classes, other[:, 5].long())


def test_boxes_of_two_classes_do_not_suppress_each_other():
    found = detect(lively(), images(1), 0.3, 0.05, 300)[0]
    assert len(set(found.classes.tolist())) > 1
    best = {int(label): found.boxes[found.classes == label] for label in found.classes.unique()}
    overlaps = library("utils.metrics").box_iou
    for boxes in best.values():
        assert (overlaps(boxes, boxes) - torch.eye(len(boxes)) <= 0.05 + 1e-6).all()
    assert max(float(overlaps(best[a], best[b]).max()) for a in best for b in best if a != b) > 0.05


def test_detecting_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="eval"):
        detect(seeded(), images(), 0.5, 0.5, 10)


def test_no_detection_is_an_answer():
    (found,) = detect(seeded().eval(), images(1), 0.99, 0.6, 300)
    assert found.boxes.shape == (0, 4)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="no ../shared/data/weights/yolov8n_coco.safetensors here")
def test_published_weights_see_what_is_on_a_real_street():
    detector = build_detector("yolov8n", 80)
    weights = read_weights(WEIGHTS)
    told = detector.load_state_dict(weights, strict=False)
    assert not told.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in told.missing_keys)
    seen = []
    for path in sorted((DATA / "FLIR_aligned").rglob("*RGB.jp*g"))[:4]:
        picture = Image.open(path).convert("RGB").resize((640, 512))
        tensor = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 255
        seen += detect(detector.eval(), tensor, 0.5, 0.6, 300)[0].classes.tolist()
    assert 2 in seen  # COCO's car
    assert set(seen) <= {0, 1, 2, 3, 5, 7, 9, 11}, "what is on a street"
