"""Which run a person's words mean, and what a run's folder tells of it."""

import pytest

from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.finding import find_run, read_run, runs_under
from run_cases import make_done, make_folder

RGB, THERMAL = "ffkd-student-rgb", "ffkd-student-thermal"


@pytest.fixture
def runs(home, tiny_folder):
    """One finished run of a recipe beside an unfinished one, and two finished ones of another."""
    return {
        "done": make_done(home, tiny_folder, recipe=RGB, key="aaaa11112222"),
        "open": make_folder(home, recipe=RGB, key="aaaa99992222", seed=1),
        "one": make_done(home, tiny_folder, recipe=THERMAL, key="bbbb11112222", preset="paper"),
        "two": make_done(home, tiny_folder, recipe=THERMAL, key="bbbb22223333", preset="quick"),
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (RGB, "done"),
        (f"{RGB}-quick", "done"),
        (f"sample/{RGB}", "done"),
        (f"sample/{RGB}-quick/aaaa11112222", "done"),
        (f"sample/{RGB}-quick/aaaa/", "done"),
        (f"{RGB}/aaaa1", "done"),
        ("aaaa1", "done"),
        ("aaaa11112222" * 5, "done"),
        ("aaaa", "done"),  # the other run that begins so is not finished
        (f"{THERMAL}-paper", "one"),
        ("bbbb2", "two"),
    ],
)
def test_a_run_is_found_by_its_names(runs, text, name):
    assert find_run(text).folder == runs[name]


def test_a_run_is_found_by_its_folder_wherever_it_lies(runs, home, tmp_path, monkeypatch):
    moved = tmp_path / "elsewhere"
    runs["open"].rename(moved)
    monkeypatch.chdir(tmp_path)
    for text in (str(moved), "elsewhere", "./elsewhere"):
        found = find_run(text)
        assert (found.folder, found.recipe, found.seed) == (moved, RGB, 1)


def test_several_runs_are_listed_and_none_is_guessed(runs):
    with pytest.raises(UsageError, match=r"means 2 runs; name one by its key") as caught:
        find_run(THERMAL)
    assert f"sample/{THERMAL}-paper/bbbb11112222  seed 0, done" in str(caught.value)
    with pytest.raises(UsageError, match="means 2 runs"):
        find_run("aaaa", finished=False)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("aaaa9", MissingError, r"no finished run \(to train\); `rgbt-bench run ffkd-student-rgb` finishes it"),
        ("ffkd-student", MissingError, r"no run of the recipe 'ffkd-student'.*`rgbt-bench run ffkd-student` makes one"),
        ("ffkd-student-rbg", UsageError, r"unknown run.*Did you mean 'ffkd-student-rgb'"),
        ("aaa", UsageError, "unknown run"),  # too short to be the start of a key
        (f"flir/{RGB}", UsageError, "unknown run"),
        ("./nowhere", MissingError, "no run here"),
        ("/", MissingError, "no run here"),
        ("", UsageError, "unknown run"),
        ("..", MissingError, "no run here"),
        ("a\0b", UsageError, "unknown run"),
    ],
)
def test_what_names_no_run_is_refused_with_a_hint(runs, text, error, message):
    with pytest.raises(error, match=message):
        find_run(text)


def test_the_state_is_read_from_the_files(home, tiny_folder):
    folder = make_folder(home)
    assert read_run(folder).state == "to train"
    (folder / "checkpoint").mkdir()
    assert read_run(folder).state == "to train"  # killed before its first checkpoint was whole
    (folder / "checkpoint" / "state.json").write_text("{}")
    assert read_run(folder).state == "to resume"
    (folder / "weights.safetensors").write_bytes(b"")
    assert read_run(folder).state == "to evaluate"
    (folder / "result.json").write_text("{}")
    assert read_run(folder).state == "to evaluate"
    assert read_run(make_done(home, tiny_folder, key="cccc11112222")).state == "done"


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"dataset": 1, "recipe": []}', "{" * 100_000])
def test_a_damaged_record_leaves_what_the_place_says(home, content):
    folder = make_folder(home)
    (folder / ".lock").touch()
    (folder / "run.json").unlink()
    if content is not None:
        (folder / "run.json").write_text(content)
    (found,) = runs_under()
    assert found.label == "sample/ffkd-student-rgb-quick/aaaa11112222"
    assert "run.json" in found.fault
    with pytest.raises(BadInputError, match=r"run\.json"):
        found.load_recipe()


def test_a_record_with_a_recipe_of_another_time_says_so(home):
    folder = make_folder(home)
    path = folder / "run.json"
    path.write_text(path.read_text().replace('"optimizer"', '"optimiser"'))
    with pytest.raises(BadInputError, match=r"run\.json: holds no recipe that this rgbt-bench can read"):
        read_run(folder).load_recipe()


def test_hidden_folders_are_no_runs(home):
    make_folder(home)
    (home / "runs" / ".deleted" / "x" / "y").mkdir(parents=True)
    assert len(runs_under()) == 1
