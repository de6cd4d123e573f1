import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rgbt_bench.devices import resolve_device
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.recipes import OptimizerConfig
from rgbt_bench.training.checkpoints import load_weights, save_weights
from rgbt_bench.training.loop import DivergedError
from rgbt_bench.training.task import build_optimizer
from training_cases import ADAM, KilledError, Line, run


def test_training_lowers_the_loss_and_leaves_its_files(tmp_path):
    state = run(Line(), tmp_path, epochs=20)
    history = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert len(history) == state.epoch == 20
    assert history[-1]["val"]["total"] < 0.2 * history[0]["val"]["total"]
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert set(load_file(tmp_path / "weights.safetensors")) == set(Line().model.state_dict())


@pytest.mark.parametrize(
    "optimizer",
    [ADAM, OptimizerConfig(name="adamw", learning_rate=0.05, weight_decay=0.1, schedule="one-cycle", clip_norm=1.0)],
    ids=["constant", "one-cycle"],
)
def test_a_killed_training_resumes_to_the_same_bits(tmp_path, optimizer):
    run(Line(optimizer, steps=24), tmp_path / "whole")

    def kill(stage, done, total):
        if stage == "training" and done == 3:
            raise KilledError

    with pytest.raises(KilledError):
        run(Line(optimizer, steps=24), tmp_path / "killed", kill)
    assert not (tmp_path / "killed" / "weights.safetensors").exists()
    state = run(Line(optimizer, steps=24), tmp_path / "killed")
    assert state.epoch == 6
    whole, resumed = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == resumed
    losses = [
        [
            (row["train"], row["val"])
            for row in map(json.loads, (tmp_path / name / "losses.jsonl").read_text().splitlines())
        ]
        for name in ("whole", "killed")
    ]
    assert losses[0] == losses[1]


def test_killed_in_the_middle_of_an_epoch_repeats_that_epoch(tmp_path):
    run(Line(), tmp_path / "whole")
    calls = iter(range(1000))

    def kill(stage, done, total):
        if next(calls) == 13:
            raise KilledError

    with pytest.raises(KilledError):
        run(Line(), tmp_path / "killed", kill)
    run(Line(), tmp_path / "killed")
    assert (tmp_path / "whole/weights.safetensors").read_bytes() == (
        tmp_path / "killed/weights.safetensors"
    ).read_bytes()


def test_another_seed_gives_other_weights(tmp_path):
    run(Line(), tmp_path / "one", seed=1)
    run(Line(), tmp_path / "two", seed=2)
    assert (tmp_path / "one/weights.safetensors").read_bytes() != (tmp_path / "two/weights.safetensors").read_bytes()


def test_early_stopping_counts_epochs_without_a_lower_validation_loss(tmp_path):
    state = run(Line(val_losses=[5.0, 4.0, 4.0, 4.5, 3.0, 2.0]), tmp_path, patience=2)
    assert (state.epoch, state.best_epoch, state.best_loss) == (4, 2, 4.0)


def test_best_keeps_the_weights_of_the_lowest_validation_loss(tmp_path):
    run(Line(val_losses=[3.0, 1.0, 2.0]), tmp_path / "best", epochs=3, keep="best")
    run(Line(val_losses=[3.0, 1.0]), tmp_path / "two", epochs=2, keep="last")
    run(Line(val_losses=[3.0, 1.0, 2.0]), tmp_path / "last", epochs=3, keep="last")
    best, two, last = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("best", "two", "last"))
    assert best == two != last


def test_accumulation_over_two_halves_equals_the_whole_batch(tmp_path):
    class Halves(Line):
        def __init__(self, parts):
            super().__init__(OptimizerConfig(name="sgd", learning_rate=0.1, weight_decay=0.0))
            self.model = nn.Linear(1, 1).double()
            torch.manual_seed(3)
            nn.init.normal_(self.model.weight)
            built, self.schedulers = build_optimizer(
                OptimizerConfig(name="sgd", learning_rate=0.1, weight_decay=0.0), self.model.parameters(), 1
            )
            self.optimizers = {"main": built}
            self.parts = parts

        def batches(self, epoch):
            return list(torch.linspace(0, 1, 8, dtype=torch.float64)[:, None].chunk(self.parts))

        def validation_batches(self):
            return []

    run(Halves(1), tmp_path / "whole", epochs=3)
    run(Halves(4), tmp_path / "parts", epochs=3, accumulate=4)
    whole, parts = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts"))
    for name in whole:
        assert torch.allclose(whole[name], parts[name], rtol=1e-12, atol=0)


def test_the_last_window_of_an_epoch_takes_what_is_left(tmp_path):
    state = run(Line(batches=5), tmp_path, epochs=2, accumulate=2)
    assert state.step == 6  # 2 + 2 + 1 batches an epoch


def test_max_steps_ends_a_training(tmp_path):
    state = run(Line(), tmp_path, max_steps=5)
    assert (state.step, state.epoch, state.finished) == (5, 2, True)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(DivergedError, match=r"epoch 3, step 9: the loss 'total' is nan"):
        run(Line(poison_at=8), tmp_path)
    assert json.loads((tmp_path / "checkpoint/state.json").read_text())["epoch"] == 2
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize("damaged", ["model-2.safetensors", "optimizer-2.pt", "state.json"])
def test_a_damaged_checkpoint_says_what_to_delete(tmp_path, damaged):
    def kill(stage, done, total):
        if stage == "training" and done == 2:
            raise KilledError

    with pytest.raises(KilledError):
        run(Line(), tmp_path, kill)
    path = tmp_path / "checkpoint" / damaged
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"{}"):
        path.write_bytes(content)
        with pytest.raises(BadInputError, match="delete the folder to train again"):
            run(Line(), tmp_path)
    if damaged != "state.json":
        path.unlink()
        with pytest.raises(BadInputError, match="delete the folder to train again"):
            run(Line(), tmp_path)


def test_a_checkpoint_of_before_processes_were_counted_is_one_processs_and_another_number_is_refused(tmp_path):
    def kill(stage, done, total):
        if stage == "training" and done == 2:
            raise KilledError

    run(Line(), tmp_path / "whole")
    with pytest.raises(KilledError):
        run(Line(), tmp_path / "old", kill)
    path = tmp_path / "old/checkpoint/state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps(state | {"processes": 2}))
    with pytest.raises(UsageError, match="begun with 2 and not to be resumed with 1 processes"):
        run(Line(), tmp_path / "old")
    assert state.pop("processes") == 1
    path.write_text(json.dumps(state))
    run(Line(), tmp_path / "old")
    whole, old = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "old"))
    assert whole == old


def test_losses_are_means_over_samples_not_over_batches(tmp_path):
    class Uneven(Line):
        def validation_batches(self):
            return [torch.zeros(6, 1), torch.ones(2, 1)]

        def losses(self, batch):
            return super().losses(batch) if self.model.training else {"total": batch.mean()}

    assert run(Uneven(), tmp_path, epochs=1).history[0]["val"] == {"total": 0.25}


def test_weights_of_another_network_are_named(tmp_path):
    save_weights(tmp_path / "w.safetensors", nn.Linear(2, 2))
    with pytest.raises(BadInputError, match="weights of another network"):
        load_weights(tmp_path / "w.safetensors", nn.Linear(3, 2))
    (tmp_path / "junk.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(BadInputError, match="not a safetensors file"):
        load_weights(tmp_path / "junk.safetensors", nn.Linear(3, 2))
    with pytest.raises(MissingError, match="no such weights file"):
        load_weights(tmp_path / "none.safetensors", nn.Linear(3, 2))
    whole = {name: tensor.to(torch.int8) for name, tensor in nn.Linear(3, 2).state_dict().items()}
    save_file(whole, tmp_path / "w.safetensors")
    with pytest.raises(BadInputError, match=r"another network: \w+ is torch.int8, not torch.float32"):
        load_weights(tmp_path / "w.safetensors", nn.Linear(3, 2))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path, value):
    broken = nn.Linear(3, 2)
    nn.init.constant_(broken.bias, value)
    save_weights(tmp_path / "w.safetensors", broken)
    with pytest.raises(BadInputError, match=r"w.safetensors: bias has values that are not finite"):
        load_weights(tmp_path / "w.safetensors", nn.Linear(3, 2))


def test_only_trainable_parameters_reach_the_optimiser():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    model[0].requires_grad_(False)
    optimizer, _ = build_optimizer(ADAM, model.parameters(), 10)
    assert [id(p) for group in optimizer.param_groups for p in group["params"]] == [
        id(p) for p in model[1].parameters()
    ]


def test_devices_that_are_not_here_are_named():
    with pytest.raises(UsageError, match="choose one of auto, cpu, cuda"):
        resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(MissingError, match="no such device"):
            resolve_device("cuda")
    assert resolve_device("cpu").type == "cpu"


def test_the_linear_schedule_falls_to_its_share_and_momentum_is_the_recipes():
    config = OptimizerConfig(
        name="sgd", learning_rate=0.5, weight_decay=0.0, momentum=0.7, schedule="linear", final=0.2
    )
    optimizer, schedulers = build_optimizer(config, nn.Linear(1, 1).parameters(), 5)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedulers["linear"].step()
    assert rates == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])
    assert optimizer.param_groups[0]["momentum"] == 0.7
