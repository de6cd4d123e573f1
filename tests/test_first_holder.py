"""The first holder's kit: digests, cost, runs and one pull request, whole or not at all."""

import json
from dataclasses import replace

import pytest

from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import write_json
from rgbt_bench.leaderboard import estimating, first_holder
from rgbt_bench.leaderboard.board import open_board
from rgbt_bench.leaderboard.first_holder import (
    Asked,
    compare_digests,
    find_kit,
    pack,
    plan,
    ready_set,
    require_official,
)
from rgbt_bench.leaderboard.tracks import leaderboard
from rgbt_bench.leaderboard.verifying import verify_rows
from rgbt_bench.opening import open_dataset
from run_cases import finish
from verified_rows import convert_home, detections

RECIPES = 7


@pytest.fixture
def asked(home, tiny_folder, tmp_path):
    convert_home(home, tiny_folder)
    return Asked(find_kit("sample"), "quick", 1, "cpu", out=tmp_path / "pack")


@pytest.fixture
def finished(asked, tiny_folder):
    return finish_all(asked, tiny_folder)


def finish_all(asked, tiny_folder):
    """Leave the runs of the kit as if they had been trained: with weights, predictions, a log and a result."""
    steps = plan(asked)
    for place, step in enumerate(steps):
        run = step.run
        run.folder.mkdir(parents=True)
        content = {"key": run.key, "recipe": run.recipe.model_dump(mode="json"), "dataset": "sample", "seed": run.seed,
                   "settings": [], "requires": {}, "weights_from": None}  # fmt: skip
        write_json(run.folder / "run.json", content)
        (run.folder / "run.log").write_text("trained\n")
        run.weights.write_bytes(b"weights")
        detections(run.folder / "predictions.json", seed=place)
        finish(run.folder, tiny_folder)
    return plan(asked)


def test_the_plan_has_every_row_and_seed(asked):
    steps = plan(replace(asked, seeds=None))
    assert len(steps) == 5 * RECIPES
    assert {step.run.seed for step in steps} == {0, 1, 2, 3, 4}


def test_everything_is_packed_for_one_pull_request(asked, tiny_folder):
    asked = replace(asked, seeds=2)
    content = pack(asked, finish_all(asked, tiny_folder))
    board = open_board("v1", asked.place / "leaderboards")
    assert len(board.rows) == len(content["rows"]) == RECIPES
    assert all(len(row.runs) == 2 for row in board.rows.values())
    row = board.row("sample-detection-rgb-ffkd-s-distillation-quick")
    assert row.entry.paper_key == "ffkd"
    assert [one.state for one in verify_rows(board, [row], count=1)] == ["proven"]
    for folder, suffixes in {"weights": [".safetensors"], "logs": [".json", ".log"]}.items():
        names = {path.name for path in (asked.place / folder).iterdir()}
        assert len(names) == 2 * RECIPES * len(suffixes)
    assert "Open one pull request" in (asked.place / "README.md").read_text()
    assert json.loads((asked.place / "first-holder.json").read_text())["digests"]["samples"] == 12


def test_packing_again_replaces_the_pack_and_a_killed_one_leaves_it(asked, finished, monkeypatch):
    pack(asked, finished)
    before = {path: path.read_bytes() for path in asked.place.rglob("*.gz")}

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(first_holder, "write_row", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(asked, finished)
    assert {path: path.read_bytes() for path in asked.place.rglob("*.gz")} == before
    monkeypatch.undo()
    monkeypatch.setenv("RGBT_BENCH_HOME", str(finished[0].run.folder.parents[3]))
    pack(asked, finished)
    assert {path: path.read_bytes() for path in asked.place.rglob("*.gz")} == before


def test_what_was_not_packed_here_is_never_replaced(asked, finished):
    asked.place.mkdir()
    (asked.place / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="was not packed by this command"):
        first_holder.carry_out(asked, finished)
    assert (asked.place / "mine.txt").read_text() == "mine"


def test_a_run_that_fails_leaves_nothing_packed(asked, finished, monkeypatch):
    from rgbt_bench.sweeping import Outcome

    ended = [Outcome(step, "done") for step in finished[1:]] + [Outcome(finished[0], "failed", exit_code=3)]
    monkeypatch.setattr(first_holder, "run_sweep", lambda *arguments: ended)
    outcomes, packed = first_holder.carry_out(asked, finished)
    assert (outcomes, packed) == (ended, None)
    assert not asked.place.exists()


def test_done_runs_are_timed_and_packed_without_a_training(asked, finished, monkeypatch):
    timed = []
    monkeypatch.setattr(first_holder, "measure_latency", lambda *given: timed.append(given[0]))
    outcomes, packed = first_holder.carry_out(asked, finished)
    assert {one.state for one in outcomes} == {"was done"}
    assert timed == ["ffkd-student"]
    assert packed["rows"][0]["refused"], "rows of other labels are packed to be looked at, and said to be refused"


def test_digests_confirm_only_where_nothing_differs(asked, monkeypatch):
    dataset = open_dataset("sample")
    found = compare_digests(dataset)
    assert not found["official"]
    assert {one["state"] for one in found["digests"].values()} == {"differs"}
    record = dataset.part("test").record
    own = {name: getattr(record, name) for name in ("ids_sha256", "label_digest", "rgb_digest", "thermal_digest")}
    frozen = leaderboard().data["sample-test"].model_copy(update=own | {"thermal_digest": "pending"})
    monkeypatch.setattr(first_holder, "official_data", lambda *given: frozen)
    found = compare_digests(dataset)
    assert found["official"]
    assert [one["state"] for one in found["digests"].values()] == ["the same", "the same", "the same", "confirms"]


def test_days_of_training_are_refused_on_another_set(asked):
    paper = Asked(asked.kit)
    with pytest.raises(BadInputError, match=r"not the official one \(ids_sha256, label_digest"):
        require_official(paper, compare_digests(open_dataset("sample")))
    require_official(asked, compare_digests(open_dataset("sample")))


def test_a_missing_set_is_converted_or_says_how_to_get_it(home):
    with pytest.raises(MissingError, match=r"flir is not converted yet; give its PATH\.(.|\n)*aligned pairs"):
        ready_set(find_kit("flir"), None)
    with pytest.raises(UsageError, match="Did you mean 'flir'"):
        find_kit("flri")


def test_the_estimate_counts_own_and_teachers_passes(asked, monkeypatch):
    monkeypatch.setattr(estimating, "_forward_seconds", lambda recipe, device: 2.0 if "teacher" in recipe.name else 1.0)
    steps = plan(asked)
    found = estimating.estimate(steps, open_dataset("sample"), "cpu")
    rows = {row["recipe"]: row["hours"] * 3600 for row in found["rows"] if row["seed"] == 0}
    (step,) = [one for one in steps if one.run.recipe.name == "ffkd-student" and one.run.seed == 0]
    schedule = step.run.recipe.training.schedule
    samples = schedule.epochs * 12
    if schedule.max_steps is not None:
        samples = min(samples, schedule.max_steps * schedule.batch_size)
    teachers = sum(2.0 if "teacher" in one.recipe.name else 1.0 for one in step.run.requires.values())
    assert rows["ffkd-student"] == pytest.approx(12 * 1.0 + samples * (3 * 1.0 + teachers))
    assert (found["runs_left"], found["runs_done"]) == (RECIPES, 0)
