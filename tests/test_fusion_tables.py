"""TarDAL's tables from runs: which dataset and recipe fills which column, box plots, and what is refused."""

import shutil

import pytest
from PIL import Image as Pillow

from cli_cases import only_object
from rgbt_bench.leaderboard.reproduce import reproduce
from rgbt_bench.metrics.fusion import METRICS
from rgbt_bench.results import ModelProvenance
from rgbt_bench.runs import settled_recipe
from rgbt_bench.scoring import score_file

TABLES = ("tardal/table-2", "tardal/table-3", "tardal/table-4", "tardal/fig-7")
M1 = ("model.target_discriminator=false", "model.detail_discriminator=false")


@pytest.fixture(scope="module")
def scored(tiny_folder, tmp_path_factory):
    """One result of fused images and one of boxes, to be changed into others."""
    from rgbt_bench.datasets.store import Dataset

    folder = tmp_path_factory.mktemp("scored")
    part = Dataset(tiny_folder).part("test")
    (folder / "fused").mkdir()
    for name, sample in zip(part.ids, part, strict=True):
        (folder / "fused" / f"{name}.png").write_bytes(sample.thermal.data)
    (folder / "p.json").write_text("[]")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rgbt_bench.protocols.fusion.CONTROLS", {})
        patch.setenv("RGBT_BENCH_HOME", str(folder / "home"))
        return {
            "fusion": score_file(folder / "fused", part, "fusion"),
            "detection-on-fused": score_file(folder / "p.json", part, "detection-on-fused"),
        }


@pytest.fixture
def store(scored, home):
    """Put a result into the runs as if a recipe had made it on a dataset."""

    def put(recipe, dataset, settings=(), split="default", preset="paper", standing="official", seed=0, **figures):
        settled = settled_recipe(recipe, preset, settings)
        result = scored[settled.task]
        model = ModelProvenance(
            recipe=recipe, preset=preset, recipe_digest=settled.digest, run_key="k", seed=seed, settings=settings,
            weights_sha256="w", requires={}, parameters={}, epochs=1,
        )  # fmt: skip
        result = result.model_copy(
            update={
                "standing": standing,
                "model": model,
                "data": result.data.model_copy(update={"dataset": dataset, "split": split}),
                "metrics": result.metrics.model_copy(update={"figures": result.metrics.figures | figures}),
            }
        )
        name = dataset if split == "default" else f"{dataset}@{split}"
        key = f"{len(list(home.glob('runs/*/*/*'))):012d}"
        result.write(home / "runs" / name / f"{recipe}-{preset}" / key / "result.json")

    return put


def cells(content, row):
    (found,) = [one for one in content["rows"] if one["name"] == row]
    return {name: value for name, value in zip(content["columns"], found["measured"], strict=True) if value is not None}


@pytest.mark.parametrize("name", TABLES)
def test_without_runs_the_papers_figures_stand_alone(bench, name):
    content = only_object(bench("reproduce", name, "--json")[1])
    counted = {"size M", "FLOPs G"}
    for row in content["rows"]:
        assert cells(content, row["name"]).keys() <= counted
        assert not row["from"]
    code, out, err = bench("reproduce", name)
    assert code == 0, err
    assert "None" not in out
    assert "nan" not in out.split()
    assert bench("reproduce", name, "--format", "latex")[0] == 0


def test_table_2_counts_the_generator_alone():
    content = reproduce("tardal/table-2")
    found = cells(content, "TarDAL")
    assert found["size M"] == pytest.approx(0.296577)
    assert found["FLOPs G"] > 14.88  # which is of 224x224
    assert cells(content, "U2Fusion") == {}


def test_a_fusion_fills_the_columns_of_its_own_set(store):
    store("tardal-dt", "roadscene", split="heldout", MI=3.25, EN=7.5, SD=50.0)
    content = reproduce("tardal/table-3")
    assert cells(content, "M4") == {"RoadScene MI": 3.25, "RoadScene EN": 7.5, "RoadScene SD": 50.0}
    assert all(cells(content, row) == {} for row in ("M1", "M2", "M3"))
    store("tardal-dt", "m3fd", MI=3.0, EN=7.0, SD=40.0)
    store("tardal-dt", "m3fd", M1, MI=2.0, EN=6.0, SD=30.0)
    content = reproduce("tardal/table-3")
    assert cells(content, "M4")["M3FD MI"] == 3.0
    assert cells(content, "M4")["RoadScene MI"] == 3.25
    assert cells(content, "M1") == {"M3FD MI": 2.0, "M3FD EN": 6.0, "M3FD SD": 30.0}
    assert cells(reproduce("tardal/fig-7"), "TarDAL")["RoadScene MI"] == 3.25


def test_a_detector_fills_its_column_by_what_it_was_given(store):
    store("yolov5s-on-fused", "m3fd", ("requires.fusion=tardal-dt",), AP50=0.8)
    store("yolov5s-on-fused", "m3fd", ("requires.fusion=tardal-ct",), AP50=0.9)
    store("yolov5s-on-fused", "m3fd", AP50=0.7)  # on the average, which is no row
    assert cells(reproduce("tardal/table-3"), "M4") == {"M3FD mAP50": 0.8}
    content = reproduce("tardal/table-4")
    assert [cells(content, row).get("M3FD mAP50") for row in ("DT", "TT", "CT")] == [0.8, None, 0.9]
    assert cells(reproduce("tardal/table-2"), "TarDAL")["M3FD mAP50"] == 0.8
    below = tuple(f"tardal-dt:{one}" for one in M1)
    store("yolov5s-on-fused", "m3fd", ("requires.fusion=tardal-dt", *below), AP50=0.6)
    content = reproduce("tardal/table-3")
    assert (cells(content, "M1"), cells(content, "M4")) == ({"M3FD mAP50": 0.6}, {"M3FD mAP50": 0.8})


def test_unofficial_and_quick_runs_fill_nothing(store):
    store("tardal-dt", "roadscene", split="heldout", standing="unofficial", MI=3.25)
    store("tardal-dt", "m3fd", standing="pending", MI=3.25)
    store("tardal-dt", "m3fd", preset="quick", MI=3.25)
    assert cells(reproduce("tardal/table-3"), "M4") == {}


def test_one_dataset_shows_measured_figures_of_its_columns_alone(store):
    store("tardal-dt", "roadscene", split="heldout", preset="quick", standing="unofficial", MI=3.25)
    store("tardal-dt", "m3fd", preset="quick", standing="unofficial", MI=9.0)
    content = reproduce("tardal/table-3", "quick", "roadscene@heldout")
    assert cells(content, "M4").keys() == {"RoadScene MI", "RoadScene EN", "RoadScene SD"}
    assert cells(content, "M4")["RoadScene MI"] == 3.25
    assert all(figure is None for row in content["rows"] for figure in row["paper"])


def test_what_no_column_is_of_is_refused(store, bench):
    store("tardal-dt", "sample", preset="quick", standing="unofficial", MI=3.25)
    code, _, err = bench("reproduce", "tardal/table-3", "--preset", "quick", "--dataset", "sample")
    assert (code, "the columns of this table are of m3fd and roadscene" in err) == (2, True)
    code, _, err = bench("reproduce", "tardal/table-3", "--dataset", "m3df")
    assert code == 2
    code, _, err = bench("reproduce", "tardal/tabel-3")
    assert (code, "Did you mean 'tardal/table-3'" in err) == (2, True)


def test_box_plots_are_of_what_was_measured(store, bench, tmp_path):
    plot = tmp_path / "fig.png"
    code, _, err = bench("reproduce", "tardal/fig-7", "--plot", plot)
    assert (code, "no row has fusion metrics measured here, so there is nothing to plot" in err) == (4, True)
    assert not plot.exists()
    store("yolov5s-on-fused", "m3fd", ("requires.fusion=tardal-dt",), AP50=0.8)
    assert bench("reproduce", "tardal/table-2", "--plot", plot)[0] == 4  # of boxes
    store("tardal-dt", "roadscene", split="heldout")
    code, _, err = bench("reproduce", "tardal/fig-7", "--plot", plot)
    assert code == 0, err
    assert Pillow.open(plot).width > 300
    for name in ("fig.pdf", "."):
        code, _, err = bench("reproduce", "tardal/fig-7", "--plot", tmp_path / name)
        assert (code, "name a .png file" in err) == (2, True)


def test_a_result_that_is_gone_or_damaged_is_a_note(store, home, bench, tmp_path):
    store("tardal-dt", "roadscene", split="heldout", MI=3.25)
    store("tardal-dt", "m3fd", MI=3.0)
    (path,) = home.glob("runs/m3fd/*/*/result.json")
    path.write_text("{")
    content = reproduce("tardal/table-3")
    assert cells(content, "M4")["RoadScene MI"] == 3.25
    assert sum("left out" in note for note in content["notes"]) == 1
    shutil.rmtree(home / "runs")
    assert cells(reproduce("tardal/table-3"), "M4") == {}


def test_the_fusion_metrics_are_listed(bench):
    rows = only_object(bench("list", "metrics", "--json")[1])["metrics"]
    named = {row["name"]: row for row in rows}
    assert set(METRICS) <= set(named)
    out = bench("list", "metrics")[1]
    assert all(name in out for name in METRICS)
