"""The fused images that a detector is trained on: the very pixels that are scored, made once."""

import numpy as np
import pytest
import torch

from rgbt_baselines.yolo.config import ModelSection
from rgbt_baselines.yolo.data import Batches
from rgbt_baselines.yolo.fused import keep_fused
from rgbt_bench.errors import BadInputError
from rgbt_bench.fused_images import source_images
from rgbt_bench.progress import no_progress
from rgbt_bench.recipes import load_recipe
from rgbt_bench.registry import load_submission

CPU = torch.device("cpu")
SECTION = ModelSection(
    detector="yolov5n", image_size=64, colour="from-rgb", min_score=0.001, nms_iou=0.6, max_detections=300
)


def fusing(name, info):
    return load_submission("classical")(load_recipe(name), info)


def keep(folder, part, name="average", made_with=None, progress=no_progress):
    network = fusing(name, part.dataset.info).build()
    return keep_fused(folder, network, made_with or {"recipe_digest": name}, part, CPU, progress)


def test_training_reads_what_the_fusion_saves(tiny, tmp_path):
    part = tiny.part("train")
    submission = fusing("laplacian", tiny.info)
    submission.write_weights(tmp_path / "weights.safetensors")
    scored = list(submission.predict(tmp_path / "weights.safetensors", part, "cpu", no_progress))
    kept = keep(tmp_path / "fused", part, "laplacian")
    assert len(kept) == len(scored) == len(part)
    for mine, other in zip(kept, scored, strict=True):
        assert np.array_equal(mine.luma, other.luma)
        assert mine.index == other.index


def test_a_batch_of_infrared_in_grey_is_the_thermal_image(tiny, tmp_path):
    part = tiny.part("val")
    grey = SECTION.model_copy(update={"colour": "grey"})
    batches = Batches(part, keep(tmp_path, part, "infrared"), grey, 2)
    (first, *_) = batches.in_order()
    thermal = torch.from_numpy(source_images(part[0], tiny.info).thermal.copy())
    size = thermal.shape[0]
    whole = Batches(part, keep(tmp_path, part, "infrared"), grey.model_copy(update={"image_size": size}), 2)
    assert torch.equal((next(whole.in_order()).images[0] * 255).round().to(torch.uint8), thermal.expand(3, size, size))
    assert torch.equal(first.images[:, 0], first.images[:, 2])
    assert first.index.tolist() == [0, 1]


def test_images_are_made_once_and_what_is_missing_is_made_again(tiny, tmp_path):
    part = tiny.part("val")
    keep(tmp_path, part)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "val").iterdir()}
    lost = tmp_path / "val" / f"{part.ids[2]}.png"
    content = lost.read_bytes()
    lost.unlink()
    told = []
    keep(tmp_path, part, progress=lambda *arguments: told.append(arguments))
    assert told == [("fusing val", len(part), len(part))]
    assert lost.read_bytes() == content
    assert {path: path.stat().st_mtime_ns for path in files if path != lost} == {
        path: time for path, time in files.items() if path != lost
    }


def test_another_fusions_images_are_thrown_away(tiny, tmp_path):
    part = tiny.part("val")
    first = [image.luma.copy() for image in keep(tmp_path, part, made_with={"weights_sha256": "1"})]
    keep(tmp_path, tiny.part("train"), made_with={"weights_sha256": "1"})
    second = keep(tmp_path, part, "max", made_with={"weights_sha256": "2"})
    assert all((one >= other).all() for one, other in zip((image.luma for image in second), first, strict=True))
    assert not (tmp_path / "train").exists()


def test_a_damaged_image_is_named(tiny, tmp_path):
    part = tiny.part("val")
    keep(tmp_path, part)
    (tmp_path / "val" / f"{part.ids[1]}.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match=f"{part.ids[1]}.png"):
        keep(tmp_path, part)
