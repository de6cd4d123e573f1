"""Sweeps: what a file or table asks for, in which order it is done, and what follows a failure."""

import sys

import numpy as np
import pytest

from rgbt_bench import registry, sweeping
from rgbt_bench.errors import BadInputError, BenchError, UsageError
from rgbt_bench.predictions import Detections, write_predictions
from rgbt_bench.registry import recipe_files
from rgbt_bench.runs import plan_run
from rgbt_bench.scoring import score_file
from rgbt_bench.sweeping import ended_rows, exit_code, plan_sweep, planned_rows, run_sweep
from sweep_plugin import recipe, write_project


@pytest.fixture(scope="module")
def instant(tmp_path_factory, pip_install):
    project, target = tmp_path_factory.mktemp("instant"), tmp_path_factory.mktemp("site")
    write_project(project)
    pip_install(project, target)
    return target


@pytest.fixture(autouse=True)
def installed(instant, monkeypatch):
    """The third party's project, found in this process as pip has installed it."""
    caches = (registry.converters, registry.submissions, registry.recipe_files)
    monkeypatch.syspath_prepend(instant)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()
    for name in [name for name in sys.modules if name.startswith("instant_models")]:
        del sys.modules[name]


@pytest.fixture
def plan(tiny_folder, tmp_path):
    """Plan a sweep file over the tiny set."""

    def planned(text, **options):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return plan_sweep(str(path), **{"dataset": str(tiny_folder), "device": "cpu", **options})

    return planned


@pytest.fixture
def result(tiny, tmp_path):
    none = np.zeros(0, dtype=np.int64)
    part = tiny.part("test")
    write_predictions(tmp_path / "p.json", Detections(none, none, np.zeros((0, 4)), np.zeros(0)), part.ids)
    return score_file(tmp_path / "p.json", part, "detection-rgbt")


class Scripted:
    """A launcher whose jobs end as they are told to, after as many polls; it keeps what was asked of it."""

    def __init__(self, result, codes=None, polls=None):
        self.result, self.codes, self.polls = result, codes or {}, polls or {}
        self.started, self.cancelled, self.at_once, self.running = [], [], 0, 0

    def submit(self, command, log):
        name = log.parent.parent.name.removesuffix("-paper")
        self.started.append((name, command[command.index("--seed") + 1]))
        self.running += 1
        self.at_once = max(self.at_once, self.running)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as stream:
            stream.write(f"said by {name}\n")
        return {"name": name, "folder": log.parent, "left": self.polls.get(name, 1)}

    def poll(self, job):
        job["left"] -= 1
        if job["left"] > 0:
            return None
        self.running -= 1
        code = self.codes.get(job["name"], 0)
        if code == 0:
            for name in ("weights.safetensors", "predictions.json"):
                (job["folder"] / name).write_text("")
            self.result.write(job["folder"] / "result.json")
        return None if code is None else code

    def cancel(self, jobs):
        self.cancelled += [job["name"] for job in jobs]


@pytest.fixture
def work(result, monkeypatch):
    monkeypatch.setattr(sweeping, "_POLL_S", 0)

    def run(steps, codes=None, polls=None, **how):
        launcher = Scripted(result, codes, polls)
        outcomes = run_sweep(steps, launcher, **how)
        states = {(one.step.run.recipe.name, one.step.run.seed): one.state for one in outcomes}
        return launcher, outcomes, states

    return run


def names(steps):
    return [(step.run.recipe.name, step.run.seed) for step in steps]


BOTH = "runs: [{recipe: instant-two}, {recipe: instant-one}]"


def test_two_rows_that_share_a_teacher_train_it_once_and_first(plan, work):
    steps = plan(BOTH)
    assert names(steps) == [("instant", 0), ("instant-two", 0), ("instant-one", 0)]
    launcher, _, states = work(steps, jobs=3, polls={"instant": 3})
    assert launcher.started == [("instant", "0"), ("instant-two", "0"), ("instant-one", "0")]
    assert launcher.at_once == 2
    assert set(states.values()) == {"done"}


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_no_more_than_so_many_at_once(plan, work, jobs):
    steps = plan("runs: [{recipe: instant, seeds: 5}]")
    launcher, _, states = work(steps, jobs=jobs, polls={"instant": 3})
    assert launcher.at_once == jobs
    assert len(states) == 5


def test_defaults_hold_where_a_run_says_nothing(plan):
    steps = plan(
        """
        defaults: {preset: quick, seeds: 2, set: [model.sleep=1.5]}
        runs:
          - recipe: instant
          - {recipe: instant, seeds: [9, 4], set: []}
          - {recipe: crashes, preset: paper, seeds: [3]}
        """
    )
    assert names(steps) == [("instant", 0), ("instant", 1), ("instant", 9), ("instant", 4), ("crashes", 3)]
    assert [step.run.recipe.model["sleep"] for step in steps] == [1.5, 1.5, 0.0, 0.0, 1.5]
    assert [step.run.recipe.preset for step in steps] == ["quick"] * 4 + ["paper"]
    assert len({step.run.folder for step in steps}) == 5


def test_the_command_line_counts_over_the_file(plan, tmp_path):
    text = "runs: [{recipe: instant, seeds: [8], preset: quick, dataset: nowhere}]"
    steps = plan(text, preset="paper", seeds=2, home=tmp_path / "elsewhere")
    assert names(steps) == [("instant", 0), ("instant", 1)]
    assert {step.run.recipe.preset for step in steps} == {"paper"}
    assert all(step.run.folder.is_relative_to(tmp_path / "elsewhere") for step in steps)


def test_what_is_asked_for_twice_is_done_once(plan):
    steps = plan("runs: [{recipe: instant, seeds: 2}, {recipe: instant, seeds: [1, 2]}, {recipe: instant-one}]")
    assert names(steps) == [("instant", 0), ("instant", 1), ("instant", 2), ("instant-one", 0)]


def test_finished_runs_are_not_started_again_nor_what_only_they_require(plan, work):
    work(plan(BOTH))
    again = plan(BOTH)
    assert names(again) == [("instant-two", 0), ("instant-one", 0)]
    launcher, _, states = work(again)
    assert launcher.started == []
    assert set(states.values()) == {"was done"}
    launcher, _, states = work(plan("runs: [{recipe: instant-one, seeds: 2}]"))
    assert launcher.started == [("instant", "1"), ("instant-one", "1")]
    assert states["instant-one", 0] == "was done"


def test_a_failure_ends_only_what_requires_it(plan, work):
    steps = plan("runs: [{recipe: needs-that}, {recipe: instant}]")
    _, outcomes, states = work(steps, {"refuses": 3})
    assert states == {
        ("refuses", 0): "failed", ("needs-refuses", 0): "not started", ("needs-that", 0): "not started",
        ("instant", 0): "done",
    }  # fmt: skip
    reasons = {row["recipe"]: row["reason"] for row in ended_rows(outcomes)}
    assert reasons["refuses"] == "said by refuses"
    assert reasons["needs-refuses"].startswith("it needs refuses seed 0 (")
    assert reasons["needs-refuses"].endswith("which failed")
    assert reasons["needs-that"].endswith("which was not started")


def test_fail_fast_starts_nothing_after_a_failure_and_lets_the_others_end(plan, work):
    steps = plan("runs: [{recipe: crashes}, {recipe: instant}, {recipe: killed}]")
    launcher, _, states = work(steps, {"crashes": 1}, {"instant": 5}, jobs=2, keep_going=False)
    assert states == {("crashes", 0): "failed", ("instant", 0): "done", ("killed", 0): "not started"}
    assert launcher.cancelled == []


def test_the_exit_code_is_that_of_the_first_failure_in_time(plan, work):
    steps = plan("runs: [{recipe: crashes}, {recipe: killed}, {recipe: instant}]")
    how = {"jobs": 3, "polls": {"crashes": 9}}
    assert exit_code(work(steps, {"crashes": 1, "killed": 137}, **how)[1]) == 137
    _, outcomes, _ = work(steps, {"killed": 137}, **how)
    assert [row["reason"] for row in ended_rows(outcomes) if row["reason"]] == [
        "said by killed\nended by signal 9"  # and not what the first start said
    ]
    assert exit_code(work(plan("runs: [{recipe: instant}]"))[1]) == 0


def test_a_run_that_ends_well_without_its_result_is_a_failure(plan, result, monkeypatch):
    monkeypatch.setattr(sweeping, "_POLL_S", 0)
    launcher = Scripted(result)
    launcher.result = type("Nothing", (), {"write": lambda self, path: None})()
    (outcome,) = run_sweep(plan("runs: [{recipe: instant}]"), launcher)
    assert (outcome.state, outcome.exit_code) == ("failed", 1)
    assert "left no result in" in outcome.reason


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError("disk full")])
def test_whatever_ends_the_sweep_ends_its_runs(plan, result, monkeypatch, fault):
    launcher = Scripted(result, polls={"instant": 1_000_000})

    def tired(seconds):
        raise fault

    monkeypatch.setattr(sweeping.time, "sleep", tired)
    with pytest.raises(type(fault) if isinstance(fault, Exception) else fault):
        run_sweep(plan("runs: [{recipe: instant, seeds: 3}]"), launcher, jobs=2)
    assert launcher.cancelled == ["instant", "instant"]


def test_a_run_that_another_process_finished_is_not_started(plan, result, work):
    steps = plan("runs: [{recipe: instant, seeds: 2}]")
    first, second = (step.run for step in steps)

    class Busy(Scripted):
        def poll(self, job):
            if job["folder"] == first.folder:
                second.folder.mkdir(parents=True, exist_ok=True)
                for name in ("weights.safetensors", "predictions.json"):
                    (second.folder / name).write_text("")
                self.result.write(second.folder / "result.json")
            return super().poll(job)

    launcher = Busy(result)
    assert [one.state for one in run_sweep(steps, launcher)] == ["done", "was done"]
    assert launcher.started == [("instant", "0")]


@pytest.mark.parametrize(
    "item",
    [
        "{recipe: instant-one}",
        "{recipe: instant-one, seeds: [7]}",
        "{recipe: instant-one, preset: quick, set: ['model.sleep=2.0', 'instant:model.sleep=3.0', seed=5]}",
        "{recipe: FILE, set: ['model.end=-x', 'instant:schedule.epochs=2', 'mine:schedule.workers=2']}",
        "{recipe: OTHER, seeds: 2, set: ['mine:model.sleep=4.0', 'instant:model.sleep=1.0', 'other:model.sleep=2.0']}",
    ],
)
def test_the_arguments_of_a_step_make_the_same_run(plan, tiny, tiny_folder, tmp_path, item):
    mine, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    mine.write_text(recipe("mine", "{teacher: instant}"))
    other.write_text(recipe("other", f"{{teacher: {mine}, friend: instant}}"))
    item = item.replace("FILE", str(mine)).replace("OTHER", str(other))
    steps = plan(f"runs: [{item}]")
    assert len(steps) >= 2
    for step in steps:
        *given, dashes, name = step.arguments("cpu")
        assert dashes == "--"
        option = lambda key, given=given: given[given.index(key) + 1]  # noqa: E731
        settings = tuple(one.removeprefix("--set=") for one in given if one.startswith("--set="))
        again = plan_run(name, tiny, option("--preset"), int(option("--seed")), settings)
        assert again == step.run
        assert option("--key") == step.run.key
        assert option("--dataset") == str(tiny_folder)
        assert option("--out") == str(step.run.folder.parents[2])


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("runs: [{recipe: instnat}]", UsageError, r"sweep\.yaml: runs\.0: unknown recipe 'instnat'.*'instant'"),
        ("runs: [{recipe: instant, preset: quik}]", UsageError, r"runs\.0: unknown preset 'quik'.*'quick'"),
        ("runs: [{recipe: instant, dataset: smple}]", UsageError, r"unknown dataset 'smple'. Did you mean 'sample'"),
        ("runs: [{recipe: instant, set: [model.slep=1]}]", UsageError, r"unknown path 'model.slep'.*'sleep'"),
        ("runs: [{recipe: instant, set: ['instnat:seed=1']}]", UsageError, r"unknown recipe in --set 'instnat'"),
        ("runs: [{recipe: instant}, {recipe: instant, seed: 3}]", BadInputError, r"'runs\.1\.seed'.*mean 'seeds'"),
        ("runs: [{recipe: instant, sets: [a=1]}]", BadInputError, r"unknown key 'runs\.0\.sets'.*'set'"),
        ("default: {seeds: 3}\nruns: [{recipe: instant}]", BadInputError, r"unknown key 'default'.*'defaults'"),
        ("defaults: {recipe: instant}\nruns: [{recipe: instant}]", BadInputError, r"unknown key 'defaults\.recipe'"),
        ("runs: []", BadInputError, r"sweep\.yaml: runs: "),
        ("runs: [{}]", BadInputError, r"runs\.0\.recipe: Field required"),
        ("[instant]", BadInputError, "a sweep file is a mapping of keys"),
        ("runs: []  #" + "x" * 100_000, BadInputError, "larger than 100000 bytes, which a sweep file never is"),
        ("", BadInputError, r"a sweep file is a mapping"),
        ("runs: [{recipe: instant", BadInputError, r"sweep\.yaml: line 1.*not valid YAML"),
        ("runs: &a [{recipe: instant}]", BadInputError, r"anchors"),
        ("runs: [{recipe: 3}]", BadInputError, r"runs\.0\.recipe: .*string"),
        *(
            (f"runs: [{{recipe: instant, seeds: {bad}}}]", BadInputError, r"runs\.0\.seeds: .*how many, such as 3")
            for bad in ("0", "-1", "true", "2.0", "'3'", "[]", "[1, 1]", "[-1]", "[4294967296]", "[true]", "[a]")
        ),
    ],
)
def test_faults_of_a_sweep_file_are_named(plan, home, text, kind, message):
    with pytest.raises(kind, match=message):
        plan(text, **({"dataset": None} if "dataset:" in text else {}))
    assert not (home / "runs").exists()


@pytest.fixture
def unchecked(monkeypatch):
    """Leave out the check that imports our baselines' packages."""
    monkeypatch.setattr(sweeping, "check", lambda run, dataset, device: {})


def test_a_table_is_every_row_with_a_recipe(tiny_folder, unchecked):
    steps = plan_sweep("ffkd/table-2", str(tiny_folder), "quick", 2)
    assert len(steps) == 7 * 2
    assert {step.run.recipe.name for step in steps} == {name for name in recipe_files() if name.startswith("ffkd-")}
    done = set()
    for step in steps:
        assert {run.folder for run in step.run.requires.values()} <= done
        done.add(step.run.folder)
    assert {row["state"] for row in planned_rows(steps)} == {"to train"}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("ffkd/table-22", "unknown table 'ffkd/table-22'. Did you mean 'ffkd/table-2'"),
        ("ffdk/table-2", "Did you mean 'ffkd/table-2'"),
        ("ffkd/table-3", "no run fills a table of latency; see `reproduce ffkd/table-3`"),
        ("ffkd/table-1", "no run fills a table of parameters"),
        ("rdrkd/table-3", "no row of this table has a recipe yet"),
        ("ffkd-student", "name a sweep file, such as sweep.yaml, or PAPER/TABLE"),
    ],
)
def test_a_table_that_no_run_fills_is_refused(target, message):
    with pytest.raises(UsageError, match=message):
        plan_sweep(target)


def test_a_missing_file_is_named():
    with pytest.raises(BenchError, match=r"nowhere\.yaml: no such file"):
        plan_sweep("./nowhere.yaml")


def test_what_cannot_run_is_refused_before_anything_starts(plan):
    with pytest.raises(BadInputError, match=r"runs\.1: recipe instant: model: unknown key|runs\.1: .*model: sleep"):
        plan("runs: [{recipe: instant}, {recipe: instant, set: ['model.sleep=soon']}]")
