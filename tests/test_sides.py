"""A side of a comparison named by a recipe with settings."""

import pytest

from rgbt_bench.errors import MissingError, UsageError
from rgbt_bench.results import ModelProvenance
from rgbt_bench.runs import settled_recipe
from rgbt_bench.scoring import score_file
from rgbt_bench.sides import find_side

RECIPE = "ffkd-student-rgb"
FASTER = "optimizer.learning_rate=0.02"
FLATTER = "loss.detection.focal_gamma=2.0"


@pytest.fixture
def put(home, tiny):
    """Leave a finished run with these settings, without a training."""

    def put(key, *settings, seed=0, recipe=RECIPE):
        folder = home / "runs" / "sample" / f"{recipe}-quick" / key
        folder.mkdir(parents=True)
        (folder / "predictions.json").write_text("[]")
        model = ModelProvenance(
            recipe=recipe, preset="quick", recipe_digest=settled_recipe(recipe, "quick", settings).digest,
            run_key=key * 6, seed=seed, settings=settings, weights_sha256="w", requires={}, parameters={}, epochs=1,
        )  # fmt: skip
        result = score_file(folder / "predictions.json", tiny.part("test"), "detection-rgb", model=model)
        result.write(folder / "result.json")

    return put


def keys(side):
    return [one.predictions.parent.name for one in side.scored]


def test_a_recipe_with_settings_means_its_runs_with_these_alone(put):
    put("aaaa11112222")
    put("bbbb11112222", FASTER)
    put("bbbb33334444", FASTER, seed=1)
    put("cccc11112222", FASTER, FLATTER)
    assert keys(find_side(RECIPE, "quick")) == ["aaaa11112222"]
    assert keys(find_side(f"{RECIPE}:{FASTER}", "quick")) == ["bbbb11112222", "bbbb33334444"]
    both = find_side(f"{RECIPE}:{FLATTER}:{FASTER}", "quick")
    assert (both.name, keys(both)) == (f"{RECIPE}:{FLATTER}:{FASTER}", ["cccc11112222"])


def test_settings_of_a_required_recipe_stand_behind_its_name(put):
    teacher = "ffkd-teacher-fusion:schedule.epochs=2"
    put("aaaa11112222", recipe="ffkd-student")
    put("bbbb11112222", teacher, recipe="ffkd-student")
    put("cccc11112222", FASTER, teacher, recipe="ffkd-student")
    assert keys(find_side("ffkd-student", "quick")) == ["aaaa11112222"]
    assert keys(find_side(f"ffkd-student:{teacher}", "quick")) == ["bbbb11112222"]
    for text in (f"ffkd-student:{teacher}:{FASTER}", f"ffkd-student:{FASTER}:{teacher}"):
        assert keys(find_side(text, "quick")) == ["cccc11112222"]
    with pytest.raises(UsageError, match="unknown recipe in --set"):
        find_side("ffkd-student:ffkd-teachr-fusion:schedule.epochs=2", "quick")
    with pytest.raises(UsageError, match="write PATH=VALUE"):
        find_side("ffkd-student:schedule.epochs", "quick")


def test_settings_that_nothing_was_run_with_and_typing_mistakes_are_said(put):
    put("aaaa11112222")
    with pytest.raises(MissingError, match=rf"name settings as {RECIPE}:path=value"):
        find_side(f"{RECIPE}:{FASTER}", "quick")
    with pytest.raises(UsageError, match="Did you mean 'learning_rate'"):
        find_side(f"{RECIPE}:optimizer.learning_rat=0.02", "quick")
    with pytest.raises(UsageError, match="unknown run 'ffkd-student-rbg:"):
        find_side(f"ffkd-student-rbg:{FASTER}", "quick")
