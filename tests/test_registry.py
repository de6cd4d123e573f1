"""Finding converters and submissions: ours, and those of a package that somebody else installed."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

from rgbt_bench import registry
from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.registry import CONVERTERS, SUBMISSIONS, Entry

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "theirs"
version = "1.0"

[project.entry-points."rgbt_bench.converters"]
theirs = "their_converters"

[project.entry-points."rgbt_bench.submissions"]
theirs = "their_models"

[tool.setuptools]
packages = ["their_converters", "their_models", "their_models.mean_box"]

[tool.setuptools.package-data]
"*" = ["recipes/*.yaml"]
"""
CONVERTER = """
from rgbt_bench.converters import Scan
from rgbt_bench.datasets.sample import INFO, scenes
from rgbt_bench.datasets.sample_converter import SampleConverter, to_item


class Lawn(SampleConverter):
    info = INFO.model_copy(update={"name": "lawn", "title": "Three pairs of a lawn"})
    expected = {"train": 3, "val": 0, "test": 3}

    def scan(self, source):
        return Scan("generated", [to_item(part, one) for part in ("train", "test") for one in scenes(part, 3)])


CONVERTER = Lawn
"""
SUBMISSION = """
import numpy as np
import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save_file

from rgbt_bench.predictions import Detections
from rgbt_bench.submissions import LatencySubject, Submission


class Model(BaseModel):
    score: float


class Nothing(BaseModel):
    pass


class MeanBox(Submission):
    sections = {"model": Model, "augment": Nothing, "loss": Nothing}

    def train(self, stage, context):
        boxes = torch.tensor([box.bbox for labels in context.train.labels for box in labels.objects])
        context.folder.mkdir(parents=True, exist_ok=True)
        save_file({"box": boxes.mean(dim=0)}, context.weights)

    def predict(self, weights, part, device, progress):
        box = load_file(weights)["box"].double().numpy()
        classes, samples = len(self.info.classes), len(part)
        return Detections(
            np.repeat(np.arange(samples), classes),
            np.tile(np.arange(classes), samples),
            np.tile(box, (samples * classes, 1)),
            np.full(samples * classes, self.config["model"].score),
        )

    def parameters(self):
        return {"total": 4, "trainable": 4}

    def latency_subject(self, batch, device):
        return LatencySubject(lambda: torch.zeros(batch, 4), (96, 96), 0, 4, "nothing")


SUBMISSION = MeanBox
"""
RECIPE = """
name: theirs
title: The mean of all boxes, everywhere
submission: mean_box
dataset: lawn
protocol: coco
modalities: [rgb, thermal]
model: {score: 0.5}  # ours
loss: {}
optimizer: {name: sgd, learning_rate: 1e-5, weight_decay: 0}  # ours: unused
schedule: {epochs: 1, batch_size: 1}  # ours: unused
"""


@pytest.fixture(autouse=True)
def fresh():
    caches = (registry.converters, registry.submissions, registry.recipe_files)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def plug(tmp_path, monkeypatch):
    """Register packages beside ours, as an installed project's entry points do; the files are written first."""
    monkeypatch.syspath_prepend(tmp_path)
    ours = registry.entry_points
    added = []
    every = lambda group: [*ours(group=group), *(point for point in added if point.group == group)]  # noqa: E731
    monkeypatch.setattr(registry, "entry_points", every)

    def add(group, value, files=None):
        for name, text in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        added.append(EntryPoint("plugged", value, group))

    yield add
    for name in [name for name in sys.modules if name.startswith("plugged")]:
        del sys.modules[name]


def python(code):
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_of_ours_is_found_without_importing_it():
    found = json.loads(
        python("""
        import json, sys
        from rgbt_bench import registry
        names = [sorted(one()) for one in (registry.converters, registry.submissions, registry.recipe_files)]
        loaded = [name for name in sys.modules if name.startswith(("rgbt_converters.", "rgbt_baselines.", "torch"))]
        print(json.dumps([*names, loaded]))
        """)
    )
    assert {"sample", "flir"} <= set(found[0])
    assert "ffkd" in found[1]
    assert {"ffkd-student", "ffkd-teacher-fusion"} <= set(found[2])
    assert found[3] == []


def test_a_module_that_cannot_be_imported_is_found_all_the_same(plug):
    plug(CONVERTERS, "plugged_c", {"plugged_c/__init__.py": "", "plugged_c/broken.py": "1/0", "plugged_c/_part.py": ""})
    plug(SUBMISSIONS, "plugged_s", {"plugged_s/__init__.py": "", "plugged_s/broken/recipes/r.yaml": "name: r"})
    assert "broken" in registry.converters()
    assert "_part" not in registry.converters()
    assert "broken" in registry.submissions()
    assert registry.recipe_files()["r"].name == "r.yaml"
    assert set(registry.converters()) > {"sample", "flir"}


@pytest.mark.parametrize(("name", "meant"), [("flri", "flir"), ("FLIR", "flir"), ("samples", "sample")])
def test_a_mistyped_dataset_is_suggested(name, meant):
    with pytest.raises(UsageError, match=f"unknown dataset '{name}'. Did you mean '{meant}'"):
        registry.load_converter(name)


def test_a_name_like_no_other_lists_them_all():
    with pytest.raises(UsageError, match=r"Known: .*\bflir, .*\bsample\b"):
        registry.load_converter("q")
    with pytest.raises(UsageError, match=r"unknown submission 'ffdk'\. Did you mean 'ffkd'"):
        registry.load_submission("ffdk")


def test_a_taken_name_is_refused(plug):
    plug(CONVERTERS, "plugged_c", {"plugged_c/__init__.py": "", "plugged_c/flir.py": ""})
    with pytest.raises(BadInputError, match=r"two .* named 'flir': plugged_c\.flir and rgbt_converters\.flir"):
        registry.converters()


def test_a_taken_submission_or_recipe_is_refused(plug):
    plug(SUBMISSIONS, "plugged_s", {"plugged_s/__init__.py": "", "plugged_s/new/recipes/ffkd-student.yaml": ""})
    with pytest.raises(BadInputError, match=r"two recipes are named 'ffkd-student': .*/ffkd-student\.yaml and "):
        registry.recipe_files()
    registry.submissions.cache_clear()
    plug(SUBMISSIONS, "plugged_t", {"plugged_t/__init__.py": "", "plugged_t/ffkd/recipes/r.yaml": ""})
    with pytest.raises(BadInputError, match=r"'ffkd': plugged_t\.ffkd\.\w+ and rgbt_baselines\.ffkd"):
        registry.submissions()


def test_one_package_named_by_two_projects_is_one(plug):
    plug(CONVERTERS, "rgbt_converters")
    assert "flir" in registry.converters()


@pytest.mark.parametrize(
    "value", ["plugged_none", "plugged_none.inner", "plugged_module", "plugged_module:Class", "", "..", "json.nothing"]
)
def test_an_entry_point_that_is_no_package_is_named(plug, value):
    plug(CONVERTERS, value, {"plugged_module.py": ""})
    with pytest.raises(BadInputError, match=r"entry point 'plugged': .* is not an importable package"):
        registry.converters()


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", BadInputError, r"plugged_c\.thing: a plug-in module must set CONVERTER"),
        ("CONVERTER = 3", BadInputError, "CONVERTER is not a subclass of Converter"),
        ("from rgbt_bench.submissions import Submission as CONVERTER", BadInputError, "not a subclass of Converter"),
        (
            "from rgbt_bench.datasets.sample_converter import SampleConverter as CONVERTER",
            BadInputError,
            "is registered as 'thing' but converts 'sample'",
        ),
        ("import no_such_package_at_all", MissingError, "'no_such_package_at_all'.*pip install no_such_"),
    ],
)
def test_a_module_that_holds_no_converter_is_named(plug, text, kind, message):
    plug(CONVERTERS, "plugged_c", {"plugged_c/__init__.py": "", "plugged_c/thing.py": text})
    with pytest.raises(kind, match=message):
        registry.load_converter("thing")


def test_a_folder_of_recipes_without_its_module_is_named(plug):
    plug(SUBMISSIONS, "plugged_s", {"plugged_s/__init__.py": "", "plugged_s/bare/recipes/r.yaml": ""})
    with pytest.raises(BadInputError, match=r"plugged_s.bare: no submission\.py here"):
        registry.load_submission("bare")


def test_a_missing_package_of_ours_names_the_extra(monkeypatch, tmp_path):
    def missing(name):
        raise ModuleNotFoundError("", name="torchvision")

    monkeypatch.setattr(registry, "import_module", missing)
    with pytest.raises(MissingError, match=r"'torchvision', which is not installed: pip install 'rgbt-bench\[train\]'"):
        Entry("x", "rgbt_baselines.x.submission", "SUBMISSION", tmp_path).load()


@pytest.fixture(scope="module")
def theirs(tmp_path_factory, pip_install):
    """A third party's project, installed for real beside ours."""
    project, target = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("site")
    files = {
        "pyproject.toml": PYPROJECT,
        "their_converters/__init__.py": "",
        "their_converters/lawn.py": CONVERTER,
        "their_models/__init__.py": "",
        "their_models/mean_box/__init__.py": "",
        "their_models/mean_box/submission.py": SUBMISSION,
        "their_models/mean_box/recipes/theirs.yaml": RECIPE,
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    pip_install(project, target)
    return target


@pytest.fixture
def bench(theirs, home):
    def call(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "rgbt_bench", *map(str, arguments), "--json"],
            env={**os.environ, "PYTHONPATH": str(theirs), "RGBT_BENCH_HOME": str(home)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def test_a_third_partys_converter_works_as_ours_do(bench, home):
    assert {"flir", "sample", "lawn"} <= {row["name"] for row in bench("list", "datasets")["datasets"]}
    assert bench("convert", "lawn")["parts"] == {"train": 3, "test": 3}
    assert bench("inspect", "lawn")["parts"]["test"]["samples"] == 3
    assert (home / "datasets" / "lawn" / "dataset.json").is_file()


def test_a_third_partys_submission_runs_as_ours_do(bench, theirs, tiny_folder):
    rows = {row["name"]: row for row in bench("list", "submissions")["submissions"]}
    assert rows["theirs"]["track"] == "lawn/detection-rgbt"
    assert "ffkd-student" in rows
    ran = bench("run", "theirs", "--dataset", tiny_folder, "--device", "cpu")
    assert json.loads((Path(ran["folder"]) / "result.json").read_text()) == ran["result"]
    assert ran["result"]["model"]["recipe"] == "theirs"
    assert ran["result"]["model"]["parameters"] == {"total": 4, "trainable": 4}
    assert ran["result"]["track"] == "sample/detection-rgbt"
    assert ran["result"]["standing"] == "unofficial"
    assert 0 <= ran["result"]["metrics"]["figures"]["AP"] < 1


def test_a_new_recipe_is_found_without_another_installation(bench, theirs, tiny_folder):
    folder = theirs / "their_models" / "mean_box" / "recipes"
    added = folder / "theirs-two.yaml"
    added.write_text(RECIPE.replace("name: theirs", "name: theirs-two").replace("score: 0.5", "score: 0.7"))
    try:
        assert "theirs-two" in {row["name"] for row in bench("list", "submissions")["submissions"]}
        plan = bench("run", "theirs-two", "--dataset", tiny_folder, "--dry-run")["plan"]
        assert [(row["recipe"], row["state"]) for row in plan] == [("theirs-two", "to train")]
    finally:
        added.unlink()


def test_a_recipe_file_of_the_users_own_runs_as_a_registered_one(bench, tmp_path, tiny_folder):
    mine = tmp_path / "mine.yaml"
    mine.write_text(RECIPE.replace("name: theirs", "name: mine"))
    plan = bench("run", mine, "--dataset", tiny_folder, "--dry-run")["plan"]
    assert [row["recipe"] for row in plan] == ["mine"]
    assert bench("show", mine)["digest"] == bench("show", "theirs")["digest"]
