"""No byte, no value and no packed file makes the check of an entry fail or hang: it only finds faults."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from board_cases import empty_board
from checking_cases import brought, zipped
from rgbt_bench.leaderboard.checking import RULES

TRACKS = ("flir/detection-rgbt", "sample/segmentation-rgb", "roadscene/fusion")
GOOD = {track: json.dumps(brought(track, (0, 1)).content, ensure_ascii=False).encode() for track in TRACKS}
PACKED = {track: next(iter(brought(track).packed.values())) for track in TRACKS}

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-3, 3), st.floats(), st.sampled_from([1e308, -0.0, 5e-324]),
    st.text(max_size=8), st.sampled_from(["AP", "all", "day", "../x", "\ud800", "\u202e", "9" * 400, ""]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=4
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return empty_board(tmp_path_factory.mktemp("base") / "board").root


def edited(data, changes):
    for place, length, new in changes:
        at = int(place * len(data))
        data = data[:at] + new + data[at + length :]
    return data


def checked(base, entry):
    # of this process, because others share the machine
    began = time.process_time()
    report = entry.report(base)
    assert time.process_time() - began < 1
    assert all(fault.rule in RULES and fault.what.isascii() and fault.what.isprintable() for fault in report.faults)
    json.dumps(report.to_dict(), allow_nan=False)
    return report


def places(value, way=()):
    """Every place in a JSON value, keys of long lists by their first two."""
    yield way
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*way, key))
    elif isinstance(value, list):
        for number in range(min(2, len(value))):
            yield from places(value[number], (*way, number))


WAYS = {track: [way for way in places(json.loads(data)) if way] for track, data in GOOD.items()}


@pytest.mark.parametrize("track", TRACKS)
@given(changes=edits)
@settings(max_examples=60, deadline=None)
def test_no_byte_of_a_row_fails_the_check(base, track, changes):
    entry = brought(track, (0, 1))
    entry.raw = edited(GOOD[track], changes)
    checked(base, entry)


@pytest.mark.parametrize("track", TRACKS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_no_value_of_a_row_fails_the_check(base, track, data):
    entry = brought(track, (0, 1))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(WAYS[track]))
        node = entry.content
        try:
            for step in way:
                node = node[step]
            if data.draw(st.booleans()) or isinstance(node, list):
                node[last] = data.draw(values)
            else:
                node[data.draw(st.text(max_size=4))] = node.pop(last)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier change took the place away
    checked(base, entry)


@pytest.mark.parametrize("track", TRACKS)
@given(changes=edits, told=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_byte_of_a_packed_file_fails_the_check(base, track, changes, told):
    entry = brought(track)
    data = edited(PACKED[track], changes)
    if told:
        entry.pack(data)
    else:
        entry.packed = {next(iter(entry.packed)): data}
    report = checked(base, entry)
    # told rightly, a packed file may differ where it says nothing of its content, such as its time
    assert told or data == PACKED[track] or not report.passed


@given(content=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=100, deadline=None)
def test_no_detections_fail_the_check(base, content):
    entry = brought()
    entry.pack_json(content)
    report = checked(base, entry)
    assert {fault.rule for fault in report.faults} <= {"predictions-content"}


@given(names=st.dictionaries(st.text(min_size=1, max_size=8), st.binary(max_size=30), max_size=5))
@settings(max_examples=60, deadline=None)
def test_no_names_in_a_zip_fail_the_check(base, names):
    entry = brought("sample/segmentation-rgb")
    try:
        entry.pack(zipped(names))
    except (UnicodeEncodeError, ValueError):
        return
    assert not checked(base, entry).passed


def test_the_row_that_is_changed_is_a_good_one(base):
    for track in TRACKS:
        entry = brought(track, (0, 1))
        entry.raw = GOOD[track]
        assert checked(base, entry).passed
