"""Which results may fill a cell of a paper's table."""

import numpy as np
import pytest

from rgbt_bench.errors import UsageError
from rgbt_bench.files import read_json, write_json
from rgbt_bench.latency import LatencyReport, Timing
from rgbt_bench.leaderboard.reproduce import as_text, digits_of, reproduce
from rgbt_bench.predictions import Detections, write_predictions
from rgbt_bench.recipes import load_recipe
from rgbt_bench.results import ModelProvenance
from rgbt_bench.runs import finished_runs
from rgbt_bench.scoring import score_file


@pytest.fixture
def store(tiny, home, tmp_path):
    """Put a result into the runs as if a recipe had made it."""
    part = tiny.part("test")
    none = np.zeros(0, dtype=np.int64)
    write_predictions(tmp_path / "p.json", Detections(none, none, np.zeros((0, 4)), np.zeros(0)), part.ids)
    scored = score_file(tmp_path / "p.json", part, "detection-rgbt")

    def with_intervals(found):
        none = scored.metrics.intervals
        return {"intervals": none.model_copy(update={"figures": {**none.figures, **(found or {})}})}

    def put(
        recipe, ap, standing="official", dataset="flir", preset="paper", digest=None, created="2026-01-01", seed=0,
        settings=(), data=None, processes=1, intervals=None, weights_from=None, **changes,
    ):  # fmt: skip
        recipe_digest = digest or load_recipe(recipe, preset, settings).digest
        model = ModelProvenance(
            recipe=recipe, preset=preset, recipe_digest=recipe_digest, run_key="k", seed=seed,
            settings=settings, weights_sha256="w", requires={}, parameters={}, epochs=1,
            processes=processes, weights_from=weights_from,
        )  # fmt: skip
        figures = {**scored.metrics.figures, "AP": ap, "AP50": ap, "AP75": None}
        result = scored.model_copy(
            update={
                "standing": standing,
                "created": created,
                "model": model,
                "data": scored.data.model_copy(update={"dataset": dataset, **(data or {})}),
                "metrics": scored.metrics.model_copy(update={"figures": figures, **with_intervals(intervals)}),
                **changes,
            }
        )
        name = f"{ap}".replace(".", "")
        result.write(home / "runs" / dataset / f"{recipe}-{preset}" / name / "result.json")

    return put


def measured(content, row):
    return next(entry["measured"] for entry in content["rows"] if entry["name"] == row)


def test_nothing_measured_is_empty_cells_beside_the_papers_figures():
    content = reproduce("ffkd/table-2")
    assert [row["measured"] for row in content["rows"]] == [[None, None, None]] * 7
    assert content["rows"][-1]["paper"] == [31.5, 64.8, 24.7]
    text = as_text(content, "md", digits_of("ffkd/table-2"))
    (line,) = [line for line in text.splitlines() if "S-Distillation" in line]
    assert [cell.strip() for cell in line.split("|")[1:4]] == ["S-Distillation", "31.5", ""]
    assert "33.0" in text
    assert "nan" not in text.lower()
    assert "None" not in text


def test_an_official_paper_run_fills_its_cells_in_the_papers_unit(store):
    store("ffkd-student", 0.3125)
    assert measured(reproduce("ffkd/table-2"), "S-Distillation") == [31.25, 31.25, None]
    assert measured(reproduce("ffkd/table-2"), "S-Fusion") == [None, None, None]


@pytest.mark.parametrize(
    "changed",
    [
        {"standing": "unofficial"},
        {"standing": "pending"},
        {"preset": "quick"},
        {"dataset": "sample"},
        {"digest": "0" * 64},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_no_other_run_fills_a_cell(store, changed):
    store("ffkd-student", 0.3, **changed)
    assert measured(reproduce("ffkd/table-2"), "S-Distillation") == [None, None, None]


@pytest.mark.parametrize(("preset", "dataset"), [("paper", None), ("paper", "flir"), ("quick", None)])
def test_weights_from_elsewhere_fill_no_cell_and_are_named(store, preset, dataset):
    origin = "hub:someone/model@" + "a" * 40
    store("ffkd-student", 0.9, preset=preset, weights_from=origin)
    content = reproduce("ffkd/table-2", preset, dataset)
    assert measured(content, "S-Distillation") == [None, None, None]
    assert any(f"its weights are from {origin}, not trained here" in note for note in content["notes"])
    store("ffkd-student", 0.2, preset=preset, created="2025-01-01")
    row = student(reproduce("ffkd/table-2", preset, dataset))
    assert (row["measured"][0], row["n"][0]) == (20.0, 1)


def test_the_newest_run_counts(store):
    store("ffkd-student", 0.2, created="2026-01-02")
    store("ffkd-student", 0.3, created="2026-01-01")
    assert measured(reproduce("ffkd/table-2"), "S-Distillation")[0] == 20.0


SEEDS = {1: 0.30, 0: 0.31, 7: 0.326}


def student(content):
    return next(row for row in content["rows"] if row["name"] == "S-Distillation")


def test_seeds_become_mean_and_sd_with_every_source(store):
    for seed, ap in SEEDS.items():
        store("ffkd-student", ap, seed=seed)
    content = reproduce("ffkd/table-2")
    row = student(content)
    percent = [value * 100 for value in SEEDS.values()]
    assert row["measured"] == [pytest.approx(np.mean(percent))] * 2 + [None]
    assert row["sd"] == [pytest.approx(np.std(percent, ddof=1))] * 2 + [None]
    assert row["n"] == [3, 3, None]
    assert [source["seed"] for source in row["from"]] == [0, 1, 7]
    assert len({source["file"] for source in row["from"]}) == 3
    assert any("mAP@0.75 is empty, for it is undefined for 3 of 3 seed(s)" in note for note in content["notes"])
    text = as_text(content, "md", digits_of("ffkd/table-2"))
    assert "| 31.2 ± 1.3 (n=3) |" in " ".join(text.split())
    assert len({len(line) for line in text.splitlines()}) == 1
    latex = as_text(content, "latex", digits_of("ffkd/table-2"))
    assert r"& 31.2 $\pm$ 1.3 (n=3) &" in " ".join(latex.split())
    assert "±" not in latex


def test_one_seed_is_printed_as_before(store):
    store("ffkd-student", 0.3, seed=4)
    row = student(reproduce("ffkd/table-2"))
    assert (row["sd"], row["n"]) == ([None] * 3, [1, 1, None])
    text = as_text(reproduce("ffkd/table-2"), "md", digits_of("ffkd/table-2"))
    assert "30.0 |" in text
    assert "±" not in text


def test_a_figure_that_one_seed_has_not_has_no_mean(store):
    store("ffkd-student", 0.3, seed=0)
    store("ffkd-student", 0.2, seed=1)
    path = next(path for path in finished_runs() if path.name == "02") / "result.json"
    content = read_json(path)
    content["metrics"]["figures"]["AP50"] = None
    write_json(path, content)
    content = reproduce("ffkd/table-2")
    assert student(content)["measured"] == [pytest.approx(25.0), None, None]
    assert any("mAP@0.5 is empty, for it is undefined for 1 of 2" in note for note in content["notes"])


def test_of_one_seed_the_newest_counts_and_the_other_is_named(store):
    store("ffkd-student", 0.1, seed=0, created="2026-01-01")
    store("ffkd-student", 0.2, seed=0, created="2026-01-03")
    store("ffkd-student", 0.4, seed=1, created="2026-01-02")
    content = reproduce("ffkd/table-2")
    assert student(content)["measured"][0] == pytest.approx(30.0)
    assert student(content)["n"][0] == 2
    (note,) = [note for note in content["notes"] if "the newest counts" in note]
    assert note.count("result.json") == 1
    assert "/01/result.json" in note


@pytest.mark.parametrize("key", ["train_label_digest", "val_label_digest", "fingerprint", "split", "skipped"])
def test_seeds_on_other_data_never_share_a_cell(store, key):
    other = {key: 3 if key == "skipped" else "another"}
    store("ffkd-student", 0.30, seed=0)
    store("ffkd-student", 0.32, seed=1)
    store("ffkd-student", 0.90, seed=2, data=other, created="2026-02-02")
    content = reproduce("ffkd/table-2")
    assert student(content)["measured"][0] == pytest.approx(31.0)
    assert student(content)["n"][0] == 2
    (note,) = [note for note in content["notes"] if "for other data or processes than the 2 seed(s) shown" in note]
    assert "/09/result.json" in note
    store("ffkd-student", 0.92, seed=3, data=other, created="2026-02-02")
    assert student(reproduce("ffkd/table-2"))["measured"][0] == pytest.approx(91.0)


def test_one_seed_shows_its_interval_and_several_their_spread(store):
    store("ffkd-student", 0.30, intervals={"AP": (0.25, 0.361)})
    content = reproduce("ffkd/table-2")
    assert student(content)["interval"] == [pytest.approx((25, 36.1)), None, None]
    cells = [cell.strip() for cell in as_text(content, "md", [1, 1, 1]).splitlines()[-1].split("|")]
    assert cells[3] == "30.0 [25.0, 36.1]"
    assert cells[5] == "30.0"
    assert any("[low, high] is the 95 % interval" in note for note in content["notes"])
    store("ffkd-student", 0.32, seed=1, intervals={"AP": (0.3, 0.4)})
    content = reproduce("ffkd/table-2")
    assert student(content)["interval"] == [None] * 3
    assert not any("[low, high]" in note for note in content["notes"])


def test_seeds_of_another_number_of_processes_never_share_a_cell(store):
    store("ffkd-student", 0.30, seed=0)
    store("ffkd-student", 0.32, seed=1)
    store("ffkd-student", 0.90, seed=2, processes=2)
    content = reproduce("ffkd/table-2")
    assert student(content)["measured"][0] == pytest.approx(31.0)
    assert any("/09/result.json" in note for note in content["notes"] if "processes" in note)


def test_other_libraries_and_devices_are_said(store):
    store("ffkd-student", 0.30, seed=0, libraries={"torch": "2.11"}, hardware={"device": {"name": "one"}})
    store("ffkd-student", 0.32, seed=1, libraries={"torch": "2.12"}, hardware={})
    content = reproduce("ffkd/table-2")
    assert student(content)["n"][0] == 2
    assert "ffkd-student: the seeds were not made alike: torch 2.11, 2.12; device none, one" in content["notes"]


def test_settings_that_change_the_outcome_fill_no_cell(store):
    store("ffkd-student", 0.9, seed=0, settings=("schedule.epochs=1",))
    store("ffkd-student", 0.3, seed=1, settings=("schedule.workers=4",))
    row = student(reproduce("ffkd/table-2"))
    assert row["measured"][0] == pytest.approx(30.0)
    assert [(source["seed"], source["settings"]) for source in row["from"]] == [(1, ["schedule.workers=4"])]


def test_rows_on_different_labels_are_said_not_to_compare(store):
    how = {"standing": "unofficial", "dataset": "sample", "preset": "quick"}
    store("ffkd-student", 0.4, **how)
    store("ffkd-student-fusion", 0.4, **how)
    note = "the rows were scored on different labels: they do not compare"
    assert note not in reproduce("ffkd/table-2", "quick", "sample")["notes"]
    store("ffkd-student-rgb", 0.4, **how, data={"label_digest": "other"})
    assert note in reproduce("ffkd/table-2", "quick", "sample")["notes"]


def test_quick_figures_never_stand_beside_the_papers(store):
    store("ffkd-student", 0.4, standing="unofficial", dataset="sample", preset="quick")
    content = reproduce("ffkd/table-2", "quick", "sample")
    assert measured(content, "S-Distillation")[0] == 40.0
    assert all(figure is None for row in content["rows"] for figure in row["paper"])
    assert "paper" not in as_text(content, "md", digits_of("ffkd/table-2"))
    assert measured(reproduce("ffkd/table-2", "quick"), "S-Distillation") == [None, None, None]


def test_latency_fills_only_its_own_batch(home):
    def timing(recipe, batch, seconds):
        return Timing(
            recipe=recipe, preset="paper", batch=batch, image_size=(640, 640), precision="float32",
            compile_mode="eager", includes="", warm_up=20, passes=100, median_s=seconds, p90_s=seconds, p99_s=seconds,
            images_per_s=batch / seconds, macs=1, parameters=1, weights="random",
        )  # fmt: skip

    report = LatencyReport(
        device={"type": "cpu", "name": "x"},
        threads=1,
        timings=(timing("ffkd-student", 1, 9.0), timing("ffkd-student", 32, 1.6)),
        ratio_to_teacher={},
        macs_ratio_to_teacher=None,
    )
    write_json(home / "latency" / "a.json", report.model_dump(mode="json"))
    content = reproduce("ffkd/table-3")
    assert measured(content, "S-Distillation") == [pytest.approx(0.05)]
    assert measured(content, "T-Fusion") == [None]
    # a newer timing of the teacher alone, on another device, never joins the student's
    other = {"device": {"type": "cuda", "name": "y"}, "timings": (timing("ffkd-teacher-fusion", 32, 3.2),)}
    write_json(home / "latency" / "b.json", report.model_copy(update=other).model_dump(mode="json"))
    (home / "latency" / "c.json").write_text("{")
    content = reproduce("ffkd/table-3")
    assert (measured(content, "S-Distillation"), measured(content, "T-Fusion")) == ([None], [pytest.approx(0.1)])
    assert content["notes"][0] == "Measured on y (cuda, 1 torch thread(s)), float32, batch 32."
    assert any("c.json is not a latency report" in note for note in content["notes"])


def test_cells_say_where_they_come_from(store):
    store("ffkd-student", 0.3)
    row = reproduce("ffkd/table-2")["rows"][-1]
    (source,) = row["from"]
    assert source["seed"] == 0
    assert source["file"].endswith("result.json")
    assert reproduce("ffkd/table-2")["rows"][0]["from"] == []


def test_a_damaged_result_is_left_out_and_named(store, home):
    store("ffkd-student", 0.3)
    broken = home / "runs/flir/ffkd-student-fusion-paper/x/result.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    content = reproduce("ffkd/table-2")
    assert measured(content, "S-Distillation")[0] == 30.0
    assert any(str(broken) in note for note in content["notes"])


def test_a_dataset_nothing_ran_on_is_refused(store):
    store("ffkd-student", 0.4, standing="unofficial", dataset="sample", preset="quick")
    with pytest.raises(UsageError, match="Did you mean 'sample'"):
        reproduce("ffkd/table-2", "quick", "sampel")
    with pytest.raises(UsageError, match="a table of latency does not depend on a dataset"):
        reproduce("ffkd/table-3", "quick", "sample")


def test_labels_of_rows_are_printed():
    text = as_text(reproduce("cekd/table-2"), "md", digits_of("cekd/table-2"))
    assert [cell.strip() for cell in text.splitlines()[0].split("|")[1:6]] == ["row", "seg", "kdce", "sim", "edge"]


def test_tables_that_nothing_measures_yet_show_the_papers_figures():
    content = reproduce("rdrkd/table-1")
    assert content["rows"][-1]["paper"][0] == 22.1
    assert {value for row in content["rows"] for value in row["measured"]} == {None}


def test_unknown_tables_are_named():
    with pytest.raises(UsageError, match="Did you mean 'ffkd/table-2'"):
        reproduce("ffkd/table2")
    with pytest.raises(UsageError, match="write PAPER/TABLE"):
        reproduce("ffkd")
    with pytest.raises(UsageError, match="unknown format 'tex'"):
        as_text(reproduce("ffkd/table-2"), "tex", digits_of("ffkd/table-2"))
