"""Runs with weights from elsewhere: the same figures, their own folder, and never taken for trained here."""

import json
import re
import shutil
import struct

import pytest

from cli_cases import only_object
from model_cases import OPTIONS, RECIPE, SETTINGS, contents
from rgbt_bench.comparing import compare
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import MissingError, UsageError
from rgbt_bench.files import read_json, sha256_file
from rgbt_bench.finding import find_run, read_run
from rgbt_bench.given import plan_given
from rgbt_bench.results import read_result
from rgbt_bench.runs import plan_run
from rgbt_bench.sides import find_side
from run_cases import make_done, make_folder

HUB = "hub:someone/model@" + "a" * 40


@pytest.fixture
def weights(trained, tmp_path):
    """The trained weights as somebody else's file."""
    return shutil.copy(trained / "weights.safetensors", tmp_path / "theirs.safetensors")


@pytest.fixture
def run(bench, tiny_folder):
    """Run the small recipe with weights; return the exit code, the one object, and stderr."""

    def call(weights, *options):
        code, out, err = bench(
            "run", RECIPE, "--dataset", tiny_folder, *OPTIONS, "--weights", weights, *options, "--json"
        )
        return code, only_object(out), err

    return call


def folders(home):
    return {path.parent for path in (home / "runs").glob("*/*/*/run.json")}


def test_a_file_of_weights_finds_what_the_trained_run_found(run, trained, weights, home):
    before = contents(trained)
    code, content, err = run(weights)
    assert code == 0, err
    (folder,) = folders(home) - {trained}
    assert content["folder"] == str(folder)
    assert folder.parent == trained.parent
    assert (folder / "predictions.json").read_bytes() == (trained / "predictions.json").read_bytes()
    mine, theirs = read_result(folder / "result.json"), read_result(trained / "result.json")
    assert mine.metrics == theirs.metrics
    assert mine.model.weights_sha256 == theirs.model.weights_sha256 == sha256_file(folder / "weights.safetensors")
    assert (mine.model.weights_from, theirs.model.weights_from) == ("file", None)
    assert (mine.model.seed, mine.model.epochs, mine.model.processes) == (None, None, None)
    assert (mine.data.train_label_digest, mine.data.val_label_digest) == (None, None)
    assert theirs.data.train_label_digest is not None
    assert set(mine.durations_s) == {"predict", "score"}
    assert not list(folder.glob("checkpoint*"))
    assert contents(trained) == before


def test_a_finished_one_is_reused_and_other_weights_are_another_run(run, weights, home, trained):
    first = run(weights)[1]
    before = contents(home / "runs")
    assert run(weights)[1] == first | {"plan": [{**first["plan"][0], "state": "done"}]}
    assert contents(home / "runs") == before
    shift_first_tensor(weights)
    other = run(weights)[1]
    assert other["folder"] not in (first["folder"], str(trained))
    assert other["result"]["model"]["weights_sha256"] != first["result"]["model"]["weights_sha256"]


def shift_first_tensor(path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name] = tensors[name] + 0.5
    save_file(tensors, path)


def test_a_dry_run_says_what_would_be_used_and_touches_nothing(run, bench, weights, home, trained, tiny_folder):
    before = contents(home / "runs")
    code, content, _ = run(weights, "--dry-run")
    assert code == 0
    (row,) = content["plan"]
    assert (row["state"], row["seed"], row["weights_from"]) == ("to evaluate", None, "file")
    assert contents(home / "runs") == before
    printed = bench("run", RECIPE, "--dataset", tiny_folder, *OPTIONS, "--weights", weights, "--dry-run")[1]
    assert re.search(r"weights from\s+file$", printed, re.MULTILINE)


def test_what_is_printed_says_that_nothing_was_trained(bench, weights, tiny_folder):
    out = bench("run", RECIPE, "--dataset", tiny_folder, *OPTIONS, "--weights", weights)[1]
    assert "weights from file: not trained here, so they fill no table and are no seed of the recipe" in out
    assert len(re.findall(r"weights from\s+file$", bench("runs", "list")[1], re.MULTILINE)) == 1


def truncated(path):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("these are no weights")


def endless_header(path):
    path.write_bytes(struct.pack("<Q", 2**40) + b"{}")


def other_network(path):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    tensors.pop(next(name for name in tensors if name.endswith("conv.weight")))
    save_file(tensors, path)


@pytest.mark.parametrize("spoil", [truncated, empty, text, endless_header, other_network])
def test_damaged_weights_are_named_and_leave_no_result(run, weights, home, trained, spoil):
    spoil(weights)
    for _ in range(2):  # the second time finds nothing of the first
        code, content, _ = run(weights)
        assert code == 3
        assert str(weights) in content["error"]
        assert "train again" not in content["error"]
        expected = "weights of another network" if spoil is other_network else "not a whole safetensors file"
        assert expected in content["error"]
    for folder in folders(home) - {trained}:
        assert not list(folder.glob("*.safetensors"))
        assert not (folder / "result.json").exists()
        assert read_run(folder).state == "to evaluate"


@pytest.mark.parametrize(
    ("given", "options", "code", "message"),
    [
        ("model.pt", (), 2, "others may run code when opened"),
        ("model.bin", (), 2, "write hub:OWNER/NAME@REVISION, or a .safetensors file"),
        ("someone/model", (), 2, "write hub:OWNER/NAME@REVISION"),
        ("gone.safetensors", (), 4, "gone.safetensors: no such file; weights on the Hub are hub:"),
        ("folder.safetensors", (), 4, "no such file"),
        ("theirs.safetensors", ("--seeds", "2"), 2, "leave out --seed and --seeds"),
        ("theirs.safetensors", ("--seed", "0"), 2, "leave out --seed and --seeds"),
        ("hub:model", (), 2, "names no repository"),
    ],
)
def test_what_are_no_weights_is_refused_before_anything(run, tmp_path, home, given, options, code, message):
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("model.pt", "model.bin"):
        (tmp_path / name).write_bytes(b"\x80\x02.")
    local = not given.startswith("hub:") and "/" not in given
    ended, content, _ = run(tmp_path / given if local else given, *options)
    assert (ended, content["exit_code"]) == (code, code)
    assert message in content["error"]
    assert not home.exists()


def test_no_requirement_is_trained_and_no_train_part_is_needed(tiny, weights, monkeypatch):
    from rgbt_bench.harness import check

    run = plan_given("ffkd-student", tiny, str(weights), "quick")
    assert run.requires == {}
    assert run.recipe.digest == plan_run("ffkd-student", tiny, "quick").recipe.digest
    known = tiny.part
    monkeypatch.setattr(tiny, "part", lambda name: {"test": known("test")}[name])
    assert list(check(run, tiny, "cpu")) == [run.key]


def test_it_is_no_run_that_was_trained_and_fills_no_role(tiny, run, weights, home, trained):
    shutil.rmtree(trained)
    code, content, err = run(weights)
    assert code == 0, err
    plain = plan_run(RECIPE, tiny, "quick", 3, SETTINGS)
    assert plain.state == "to train"
    assert plain.folder != plan_given(RECIPE, tiny, str(weights), "quick", SETTINGS).folder
    assert str(plain.folder) != content["folder"]


@pytest.fixture
def both(home, tiny_folder):
    """A trained run of seed 0, and one of the same recipe with weights from elsewhere that are of seed 0, too."""
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    return {
        "trained": make_done(home, tiny_folder, key="aaaa11112222"),
        "given": make_done(home, tiny_folder, key="bbbb11112222", weights_from=HUB),
    }


def current(monkeypatch):
    """Take results made for tests as those of the recipe as it is now."""
    monkeypatch.setattr("rgbt_bench.sides.settled_recipe", lambda *_: type("Now", (), {"digest": "0" * 64}))


def test_it_is_no_seed_of_its_recipe(both, monkeypatch):
    current(monkeypatch)
    (scored,) = find_side(RECIPE, "quick").scored
    assert scored.predictions.parent == both["trained"]
    shutil.rmtree(both["trained"])
    with pytest.raises(MissingError, match=rf"named by their keys: bbbb11112222 \({HUB}\)"):
        find_side(RECIPE, "quick")


def test_it_is_compared_by_its_key_and_pairs_with_no_seed(both, home, tiny_folder, monkeypatch):
    current(monkeypatch)
    content = compare(["aaaa11112222", "bbbb11112222"])
    assert content["pairs"][0]["second"] == f"{RECIPE} bbbb11112222 (weights from {HUB})"
    assert content["pairs"][0]["seeds"] == [[0, None]]
    make_done(home, tiny_folder, key="cccc11112222", seed=1)
    with pytest.raises(UsageError, match=r"has the seed\(s\) 0, 1, .* has no seed: none in common"):
        compare([RECIPE, "bbbb11112222"], preset="quick")


def test_a_person_is_told_which_is_which(both, bench):
    with pytest.raises(UsageError) as caught:
        find_run(RECIPE)
    assert f"bbbb11112222  weights from {HUB}, done" in str(caught.value)
    assert "aaaa11112222  seed 0, done" in str(caught.value)
    assert find_run("bbbb").weights_from == HUB
    rows = only_object(bench("runs", "list", "--json")[1])["runs"]
    assert [row["weights_from"] for row in rows] == [None, HUB]
    assert HUB in bench("runs", "list")[1]


def test_a_list_without_given_weights_has_no_column_for_them(home, tiny_folder, bench):
    make_done(home, tiny_folder)
    assert "weights from" not in bench("runs", "list")[1]


def test_an_unfinished_one_is_to_evaluate_and_is_cleaned_like_any(home, bench):
    folder = make_folder(home, weights_from=HUB)
    assert read_run(folder).state == "to evaluate"
    assert bench("runs", "clean", "--unfinished", "--yes")[0] == 0
    assert not folder.exists()


def test_results_of_before_are_read(home, tiny_folder, tmp_path):
    content = read_json(make_done(home, tiny_folder) / "result.json")
    content["model"].pop("weights_from")
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert read_result(tmp_path / "result.json").model.weights_from is None


def test_a_sweep_trains_what_was_only_given(home, tiny_folder, trained, run, weights, tmp_path):
    from rgbt_bench.sweeping import plan_sweep

    shutil.rmtree(trained)
    assert run(weights)[0] == 0
    (tmp_path / "sweep.yaml").write_text(
        f"runs: [{{recipe: {RECIPE}, preset: quick, dataset: {tiny_folder}, set: {json.dumps(list(SETTINGS))}}}]"
    )
    (step,) = plan_sweep(str(tmp_path / "sweep.yaml"), device="cpu")
    assert step.run.state == "to train"
    assert Dataset(tiny_folder).name == step.run.dataset
