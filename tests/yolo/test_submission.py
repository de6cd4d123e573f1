"""Detection on fused images through the harness, on generated scenes and a small detector."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rgbt_baselines.yolo.detector import Found, build_detector
from rgbt_baselines.yolo.network import recipe_in
from rgbt_baselines.yolo.submission import YoloOnFused
from rgbt_bench.datasets.store import Dataset, Part
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.given import plan_given
from rgbt_bench.harness import execute
from rgbt_bench.metrics.detection import coco_figures, ground_truth
from rgbt_bench.predictions import read_predictions
from rgbt_bench.progress import no_progress
from rgbt_bench.recipes import load_recipe
from rgbt_bench.registry import load_submission
from rgbt_bench.runs import FUSED_FOLDER, plan_run
from rgbt_bench.submissions import Requirement, TrainContext
from rgbt_bench.training.checkpoints import load_weights, save_weights

NAME = "yolov5s-on-fused"
SMALL = ("model.image_size=64", "schedule.batch_size=6", "schedule.epochs=2")


def plan(dataset, *settings, home=None):
    return plan_run(NAME, dataset, "quick", None, (*SMALL, *settings), home)


def small(info, *settings):
    return YoloOnFused(load_recipe(NAME, "quick", (*SMALL, *settings)), info)


@pytest.fixture(scope="module")
def finished(tiny_folder, tmp_path_factory):
    """A finished run on the Laplacian pyramid with other levels than its recipe's."""
    dataset = Dataset(tiny_folder)
    settings = ("requires.fusion=laplacian", "laplacian:model.levels=2")
    run = plan(dataset, *settings, home=tmp_path_factory.mktemp("finished") / "runs")
    return run, execute(run, dataset, "cpu")


@pytest.mark.slow
def test_a_run_fuses_trains_detects_and_is_scored(finished, tiny):
    run, result = finished
    assert result.model.requires.keys() == {"fusion"}
    assert result.track == "sample/detection-on-fused"
    part = tiny.part("test")
    found = read_predictions(run.folder / "predictions.json", part.ids, tiny.info.classes)
    assert len(found)
    corners = found.bbox[:, :2] + found.bbox[:, 2:]
    sizes = np.array([[one.width, one.height] for one in part.labels])[found.sample_index]
    assert (found.bbox >= 0).all()
    assert (corners <= sizes + 1e-6).all()
    assert (found.bbox[:, 2:] > 0).all()
    assert len(list((run.folder / FUSED_FOLDER / "train").glob("*.png"))) == len(tiny.part("train"))
    rows = [json.loads(line) for line in (run.folder / "losses.jsonl").read_text().splitlines()]
    assert set(rows[0]["train"]) == set(rows[0]["val"]) == {"total", "box", "cls", "dfl"}


@pytest.mark.slow
def test_the_weights_file_is_all_that_predicting_needs(finished, tiny, tmp_path):
    run, _ = finished
    weights = tmp_path / "elsewhere.safetensors"
    weights.write_bytes(run.weights.read_bytes())
    # of a recipe that names another fusion: the weights know theirs
    found = small(tiny.info).predict(weights, tiny.part("test"), "cpu", no_progress)
    part = tiny.part("test")
    kept = read_predictions(run.folder / "predictions.json", part.ids, tiny.info.classes)
    order = np.lexsort((kept.score, kept.sample_index))
    mine = np.lexsort((found.score, found.sample_index))
    assert np.allclose(found.bbox[mine], kept.bbox[order], atol=0.01)
    recipe = recipe_in(weights)
    assert (recipe.name, recipe.model["levels"]) == ("laplacian", 2)


@pytest.mark.slow
def test_a_training_that_was_interrupted_ends_with_the_same_bits(finished, tiny, tmp_path):
    run, result = finished
    again = plan(tiny, "requires.fusion=laplacian", "laplacian:model.levels=2", home=tmp_path / "runs")

    def stop(stage, done, total):
        if "epoch 2" in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(again, tiny, "cpu", stop)
    assert again.state == "to resume"
    repeated = execute(again, tiny, "cpu")
    assert again.weights.read_bytes() == run.weights.read_bytes()
    assert repeated.predictions_sha256 == result.predictions_sha256


def context(tiny, tmp_path, submission, fusing="average"):
    recipe = load_recipe(fusing)
    weights = tmp_path / "fusion.safetensors"
    load_submission(recipe.submission)(recipe, submission.info).write_weights(weights)
    required = {"fusion": Requirement(recipe, weights)}
    return TrainContext(tmp_path / "run", tiny.part("train"), None, 0, "cpu", required)


@pytest.mark.slow
def test_a_detector_learns_the_pairs_it_is_trained_on(tiny, tmp_path, monkeypatch):
    from rgbt_baselines.yolo import submission as module

    def following(*arguments):
        detector = build_detector(*arguments)
        for layer in detector.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 0.3  # the library's 0.03 needs hundreds of steps
        return detector

    monkeypatch.setattr(module, "build_detector", following)
    steps = ("model.image_size=96", "schedule.epochs=10000", "schedule.max_steps=30", "augment.flip=0.0")
    submission = small(tiny.info, *steps, "optimizer.learning_rate=0.003")
    part = Part(tiny, "default", "train", tiny.part("train").ids[:2])
    given = replace(context(tiny, tmp_path, submission), train=part)
    submission.train("train", given)
    truth = ground_truth([one.objects for one in part.labels], len(tiny.info.classes))
    assert coco_figures(truth, submission.predict(given.weights, part, "cpu", no_progress)).AP50 > 0.4


def test_what_is_given_trains_and_the_fusion_stays(tiny):
    submission = small(tiny.info)
    network = submission.build(load_recipe("average"))
    network.train()
    assert network.detector.training
    assert not network.fusion.training
    counted = submission.parameters()
    assert counted["total"] == counted["detector"] == 2_509_049
    assert counted["fusion"] == 0
    assert counted["trainable"] == counted["total"] - 16  # the bins of the library's box distribution


@pytest.mark.parametrize("name", ["tardal-dt", "tardal-tt", "ifcnn"])
def test_a_detector_that_a_fusion_holds_is_not_counted(name, tiny):
    recipe = load_recipe(name, "quick")
    whole = load_submission(recipe.submission)(recipe, tiny.info).build()
    fusing = getattr(whole, "generator", whole)
    counted = small(tiny.info, f"requires.fusion={name}").parameters()
    assert counted["fusion"] == sum(one.numel() for one in fusing.parameters()) > 0
    assert counted["total"] == counted["detector"] + counted["fusion"]


def test_detections_are_mapped_to_the_sample(tiny, tmp_path, monkeypatch):
    """A detector that always answers one box of its input has to give that place of the sample."""
    from rgbt_baselines.yolo import submission as module

    submission = small(tiny.info)
    network = submission.build(load_recipe("average"))
    save_weights(tmp_path / "weights.safetensors", network)
    boxes = torch.tensor([[8.0, 16.0, 24.0, 40.0], [40.0, 40.0, 200.0, 80.0], [70.0, 70.0, 80.0, 80.0]])
    answer = Found(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([2, 0, 1]))
    monkeypatch.setattr(module, "detect", lambda detector, images, *rest: [answer] * len(images))
    part = tiny.part("test")
    found = submission.predict(tmp_path / "weights.safetensors", part, "cpu", no_progress)
    side = part.labels[0].width
    times = side / 64
    assert len(found) == 2 * len(part)  # the third lies in the padding beyond the image
    assert found.category[:2].tolist() == [2, 0]
    assert found.bbox[0].tolist() == [8 * times, 16 * times, 16 * times, 24 * times]
    assert found.bbox[1].tolist() == [40 * times, 40 * times, side - 40 * times, side - 40 * times]


def test_fusion_and_detector_are_timed_together(tiny):
    subject = small(tiny.info, "requires.fusion=laplacian").latency_subject(2, torch.device("cpu"))
    alone = small(tiny.info).latency_subject(1, torch.device("cpu"))
    decoded, _ = subject.forward()
    assert decoded.shape == (2, 4 + len(tiny.info.classes), 64 + 16 + 4)
    assert subject.macs > alone.macs > 0
    assert subject.image_size == (64, 64)
    assert "fusion" in subject.includes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["requires={}"], "requires.fusion has to name what fuses"),
        (["requires={fusion: average, teacher: average}"], "no other role"),
        (["modalities=[rgb]"], "modalities have to be"),
        (["model.colour=gray"], "model: colour"),
        (["model.image_size=100"], "model: image_size"),
        (["loss.box=-1"], "loss: box"),
        (["protocol=miou"], "scores segmentation, and the submission yolo does detection"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(tiny, settings, message):
    with pytest.raises(BadInputError, match=message):
        small(tiny.info, *settings)


def test_what_does_not_fuse_is_refused_before_anything_is_trained(tiny, home):
    with pytest.raises(BadInputError, match="does not fuse"):
        execute(plan(tiny, "requires.fusion=ffkd-student-rgb"), tiny, "cpu")
    assert not (home / "runs").exists()


def test_weights_of_something_else_are_refused(tiny, tmp_path):
    submission, part = small(tiny.info), tiny.part("test")
    path = tmp_path / "weights.safetensors"
    with pytest.raises(MissingError, match="no such weights file"):
        submission.predict(path, part, "cpu", no_progress)
    path.write_bytes(b"no weights")
    with pytest.raises(BadInputError, match="not the weights of a detector on fused images"):
        submission.predict(path, part, "cpu", no_progress)
    save_file({"one": torch.zeros(2)}, path)
    with pytest.raises(BadInputError, match="not the weights of a detector on fused images"):
        submission.predict(path, part, "cpu", no_progress)
    save_weights(path, submission.build(load_recipe("average")))
    tensors = load_file(path)
    for recipe in (b"{", b"[]", b'{"name": "some"}'):
        save_file({**tensors, "fusion_recipe": torch.frombuffer(bytearray(recipe), dtype=torch.uint8)}, path)
        with pytest.raises(BadInputError, match="not the weights of a detector on fused images"):
            submission.predict(path, part, "cpu", no_progress)


@pytest.mark.parametrize("name", ["average", "tardal-dt"])
def test_no_path_of_this_machine_is_in_the_weights(name, tiny):
    settings = ("model.masks=/home/somebody/masks",) if name == "tardal-dt" else ()
    recipe = load_recipe(name, "quick", settings).model_copy(update={"pretrained": "/home/somebody/secret.pth"})
    network = small(tiny.info).build(recipe)
    assert "somebody" not in bytes(network.fusion_recipe.tolist()).decode()


def test_weights_whose_recipe_is_written_in_other_words_are_read(tiny, tmp_path):
    path = tmp_path / "weights.safetensors"
    network = small(tiny.info).build(load_recipe("average"))
    save_weights(path, network)
    words = json.dumps(json.loads(bytes(network.fusion_recipe.tolist())), indent=2).encode()
    save_file({**load_file(path), "fusion_recipe": torch.frombuffer(bytearray(words), dtype=torch.uint8)}, path)
    load_weights(path, network)
    assert bytes(network.fusion_recipe.tolist()) == words
    assert recipe_in(path).name == "average"


def test_what_fused_is_counted_after_predicting_whatever_the_recipe_names(tiny, tmp_path):
    fusing = load_recipe("tardal-dt", "quick", ("model.width=4",))
    save_weights(tmp_path / "weights.safetensors", small(tiny.info).build(fusing))
    submission = small(tiny.info)
    assert submission.parameters()["fusion"] == 0
    submission.predict(tmp_path / "weights.safetensors", tiny.part("test"), "cpu", no_progress)
    counted = sum(one.numel() for one in load_submission("tardal")(fusing, tiny.info).build().parameters())
    assert submission.parameters()["fusion"] == counted


def test_given_weights_of_another_fusion_are_not_called_by_this_ones_name(tiny, tmp_path, home):
    path = tmp_path / "weights.safetensors"
    save_weights(path, small(tiny.info).build(load_recipe("max")))
    small(tiny.info, "requires.fusion=max").check_given(path)
    run = plan_given(NAME, tiny, str(path), "quick", SMALL)
    with pytest.raises(BadInputError, match=r"what max fuses, .* requires average; add --set requires.fusion=max"):
        execute(run, tiny, "cpu")
    assert not (run.folder / "result.json").exists()


def test_an_unknown_detector_is_refused_before_anything_is_fused(tiny, home):
    with pytest.raises(UsageError, match="Did you mean 'yolov5x'"):
        execute(plan(tiny, "model.detector=yolov5z"), tiny, "cpu")
    assert not (home / "runs").exists()


def test_the_paper_preset_builds_yolov5s(tiny):
    recipe = load_recipe(NAME)
    network = YoloOnFused(recipe, tiny.info).build(load_recipe("average"))
    assert sum(one.numel() for one in network.detector.parameters()) == 9_123_353
    assert vars(network.detector.args) == recipe.loss == {"box": 7.5, "cls": 0.5, "dfl": 1.5}
