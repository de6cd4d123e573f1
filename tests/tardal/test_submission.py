"""TarDAL through the harness, on a handful of generated scenes and networks cut down to run in seconds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rgbt_baselines.tardal.model import FusionWithDetector, Generator
from rgbt_baselines.tardal.submission import Tardal
from rgbt_baselines.tardal.weights import key_map
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.harness import execute
from rgbt_bench.recipes import load_recipe
from rgbt_bench.runs import in_order, plan_run
from rgbt_bench.submissions import Requirement
from rgbt_bench.training.checkpoints import save_weights
from tardal_cases import context, submission, with_tiny_detector

TRAINED = ("tardal-dt", "tardal-tt", "tardal-ct")
QUICK = ("model.width=4", "model.depth=1", "augment.crop=32", "augment.crops=1", "schedule.max_steps=2")
EVERYWHERE = (*QUICK, *(f"tardal-dt:{setting}" for setting in QUICK))


@pytest.fixture
def tiny_detector(monkeypatch):
    with_tiny_detector(monkeypatch)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_detector")
def test_run_makes_the_direct_training_and_goes_on_from_it(tiny):
    planned = plan_run("tardal-ct", tiny, "quick", None, EVERYWHERE)
    assert [run.recipe.name for run in in_order(planned)] == ["tardal-dt", "tardal-ct"]
    result = execute(planned, tiny, "cpu")
    assert result.track == "sample/fusion"
    assert {"EN", "MI", "SD"} <= set(result.metrics.figures)
    rows = [json.loads(line) for line in (planned.folder / "losses.jsonl").read_text().splitlines()]
    terms = {"total", "ssim", "pixel", "target", "detail", "detection", "box"}
    assert set(rows[0]["train"]) == terms | {"target_discriminator", "detail_discriminator"}
    assert set(rows[0]["val"]) == terms
    names = load_file(planned.weights).keys()
    assert {name.partition(".")[0] for name in names} == {"generator", "detector"}


@pytest.mark.parametrize("name", TRAINED)
def test_quick_changes_no_loss_and_no_structure(name):
    paper, quick = (load_recipe(name, preset) for preset in ("paper", "quick"))
    assert paper.loss == quick.loss
    sizes = {"width"}
    assert {k: v for k, v in paper.model.items() if k not in sizes} == {
        k: v for k, v in quick.model.items() if k not in sizes
    }
    assert {**paper.augment, "crop": 0, "crops": 0} == {**quick.augment, "crop": 0, "crops": 0}


def test_the_three_strategies_are_made_by_their_losses():
    found = {name: set(load_recipe(name).loss) for name in TRAINED}
    assert found == {"tardal-dt": {"fusion"}, "tardal-tt": {"detection"}, "tardal-ct": {"fusion", "detection"}}


@pytest.mark.usefixtures("tiny_detector")
def test_a_start_gives_its_generator_and_nothing_else(tiny, tmp_path):
    source = submission(tiny.info)
    torch.manual_seed(5)
    generator = source.build()
    save_weights(tmp_path / "dt.safetensors", generator)
    given = context(tiny, tmp_path, requirements={"start": Requirement(source.recipe, tmp_path / "dt.safetensors")})
    torch.manual_seed(0)
    started = submission(tiny.info, "tardal-ct").task(given)
    for name, one in generator.state_dict().items():
        assert torch.equal(started.generator.state_dict()[name], one), name
    torch.manual_seed(0)
    alone = submission(tiny.info, "tardal-ct").build()
    for name, one in alone.detector.state_dict().items():
        assert torch.equal(started.model.detector.state_dict()[name], one), name


def test_the_networks_state_is_the_same_whatever_discriminators_there_are(tiny, tmp_path):
    found = []
    for both in ("true", "false"):
        fields = (f"model.target_discriminator={both}", f"model.detail_discriminator={both}")
        torch.manual_seed(0)
        found.append(submission(tiny.info, "tardal-dt", *fields).task(context(tiny, tmp_path)).model.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def published_file(folder):
    torch.manual_seed(1)
    generator = Generator()
    weights = {theirs: generator.state_dict()[ours] for theirs, ours in key_map().items()}
    torch.save(weights, folder / "official.pt")
    return folder / "official.pt", generator.eval()


def test_the_published_recipe_fuses_with_a_file_and_says_that_it_needs_one(tiny, tmp_path):
    path, generator = published_file(tmp_path)
    method = Tardal(load_recipe("tardal-published", "paper", (f"pretrained={path}",)), tiny.info)
    method.write_weights(tmp_path / "weights.safetensors")
    part = tiny.part("test")
    found = next(iter(method.predict(tmp_path / "weights.safetensors", part, "cpu", lambda *_: None)))
    from rgbt_bench.fused_images import source_images

    sources = source_images(part[0], tiny.info)
    luma, thermal = (torch.from_numpy(one / np.float32(255))[None, None] for one in (sources.luma, sources.thermal))
    with torch.inference_mode():
        expected = generator(luma, thermal)[0, 0].clamp(0, 1).mul(255).round()
    assert np.abs(found.pixels.astype(int) - expected.int().numpy()).max() <= 1
    assert method.parameters() == {"stem": 672, "dense": 55_584, "merge": 240_321, "total": 296_577, "trainable": 0}
    with pytest.raises(BadInputError, match="pretrained=FILE"):
        Tardal(load_recipe("tardal-published"), tiny.info).write_weights(tmp_path / "none.safetensors")


@pytest.mark.usefixtures("tiny_detector")
def test_published_weights_start_a_training_with_a_detector(tiny, tmp_path):
    path, generator = published_file(tmp_path)
    fields = ("requires={}", f"pretrained={path}", "model.width=32", "model.depth=3")
    task = submission(tiny.info, "tardal-tt", *fields).task(context(tiny, tmp_path))
    assert isinstance(task.model, FusionWithDetector)
    assert torch.equal(task.generator.stem.conv.weight, generator.stem.conv.weight)


REFUSED = {
    "model.detector and loss.detection go together": ("tardal-dt", "model.detector=yolov5s"),
    "model.target_discriminator is for loss.fusion.adversarial": ("tardal-tt", "model.target_discriminator=true"),
    "augment.crop is 33; training needs a multiple of 8": ("tardal-dt", "augment.crop=33"),
    "augment.crop is 40; training needs a multiple of 32": ("tardal-tt", "augment.crop=40"),
    "model.batch_statistics is for the published weights": ("tardal-dt", "model.batch_statistics=true"),
    "requires.start and pretrained are two starts": ("tardal-ct", "pretrained=weights.pt"),
    "loss has neither fusion nor detection": ("tardal-dt", "loss={}", "model.target_discriminator=false"),
    "loss: fusion.adversarial.power: Input should be greater": ("tardal-dt", "loss.fusion.adversarial.power=1.0"),
    "fusion: no weight of its own is left": ("tardal-dt", "loss.fusion.ssim=0.0", "loss.fusion.pixel=0.0"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_go_together_is_refused_by_name(tiny, message):
    name, *settings = REFUSED[message]
    with pytest.raises(BadInputError) as caught:
        Tardal(load_recipe(name, "paper", tuple(settings)), tiny.info)
    assert message in str(caught.value)


def test_an_unknown_detector_is_refused_before_a_start_is_trained(tiny):
    with pytest.raises(UsageError, match="unknown detector 'yolov9s'"):
        submission(tiny.info, "tardal-ct", "model.detector=yolov9s")


def test_detection_needs_a_dataset_with_boxes(tiny):
    with pytest.raises(BadInputError, match="has no boxes"):
        submission(tiny.info.model_copy(update={"classes": ()}), "tardal-ct")


def test_a_start_of_another_size_or_kind_is_refused_before_it_is_trained(tiny):
    method = submission(tiny.info, "tardal-ct")
    method.check_required({"start": submission(tiny.info).recipe})
    with pytest.raises(BadInputError, match=r"model\.width 8 and model\.depth 1, not 4 and 1"):
        method.check_required({"start": submission(tiny.info, "tardal-dt", "model.width=8").recipe})
    with pytest.raises(BadInputError, match="has to be of tardal"):
        method.check_required({"start": load_recipe("average")})
    with pytest.raises(BadInputError, match=r"requires\.teacher"):
        method.check_required({"teacher": submission(tiny.info).recipe})


def test_a_training_with_missing_masks_never_starts(tiny, tmp_path):
    (tmp_path / "masks").mkdir()
    with pytest.raises(BadInputError, match="not a mask for every sample"):
        submission(tiny.info, "tardal-dt", f"model.masks={tmp_path / 'masks'}").task(context(tiny, tmp_path))


def test_a_set_without_a_val_part_can_be_trained_on(tiny, tmp_path):
    given = replace(context(tiny, tmp_path), val=None)
    task = submission(tiny.info).task(given)
    assert list(task.validation_batches()) == []


@pytest.mark.usefixtures("tiny_detector")
@pytest.mark.parametrize("name", ["tardal-dt", "tardal-ct"])
def test_multiply_adds_and_parameters_are_those_of_the_fusion_alone(tiny, name):
    subject = Tardal(load_recipe(name), tiny.info).latency_subject(1, torch.device("cpu"))
    assert (subject.image_size, subject.macs, subject.parameters) == ((768, 1024), 295_776 * 768 * 1024, 296_577)


def test_the_librarys_detector_is_counted_beside_the_generator(tiny):
    found = Tardal(load_recipe("tardal-ct"), tiny.info).parameters()
    assert found["generator"] == 296_577
    assert found["total"] == found["trainable"] == found["generator"] + found["detector"]
    assert 9.1e6 < found["detector"] < 9.2e6
