"""The published weights on real pairs: what they find says whether mapping and preprocessing are theirs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from flir_cases import put
from rgbt_baselines.mfnet.submission import Mfnet
from rgbt_baselines.mfnet.weights import load_published
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.datasets.torch_views import decode_mask
from rgbt_bench.plain_yaml import read_mapping
from rgbt_bench.progress import no_progress
from rgbt_bench.recipes import Recipe
from rgbt_bench.registry import recipe_files
from rgbt_bench.training.checkpoints import save_weights
from rgbt_converters.mfnet import Mfnet as Converted

DATA = Path(__file__).parents[3] / "shared" / "data"
PAIRS = DATA / "MFNet"
WEIGHTS = DATA / "weights" / "MFNet_final.pth"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Two real test pairs by day, two by night, and two others, converted."""
    for path in (PAIRS, WEIGHTS):
        if not path.exists():
            pytest.skip(f"no real data at {path}: it may not be committed")
    base = tmp_path_factory.mktemp("real") / "original"
    lists = {"test": ["01200N", "01201N", "01500D", "01501D"], "train": ["00101D"], "val": ["00501D"]}
    for part, ids in lists.items():
        put(base / f"{part}.txt", "".join(f"{one}\n" for one in ids))
        for one in ids:
            for folder in ("images", "labels"):
                put(base / folder / f"{one}.png", (PAIRS / folder / f"{one}.png").read_bytes())
    convert(Converted(), base, base.with_name("set"))
    return Dataset(base.with_name("set"))


@pytest.mark.slow
def test_published_weights_segment_real_pairs(real, tmp_path):
    recipe = Recipe.model_validate(read_mapping(recipe_files()["mfnet-rgbt"], "a recipe"))
    method = Mfnet(recipe, real.info)
    network = method.build()
    load_published(WEIGHTS, network)
    save_weights(tmp_path / "w.safetensors", network)
    part = real.part("test")
    confusion = np.zeros((9, 9), int)
    for one in method.predict(tmp_path / "w.safetensors", part, "cpu", no_progress):
        truth = decode_mask(part[one.index].mask)[0].numpy()
        confusion += np.bincount(truth.ravel() * 9 + one.labels.ravel(), minlength=81).reshape(9, 9)
    assert confusion.sum() == 4 * 480 * 640
    overlap = np.diag(confusion) / np.maximum(confusion.sum(0) + confusion.sum(1) - np.diag(confusion), 1)
    # 0.62 and 0.46; with another slope of the leaky ReLU they are 0.31 and 0.19
    assert overlap[1] > 0.55, "car"
    assert overlap[2] > 0.4, "person"


def test_the_published_file_fills_the_whole_network():
    if not WEIGHTS.exists():
        pytest.skip(f"no published weights at {WEIGHTS}: they may not be committed")
    method = Mfnet(Recipe.model_validate(read_mapping(recipe_files()["mfnet-rgbt"], "a recipe")), Converted.info)
    torch.manual_seed(0)
    network = method.build()
    before = {name: one.clone() for name, one in network.state_dict().items()}
    load_published(WEIGHTS, network)
    kept = [name for name, one in network.state_dict().items() if torch.equal(one, before[name])]
    assert all(name.endswith("num_batches_tracked") for name in kept)
