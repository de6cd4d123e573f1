"""The wheel: built from a copy of the checkout, installed elsewhere, and used from there."""

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from rgbt_bench.leaderboard.papers import papers
from rgbt_bench.registry import converters, recipe_files

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "rgbt_bench": "rgbt_bench",
    "rgbt_converters": "converters",
    "rgbt_baselines": "baselines",
    "rgbt_leaderboards": "leaderboards",
}
DATA = {".py", ".yaml", ".txt", ".jinja", ".typed", ".json", ".css", ".js", ".svg"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build from a copy, so that nothing that lies beside the sources gets in and nothing is left in the checkout."""
    if find_spec("build") is None:
        pytest.skip("needs the package build, which the extra dev brings")
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=False)
    if names.returncode:
        pytest.skip("the checkout is no git repository, so nobody knows which files belong to it")
    for name in names.stdout.decode().split("\0"):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--skip-dependency-check",
        "--outdir",
        str(out),
    ]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def bench(wheel, pip_install, tmp_path_factory):
    """Run the installed command line from a folder where no checkout is."""
    target, elsewhere = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    pip_install(wheel, target)
    environment = {**os.environ, "PYTHONPATH": str(target), "RGBT_BENCH_HOME": str(elsewhere)}

    def call(*arguments):
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = call("-c", "import rgbt_bench, rgbt_converters; print(rgbt_bench.__file__, rgbt_converters.__file__)")
    assert where.count(str(target)) == 2
    return lambda *arguments: json.loads(call("-m", "rgbt_bench", *arguments, "--json"))


def test_the_wheel_holds_every_file_of_its_packages(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and (path.suffix in DATA or path.name == "README.md")
    }
    assert expected - held == set()
    ours = {name for name in held if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in ours} == set(PACKAGES)
    assert [name for name in ours if name.endswith((".pyc", ".so"))] == []
    assert {f"{package}/py.typed" for package in PACKAGES} <= held


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
        text = archive.read(metadata).decode()
        points = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    assert "License-Expression: Apache-2.0" in text
    assert "Provides-Extra: train" in text
    assert "Requires-Dist: torch" not in "".join(line for line in text.splitlines() if "extra ==" not in line)
    assert "rgbt-bench = rgbt_bench.cli:main" in points


def test_every_dataset_and_submission_is_listed_outside_the_checkout(bench):
    assert {row["name"] for row in bench("list", "datasets")["datasets"]} == set(converters())
    assert {row["name"] for row in bench("list", "submissions")["submissions"]} == set(recipe_files())


def test_tables_and_frozen_definitions_are_readable_outside_the_checkout(bench):
    tables = {f"{paper.key}/{key}" for paper in papers().values() for key in paper.tables}
    assert {row["name"] for row in bench("list", "tables")["tables"]} == tables
    assert bench("reproduce", "ffkd/table-2")["rows"][-1]["paper"] == [31.5, 64.8, 24.7]


def test_split_lists_and_templates_work_outside_the_checkout(bench, tiny_folder):
    # `inspect` reads the frozen leaderboard, and `show` the origins of a packaged recipe.
    assert "frozen" in bench("inspect", str(tiny_folder))["parts"]["test"]["official"]
    assert bench("show", "ffkd-student")["origins"]["loss.distillation.temperature"] == "official code"
    assert "align_train.txt" in bench("convert", "flir")["instructions"]
