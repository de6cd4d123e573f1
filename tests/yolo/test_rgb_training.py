"""Training by the library's own trainer: what it leaves, what decides its bits, and what it refuses."""

import json
import os
import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rgb_cases import context, killing, recipe
from rgbt_baselines.rdrkd.submission import RdrKd
from rgbt_baselines.yolo.offline import library
from rgbt_bench.datasets.sample import INFO
from rgbt_bench.errors import BadInputError, BenchError, MissingError, UsageError
from rgbt_bench.recipes import load_recipe
from training_cases import KilledError


def train(folder, dataset, *settings, seed=0, progress=None):
    found = context(folder, dataset, seed, progress)
    RdrKd(recipe("rdrkd-baseline", *settings), INFO).train("train", found)
    return found.weights


@pytest.fixture(scope="module")
def once(tiny_folder, tmp_path_factory):
    from rgbt_bench.datasets.store import Dataset

    return train(tmp_path_factory.mktemp("once"), Dataset(tiny_folder))


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(once, tiny, tmp_path):
    assert train(tmp_path / "again", tiny).read_bytes() == once.read_bytes()
    assert train(tmp_path / "other", tiny, seed=1).read_bytes() != once.read_bytes()


LONG = (
    "schedule.epochs=5",
    "schedule.batch_size=5",  # the last batch of an epoch has two images
    "schedule.accumulate=2",
    "augment.mosaic_off=3",
    "trainer.warmup_epochs=2.5",
)


@pytest.fixture(scope="module")
def long(tiny_folder, tmp_path_factory):
    from rgbt_bench.datasets.store import Dataset

    return train(tmp_path_factory.mktemp("long"), Dataset(tiny_folder), *LONG)


@pytest.mark.parametrize("epoch", [2, 4])
def test_a_training_killed_in_its_warm_up_or_after_the_mosaics_goes_on_to_the_same_bits(long, tiny, tmp_path, epoch):
    with pytest.raises(KilledError):
        train(tmp_path, tiny, *LONG, progress=killing(epoch))
    assert train(tmp_path, tiny, *LONG).read_bytes() == long.read_bytes()


def test_steps_grow_to_their_batches_during_the_warm_up(long):
    rows = [json.loads(line) for line in (long.parent / "losses.jsonl").read_text().splitlines()]
    # of three batches an epoch; of one batch each below 1.5, the fifth on of two
    assert [row["step"] for row in rows] == [3, 5, 7, 9, 11]


def test_images_that_are_decoded_again_give_the_same_bits(long, tiny, tmp_path, monkeypatch):
    from rgbt_baselines.yolo import images

    monkeypatch.setattr(images, "_KEPT_BYTES", 0)
    assert train(tmp_path, tiny, *LONG).read_bytes() == long.read_bytes()


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_killed_training_goes_on_to_the_same_bits(once, tiny, tmp_path, epoch):
    with pytest.raises(KilledError):
        train(tmp_path, tiny, progress=killing(epoch))
    assert not (tmp_path / "weights.safetensors").exists()
    assert train(tmp_path, tiny).read_bytes() == once.read_bytes()
    history = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert [row["step"] for row in history] == [3, 6, 9]


def test_a_finished_training_without_its_weights_writes_them_again(once, tiny, tmp_path):
    found = train(tmp_path, tiny)
    found.unlink()
    assert train(tmp_path, tiny).read_bytes() == once.read_bytes()


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"damaged")])
def test_a_finished_training_whose_checkpoint_is_damaged_is_named(tiny, tmp_path, damage):
    train(tmp_path, tiny, "schedule.epochs=1").unlink()
    damage(tmp_path / "checkpoint" / "model-1.safetensors")
    with pytest.raises(BadInputError, match=r"checkpoint cannot be resumed.*delete the folder"):
        train(tmp_path, tiny, "schedule.epochs=1")


def test_accumulated_batches_make_one_step_and_the_last_takes_what_is_left(tiny, tmp_path):
    whole = train(tmp_path / "whole", tiny, "schedule.accumulate=2", "trainer.warmup_epochs=0.0")
    rows = [json.loads(line) for line in (tmp_path / "whole" / "losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6]  # of three batches an epoch
    with pytest.raises(KilledError):
        train(tmp_path / "part", tiny, "schedule.accumulate=2", "trainer.warmup_epochs=0.0", progress=killing(2))
    again = train(tmp_path / "part", tiny, "schedule.accumulate=2", "trainer.warmup_epochs=0.0")
    assert again.read_bytes() == whole.read_bytes()


def test_it_leaves_the_process_as_it_was(tiny, tmp_path, capfd):
    library("models.yolo.detect")  # what the import itself leaves is test_offline's
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), dict(os.environ))
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), dict(os.environ))
    assert before == after
    assert not torch.are_deterministic_algorithms_enabled()
    assert capfd.readouterr() == ("", "")


def test_it_computes_with_the_threads_it_was_given(tiny, tmp_path):
    from rgbt_baselines.yolo.offline import left_as_it_was
    from rgbt_baselines.yolo.trainer import Job, SeededTraining

    one, found = RdrKd(recipe(), INFO), context(tmp_path, tiny)
    job = Job(one.build, found.train, one.classes, one._settings(found), 0, tmp_path, found.progress)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        with left_as_it_was():
            SeededTraining(job, tmp_path / "aside")
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_it_leaves_nothing_of_the_librarys_in_the_runs_folder(once):
    names = {one.name for one in once.parent.iterdir()}
    assert names == {"checkpoint", "losses.jsonl", "losses.png", "weights.safetensors"}


def test_what_is_kept_is_the_moving_average(once):
    checkpoint = load_file(next((once.parent / "checkpoint").glob("model-*.safetensors")))
    kept = load_file(once)
    assert all(torch.equal(one, checkpoint[f"average.detector.{name}"]) for name, one in kept.items())
    assert any(not torch.equal(one, checkpoint[f"live.detector.{name}"]) for name, one in kept.items())


def test_a_budget_of_steps_ends_with_the_epoch_that_reaches_it(tiny, tmp_path):
    train(tmp_path, tiny, "schedule.epochs=50", "schedule.max_steps=4")
    assert len((tmp_path / "losses.jsonl").read_text().splitlines()) == 2


def test_a_budget_counts_steps_and_not_the_batches_in_them(tiny, tmp_path):
    settings = ("schedule.epochs=50", "schedule.max_steps=4", "schedule.accumulate=2", "trainer.warmup_epochs=0.0")
    train(tmp_path, tiny, *settings)
    rows = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4]


def test_predictions_are_in_pixels_of_the_samples_and_above_the_score(once, tiny):
    found = RdrKd(recipe("rdrkd-baseline", "model.min_score=0.0001"), INFO).predict(
        once, tiny.part("test"), "cpu", lambda *_: None
    )
    again = RdrKd(recipe("rdrkd-baseline", "model.min_score=0.0001", "schedule.batch_size=5"), INFO).predict(
        once, tiny.part("test"), "cpu", lambda *_: None
    )
    assert len(found) > 12
    x, y, width, height = found.bbox.T
    size = tiny.part("test").labels[0].width
    assert (found.bbox >= 0).all()
    assert (x + width).max() <= size
    assert (y + height).max() <= size
    assert max(x + width) > size * 0.8  # else they are in pixels of the input
    assert (width > 0).all()
    assert (height > 0).all()
    assert len(again) == len(found)


def test_a_damaged_checkpoint_is_named(tiny, tmp_path):
    with pytest.raises(KilledError):
        train(tmp_path, tiny, progress=killing(2))
    (tmp_path / "checkpoint" / "model-1.safetensors").write_bytes(b"damaged")
    with pytest.raises(BadInputError, match=r"checkpoint cannot be resumed.*delete the folder"):
        train(tmp_path, tiny)


def test_a_loss_that_is_not_finite_ends_the_training(tiny, tmp_path):
    with pytest.raises(BenchError, match=r"epoch \d, batch \d.*not finite; lower optimizer.learning_rate") as raised:
        train(tmp_path, tiny, "loss.box=1e38")
    assert raised.value.exit_code == 5


def test_a_batch_that_does_not_fit_is_never_made_smaller(tiny, tmp_path, monkeypatch):
    from rgbt_baselines.yolo.trainer import SeededTraining

    def full(*_):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(SeededTraining, "preprocess_batch", full)
    with pytest.raises(BenchError, match=r"too small for batches of 5: set schedule\.batch_size lower"):
        train(tmp_path, tiny, "schedule.batch_size=5")


def test_the_weights_that_a_recipe_names_are_started_from(tiny, tmp_path):
    torch.manual_seed(3)
    save_file(RdrKd(recipe(), INFO).build().state_dict(), tmp_path / "given.safetensors")
    one = RdrKd(recipe("rdrkd-baseline", f"pretrained={tmp_path / 'given.safetensors'}"), INFO)
    started = one.initial(None, context(tmp_path / "run", tiny)).state_dict()
    assert all(torch.equal(one, started[name]) for name, one in load_file(tmp_path / "given.safetensors").items())


def test_every_field_of_a_recipe_reaches_the_library_under_its_name_there(tiny, tmp_path):
    names = {
        "optimizer.learning_rate": "lr0",
        "optimizer.final": "lrf",
        "optimizer.momentum": "momentum",
        "optimizer.weight_decay": "weight_decay",
        "trainer.warmup_epochs": "warmup_epochs",
        "trainer.warmup_momentum": "warmup_momentum",
        "trainer.warmup_bias_rate": "warmup_bias_lr",
        "loss.box": "box",
        "loss.cls": "cls",
        "loss.dfl": "dfl",
        "augment.hue": "hsv_h",
        "augment.saturation": "hsv_s",
        "augment.brightness": "hsv_v",
        "augment.shift": "translate",
        "augment.zoom": "scale",
        "augment.flip": "fliplr",
        "augment.mosaic": "mosaic",
        "augment.mosaic_off": "close_mosaic",
        "schedule.batch_size": "batch",
        "schedule.epochs": "epochs",
        "model.image_size": "imgsz",
    }
    whole = {"augment.mosaic_off", "schedule.batch_size", "schedule.epochs"}
    values = {path: place if path in whole else place / 100 for place, path in enumerate(names, 1)}
    values["model.image_size"] = 96
    given = [f"{path}={value}" for path, value in values.items()]
    found = RdrKd(recipe("rdrkd-baseline", *given, "schedule.accumulate=3"), INFO)._settings(context(tmp_path, tiny))
    assert {path: found[name] for path, name in names.items()} == values
    assert found["nbs"] == 3 * values["schedule.batch_size"]


def test_weights_that_are_not_finite_are_no_checkpoint(tiny, tmp_path, monkeypatch):
    from rgbt_baselines.yolo.trainer import SeededTraining

    step = SeededTraining.optimizer_step

    def overflowing(trainer):
        if (trainer.epoch, trainer.batches_done) == (1, 2):  # after the last loss of the epoch
            next(trainer.model.parameters()).grad.fill_(torch.inf)
        step(trainer)

    monkeypatch.setattr(SeededTraining, "optimizer_step", overflowing)
    with pytest.raises(BenchError, match="epoch 2: weights are not finite; lower") as raised:
        train(tmp_path, tiny, "schedule.epochs=2")
    assert raised.value.exit_code == 5
    assert [one.name for one in (tmp_path / "checkpoint").glob("model-*")] == ["model-1.safetensors"]


def test_weights_of_coco_start_all_but_the_last_layers_of_the_head(tiny, tmp_path):
    other = RdrKd(recipe(), INFO.model_copy(update={"classes": ("a", "b", "c", "d", "e")})).build()
    path = tmp_path / "five.safetensors"
    save_file(other.state_dict(), path)
    from rgbt_baselines.yolo.weights import start_from

    own = RdrKd(recipe(), INFO).build()
    before = {name: one.clone() for name, one in own.state_dict().items()}
    start_from(path, own)
    kept = [name for name, one in own.state_dict().items() if one.shape != other.state_dict()[name].shape]
    assert sorted(kept) == sorted(f"model.22.cv3.{level}.2.{kind}" for level in range(3) for kind in ("weight", "bias"))
    for name, one in own.state_dict().items():
        assert torch.equal(one, before[name] if name in kept else other.state_dict()[name])


def test_a_file_of_another_network_starts_nothing(tmp_path):
    from rgbt_baselines.yolo.weights import start_from

    small, large = (
        RdrKd(recipe(), INFO).build(),
        RdrKd(recipe("rdrkd-baseline", "model.detector=yolov8s"), INFO).build(),
    )
    save_file(large.state_dict(), tmp_path / "large.safetensors")
    with pytest.raises(BadInputError, match="weights of another network"):
        start_from(tmp_path / "large.safetensors", small)
    (tmp_path / "x.safetensors").write_bytes(b"x")
    with pytest.raises(BadInputError, match="not a safetensors file"):
        start_from(tmp_path / "x.safetensors", small)
    with pytest.raises(MissingError, match="no such weights file"):
        start_from(tmp_path / "y.safetensors", small)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("modalities=[rgb, thermal]", "modalities is .* needs"),
        ("modalities=[thermal]", "modalities is .* needs"),
        ("optimizer.clip_norm=null", "optimizer.clip_norm is None"),
        ("schedule.keep=best", "schedule.keep is 'best'"),
        ("schedule.patience=3", "schedule.patience is 3"),
        ("schedule.precision=float16", "choose bfloat16 or float32"),
        ("pretrained=timm", "timm has no such detector"),
        ("optimizer.learning_rate=1.5", "optimizer.learning_rate is 1.5, and ultralytics"),
        ("trainer.warmup_epochs=-1", "trainer"),
        ("model.left_out=[person, bike, car]", "no boxes to learn"),
    ],
)
def test_what_the_trainer_has_no_place_for_is_refused(setting, says):
    with pytest.raises(BadInputError, match=says):
        RdrKd(recipe("rdrkd-baseline", setting), INFO)


def test_a_mistyped_class_to_leave_out_gets_a_suggestion_and_one_of_another_set_is_none_here():
    with pytest.raises(UsageError, match=r"unknown class in model\.left_out 'persn'.*Did you mean 'person'"):
        RdrKd(recipe("rdrkd-baseline", "model.left_out=[persn]"), INFO)
    assert RdrKd(recipe("rdrkd-baseline", "model.left_out=[others]"), INFO).classes == (0, 1, 2)


def test_a_broken_start_is_refused_before_anything_is_trained(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"x")
    with pytest.raises(BadInputError, match="not a safetensors file"):
        RdrKd(recipe("rdrkd-baseline", f"pretrained={path}"), INFO).check_required({})
    path.unlink()
    with pytest.raises(MissingError, match="is no file"):
        RdrKd(recipe("rdrkd-baseline", f"pretrained={path}"), INFO).check_required({})


def test_an_unknown_detector_gets_a_suggestion():
    with pytest.raises(UsageError, match="yolov8m"):
        RdrKd(recipe("rdrkd-baseline", "model.detector=yolo8m"), INFO)


def test_a_trainer_section_goes_with_its_submission_alone():
    wrong = load_recipe("ffkd-teacher-rgb").model_copy(update={"trainer": {"warmup_epochs": 1.0}})
    from rgbt_bench.registry import load_submission

    with pytest.raises(BadInputError, match="this project's own loop, which has no such section"):
        load_submission("ffkd")(wrong, INFO)
