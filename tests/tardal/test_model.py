"""TarDAL's networks: sizes, shapes, counts, the order of the inputs, and the published weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from rgbt_baselines.tardal.model import Discriminator, Generator
from rgbt_baselines.tardal.weights import key_map, load_published
from rgbt_bench.errors import BadInputError, MissingError

DATA = Path(__file__).parents[3] / "shared" / "data"
WEIGHTS = DATA / "weights" / "tardal.pt"
PAIRS = DATA / "RoadScene"


def count(module):
    return sum(one.numel() for one in module.parameters())


def test_the_generator_has_the_published_number_of_parameters():
    assert count(Generator()) == 296_577


def test_its_multiply_adds_at_224_are_the_papers_where_biases_and_norms_count():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        generator = Generator()
        generator(torch.empty(1, 1, 224, 224), torch.empty(1, 1, 224, 224))
    weights = sum(one.numel() for name, one in generator.named_parameters() if name.endswith("conv.weight"))
    assert counter.get_total_flops() // 2 == weights * 224**2 == 14_840_856_576
    assert round(count(generator) * 224**2 / 1e9, 2) == 14.88


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (61, 40)])
def test_the_generator_keeps_any_size_and_stays_between_minus_one_and_one(size):
    generator = Generator(width=4, depth=2).eval()
    fused = generator(torch.rand(2, 1, *size), torch.rand(2, 1, *size))
    assert fused.shape == (2, 1, *size)
    assert fused.abs().max() <= 1


def test_the_thermal_image_is_the_first_channel_of_the_stem():
    generator = Generator(width=4, depth=1).eval()
    with torch.no_grad():
        generator.stem.conv.weight[:, 1] = 0
    luma, thermal, other = (torch.rand(1, 1, 32, 32) for _ in range(3))
    assert torch.equal(generator(luma, thermal), generator(other, thermal))
    assert not torch.equal(generator(luma, thermal), generator(luma, other))


@pytest.mark.parametrize("size", [(224, 224), (64, 96)])
def test_a_discriminator_is_three_halvings_and_one_layer_of_its_size(size):
    discriminator = Discriminator(size)
    convolutions = (9 * 1 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 128
    assert count(discriminator) == convolutions + 128 * size[0] * size[1] // 64 + 1
    assert discriminator(torch.rand(3, 1, *size)).shape == (3,)


def test_batch_statistics_do_not_depend_on_what_was_running():
    by_image, running = Generator(4, 1, batch_statistics=True).eval(), Generator(4, 1).eval()
    images = torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32)
    before = by_image(*images)
    by_image.stem.norm.running_mean += 1
    assert torch.equal(by_image(*images), before)
    assert by_image.stem.norm.running_mean.sub(1).abs().max() == 0
    old = running(*images)
    running.stem.norm.running_mean += 1
    assert not torch.equal(running(*images), old)


def test_the_key_map_covers_the_generator_one_to_one():
    names = key_map()
    assert set(names.values()) == set(Generator().state_dict())
    assert len(set(names.values())) == len(names)


def published(folder, change=lambda weights: None):
    torch.manual_seed(1)
    weights = {theirs: Generator().state_dict()[ours] for theirs, ours in key_map().items()}
    change(weights)
    torch.save(weights, folder / "tardal.pt")
    return folder / "tardal.pt"


def test_weights_under_their_names_load_and_others_are_refused_by_name(tmp_path):
    generator = Generator()
    load_published(published(tmp_path), generator)
    with pytest.raises(BadInputError, match=r"(?s)tardal\.pt: not TarDAL's .*missing merge\.3\.conv\.bias"):
        load_published(published(tmp_path, lambda one: one.pop("fuse.3.0.bias")), generator)
    with pytest.raises(BadInputError, match=r"unexpected fuse\.4"):
        load_published(published(tmp_path, lambda one: one.update({"fuse.4": torch.zeros(1)})), generator)
    with pytest.raises(BadInputError, match=r"stem\.conv\.bias has values that are not finite"):
        load_published(published(tmp_path, lambda one: one["encoder.0.bias"].fill_(float("nan"))), generator)
    with pytest.raises(BadInputError, match=r"stem\.conv\.weight has shape"):
        load_published(published(tmp_path), Generator(width=16))
    with pytest.raises(MissingError, match=r"nothing\.pt"):
        load_published(tmp_path / "nothing.pt", generator)


def entropy(counts):
    shares = counts[counts > 0] / counts.sum()
    return -(shares * np.log2(shares)).sum()


def mutual_information(first, second):
    joint = np.bincount(first.ravel().astype(int) * 256 + second.ravel(), minlength=65536).reshape(256, 256)
    return entropy(joint.sum(0)) + entropy(joint.sum(1)) - entropy(joint.ravel())


@pytest.mark.skipif(not (WEIGHTS.exists() and PAIRS.exists()), reason=f"needs {WEIGHTS} and {PAIRS}")
def test_the_official_weights_fuse_real_pairs():
    generator = Generator().eval()
    load_published(WEIGHTS, generator)
    found = []
    for path in sorted((PAIRS / "cropinfrared").glob("*.jpg"))[::32]:
        thermal = np.asarray(Image.open(path).convert("L"))
        luma = np.asarray(Image.open(PAIRS / "crop_LR_visible" / path.name).convert("RGB").convert("L"))
        images = [torch.from_numpy(one / np.float32(255))[None, None] for one in (luma, thermal)]
        with torch.inference_mode():
            fused = generator(*images)[0, 0].clip(0, 1).mul(255).round().byte().numpy()
        information = mutual_information(luma, fused) + mutual_information(thermal, fused)
        found.append((entropy(np.bincount(fused.ravel(), minlength=256)), information, fused.std()))
    # over every second of the 162 pairs: EN 7.26, MI 3.19, SD 47.5
    assert np.mean(found, axis=0) == pytest.approx([7.26, 3.19, 47.5], rel=0.1)
