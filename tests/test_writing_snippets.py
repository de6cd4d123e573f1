"""The five lines a framework on the page of how to score predictions, run as they stand there."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cli_cases import only_object
from rgbt_bench.datasets.digests import open_image
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.predictions import aliases, read_predictions

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "score-predictions.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
torch = pytest.importorskip("torch")
OURS = {"person": 0, "bicycle": 1, "car": 2}


def snippets():
    """The page's blocks by the framework each is for; the import that all begin with is under an empty name."""
    text = PAGE.read_text(encoding="utf-8").partition("### From ultralytics")[2].partition("\n## ")[0]
    found = {}
    for block in BLOCK.finditer(text):
        names = re.findall(r"^\*\*(\w+)\*\*", text[: block.start()], re.MULTILINE)
        found[names[-1] if names else ""] = block[1]
    return found


def run_snippet(framework, **given):
    found = snippets()
    exec(found[""] + found[framework], given)


@pytest.fixture
def images(tiny_folder, home, tmp_path, monkeypatch):
    """The test images of a set that is called as the page's is, under a working folder; the set's part."""
    shutil.copytree(tiny_folder, home / "datasets" / "flir")
    part = Dataset(home / "datasets" / "flir").part("test")
    (tmp_path / "work" / "images").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    for place, sample in enumerate(part):
        name = sample.sample_id if place % 2 else Path(sample.source).stem
        with open_image(sample.rgb.data) as image:
            image.resize((160, 128)).save(Path("images") / f"{name}.png")
    return part


@pytest.fixture
def categories():
    from torchvision.models.detection import FasterRCNN_MobileNet_V3_Large_320_FPN_Weights as Weights

    return Weights.DEFAULT.meta["categories"]


def check(bench, capsys, part, expected):
    """Hold the file against what the model said, and score it with the command of the page."""
    assert capsys.readouterr().out.startswith(f"predictions.json: {len(expected):,} detections on ")
    read = read_predictions(Path("predictions.json"), part.ids, part.dataset.info.classes, aliases(part.labels))
    rows = zip(read.sample_index, read.category, read.bbox, read.score, strict=True)
    corners = [(part.ids[at], category, *box[:2], *(box[:2] + box[2:]), score) for at, category, box, score in rows]
    assert {one[1] for one in corners} == {0, 1, 2}
    assert len(corners) == len(expected)
    for mine, theirs in zip(sorted(corners), sorted(expected), strict=True):
        assert mine[:2] == theirs[:2]
        np.testing.assert_array_equal(np.float32(mine[2:]), np.float32(theirs[2:]))
    code, out, err = bench("evaluate", "predictions.json", "--dataset", "flir", "--json")
    assert code == 0, err
    assert only_object(out)["metrics"]["kind"] == "detection"


def kept(part, path, boxes, labels, scores, names):
    """Rows as `check` wants them, of the classes that the set has."""
    known = {one: one for one in part.ids} | aliases(part.labels)
    columns = (value.tolist() for value in (boxes, labels, scores))
    return [
        (known[Path(path).stem], OURS[names[int(label)]], *box, score)
        for box, label, score in zip(*columns, strict=True)
        if names[int(label)] in OURS and box[2] > box[0] and box[3] > box[1]
    ]


def test_every_framework_has_its_five_lines():
    found = snippets()
    assert found.keys() == {"", "ultralytics", "torchvision", "mmdetection"}
    assert {name: len(code.splitlines()) for name, code in found.items() if name} == dict.fromkeys(list(found)[1:], 5)


def test_the_lines_for_ultralytics_write_what_the_model_said(images, bench, capsys, categories):
    from rgbt_baselines.yolo.offline import library

    torch.manual_seed(0)
    model = library("models").YOLO("yolov8n.yaml")
    model.overrides["imgsz"] = 160
    model.model.names = {label: categories[1 + label % 4] for label in range(80)}  # all four will be among them
    for scale in model.model.model[-1].cv3:  # else a model that has not learnt says nothing at all
        torch.nn.init.normal_(scale[-1].weight, std=0.5)
        scale[-1].bias.data.fill_(-1.0)
    run_snippet("ultralytics", model=model)
    expected = []
    for found in model.predict("images", conf=0.001):
        expected += kept(images, found.path, found.boxes.xyxy, found.boxes.cls, found.boxes.conf, model.names)
    check(bench, capsys, images, expected)


def test_the_lines_for_torchvision_write_what_the_model_said(images, bench, capsys, categories):
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    def load(path):
        with open_image(path.read_bytes()) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255

    torch.manual_seed(0)
    model = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, box_score_thresh=0.0, box_detections_per_img=300
    )
    model.roi_heads.box_predictor.cls_score.bias.data[1:4] = 1.0
    paths = sorted(Path("images").iterdir())[:4]
    run_snippet("torchvision", model=model, names=categories, paths=paths, load=load)
    expected = []
    for path in paths:
        (found,) = model([load(path)])
        expected += kept(images, path, found["boxes"], found["labels"], found["scores"], categories)
    check(bench, capsys, images, expected)


def test_the_lines_for_mmdetection_write_what_a_stand_in_for_its_samples_says(images, bench, capsys):
    torch.manual_seed(0)
    model = SimpleNamespace(dataset_meta={"classes": ("person", "bicycle", "car", "motorcycle")})
    paths = [str(path) for path in sorted(Path("images").iterdir())]

    def sample(path):
        first = torch.rand(9, 2) * 100
        boxes = torch.cat([first, first + 1 + torch.rand(9, 2) * 30], dim=1)
        instances = SimpleNamespace(bboxes=boxes, labels=torch.arange(9) % 4, scores=torch.rand(9))
        return SimpleNamespace(img_path=path, pred_instances=instances)

    samples = [sample(path) for path in paths]

    def inference_detector(asked, images):
        assert (asked, images) == (model, paths)
        return samples

    run_snippet("mmdetection", model=model, paths=paths, inference_detector=inference_detector)
    expected = []
    for one in samples:
        found = one.pred_instances
        names = model.dataset_meta["classes"]
        expected += kept(images, one.img_path, found.bboxes, found.labels, found.scores, names)
    check(bench, capsys, images, expected)
