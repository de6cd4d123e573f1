"""What a fusion run refuses: a method without its weights before anything is run, and values that are none."""

import numpy as np
import pytest
import torch

from rgbt_bench.errors import BadInputError
from rgbt_bench.fused_images import Sources
from rgbt_bench.fusion.submission import fuse
from rgbt_bench.harness import execute
from rgbt_bench.runs import plan_run


def test_a_method_without_its_weights_is_refused_before_anything_is_run(tiny, home):
    with pytest.raises(BadInputError, match="it trains nothing, so it needs weights"):
        execute(plan_run("ifcnn", tiny), tiny, "cpu")
    assert not list((home / "runs").glob("*/*/*/run.json"))


@torch.no_grad()
def test_values_that_are_not_finite_are_no_black_image():
    grey = np.full((40, 48), 9, np.uint8)
    sources = Sources(np.stack([grey] * 3, axis=2), grey, grey)
    with pytest.raises(BadInputError, match="sample 7: the fused image has values that are not finite"):
        fuse(lambda luma, thermal: luma / 0, sources, torch.device("cpu"), "sample 7")
