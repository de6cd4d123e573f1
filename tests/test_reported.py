"""The papers' figures as rows: in the paper's unit and in ours, on the track that the paper tells."""

import pytest

from rgbt_bench.leaderboard.papers import papers
from rgbt_bench.leaderboard.reported import reported_on, reported_rows
from rgbt_bench.leaderboard.tracks import leaderboard

ROWS = {one.id: one for one in reported_rows()}


def test_every_row_with_a_figure_is_there_once():
    expected = [
        f"{paper.key}/{key}/{name}"
        for paper in papers().values()
        for key, table in paper.tables.items()
        for name, row in table.rows.items()
        if any(figure is not None for figure in row.figures)
    ]
    assert [one.id for one in reported_rows()] == expected
    assert "tardal/fig-7/TarDAL" not in ROWS  # a plot without numbers


def test_figures_are_printed_and_in_our_unit():
    row = ROWS["ffkd/table-2/S-Distillation"]
    assert row.figures == {"mAP@0.5:0.95": 31.5, "mAP@0.5": 64.8, "mAP@0.75": 24.7}
    assert row.tracks == {"flir/detection-rgbt": {"AP": 0.315, "AP50": 0.648, "AP75": 0.247}}
    assert row.track == "flir/detection-rgbt"
    assert any("selects its checkpoints on the test set" in note for note in row.notes)


@pytest.mark.parametrize(
    ("name", "tracks"),
    [
        ("ffkd/table-2/T-Thermal", {"flir/detection-thermal"}),
        ("cekd/table-6/ABMDRNet_imported", {"mfnet/segmentation-rgbt"}),
        ("cekd/table-7/MCNet", {"mfnet/segmentation-thermal"}),
        ("tardal/table-2/DenseFuse", {"m3fd/detection-on-fused"}),
        ("tardal/table-3/M4", {"roadscene/fusion", "m3fd/fusion", "m3fd/detection-on-fused"}),
        ("ffkd/table-1/Student", set()),  # parameters are of no track
        ("rdrkd/table-1/RDR_KD", {"visdrone/detection-rgb"}),
        ("rdrkd/table-1/CWD", {"visdrone/detection-rgb"}),
        ("rdrkd/table-3/RDR_KD", set()),  # of images that nobody else has
        ("crkd/nuscenes-val/crkd_r50", set()),
    ],
)
def test_a_row_is_on_the_tracks_that_recipe_or_paper_tell(name, tracks):
    assert set(ROWS[name].tracks) == tracks
    assert ROWS[name].track == (next(iter(tracks)) if len(tracks) == 1 else None)


def test_every_track_is_of_the_board_and_the_task_fits():
    known = leaderboard().tracks
    assert {track for one in reported_rows() for track in one.tracks} <= known.keys()
    on = {track: len(reported_on(track)) for track in known}
    assert (on["flir/detection-rgbt"], on["mfnet/segmentation-thermal"]) == (3, 9 + 3 + 7 + 8)


def test_a_task_that_a_table_names_is_that_of_a_track():
    tasks = {track.partition("/")[2] for track in leaderboard().tracks}
    named = {one.task for paper in papers().values() for table in paper.tables.values() for one in
             (table, *table.rows.values()) if one.task}  # fmt: skip
    assert named
    assert named <= tasks


def test_figures_of_classes_and_subsets_keep_our_names():
    assert ROWS["cekd/table-6/RTFNet"].tracks["mfnet/segmentation-rgbt"]["color_cone IoU"] == 0.26
    assert ROWS["tardal/table-2/TarDAL"].tracks["m3fd/detection-on-fused"]["night AP50"] == 0.846
    assert all(0 <= value < 110 for one in reported_rows() for each in one.tracks.values() for value in each.values())
