"""What importing loads: nothing for the package itself, NumPy alone for the core, nothing heavy for the help."""

import subprocess
import sys

import pytest

# The packages that are ours to leave out; the standard library is nobody's burden.
HEAVY = {"torch", "torchvision", "timm", "numba", "datasets", "pyarrow", "pandas", "PIL", "matplotlib", "jinja2"}
HEAVY |= {
    "scipy",
    "hotcoco",
    "pycocotools",
    "transformers",
    "accelerate",
    "effdet",
    "cv2",
    "onnx",
    "onnxruntime",
    "onnxscript",
}
KNOWN = HEAVY | {"numpy", "pydantic", "typer", "rich", "ruamel"}


def loaded(code):
    """Which of the known packages a fresh process has loaded after some code."""
    code = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return KNOWN & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("rgbt_bench", set()),
        ("rgbt_bench.errors", set()),
        ("rgbt_bench.files", set()),
        ("rgbt_bench.sources", set()),
        ("rgbt_bench.metrics.catalogue", set()),
        ("rgbt_bench.predictions", {"numpy"}),
        ("rgbt_bench.schema", {"pydantic"}),
        ("rgbt_bench.metrics.detection", {"numpy"}),
        ("rgbt_bench.metrics.resampling", {"numpy"}),
        ("rgbt_bench.metrics.segmentation", {"numpy"}),
        ("rgbt_bench.metrics.edges", {"numpy"}),
        ("rgbt_bench.metrics.fusion", {"numpy"}),
        ("rgbt_bench.statistics", {"numpy"}),
    ],
)
def test_the_core_loads_numpy_and_no_more_than_it_needs(module, needed):
    assert loaded(f"import {module}") == needed


def test_scoring_loads_its_engine_and_nothing_else():
    code = """
import numpy as np
from rgbt_bench.metrics.detection import GroundTruth, coco_figures
from rgbt_bench.predictions import Detections
empty = np.zeros(0, int)
one = np.zeros(1, int)
box = np.array([[1.0, 1.0, 5.0, 5.0]])
truth = GroundTruth(one, one, box, np.array([25.0]), one > 0, one > 0, 1, 1)
coco_figures(truth, Detections(one, one, box, np.array([0.5])))
"""
    assert not loaded(code) & (HEAVY - {"hotcoco"})


def test_the_help_loads_nothing_heavy():
    code = """
import sys
from rgbt_bench.cli import main
sys.argv[1:] = ["--help"]
try:
    main()
except SystemExit as end:
    assert not end.code
"""
    assert loaded(code) <= {"typer", "rich"}
