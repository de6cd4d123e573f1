"""IFCNN: its published weights in our network, against the same arithmetic written once more."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import conv2d, pad

from rgbt_baselines.ifcnn.model import Ifcnn
from rgbt_baselines.ifcnn.submission import IfcnnMax, our_name
from rgbt_bench.datasets.sample import INFO
from rgbt_bench.errors import BadInputError
from rgbt_bench.fused_images import Sources
from rgbt_bench.fusion.submission import fuse
from rgbt_bench.metrics.fusion import fusion_figures, luma_of
from rgbt_bench.recipes import load_recipe

DATA = Path(__file__).parents[3] / "shared" / "data"
WEIGHTS = DATA / "weights" / "IFCNN-MAX.pth"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason="no ../shared/data/weights/IFCNN-MAX.pth here")


def submission(**changed):
    return IfcnnMax(load_recipe("ifcnn").model_copy(update=changed), INFO)


def published():
    network = Ifcnn()
    submission().load_pretrained(WEIGHTS, network)
    return network.eval()


def by_hand(tensors, luma, thermal):
    """The published arithmetic from the file's own tensors, without our network."""

    def unit(features, name):
        features = conv2d(pad(features, (1, 1, 1, 1), "replicate"), tensors[f"{name}.conv.weight"])
        of = lambda part: tensors[f"{name}.bn.{part}"].view(1, -1, 1, 1)  # noqa: E731
        return ((features - of("running_mean")) / (of("running_var") + 1e-5).sqrt() * of("weight") + of("bias")).clamp(
            min=0
        )

    seen = []
    for image in (luma, thermal):
        three = torch.cat([image] * 3, dim=1)
        seen.append(unit(conv2d(pad(three, (3, 3, 3, 3), "replicate"), tensors["conv1.weight"]), "conv2"))
    fused = unit(torch.where(seen[0] > seen[1], seen[0], seen[1]), "conv3")
    channels = conv2d(fused, tensors["conv4.weight"], tensors["conv4.bias"]).clamp(0, 1)
    return 0.299 * channels[:, :1] + 0.587 * channels[:, 1:2] + 0.114 * channels[:, 2:]


def test_it_has_its_parameters_and_any_size_goes_through():
    network = Ifcnn().eval()
    assert sum(one.numel() for one in network.parameters()) == 83_587
    assert submission().parameters()["total"] == 83_587
    assert submission().parameters()["trainable"] == 0
    with torch.no_grad():
        found = network(torch.rand(2, 1, 33, 47), torch.rand(2, 1, 33, 47))
    assert found.shape == (2, 1, 33, 47)
    assert 0 <= found.min() <= found.max() <= 1


@needs_weights
def test_every_published_tensor_has_its_place():
    theirs = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
    ours = published().state_dict()
    assert {our_name(name) for name in theirs} == {name for name in ours if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(ours[our_name(name)], tensor) for name, tensor in theirs.items())


@needs_weights
@pytest.mark.parametrize("size", [(40, 56), (33, 47)])
def test_published_weights_give_the_published_arithmetic(size):
    generator = torch.Generator().manual_seed(0)
    luma, thermal = (torch.rand(2, 1, *size, generator=generator) for _ in range(2))
    with torch.no_grad():
        found = published()(luma, thermal)
        expected = by_hand(torch.load(WEIGHTS, map_location="cpu", weights_only=True), luma, thermal)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@needs_weights
def test_an_image_fused_with_itself_comes_back():
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(30, 220, (8, 8)), np.ones((12, 12))).astype(np.uint8)
    found = fuse(published(), Sources(np.stack([smooth] * 3, axis=2), smooth, smooth), torch.device("cpu"))
    assert np.abs(found.astype(int) - smooth).mean() < 3


@needs_weights
def test_real_pairs_are_fused_into_something_of_both():
    from PIL import Image as Pillow

    folder = DATA / "RoadScene"
    if not folder.is_dir():
        pytest.skip("no ../shared/data/RoadScene here")
    for path in sorted((folder / "crop_LR_visible").glob("*.jpg"))[:2]:
        with Pillow.open(path) as visible, Pillow.open(folder / "cropinfrared" / path.name) as infrared:
            rgb, thermal = np.asarray(visible.convert("RGB")), np.asarray(infrared.convert("L"))
        luma = luma_of(rgb)
        found = fuse(published(), Sources(rgb, luma, thermal), torch.device("cpu"))
        average = ((luma.astype(int) + thermal) // 2).astype(np.uint8)
        names = ("AG", "SF", "EN", "Qabf")
        mine, theirs = (fusion_figures(luma, thermal, one, names) for one in (found, average))
        assert all(mine[name] > theirs[name] for name in names), "sharper than the average, with more edges of both"


@needs_weights
def test_a_run_keeps_the_weights_in_our_names(tmp_path):
    path = tmp_path / "weights.safetensors"
    submission(pretrained=str(WEIGHTS)).write_weights(path)
    network = Ifcnn()
    submission().load_pretrained(path, network)  # and reads them again as it reads the published ones
    assert all(torch.equal(tensor, published().state_dict()[name]) for name, tensor in network.state_dict().items())


def test_without_weights_it_says_what_to_give(tmp_path):
    with pytest.raises(BadInputError, match="--set pretrained=FILE"):
        submission().write_weights(tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tensors: tensors.pop("output.bias"), "missing output.bias"),
        (lambda tensors: tensors.update(conv9=torch.zeros(1)), "unexpected conv9"),
        (lambda tensors: tensors.update({"stem.weight": torch.zeros(64, 1, 7, 7)}), "stem.weight has shape"),
        (lambda tensors: tensors["output.bias"].fill_(torch.nan), "not finite"),
    ],
)
def test_other_weights_are_refused(spoil, message, tmp_path):
    tensors = {name: tensor.clone() for name, tensor in Ifcnn().state_dict().items()}
    spoil(tensors)
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(BadInputError, match=message):
        submission().load_pretrained(tmp_path / "other.safetensors", Ifcnn())
    assert load_file(tmp_path / "other.safetensors")
