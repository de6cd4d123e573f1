"""What RGB detectors are shown: boxes on their objects, colours as they are, sizes of any kind."""

import io
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from rgb_cases import recipe
from rgbt_baselines.rdrkd.submission import RdrKd
from rgbt_baselines.yolo import rgb_submission
from rgbt_baselines.yolo.detector import Found
from rgbt_baselines.yolo.offline import library
from rgbt_bench.datasets.sample import INFO
from rgbt_bench.schema import Box, Labels

CLASSES = ("red", "left", "blue")
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
SIZES = [(640, 360), (200, 600), (97, 131), (1000, 220), (64, 64), (301, 300), (33, 20)]
STILL = ("hue", "saturation", "brightness", "shift", "zoom", "flip", "mosaic")


class Shapes:
    """A part of made images: one filled rectangle of each class on grey, which do not touch."""

    def __init__(self, sizes=SIZES, more=()):
        self.dataset = SimpleNamespace(info=INFO.model_copy(update={"classes": CLASSES}))
        self.ids = [f"s{place}" for place in range(len(sizes))]
        self.images, self.labels = [], []
        for place, (width, height) in enumerate(sizes):
            pixels = np.full((height, width, 3), 90, np.uint8)
            objects = []
            for category in range(3):
                x, y = width * (1 + 3 * category) // 10, height * (category + 1) // 5
                across, down = width // 5, height // 4
                pixels[y : y + down, x : x + across] = COLOURS[category]
                objects.append(Box((float(x), float(y), float(across), float(down)), category, float(across * down)))
            file = io.BytesIO()
            Pillow.fromarray(pixels).save(file, "PNG")
            self.images.append(SimpleNamespace(rgb=SimpleNamespace(data=file.getvalue())))
            everything = (*objects, *more)
            self.labels.append(Labels(sample_id=self.ids[place], width=width, height=height, objects=everything))

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, place):
        return self.images[place]


def learnt(part, classes=(0, 2), **changed):
    from rgbt_baselines.yolo.images import TrainImages

    one = RdrKd(recipe("rdrkd-baseline", "model.image_size=128"), INFO)
    context = SimpleNamespace(train=part, device="cpu")
    return TrainImages(part, classes, library("cfg").get_cfg(overrides={**one._settings(context), **changed}), 4)


def drawn(dataset, seed):
    random.seed(seed)
    np.random.seed(seed)
    return [dataset[place] for place in range(len(dataset))]


@pytest.mark.parametrize("changed", [{"mosaic": 1.0}, {"mosaic": 0.0}])
def test_augmented_boxes_lie_on_their_objects_whose_colours_are_those_of_the_samples(changed):
    quiet = {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}
    seen = set()
    for one in drawn(learnt(Shapes(), **quiet, **changed), 3):
        for (x, y, width, height), place in zip(
            one["bboxes"].numpy() * 128, one["cls"].flatten().tolist(), strict=True
        ):
            if min(width, height) > 4:
                inside = one["img"][:, int(y), int(x)].numpy()
                assert np.abs(inside - COLOURS[(0, 2)[int(place)]]).max() < 40
                outside = one["img"][:, int(y), min(127, int(x + width / 2 + 3))].numpy()
                assert np.ptp(outside) < 60 or x + width / 2 > 123
                seen.add(place)
    assert seen == {0.0, 1.0}


def test_no_step_of_the_augmentation_is_albumentations():
    left_out = library("data.augment").Albumentations
    dataset = learnt(Shapes())
    steps = [type(one) for one in dataset.transforms.transforms]
    dataset.close_mosaic(library("cfg").get_cfg())
    assert left_out not in {*steps, *(type(one) for one in dataset.transforms.transforms)}


def test_augmentation_leaves_the_images_that_are_kept_as_they_were():
    dataset = learnt(Shapes(), mosaic=0.0, translate=0.0, scale=0.0)
    drawn(dataset, 0)
    before = {place: image.copy() for place, (image, _) in dataset.resized.items()}
    drawn(dataset, 1)
    assert len(before) == len(SIZES)
    assert all(np.array_equal(image, dataset.resized[place][0]) for place, image in before.items())


def test_ignored_crowd_and_outer_boxes_are_not_learnt_and_what_is_outside_is_cut_off():
    more = (
        Box((0.0, 0.0, 9.0, 9.0), 0, 81.0, ignore=True),
        Box((0.0, 0.0, 8.0, 8.0), 0, 64.0, iscrowd=True),
        Box((700.0, 0.0, 8.0, 8.0), 0, 64.0),
        Box((600.0, 340.0, 80.0, 40.0), 2, 3200.0),
        Box((600.0, 340.0, 80.0, 40.0), 2, 3200.0),
    )
    (labels,) = learnt(Shapes([(640, 360)], more)).labels
    assert labels["cls"].flatten().tolist() == [0.0, 1.0, 1.0]
    assert labels["bboxes"][2] * [640, 360, 640, 360] == pytest.approx([620, 350, 40, 20], abs=1e-3)


def test_detections_are_on_the_objects_of_samples_of_any_size_and_of_the_datasets_classes(monkeypatch):
    """A detector that finds what is blue, and calls it by its own number."""

    def blue(detector, images, min_score, iou, limit):
        found = []
        for image in images:
            rows, columns = ((image[2] > 0.9) & (image[0] < 0.1) & (image[1] < 0.1)).nonzero(as_tuple=True)
            corners = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
            found.append(Found(corners[None], torch.tensor([0.5]), torch.tensor([1])))
        return found

    monkeypatch.setattr(rgb_submission, "detect", blue)
    monkeypatch.setattr(rgb_submission, "load_weights", lambda path, detector: None)
    part = Shapes()
    one = RdrKd(recipe("rdrkd-baseline", "model.image_size=256", "model.left_out=[left]"), part.dataset.info)
    found = one.predict(None, part, "cpu", lambda *_: None)
    assert found.category.tolist() == [2] * len(SIZES)
    assert found.sample_index.tolist() == list(range(len(SIZES)))
    for bbox, labels in zip(found.bbox, part.labels, strict=True):
        pixel = max(labels.width, labels.height) / 256
        assert bbox == pytest.approx(np.array(labels.objects[2].bbox), abs=max(1.0, 1.6 * pixel))
