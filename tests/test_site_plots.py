"""The plots' coordinates and the pages' numbers: frontier against brute force, marks in the frame, labels apart."""

import random

import pytest

from rgbt_bench.leaderboard.site.plots import Point, frontier, scatter
from rgbt_bench.leaderboard.site.texts import PERCENT, flat, listed, milliseconds, short_count, tick_count


def points_of(seed, count, widest=2.0):
    rng = random.Random(seed)
    return [
        Point(
            f"row {place}", "p", 10 ** rng.uniform(0, widest), rng.choice([10, 20, 30, 40.5]), "t", rng.random() > 0.2
        )
        for place in range(count)
    ]


def beats(one, other):
    return one.x <= other.x and one.y >= other.y and (one.x, one.y) != (other.x, other.y)


@pytest.mark.parametrize("seed", range(30))
def test_the_frontier_is_what_no_ranked_point_beats(seed):
    points = [*points_of(seed, 25), Point("twin", "p", 1.0, 45.0, "t"), Point("other twin", "p", 1.0, 45.0, "t")]
    ranked = [one for one in points if one.ranked]
    best = [one for one in ranked if not any(beats(other, one) for other in ranked)]
    assert sorted(one.name for one in frontier(points)) == sorted(one.name for one in best)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("widest", [0.3, 4.0])
def test_marks_lie_in_the_frame_in_the_order_of_their_values(seed, widest):
    plot = scatter("t", "x", "y", points_of(seed, 12, widest), lambda value: f"{value:g}", 1)
    for mark in plot.marks:
        assert plot.left <= mark.x <= plot.right
        assert plot.top <= mark.y <= plot.bottom
    for one in plot.marks:
        for other in plot.marks:
            assert one.point.x <= other.point.x or one.x >= other.x
            assert one.point.y <= other.point.y or one.y <= other.y
    assert len(plot.y_ticks) >= 2
    assert len(plot.x_ticks) >= 1
    assert len({tick.text for tick in plot.y_ticks}) == len(plot.y_ticks)


@pytest.mark.parametrize("seed", range(20))
def test_labels_do_not_cover_each_other(seed):
    plot = scatter("t", "x", "y", points_of(seed, 20), lambda value: f"{value:g}", 1)
    boxes = []
    for mark in plot.marks:
        if mark.label:
            width = 6.6 * len(mark.label)
            left = mark.label_x - {"start": 0, "middle": width / 2, "end": width}[mark.anchor]
            boxes.append((left, left + width, mark.label_y - 11, mark.label_y + 3))
    assert boxes
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            assert not (one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3])


def test_what_cannot_be_compared_is_no_plot():
    one = Point("a", "p", 1.0, 2.0, "t")
    assert scatter("t", "x", "y", [one], str, 1) is None
    assert scatter("t", "x", "y", [one, Point("b", "p", 0.0, 2.0, "t")], str, 1) is None
    assert scatter("t", "x", "y", [one, Point("b", "p", 1.0, float("nan"), "t")], str, 1) is None
    assert len(scatter("t", "x", "y", [one, one], str, 1).marks) == 2  # equal in both: no division by nothing


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (short_count(4_821_867), "4.82 M"), (short_count(999_600), "1.00 M"), (short_count(86_400_000), "86.4 M"),
        (short_count(770e6), "770 M"), (short_count(12), "12"), (short_count(0), "0"), (short_count(None), ""),
        (tick_count(5e6), "5 M"), (tick_count(2.5e9), "2.5 G"), (milliseconds(0.0123), "12.3 ms"),
        (milliseconds(1.5), "1,500 ms"), (PERCENT.text(0.31549), "31.5"), (PERCENT.text(-0.012), "\u22121.2"),
        (PERCENT.text(None), ""), (PERCENT.between((0.1, 0.2)), "10.0 to 20.0"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (listed(["a"]), "a"), (flat({"a_b": {"c": 1, "d": [2, 3]}, "e": None}), [("a b: c", "1"), ("a b: d", "2, 3")]),
    ],
)  # fmt: skip
def test_numbers_are_written_so(made, text):
    assert made == text
