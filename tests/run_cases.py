"""Runs made for tests: folders with the files that a run leaves, without a training."""

import json

from rgbt_bench.files import write_json
from rgbt_bench.opening import open_dataset
from rgbt_bench.recipes import load_recipe
from rgbt_bench.results import ModelProvenance
from rgbt_bench.scoring import score_file


def make_folder(
    home, recipe="ffkd-student-rgb", key="aaaa11112222", preset="quick", requires=(), seed=0, dataset="sample",
    weights_from=None,
):  # fmt: skip
    """A run that was started and left nothing but its record."""
    folder = home / "runs" / dataset / f"{recipe}-{preset}" / key
    folder.mkdir(parents=True)
    content = {
        "key": key * 5, "recipe": load_recipe(recipe, preset).model_dump(mode="json"), "dataset": dataset, "seed": seed,
        "settings": [], "requires": {f"role-{place}": other * 5 for place, other in enumerate(requires)},
        "weights_from": weights_from,
    }  # fmt: skip
    write_json(folder / "run.json", content)
    return folder


def make_done(home, tiny_folder, weights=b"weights", predictions=(), **run):
    """A run with weights, predictions, a checkpoint and a real result on the tiny set."""
    folder = make_folder(home, **run)
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "predictions.json").write_text(json.dumps(list(predictions)))
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "model.safetensors").write_bytes(b"x" * 1000)
    finish(folder, tiny_folder)
    return folder


def finish(folder, tiny_folder):
    """Write the result that goes with a run's predictions and weights."""
    from rgbt_bench.files import read_json, sha256_file

    record = read_json(folder / "run.json")
    model = ModelProvenance(
        recipe=record["recipe"]["name"], preset=record["recipe"]["preset"], recipe_digest="0" * 64,
        run_key=record["key"], seed=record["seed"], settings=(),
        weights_sha256=sha256_file(folder / "weights.safetensors"), requires=record["requires"], parameters={},
        epochs=1, weights_from=record["weights_from"],
    )  # fmt: skip
    part = open_dataset(str(tiny_folder)).part("test")
    score_file(folder / "predictions.json", part, "detection-rgb", model=model).write(folder / "result.json")
