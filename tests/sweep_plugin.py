"""A third party's submission that trains at once, and the project that installs it."""

from textwrap import dedent

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "instant"
version = "1.0"

[project.entry-points."rgbt_bench.submissions"]
instant = "instant_models"

[tool.setuptools]
packages = ["instant_models", "instant_models.instant"]

[tool.setuptools.package-data]
"*" = ["recipes/*.yaml"]
"""
# Its detections are the labels, moved by an amount that seed and weights decide, so that each seed has its own AP.
SUBMISSION = """
import os
import signal
import time

import numpy as np
from pydantic import BaseModel

from rgbt_bench.errors import BadInputError
from rgbt_bench.predictions import Detections
from rgbt_bench.submissions import Submission


class Model(BaseModel):
    sleep: float
    end: str


class Nothing(BaseModel):
    pass


class Instant(Submission):
    sections = {"model": Model, "augment": Nothing, "loss": Nothing}

    def train(self, stage, context):
        with (context.folder / "trained.txt").open("a") as stream:
            stream.write(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\\n")
        time.sleep(self.config["model"].sleep)
        if self.config["model"].end == "refuse":
            raise BadInputError("these pixels will not do")
        if self.config["model"].end == "crash":
            raise RuntimeError("nobody foresaw this")
        if self.config["model"].end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        below = sum(float(one.weights.read_text()) for one in context.requirements.values())
        context.weights.write_text(str(context.seed + 1 + below))

    def predict(self, weights, part, device, progress):
        moved = np.random.default_rng(int(float(weights.read_text()))).uniform(0, 6)
        found = [(place, one) for place, labels in enumerate(part.labels) for one in labels.objects]
        return Detections(
            np.array([place for place, _ in found]),
            np.array([one.category for _, one in found]),
            np.array([one.bbox for _, one in found]) + [moved, 0, 0, 0],
            np.full(len(found), 0.5),
        )

    def parameters(self):
        return {"total": 1, "trainable": 1}

    def latency_subject(self, batch, device):
        raise NotImplementedError


SUBMISSION = Instant
"""
# What the harness asks of torch where a submission uses none; importing the real one takes seconds a process.
TORCH = """
__version__ = "0"


class cuda:
    is_available = staticmethod(lambda: False)


class device:
    def __init__(self, type):
        self.type = type


def get_num_threads():
    return 1
"""
RECIPES = {
    "instant": ("", "well"),
    "instant-one": ("{teacher: instant}", "well"),
    "instant-two": ("{teacher: instant}", "well"),
    "refuses": ("", "refuse"),
    "needs-refuses": ("{teacher: refuses}", "well"),
    "needs-that": ("{teacher: needs-refuses}", "well"),
    "crashes": ("", "crash"),
    "killed": ("", "killed"),
}


def recipe(name, requires="", end="well"):
    return dedent(f"""
        name: {name}
        title: Ends {end}
        submission: instant
        dataset: sample
        protocol: coco
        modalities: [rgb, thermal]
        requires: {requires or "{}"}
        model: {{sleep: 0.0, end: {end}}}
        loss: {{}}
        optimizer: {{name: sgd, learning_rate: 1.0, weight_decay: 0.0}}
        schedule: {{epochs: 1, batch_size: 1}}
    """)


def write_project(folder):
    """Write the project, with its recipes, into a folder."""
    files = {
        "pyproject.toml": PYPROJECT,
        "instant_models/__init__.py": "",
        "instant_models/instant/__init__.py": "",
        "instant_models/instant/submission.py": SUBMISSION,
        **{f"instant_models/instant/recipes/{name}.yaml": recipe(name, *how) for name, how in RECIPES.items()},
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
