"""A small segmentation network: trained, pushed, run again elsewhere, used on loose pairs, and run by two processes."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from PIL import Image as Pillow

from cli_cases import only_object
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.files import read_json
from rgbt_bench.harness import execute
from rgbt_bench.hub.model_files import EVAL_RESULTS, is_of_push
from rgbt_bench.hub.models import push_run
from rgbt_bench.hub.names import HubName
from rgbt_bench.png_folders import png_digest
from rgbt_bench.results import read_result
from rgbt_bench.runs import plan_run

RECIPE = "mfnet-thermal"
SETTINGS = ("model.image_size=[48,48]", "schedule.max_steps=2", "schedule.batch_size=4")
OPTIONS = ("--preset", "quick", "--device", "cpu", *(f"--set={setting}" for setting in SETTINGS))


@pytest.fixture(scope="module")
def segmented_home(tiny_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("segmented") / "runs"
    dataset = Dataset(tiny_folder)
    execute(plan_run(RECIPE, dataset, "quick", 3, SETTINGS, out), dataset, "cpu")
    return out


@pytest.fixture
def segmented(segmented_home, home, tiny_folder):
    """The folder of a small trained run in the home of this test, which has the set, too."""
    shutil.copytree(segmented_home, home / "runs")
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    (folder,) = (home / "runs").glob("*/*/*")
    return folder


def pushed_files(hub):
    files = hub.repo("ann/model", "model").files
    return {path: data for path, data in files.items() if path != ".gitattributes"}


def test_a_run_is_pushed_with_its_label_maps_and_no_image_of_the_set(hub, segmented):
    report = push_run(segmented.name, HubName("ann/model"))
    files = pushed_files(hub)
    assert sorted(files) == report["paths"]
    assert all(map(is_of_push, files))
    maps = {path.name: path.read_bytes() for path in (segmented / "predictions").iterdir()}
    assert {path: data for path, data in files.items() if path.startswith("predictions")} == {
        f"predictions/{name}": data for name, data in maps.items()
    }
    assert len(maps) == 12
    assert not push_run(segmented.name, HubName("ann/model"))["is_new"]


def test_the_card_and_the_eval_results_say_what_was_scored(hub, segmented, tiny_folder):
    head = hub.create_repo("ann/sample", files={"dataset.json": (tiny_folder / "dataset.json").read_bytes()}).head
    push_run(segmented.name, HubName("ann/model"), dataset_repo=f"ann/sample@{head}")
    result = read_result(segmented / "result.json")
    card = ModelCard.load("ann/model")
    assert card.data.pipeline_tag == "image-segmentation"
    _, found = model_index_to_eval_results(eval_results_to_model_index("model", card.data.eval_results))
    assert {one.metric_type: one.metric_value for one in found} == result.metrics.figures
    assert {one.task_type for one in found} == {"image-segmentation"}
    assert "labels every pixel as background, person, bike, car in\nthermal images of" in card.text
    assert (
        "| class | Acc | interval | IoU | interval | pixels |\n|---|---|---|---|---|---|\n| background | " in card.text
    )
    row = result.metrics.per_class["background"]
    assert f"| background | {row['Acc']:.4f} |  | {row['IoU']:.4f} |  | {row['truth_pixels']} |" in card.text
    assert f"- day, 8 pairs: mIoU {result.metrics.subsets['day']['mIoU']:.4f}" in card.text
    assert "- `predictions/`: the label maps that were scored" in card.text
    told = " ".join(pushed_files(hub)[EVAL_RESULTS].decode().split())
    assert f"value: {result.metrics.figures['mIoU']}" in told
    assert "segmentation-thermal-unranked" in told
    assert "mean IoU over all classes, absent ones as 0" in told


def test_pushed_weights_say_elsewhere_what_they_said_here(hub, segmented, bench, monkeypatch, tmp_path, tiny_folder):
    head = push_run(segmented.name, HubName("ann/model"))["revision"]
    monkeypatch.setenv("RGBT_BENCH_HOME", str(tmp_path / "elsewhere"))
    command = ("run", RECIPE, "--dataset", tiny_folder, *OPTIONS, "--weights", f"hub:ann/model@{head}", "--json")
    code, out, err = bench(*command)
    assert code == 0, err
    content = only_object(out)
    expected = read_result(segmented / "result.json")
    assert content["result"]["predictions_sha256"] == expected.predictions_sha256
    assert content["result"]["metrics"] == expected.model_dump(mode="json")["metrics"]
    assert content["result"]["model"]["weights_from"] == f"hub:ann/model@{head}"
    assert only_object(bench(*command)[1])["plan"][0]["state"] == "done"
    code, out, _ = bench("push", content["folder"], "--hub", "ann/other", "--json")
    assert (code, "only a run that trained its own is pushed" in only_object(out)["error"]) == (2, True)


def test_other_classes_are_refused(hub, segmented, bench, tiny_folder):
    push_run(segmented.name, HubName("ann/model"))
    repo = hub.repo("ann/model", "model")
    repo.commit({"config.json": repo.files["config.json"].replace(b'"background"', b'"sky"')})
    code, out, _ = bench("run", RECIPE, "--dataset", tiny_folder, *OPTIONS, "--weights", "hub:ann/model", "--json")
    assert code == 2
    assert "sky, person, bike, car, but the set has background, person, bike, car" in only_object(out)["error"]


@pytest.fixture
def pictures(tiny, tmp_path):
    """The thermal images of the test part as files by their sample's id."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for one in tiny.part("test"):
        (folder / f"{one.sample_id}.png").write_bytes(one.thermal.data)
    return folder


def test_on_loose_files_it_says_what_it_said_on_the_set(segmented, pictures, bench, tmp_path):
    command = ("predict", RECIPE, "--thermal", pictures, "--device", "cpu", "--out", tmp_path / "out" / "maps")
    code, out, err = bench(*command, "--draw", tmp_path / "d.png", "--json")
    assert code == 0, err
    content = only_object(out)
    assert png_digest(tmp_path / "out" / "maps") == png_digest(segmented / "predictions")
    assert content["classes"] == ["background", "person", "bike", "car"]
    for pair in content["pairs"]:
        labels = np.asarray(Pillow.open(tmp_path / "out" / "maps" / pair["label_map"]))
        assert list(pair["pixels"].values()) == np.bincount(labels.ravel(), minlength=4).tolist()
        assert (pair["rgb"], pair["width"], pair["height"]) == (None, 96, 96)
    assert Pillow.open(tmp_path / "d.png").format == "PNG"
    out = bench(*command)[1]
    assert "share of each class" in out
    assert f"written into {tmp_path / 'out' / 'maps'}" in out
    code, _, err = bench("evaluate", tmp_path / "out" / "maps", "--dataset", "sample", "--task", "segmentation-thermal")
    assert code == 0, err


def test_equal_stems_have_a_file_each(segmented, pictures, bench, tmp_path):
    names = ("a/x.png", "b/x.png", "b/X.png", "x-0.png")
    files = [tmp_path / name for name in names]
    for place, path in enumerate(files):
        path.parent.mkdir(exist_ok=True)
        shutil.copy(pictures / f"sample_test_000{place}.png", path)
    given = [word for path in files for word in ("--thermal", path)]
    content = only_object(bench("predict", RECIPE, *given, "--device", "cpu", "--out", tmp_path / "maps", "--json")[1])
    written = [pair["label_map"] for pair in content["pairs"]]
    assert written == ["x-0.png", "x-1.png", "X-2.png", "x-0-3.png"]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == sorted(written)
    for place, name in enumerate(written):
        expected = segmented / "predictions" / f"sample_test_000{place}.png"
        assert (tmp_path / "maps" / name).read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "pictures"), "sample_test_0000.png there is one of the images, which would be lost"),
        (("--out", "pictures/../pictures"), "there is one of the images"),
        (("--out", "a.txt"), "is a file; label maps are written into a folder"),
        (("--rgb", "pictures", "--out", "pictures"), "there is one of the images"),
    ],
)
def test_nothing_of_the_users_is_written_over(segmented, pictures, bench, tmp_path, options, message):
    (tmp_path / "a.txt").write_text("mine")
    before = {path: path.read_bytes() for path in (*pictures.iterdir(), tmp_path / "a.txt")}
    given = [tmp_path / word if not word.startswith("--") else word for word in options]
    code, _, err = bench("predict", RECIPE, "--thermal", pictures, "--device", "cpu", *given)
    assert (code, message in err) == (2, True), err
    assert {path: path.read_bytes() for path in (*pictures.iterdir(), tmp_path / "a.txt")} == before


@pytest.mark.parametrize("option", ["--out", "--draw"])
def test_a_picture_is_not_written_over_by_its_own_outcome(segmented, pictures, bench, option):
    path = pictures / "sample_test_0000.png"
    before = path.read_bytes()
    code, _, err = bench("predict", RECIPE, "--thermal", path, "--device", "cpu", option, path)
    assert (code, f"{option} {path}: is one of the images, which would be lost" in err) == (2, True), err
    assert path.read_bytes() == before


@pytest.mark.slow
def test_two_processes_write_the_folder_of_one(segmented, tmp_path, tiny_folder):
    expected = read_result(segmented / "result.json")
    out = tmp_path / "runs"
    folder = plan_run(RECIPE, Dataset(tiny_folder), "quick", 3, SETTINGS, out).folder
    folder.mkdir(parents=True)
    for name in ("weights.safetensors", "run.json"):  # trained by one, so that only the prediction is shared
        shutil.copy(segmented / name, folder)
    shutil.copytree(segmented / "checkpoint", folder / "checkpoint")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "rgbt_bench"]
    command = [*launcher, "run", RECIPE, "--dataset", tiny_folder, *OPTIONS, "--seed", 3, "--out", out, "--json"]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)["result"]
    assert content["predictions_sha256"] == expected.predictions_sha256 == png_digest(folder / "predictions")
    assert content["metrics"] == expected.model_dump(mode="json")["metrics"]
    assert read_json(folder / "result.json")["predictions_sha256"] == expected.predictions_sha256
    assert not list(folder.glob("predictions.p*l"))
