"""The page of a track of fused images: columns of metrics with their controls, and no rank anywhere."""

import re

import pytest

from board_cases import add_row, empty_board, make_row
from rgbt_bench.leaderboard.site.building import build
from rgbt_bench.results import FusionMetrics, Spread
from site_cases import parse

TRACK = "roadscene/fusion"
NAMES = ("EN", "MI", "SD", "AG", "SF", "SCD", "VIF", "Qabf", "SSIM")
CONTROLS = ("infrared", "visible", "average", "max", "noise")


def fused_row(name, value):
    """A row of fused images whose every figure follows from `value`."""
    row = make_row(name, track="flir/detection-rgbt", value=value)
    run = row.runs[0]
    figures = {one: value + place for place, one in enumerate(NAMES)}
    base = run.result.metrics.model_dump(exclude={"kind", "figures", "per_class"})
    around = {one: (each - 0.1, each + 0.1) for one, each in figures.items()}
    intervals = base["intervals"] | {"figures": around, "per_class": {}, "subsets": {"day": around, "night": around}}
    metrics = FusionMetrics(
        **base | {"intervals": intervals, "subsets": {"day": figures, "night": figures}},
        figures=figures,
        per_class={},
        spread={one: Spread(minimum=0, first_quartile=1, median=2, third_quartile=3, maximum=4) for one in NAMES},
        undefined={},
        controls={control: dict.fromkeys(NAMES, 7.0 + place) for place, control in enumerate(CONTROLS)},
    )
    result = run.result.model_copy(update={"metrics": metrics, "track": TRACK})
    return row.model_copy(update={"runs": (run.model_copy(update={"result": result}),)})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fusion")
    board = empty_board(folder / "board")
    for name, value in {"zeta": 9.5, "alpha": 1.25}.items():
        add_row(board, fused_row(name, value))
    build(folder / "site", board.root)
    return folder / "site"


def test_nothing_ranks_and_rows_are_in_the_order_of_their_names(site):
    rows = [row for row in parse(site / "v1" / TRACK / "index.html").rows if row["body"] != "reported"]
    assert [(row["rank"], row["name"]) for row in rows] == [("not ranked", "Alpha"), ("not ranked", "Zeta")]
    assert parse(site / "v1" / TRACK / "index.html").plots == []  # the figures rank nothing, so they are no axis


def test_the_controls_stand_beneath_the_rows_in_the_metrics_own_unit(site):
    text = (site / "v1" / TRACK / "index.html").read_text()
    assert "Controls: what no method should have to beat" in text
    for place, control in enumerate(CONTROLS):
        line = re.search(rf">{control}</th>(.*)</tr>", text)[1]
        assert set(re.findall(r"[0-9.]+", line)) == {f"{7 + place}.000"}
    assert "1.250" in text
    assert "125.0" not in text


def test_a_row_of_fused_images_shows_every_metric_and_its_controls(site):
    text = " ".join(parse(site / "v1" / "rows" / "zeta.html").text.split())
    assert all(name in text for name in NAMES)
    assert "Controls on the same images" in text
    assert "9.5000" in text
