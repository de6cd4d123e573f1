"""Counting networks side by side, on the meta device."""

import pytest

from rgbt_bench.counting import count_networks
from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.opening import dataset_info
from rgbt_bench.recipes import load_recipe
from rgbt_bench.registry import load_submission


def test_rows_have_the_counts_of_the_networks_and_ratios_to_the_first():
    first, second = count_networks(["mfnet-rgbt", "mfnet-thermal", "mfnet-rgbt"])["networks"]
    for row in (first, second):
        recipe = load_recipe(row["recipe"])
        assert row["parameters"] == load_submission("mfnet")(recipe, dataset_info("mfnet")).parameters()["total"]
    assert (first["parameters_ratio"], first["macs_ratio"]) == (1, 1)
    assert second["macs_ratio"] == second["macs"] / first["macs"] < 1
    assert second["modalities"] == ["thermal"]


def test_at_half_the_size_a_convolutional_network_needs_a_quarter():
    (whole,), (half,) = (count_networks(["mfnet-rgbt"], size=size)["networks"] for size in ((480, 640), (240, 320)))
    assert (half["image_size"], half["macs"] * 4) == ([240, 320], whole["macs"])


def test_the_macs_of_one_convolution_are_those_counted_by_hand():
    """MFNet's first RGB convolution: 480 * 640 * 16 * 3 * 3 * 3 of the whole."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network = load_submission("mfnet")(load_recipe("mfnet-rgbt"), dataset_info("mfnet")).build().to("meta")
    counter = FlopCounterMode(display=False)
    with counter:
        network(torch.empty(1, 3, 480, 640, device="meta"), torch.empty(1, 1, 480, 640, device="meta"))
    flops = [sum(found.values()) for name, found in counter.get_flop_counts().items() if name.count(".") > 1]
    assert 480 * 640 * 16 * 27 * 2 in flops
    assert count_networks(["mfnet-rgbt"])["networks"][0]["macs"] == counter.get_total_flops() // 2


def test_a_ratio_to_nothing_is_none_and_prints_as_nothing(bench):
    rows = count_networks(["average", "laplacian", "ifcnn"])["networks"]
    assert {row["parameters_ratio"] for row in rows} == {row["macs_ratio"] for row in rows} == {None}
    code, out, _ = bench("count", "average", "ifcnn")
    assert (code, "None" in out, "83,587" in out) == (0, False, True)


@pytest.mark.parametrize(
    ("names", "options", "kind", "message"),
    [
        (["mfnet-rgtb"], {}, UsageError, "Did you mean 'mfnet-rgbt'"),
        (["ffkd-student"], {"size": (480, 640)}, BadInputError, "model: image_size"),
        (["mfnet-rgbt"], {"size": (480, 641)}, BadInputError, "image_size"),
        (["mfnet-rgbt"], {"preset": "fast"}, UsageError, "unknown preset"),
    ],
)
def test_what_cannot_be_counted_is_said(names, options, kind, message):
    with pytest.raises(kind, match=message):
        count_networks(names, **options)
