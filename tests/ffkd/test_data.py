"""FFKD's batches as a training gets them: the same from the loader's thread, and no draw of its own."""

import pytest
import torch

from rgbt_baselines.ffkd.data import Batches
from rgbt_baselines.ffkd.submission import Ffkd
from rgbt_bench.recipes import load_recipe

JITTERED = ("model.image_size=64", "augment.colour_jitter=0.4", "augment.zoom=[0.5, 1.5]")


@pytest.fixture
def batches(tiny):
    method = Ffkd(load_recipe("ffkd-student-fusion", "quick", JITTERED), tiny.info)
    return Batches(tiny.part("train"), method.model, ("rgb", "thermal"), 5, augment=method.augment, seed=3)


def tensors(batch):
    return [*batch.images.values(), batch.boxes, batch.labels, batch.index, batch.scale]


def test_the_thread_changes_no_batch(batches):
    for epoch in (0, 1):
        loaded = list(batches.epoch(epoch))
        plain = [batches.collate([batches.view[index] for index in share]) for share in batches._shares(epoch)]
        assert len(loaded) == len(plain) == 3
        for one, other in zip(loaded, plain, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def test_the_thread_draws_nothing_from_the_global_generator(batches):
    torch.manual_seed(0)
    coming = batches.epoch(0)  # what torch's loader draws, it draws here
    state = torch.get_rng_state()
    assert len(list(coming)) == 3
    assert torch.equal(torch.get_rng_state(), state)
