"""What every segmentation submission does: train, resume, predict its share, count and be timed."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rgbt_bench.errors import BadInputError, UsageError
from rgbt_bench.label_maps import read_label_maps, write_label_map
from rgbt_bench.progress import no_progress
from rgbt_bench.schema import Labels
from rgbt_bench.segmentation.outputs import Outputs
from rgbt_bench.segmentation.submission import _predict
from rgbt_bench.submissions import TrainContext
from rgbt_bench.training.checkpoints import save_weights
from rgbt_bench.training.processes import Processes
from segmentation_cases import Tiny, tiny_net, tiny_recipe


class KilledError(Exception):
    pass


def context(tiny, folder, val=True, progress=no_progress):
    folder.mkdir(exist_ok=True)
    return TrainContext(folder, tiny.part("train"), tiny.part("val") if val else None, 7, "cpu", progress=progress)


def weights(method, folder, seed=0):
    torch.manual_seed(seed)
    save_weights(folder / "w.safetensors", method.build())
    return folder / "w.safetensors"


def predicted(method, path, part):
    return list(method.predict(path, part, "cpu", no_progress))


def test_a_resumed_training_has_the_same_bits(tiny, tmp_path):
    exponential = {"schedule": "exponential", "gamma": 0.5}
    method = tiny_net(tiny.info, optimizer=exponential, augment={"mirrored_epoch": True}, schedule={"keep": "best"})
    method.train("train", context(tiny, tmp_path / "whole"))

    def kill(stage, done, total):
        if stage == "epoch 2, step 8":
            raise KilledError

    with pytest.raises(KilledError):
        method.train("train", context(tiny, tmp_path / "halved", progress=kill))
    assert not (tmp_path / "halved" / "weights.safetensors").exists()
    method.train("train", context(tiny, tmp_path / "halved"))
    whole, halved = (tmp_path / name / "weights.safetensors" for name in ("whole", "halved"))
    assert whole.read_bytes() == halved.read_bytes()
    torch.manual_seed(7)
    assert not torch.equal(load_file(whole)["head.weight"], method.build().head.weight)


def test_validation_is_the_val_part_as_it_is(tiny, tmp_path):
    found = []

    class Watched(Tiny):
        def task(self, training, context):
            found.extend(training.val.in_order())
            raise KilledError

    drawn = tiny_recipe(augment={"flip": 1.0, "crop": 0.3, "mirrored_epoch": True})
    with pytest.raises(KilledError):
        Watched(drawn, tiny.info).train("train", context(tiny, tmp_path))
    plain = list(tiny_net(tiny.info).batches(tiny.part("val")).in_order())
    assert [one.keys for one in found] == [one.keys for one in plain]
    assert all(torch.equal(one.labels, other.labels) for one, other in zip(found, plain, strict=True))


def test_the_learning_rate_falls_by_epochs(tiny, tmp_path):
    method = tiny_net(tiny.info, optimizer={"schedule": "exponential", "gamma": 0.5}, schedule={"accumulate": 2})
    rates = []

    class Watched(Tiny):
        def task(self, training, context):
            task = super().task(training, context)
            original = task.losses

            def losses(batch):
                if task.model.training:
                    rates.append(task.optimizers["main"].param_groups[0]["lr"])
                return original(batch)

            task.losses = losses
            return task

    Watched(method.recipe, tiny.info).train("train", context(tiny, tmp_path))
    assert rates == [0.1] * 3 + [0.05] * 3 + [0.025] * 3


def test_what_is_predicted_depends_on_no_batch_size(tiny, tmp_path):
    part = tiny.part("test")
    found = {}
    for size in (1, 5, 12):
        method = tiny_net(tiny.info, schedule={"batch_size": size})
        found[size] = predicted(method, weights(method, tmp_path), part)
        assert [one.index for one in found[size]] == list(range(12))
    for one, *others in zip(*found.values(), strict=True):
        for other in others:
            assert np.array_equal(one.labels, other.labels)
            assert np.abs(one.edges.astype(int) - other.edges).max() <= 1
    assert len({one.labels.tobytes() for one in found[1]}) > 1


def test_two_shares_together_are_the_part(tiny, tmp_path, monkeypatch):
    method = tiny_net(tiny.info, schedule={"batch_size": 5})
    path, part = weights(method, tmp_path), tiny.part("test")
    whole = predicted(method, path, part)
    shares = []
    for rank in range(2):
        monkeypatch.setattr("rgbt_bench.training.batches.processes", lambda rank=rank: Processes(rank, 2))
        shares += predicted(method, path, part)
    assert sorted(one.index for one in shares) == list(range(12))
    for one in shares:
        assert np.array_equal(one.labels, whole[one.index].labels)
        assert np.array_equal(one.edges, whole[one.index].edges)


def test_label_maps_have_the_samples_size_and_edges_their_grid(tiny, tmp_path):
    method = tiny_net(tiny.info)  # trained at 48 x 48, the samples are 96 x 96
    for one in predicted(method, weights(method, tmp_path), tiny.part("test")):
        assert (one.labels.dtype, one.labels.shape) == (np.uint8, (96, 96))
        assert one.labels.max() < 4
        assert (one.edges.dtype, one.edges.shape) == (np.uint8, (48, 48))
        assert (one.edges.min(), one.edges.max()) == (0, 255)


def fixed(logits, edges):
    return lambda *images: Outputs(logits, edges)


def test_logits_are_enlarged_before_the_best_class_is_chosen(tiny):
    method = tiny_net(tiny.info)
    batch = next(method.batches(tiny.part("test"), with_masks=False).in_order())
    logits = torch.zeros(4, 2, 2, 2)
    logits[:, 1] = torch.tensor([[3.0, -1.0], [-1.0, -1.0]])
    edges = torch.tensor([[2.0, 4.0], [6.0, 4.0]]).expand(4, 1, 2, 2)
    sizes = [(2, 2), (4, 4), (3, 5), (2, 2)]
    found = _predict(fixed(logits, edges), batch, sizes)
    assert [one.labels.shape for one in found] == sizes
    assert found[0].labels.tolist() == [[1, 0], [0, 0]]
    # the first row is 3, 2, 0, -1, the second 2, 1.25, -0.25, -1: chosen in small, it would be one pixel in four
    assert found[1].labels.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert found[0].edges.tolist() == [[0, 128], [255, 128]]
    assert [one.edges.shape for one in found] == sizes


def test_edges_of_a_sample_that_the_step_does_not_divide_are_written_and_read(tiny, tmp_path):
    method = tiny_net(tiny.info)
    batch = next(method.batches(tiny.part("test"), with_masks=False).in_order())
    logits, edges = torch.rand(4, 2, 32, 32), torch.rand(4, 1, 8, 8)
    sizes = [(97, 101), (30, 64), (96, 35), (33, 33)]
    labels = [Labels(sample_id=f"s{width}", width=width, height=height) for height, width in sizes]
    for one, about in zip(_predict(fixed(logits, edges), batch, sizes), labels, strict=True):
        write_label_map(tmp_path, about, tiny.info, one)
    again = read_label_maps(tmp_path, labels, tiny.info)
    assert [one.edges.shape for one in again] == [(25, 26), (8, 16), (24, 9), (9, 9)]


def test_an_edge_map_of_one_value_is_no_edge(tiny):
    method = tiny_net(tiny.info)
    batch = next(method.batches(tiny.part("test"), with_masks=False).in_order())
    (first, *_) = _predict(fixed(torch.zeros(4, 2, 4, 4), torch.full((4, 1, 2, 2), 0.7)), batch, [(4, 4)] * 4)
    assert first.edges.tolist() == [[0, 0], [0, 0]]
    (first, *_) = _predict(fixed(torch.zeros(4, 2, 4, 4), None), batch, [(4, 4)] * 4)
    assert first.edges is None


def test_inference_mode_ends_between_two_label_maps(tiny, tmp_path):
    method = tiny_net(tiny.info)
    for _ in method.predict(weights(method, tmp_path), tiny.part("test"), "cpu", no_progress):
        assert not torch.is_inference_mode_enabled()


def test_a_set_without_label_maps_is_refused(tiny):
    without = tiny.info.model_copy(update={"mask_classes": ()})
    with pytest.raises(BadInputError, match="recipe tiny-net: sample has no label maps"):
        tiny_net(without)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("model", {"image_size": [48]}, "model: image_size"),
        ("model", {"image_size": [48, 16]}, "model: image_size.1"),
        ("model", {"image_siz": 1}, "Did you mean 'image_size'"),
        ("augment", {"flip": 1.5}, "augment: flip"),
        ("augment", {"crop": 0.5}, "augment: crop"),
        ("loss", {"ce": 1.0}, "unknown key 'ce'"),
    ],
)
def test_sections_that_do_not_fit_are_refused(tiny, section, change, message):
    with pytest.raises(BadInputError, match=message):
        tiny_net(tiny.info, **{section: change})


def test_pretrained_is_a_file_of_the_same_network_or_nothing(tiny, tmp_path):
    path = weights(tiny_net(tiny.info), tmp_path, seed=5)
    method = Tiny(tiny_recipe(pretrained=str(path)), tiny.info)
    network = method.build()
    method.initialise(network, context(tiny, tmp_path / "run"))
    assert all(torch.equal(load_file(path)[name], tensor) for name, tensor in network.state_dict().items())
    with pytest.raises(BadInputError, match="timm has no weights of this network"):
        Tiny(tiny_recipe(pretrained="timm"), tiny.info).initialise(network, context(tiny, tmp_path / "run"))


def test_without_a_val_part_nothing_is_selected_unseen(tiny, tmp_path):
    with pytest.raises(UsageError, match="no val part to select on"):
        tiny_net(tiny.info, schedule={"keep": "best"}).train("train", context(tiny, tmp_path, val=False))


def test_parameters_are_counted_by_module_without_building_them(tiny):
    found = tiny_net(tiny.info).parameters()
    stem, head, edge = 4 * 8 * 9 + 8 + 16, 8 * 4 * 9 + 4, 8 + 1
    assert found == {
        "stem": stem, "head": head, "edge": edge, "up": 0, "total": stem + head + edge, "trainable": stem + head + edge
    }  # fmt: skip


def test_what_is_timed_is_the_forward_pass_at_the_recipes_size(tiny):
    subject = tiny_net(tiny.info, model={"image_size": [48, 64]}).latency_subject(2, torch.device("cpu"))
    assert subject.image_size == (48, 64)
    assert subject.forward().logits.shape == (2, 4, 48, 64)
    assert subject.macs == 24 * 32 * (4 * 8 * 9 + 8 * 4 * 9 + 8)
    assert subject.parameters == tiny_net(tiny.info).parameters()["total"]
