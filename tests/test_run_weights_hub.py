"""Pushed models run elsewhere: the same bytes at a pinned commit, and refused where anything does not fit."""

import json
import re
import shutil

import pytest

from cli_cases import only_object
from model_cases import OPTIONS, RECIPE, contents
from rgbt_bench.files import sha256_file
from rgbt_bench.hub.models import push_run
from rgbt_bench.hub.names import HubName
from rgbt_bench.results import read_result


@pytest.fixture
def pushed(hub, trained):
    """The trained run as the model ann/model; return its commit."""
    return push_run(trained.name, HubName("ann/model"))["revision"]


@pytest.fixture
def elsewhere(pushed, tmp_path, monkeypatch):
    """Another home, where nothing was ever run."""
    monkeypatch.setenv("RGBT_BENCH_HOME", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


@pytest.fixture
def run(bench, elsewhere, tiny_folder):
    """Run a recipe with weights in the other home; return the exit code, the one object, and stderr."""

    def call(weights, *more, recipe=RECIPE, options=OPTIONS):
        code, out, err = bench("run", recipe, "--dataset", tiny_folder, *options, "--weights", weights, *more, "--json")
        return code, only_object(out), err

    return call


def test_a_pushed_model_finds_elsewhere_what_it_found_here(run, pushed, trained, elsewhere):
    code, content, err = run(f"hub:ann/model@{pushed}")
    assert code == 0, err
    (folder,) = (elsewhere / "runs").glob("*/*/*")
    assert folder.name != trained.name
    assert (folder / "predictions.json").read_bytes() == (trained / "predictions.json").read_bytes()
    mine, theirs = read_result(folder / "result.json"), read_result(trained / "result.json")
    assert mine.metrics == theirs.metrics
    assert mine.model.weights_from == f"hub:ann/model@{pushed}"
    assert (mine.model.seed, mine.model.requires) == (3, {})
    assert mine.data.train_label_digest is None
    assert mine.model.weights_sha256 == sha256_file(folder / "weights.safetensors")
    assert "hint" not in content


def test_a_finished_one_is_reused_and_nothing_is_downloaded_again(run, hub, pushed, elsewhere):
    run(f"hub:ann/model@{pushed}")
    before = contents(elsewhere)
    hub.reset()
    assert run(f"hub:ann/model@{pushed}")[1]["plan"][0]["state"] == "done"
    assert contents(elsewhere) == before
    assert not [one for one in hub.requests if one.method == "GET" and "safetensors" in one.path]


@pytest.mark.parametrize("name", ["hub:ann/model", "hub:ann/model@main"])
def test_a_branch_is_resolved_recorded_and_told(run, bench, hub, pushed, elsewhere, name, tiny_folder):
    content = run(name)[1]
    assert content["result"]["model"]["weights_from"] == f"hub:ann/model@{pushed}"
    told = f"{name} is {pushed} now; --weights hub:ann/model@{pushed} always names the same"
    assert content["hint"] == told
    out = bench("run", RECIPE, "--dataset", tiny_folder, *OPTIONS, "--weights", name)[1]
    assert told in out
    hub.repo("ann/model", "model").commit({"README.md": b"---\nlicense: other\n---\nNew words.\n"})
    assert run(name)[1]["folder"] != content["folder"]
    assert run(f"hub:ann/model@{pushed}")[1]["folder"] == content["folder"]


def test_a_dry_run_downloads_no_weights(run, hub, pushed, elsewhere):
    hub.reset()
    code, content, _ = run("hub:ann/model", "--dry-run")
    assert code == 0
    (row,) = content["plan"]
    assert (row["state"], row["seed"], row["weights_from"]) == ("to evaluate", 3, f"hub:ann/model@{pushed}")
    assert content["hint"]
    assert not [one for one in hub.requests if "safetensors" in one.path]
    assert not elsewhere.exists()


def test_another_recipe_is_refused_with_what_differs(run, pushed, elsewhere):
    model = f"hub:ann/model@{pushed}"
    changed = tuple(option.replace("image_size=64", "image_size=96") for option in OPTIONS)
    code, content, _ = run(model, options=changed)
    assert code == 2
    assert "model.image_size: 64, 96" in content["error"]
    assert "it was made with --preset quick --set model.image_size=64 " in content["error"]
    code, content, _ = run(model, options=("--device", "cpu"))
    assert code == 2
    assert "preset: 'quick', 'paper'" in content["error"]
    assert "... and " in content["error"]
    code, content, _ = run(model, recipe="ffkd-student-thermal")
    assert code == 2
    assert "is of the recipe ffkd-student-rgb, not of ffkd-student-thermal" in content["error"]
    assert not elsewhere.exists()


def test_other_classes_are_refused(run, hub, pushed, elsewhere):
    edit(hub, lambda content: content.replace(b'"person"', b'"people"'))
    code, content, _ = run("hub:ann/model")
    assert code == 2
    assert "finds people, bike, car, but the set has person, bike, car" in content["error"]


def edit(hub, change, path="config.json"):
    repo = hub.repo("ann/model", "model")
    assert change(repo.files[path]) != repo.files[path]
    repo.commit({path: change(repo.files[path])})


def drop_config(hub):
    hub.repo("ann/model", "model").commit({"config.json": None})


def foreign_config(hub):
    edit(hub, lambda content: b'{"model_type": "bert"}')


def broken_config(hub):
    edit(hub, lambda content: content[:100])


def newer_config(hub):
    edit(hub, lambda content: content.replace(b'"rgbt_bench_model": 1', b'"rgbt_bench_model": 2'))


def unknown_key(hub):
    edit(hub, lambda content: content.replace(b'"seed": 3', b'"sed": 3'))


def config_in_latin_1(hub):
    edit(hub, lambda content: content.replace(b'"person"', b'"pers\xf6n"'))


def endless_config(hub):
    edit(hub, lambda content: content + b" " * 2**20)


def wrong_seed(hub):
    edit(hub, lambda content: content.replace(b'"seed": 3', b'"seed": -3'))


def endless_mark(hub):
    edit(hub, lambda content: content.replace(b'"rgbt_bench_model": 1', b'"rgbt_bench_model": "' + b"x" * 9999 + b'"'))


def key_of_two_lines(hub):
    edit(hub, lambda content: content.replace(b'"seed": 3', b'"seed": 3, "\\n\\u202eerror": 3'))


def class_of_two_lines(hub):
    edit(hub, lambda content: content.replace(b'"person"', b'"\\nerror: ' + b"x" * 9999 + b'"'))


def endless_difference(hub):
    def change(content):
        config = json.loads(content)
        config["recipe"]["model"]["a\nb"] = [1] * 9999
        return json.dumps(config | {"recipe_digest": "0" * 64}).encode()

    edit(hub, change)


def unseen_difference(hub):
    edit(hub, lambda content: re.sub(rb'"recipe_digest": "\w+"', b'"recipe_digest": "%s"' % (b"0" * 64), content))


def other_weights(hub):
    edit(hub, lambda content: content[:-4] + b"\1\2\3\4", "model.safetensors")


def no_weights(hub):
    hub.repo("ann/model", "model").commit({"model.safetensors": None})


def truncated_weights(hub):
    """Cut the weights, and let the config name what is left."""
    import hashlib

    repo = hub.repo("ann/model", "model")
    whole = repo.files["model.safetensors"]
    known, left = (hashlib.sha256(data).hexdigest().encode() for data in (whole, whole[:-9]))
    edit(hub, lambda content: content.replace(known, left))
    repo.commit({"model.safetensors": whole[:-9]})


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (drop_config, 2, "not a model that rgbt-bench pushed (no config.json); weights of another origin"),
        (foreign_config, 2, "not a model that rgbt-bench pushed (its config.json has no rgbt_bench_model)"),
        (broken_config, 3, "config.json: not valid JSON"),
        (newer_config, 3, "config.json is of schema 2, this rgbt-bench reads 1"),
        (unknown_key, 3, "config.json cannot be used: seed: Field required"),
        (other_weights, 3, "model.safetensors is not the file that config.json names"),
        (no_weights, 3, "has no model.safetensors"),
        (truncated_weights, 3, "model.safetensors: not a whole safetensors file"),
    ],
)
def test_what_somebody_changed_on_the_hub_is_refused(run, hub, pushed, elsewhere, spoil, code, message):
    spoil(hub)
    head = hub.repo("ann/model", "model").head
    ended, content, _ = run("hub:ann/model")
    assert ended == code
    assert f"hub:ann/model@{head}: " in content["error"]
    assert message in content["error"]
    assert not list(elsewhere.rglob("result.json"))
    assert not list(elsewhere.rglob("*.safetensors"))
    assert run(f"hub:ann/model@{pushed}")[0] == 0  # the commit of before is as it was


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        (config_in_latin_1, 3, "config.json: not UTF-8 text"),
        (endless_config, 3, "config.json has more than 1,048,576 bytes"),
        (wrong_seed, 3, "config.json cannot be used: seed: Input should be greater than or equal to 0"),
        (endless_mark, 3, "xxx..., this rgbt-bench reads 1"),
        (key_of_two_lines, 3, r"config.json cannot be used: \n\u202eerror: Extra inputs"),
        (class_of_two_lines, 2, r"finds \nerror: xxx"),
        (endless_difference, 2, r"  - model.a\nb: [1, 1, "),
        (unseen_difference, 2, "  - something that its config does not show: what it requires, or the content of a"),
    ],
)
def test_what_a_config_says_is_checked_and_shown_in_one_short_line(run, hub, pushed, elsewhere, spoil, code, message):
    spoil(hub)
    ended, content, _ = run("hub:ann/model", "--dry-run")
    assert ended == code
    assert content["error"].startswith("hub:ann/model@")
    assert message in content["error"]
    assert len(content["error"]) < 1000


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("hub:ann/gone", 4, "there is no such model repository, or it is private"),
        ("hub:bob/model", 4, "there is no such model repository, or it is private"),
        ("hub:ann/model@nowhere", 4, "has no revision 'nowhere'"),
        ("hub:ann/model@" + "0" * 40, 4, "has no revision"),
        ("hub:model", 2, "names no repository"),
        ("hub:ann/model@", 2, "is no revision"),
    ],
)
def test_what_is_not_there_is_said(run, hub, elsewhere, name, code, message):
    hub.create_repo("bob/model", "model", files={"config.json": b"{}"})
    ended, content, _ = run(name)
    assert ended == code
    assert message in content["error"]
    assert not elsewhere.exists()


def test_the_same_weights_from_a_file_are_the_same_predictions_of_another_origin(run, pushed, trained, tmp_path):
    first = run(f"hub:ann/model@{pushed}")[1]
    second = run(shutil.copy(trained / "weights.safetensors", tmp_path / "w.safetensors"))[1]
    assert second["folder"] != first["folder"]
    assert second["result"]["metrics"] == first["result"]["metrics"]
    assert second["result"]["predictions_sha256"] == first["result"]["predictions_sha256"]
    assert second["result"]["model"]["weights_from"] == "file"
