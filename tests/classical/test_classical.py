"""Fusion without learning: each rule by hand, the pyramid that gives back what it took apart, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch import nn

from rgbt_baselines.classical.model import RULES, LaplacianPyramid, Rule
from rgbt_baselines.classical.submission import SUBMISSION
from rgbt_bench.counting import count_networks
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.fused_images import Sources
from rgbt_bench.fusion.controls import CONTROLS
from rgbt_bench.fusion.submission import fuse
from rgbt_bench.opening import dataset_info
from rgbt_bench.recipes import load_recipe

RECIPES = ("infrared", "visible", "average", "max", "laplacian")
CPU = torch.device("cpu")
FILTER = np.array([1, 4, 6, 4, 1]) / 16


def images(height=32, width=40, seed=0, count=2):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (height, width)).astype(np.uint8) for _ in range(count)]


def sources(luma, thermal):
    return Sources(np.repeat(luma[..., None], 3, axis=2), luma, thermal)


def network(name, settings=()):
    return SUBMISSION(load_recipe(name, "paper", settings), dataset_info("sample")).build().eval()


def saved(name, luma, thermal, settings=()):
    return fuse(network(name, settings), sources(luma, thermal), CPU)


def tensor(image):
    return torch.from_numpy(image.astype(np.float32) / 255)[None, None]


def test_every_rule_by_hand():
    luma = np.array([[0, 10, 255, 7], [1, 2, 254, 100]], dtype=np.uint8)
    thermal = np.array([[0, 20, 255, 8], [0, 5, 255, 99]], dtype=np.uint8)
    assert np.array_equal(saved("infrared", luma, thermal), thermal)
    assert np.array_equal(saved("visible", luma, thermal), luma)
    assert saved("max", luma, thermal).tolist() == [[0, 20, 255, 8], [1, 5, 255, 100]]
    assert saved("average", luma, thermal).tolist() == [[0, 15, 255, 8], [1, 4, 255, 100]]  # halves up


@pytest.mark.parametrize("name", ["infrared", "visible", "average", "max"])
def test_a_rule_is_its_control_bit_for_bit_on_every_two_levels(name):
    luma, thermal = (grid.astype(np.uint8) for grid in np.mgrid[:256, :256])
    assert np.array_equal(saved(name, luma, thermal), CONTROLS[name](sources(luma, thermal), "any"))
    for seed in range(5):
        luma, thermal = images(33, 47, seed)
        assert np.array_equal(saved(name, luma, thermal), CONTROLS[name](sources(luma, thermal), "any"))


@pytest.mark.parametrize(
    "size", [(32, 32), (64, 48), (33, 47), (97, 35), (7, 64), (5, 5), (4, 9), (2, 2), (1, 1), (1, 50)]
)
@pytest.mark.parametrize("levels", [1, 4, 12])
def test_the_pyramid_of_two_equal_images_is_the_image(size, levels):
    (image,) = images(*size, count=1)
    fused = LaplacianPyramid(levels)(tensor(image), tensor(image))
    assert fused.shape == (1, 1, *size)
    assert torch.allclose(fused, tensor(image), rtol=0, atol=2e-6)
    assert np.array_equal(saved("laplacian", image, image, (f"model.levels={levels}",)), image)


def by_scipy(luma, thermal, levels):
    """The same fusion with float64 and scipy's filters, written apart."""

    def blur(image):
        return correlate1d(correlate1d(image, FILTER, 0, mode="mirror"), FILTER, 1, mode="mirror")

    def grow(small, shape):
        return blur(np.kron(small, np.ones((2, 2)))[: shape[0], : shape[1]])

    if levels == 0:
        return (luma + thermal) / 2
    small = [blur(image)[::2, ::2] for image in (luma, thermal)]
    details = [image - grow(one, image.shape) for image, one in zip((luma, thermal), small, strict=True)]
    stronger = np.where(np.abs(details[0]) >= np.abs(details[1]), *details)
    return stronger + grow(by_scipy(*small, levels - 1), luma.shape)


@pytest.mark.parametrize("size", [(96, 96), (80, 101), (71, 83)])
def test_the_pyramid_is_that_of_a_second_implementation(size):
    luma, thermal = images(*size, seed=3)
    expected = by_scipy(luma / 255, thermal / 255, 3)
    found = LaplacianPyramid(3)(tensor(luma), tensor(thermal))[0, 0].numpy()
    assert np.abs(found - expected).max() < 1e-5


def test_the_pyramid_takes_the_stronger_detail_of_either():
    plain = np.full((64, 64), 100, np.uint8)
    marked = plain.copy()
    marked[30:34, 30:34] = 160
    for luma, thermal in ((plain, marked), (marked, plain)):
        fused = saved("laplacian", luma, thermal, ("model.levels=2",)).astype(int)
        assert abs(fused[28:36, 28:36] - marked[28:36, 28:36].astype(int)).max() <= 12  # half of the coarsest level
        assert fused[5:10, 5:10].tolist() == plain[5:10, 5:10].tolist()


def test_the_pyramid_is_the_mean_where_both_are_flat():
    dark, bright = np.full((40, 33), 20, np.uint8), np.full((40, 33), 241, np.uint8)
    assert set(saved("laplacian", dark, bright).ravel().tolist()) == {131}  # 130.5, half up


def test_what_leaves_the_range_is_clipped():
    luma, thermal = (np.where(np.indices((64, 64))[axis] // 3 % 2, 255, 0).astype(np.uint8) for axis in (0, 1))
    raw = LaplacianPyramid(4)(tensor(luma), tensor(thermal))
    assert raw.max() > 1.02
    assert raw.min() < -0.02
    fused = saved("laplacian", luma, thermal)
    assert np.array_equal(fused == 255, (raw[0, 0] >= 1 - 0.5 / 255).numpy())
    assert np.array_equal(fused == 0, (raw[0, 0] < 0.5 / 255).numpy())


@pytest.mark.parametrize("name", RECIPES)
def test_a_batch_is_its_images_one_by_one(name):
    stacks = [torch.cat([tensor(image) for image in images(37, 41, seed, 3)]) for seed in (0, 1)]
    built = network(name)
    together = built(*stacks)
    assert together.shape == (3, 1, 37, 41)
    for place in range(3):
        one = built(*(stack[place : place + 1] for stack in stacks))
        assert torch.allclose(together[place : place + 1], one, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_nothing_is_learnt_or_stored(name):
    submission = SUBMISSION(load_recipe(name), dataset_info("sample"))
    assert submission.parameters() == {"total": 0, "trainable": 0}
    assert submission.recipe.training is None
    assert not submission.build().state_dict()
    trained = load_recipe("tardal-dt")
    recipe = submission.recipe.model_copy(update={"optimizer": trained.optimizer, "schedule": trained.schedule})
    with pytest.raises(BadInputError, match=f"recipe {name}: classical is not trained here; leave optimizer and"):
        SUBMISSION(recipe, dataset_info("sample"))


@pytest.mark.parametrize("name", RECIPES)
def test_what_it_costs_at_the_stated_size(name):
    (row,) = count_networks([name])["networks"]
    assert (row["image_size"], row["parameters"]) == ([768, 1024], 0)
    # two filters of 5 taps down and two up, a level, of two images; and up once more for the fused one
    pixels = [768 * 1024 // 4**level for level in range(4)]
    assert row["macs"] == (sum(pixels) * 10 * 5 if name == "laplacian" else 0)
    smaller = count_networks([name], size=(384, 512))["networks"][0]["macs"]
    assert smaller == row["macs"] / 4


def test_ratios_to_a_network_without_macs_are_none(bench):
    rows = count_networks(["average", "laplacian", "tardal-dt"], size=(64, 64))["networks"]
    assert [row["macs_ratio"] for row in rows] == [None, None, None]
    assert [row["parameters_ratio"] for row in rows] == [None, None, None]
    code, out, err = bench("count", "average", "laplacian", "--size", 64, 64)
    assert (code, "laplacian" in out, "None" in out, "nan" in out) == (0, True, False, False), err


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("laplacian", "model.levels=0", "levels"),
        ("laplacian", "model.levels=13", "levels"),
        ("laplacian", "model.levels=2.5", "levels"),
        ("laplacian", "model.levels=null", "levels goes with the rule laplacian alone"),
        ("laplacian", "model.rule=max", "levels goes with the rule laplacian alone"),
        ("max", "model.rule=median", "rule"),
        ("max", "model.image_size=[31, 64]", "image_size"),
        ("max", "model.image_size=64", "image_size"),
        ("max", "modalities=[thermal]", r"modalities: fusion is of both; write \[rgb, thermal\]"),
        ("max", "pretrained=timm", "timm has no such network"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name, setting, message):
    def start():
        submission = SUBMISSION(load_recipe(name, "paper", (setting,)), dataset_info("sample"))
        submission.initialise(submission.build())

    with pytest.raises((BadInputError, UsageError), match=message):
        start()


def test_rules_are_all_there():
    assert set(RULES) | {"laplacian"} == set(RECIPES)
    assert all(isinstance(Rule(rule), nn.Module) for rule in RULES.values())
