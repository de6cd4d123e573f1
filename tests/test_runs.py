"""Plans: which runs a recipe needs, in which order and folders, and what makes one run another."""

import pytest

from rgbt_bench.converters import Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample import scenes
from rgbt_bench.datasets.sample_converter import SampleConverter, to_item
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import UsageError
from rgbt_bench.recipes import load_recipe, recipe_path
from rgbt_bench.registry import recipe_files
from rgbt_bench.runs import in_order, plan_run

ONE = "ffkd-teacher-rgb"
STUDENT = "ffkd-student"


@pytest.fixture
def registered(monkeypatch, written):
    """Register changed copies of recipes beside ours."""

    def register(**copies):
        extra = {name: recipe_path(written(changes, name=name)) for name, changes in copies.items()}
        monkeypatch.setattr("rgbt_bench.recipes.recipe_files", lambda: {**recipe_files(), **extra})

    return register


def test_a_student_of_a_changed_teacher_is_another_student(tiny):
    plain = plan_run(STUDENT, tiny)
    assert plain.recipe.digest == load_recipe(STUDENT).digest
    changed = plan_run(STUDENT, tiny, settings=("ffkd-teacher-rgb:schedule.epochs=1",))
    assert changed.recipe.digest != plain.recipe.digest
    assert changed.settings == ("ffkd-teacher-rgb:schedule.epochs=1",)
    assert changed.requires["rgb"].recipe.digest == plain.requires["rgb"].recipe.digest


def test_recipes_that_require_each_other_in_a_circle_are_refused(registered, tiny):
    needs = lambda other: [("pretrained: timm", f"requires: {{rgb: {other}}}\npretrained: timm")]  # noqa: E731
    registered(one=needs("two"), two=needs("three"), three=needs("one"), alone=needs("alone"))
    with pytest.raises(UsageError, match="in a circle: one -> two -> three -> one"):
        plan_run("one", tiny)
    with pytest.raises(UsageError, match="in a circle: alone -> alone"):
        plan_run("alone", tiny)
    with pytest.raises(UsageError, match="in a circle: two -> three -> one -> two"):
        _ = load_recipe("two").digest


def test_what_is_required_comes_first_and_once(tiny):
    order = [run.recipe.name for run in in_order(plan_run(STUDENT, tiny))]
    assert sorted(order) == sorted(
        ["ffkd-student-rgb", "ffkd-student-thermal", "ffkd-teacher-rgb", "ffkd-teacher-thermal", "ffkd-teacher-fusion",
         STUDENT]
    )  # fmt: skip
    for run in in_order(plan_run(STUDENT, tiny)):
        for required in run.requires.values():
            assert order.index(required.recipe.name) < order.index(run.recipe.name)


def test_the_same_plan_has_the_same_folders(tiny):
    folders = lambda **how: [run.folder for run in in_order(plan_run(STUDENT, tiny, **how))]  # noqa: E731
    assert folders() == folders()
    assert folders(settings=("schedule.workers=4",)) == folders()
    assert len({*folders(), *folders(seed=1), *folders(preset="quick"), *folders(seed=1, preset="quick")}) == 4 * 6


def test_another_dataset_is_another_run(tiny, tmp_path):
    class Smaller(SampleConverter):
        def scan(self, source):
            parts = ("train", "val", "test")
            return Scan("generated", [to_item(part, sample) for part in parts for sample in scenes(part, 3)])

    convert(Smaller(), None, tmp_path / "smaller")
    assert plan_run(ONE, Dataset(tmp_path / "smaller")).key != plan_run(ONE, tiny).key


def test_a_setting_of_a_required_recipe_changes_it_and_what_builds_on_it(tiny):
    plain = {run.recipe.name: run for run in in_order(plan_run(STUDENT, tiny))}
    settings = ("schedule.epochs=7", "ffkd-teacher-rgb:schedule.epochs=9")
    changed = {run.recipe.name: run for run in in_order(plan_run(STUDENT, tiny, settings=settings))}
    assert changed["ffkd-teacher-rgb"].recipe.schedule.epochs == 9
    assert changed[STUDENT].recipe.schedule.epochs == 7
    assert changed["ffkd-teacher-rgb"].settings == ("schedule.epochs=9",)
    assert changed[STUDENT].settings == settings
    differ = {name for name, run in plain.items() if run.key != changed[name].key}
    assert differ == {"ffkd-teacher-rgb", "ffkd-teacher-fusion", STUDENT}


def test_a_setting_may_name_the_recipe_itself(tiny):
    assert plan_run(ONE, tiny, settings=(f"{ONE}:seed=5",)).seed == 5
    with pytest.raises(UsageError, match=r"in --set 'ffkd-teacher-rbg'\. Did you mean 'ffkd-teacher-rgb'"):
        plan_run(STUDENT, tiny, settings=("ffkd-teacher-rbg:schedule.epochs=9",))


def test_the_seed_is_handed_down(tiny):
    assert {run.seed for run in in_order(plan_run(STUDENT, tiny, seed=4))} == {4}
    assert {run.seed for run in in_order(plan_run(STUDENT, tiny, settings=("seed=6",)))} == {6}


def test_a_recipe_file_of_the_users_own_is_planned_as_ours_are(written, tiny):
    mine = plan_run(written(of=STUDENT), tiny)
    ours = plan_run(STUDENT, tiny)
    assert [run.recipe.name for run in in_order(mine)][:-1] == [run.recipe.name for run in in_order(ours)][:-1]
    assert mine.recipe.digest == ours.recipe.digest
    assert mine.folder.parent.name == "mine-paper"
    assert mine.key != ours.key
