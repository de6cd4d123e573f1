"""Predictions on disk: what is read, what is refused and with which words, and the one form in which it is written."""

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from detection_cases import random_case
from rgbt_bench import predictions
from rgbt_bench.errors import BadInputError, MissingError
from rgbt_bench.files import sha256_file
from rgbt_bench.predictions import MAX_PER_IMAGE, Detections, canonical_order, read_predictions, write_predictions

SAMPLES = ("FLIR_08864", "FLIR_08865", "FLIR_08882")
CLASSES = ("person", "bike", "car")
GOOD = {"image_id": "FLIR_08864", "category_id": 1, "bbox": [1.5, 2, 3, 4], "score": 0.5}


def row(**changes):
    return GOOD | changes


def without(key):
    return {name: value for name, value in GOOD.items() if name != key}


@pytest.fixture
def read(tmp_path):
    def read(content, samples=SAMPLES, **options):
        path = tmp_path / "predictions.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_predictions(path, samples, CLASSES, **options)

    return read


def columns(n, seed=0, samples=3):
    rng = np.random.default_rng(seed)
    return Detections(
        sample_index=rng.integers(0, samples, n),
        category=rng.integers(0, len(CLASSES), n),
        bbox=rng.integers(1, 4, (n, 4)) / 3,
        score=rng.integers(0, 3, n) / 7,
    )


def same(first, second):
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in Detections.__slots__)


def test_reads_columns_in_file_order(read):
    found = read([row(image_id="FLIR_08882", category_id=3, bbox=[-1, 0, 2, 3], score=1), GOOD])
    assert found.sample_index.tolist() == [2, 0]
    assert found.category.tolist() == [2, 0]
    assert found.bbox.tolist() == [[-1, 0, 2, 3], [1.5, 2, 3, 4]]
    assert found.score.tolist() == [1, 0.5]
    assert [getattr(found, name).dtype for name in Detections.__slots__] == [np.int64, np.int64, np.float64, np.float64]


def test_an_empty_list_and_twice_the_same_row_are_legal(read):
    assert read([]).bbox.shape == (0, 4)
    assert len(read([GOOD, GOOD])) == 2


def test_keys_of_common_exporters_are_passed_over(read):
    extra = row(area=12, id=7, iscrowd=0, segmentation=[[0, 0, 1, 1, 2, 2]], file_name="a.jpg")
    assert same(read([extra]), read([GOOD]))


def test_an_alias_stands_for_its_sample(read):
    aliases = {"FLIR_08882_PreviewData": "FLIR_08882", "FLIR_00001_PreviewData": "FLIR_00001"}
    assert read([row(image_id="FLIR_08882_PreviewData")], aliases=aliases).sample_index.tolist() == [2]
    with pytest.raises(BadInputError, match="not a sample id of this split"):
        read([row(image_id="FLIR_00001_PreviewData")], aliases=aliases)


FAULTS = {
    "not an object": ([1, 2], "the row is not an object with image_id, category_id, bbox and score: row 1 ([1, 2])"),
    "no score": (without("score"), "score is missing: row 1"),
    "no image": (without("image_id"), "image_id is missing: row 1"),
    "no category": (without("category_id"), "category_id is missing: row 1"),
    "no box": (without("bbox"), "bbox is missing: row 1"),
    "misspelt key": (without("score") | {"scores": 1}, "row 1 ('scores': Did you mean 'score'?)"),
    "one key more": (row(colour="red"), "unknown key; image_id, category_id, bbox, score are read"),
    "integer id": (row(image_id=8864), "an integer; sample ids are expected, such as 'FLIR_08864': row 1 (8864)"),
    "null id": (row(image_id=None), "image_id is not a string; sample ids are expected"),
    "boolean id": (row(image_id=True), "image_id is not a string"),
    "list id": (row(image_id=["FLIR_08864"]), "image_id is not a string"),
    "near id": (row(image_id="FLIR_8882"), "row 1 ('FLIR_8882': Did you mean 'FLIR_08882'"),
    "foreign id": (row(image_id="xyz"), "not a sample id of this split; ids are expected such as 'FLIR_08864': row 1"),
    "long id": (row(image_id="x" * 10**6), "row 1 ('xxx"),
    "id with escape": (row(image_id="\x1b[31m\ud800"), r"row 1 ('\x1b[31m\ud800')"),
    "category 0": (
        row(category_id=0),
        "category_id is 0, but category ids start at 1 (1 person, 2 bike, 3 car): row 1",
    ),
    "category 4": (row(category_id=4), "category_id is none of 1 person, 2 bike, 3 car: row 1 (4)"),
    "category -1": (row(category_id=-1), "category_id is none of 1 person, 2 bike, 3 car: row 1 (-1)"),
    "category huge": (row(category_id=10**30), "category_id is none of"),
    "category 1.0": (row(category_id=1.0), "category_id is not an integer; the ids are 1 person, 2 bike, 3 car"),
    "category true": (row(category_id=True), "category_id is not an integer"),
    "category name": (row(category_id="car"), "category_id is not an integer; the ids are 1 person, 2 bike, 3 car"),
    "three numbers": (row(bbox=[1, 2, 3]), "bbox is not four finite numbers [x, y, width, height]: row 1 ([1, 2, 3])"),
    "box of text": (row(bbox=["1", 2, 3, 4]), "bbox is not four finite numbers"),
    "box of booleans": (row(bbox=[True, 2, 3, 4]), "bbox is not four finite numbers"),
    "box as object": (row(bbox={"x": 1}), "bbox is not four finite numbers"),
    "box far out": (row(bbox=[0, 0, 1e6 + 1, 4]), "bbox has a number beyond 1,000,000 pixels"),
    "box with a long integer": (row(bbox=[10**400, 0, 3, 4]), "bbox has a number beyond 1,000,000 pixels"),
    "no width": (row(bbox=[1, 2, 0, 4]), "bbox has no width or no height"),
    "two corners": (row(bbox=[50, 60, 40, -20]), "[x, y, width, height] is expected, not two corners"),
    "no area": (row(bbox=[1, 2, 1e-200, 1e-200]), "bbox has no width or no height"),
    "score of text": (row(score="0.5"), "score is not a finite number: row 1 ('0.5')"),
    "score true": (row(score=True), "score is not a finite number"),
    "score null": (row(score=None), "score is not a finite number: row 1"),
    "score negative": (row(score=-0.1), "score is negative; 0 or above is expected: row 1 (-0.1)"),
    "score large": (row(score=1e7), "score is above 1,000,000: row 1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_its_row(read, name):
    bad, message = FAULTS[name]
    with pytest.raises(BadInputError) as error:
        read([bad])
    assert message in str(error.value)
    assert "predictions.json: cannot be scored; rows are counted from 1:" in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("text", ["1e999", "-1e999"])
@pytest.mark.parametrize("field", ["score", "bbox"])
def test_a_number_that_overflows_is_refused(read, text, field):
    value = text if field == "score" else f"[1, 2, 3, {text}]"
    body = json.dumps(row(**{field: "HERE"})).replace('"HERE"', value)
    with pytest.raises(BadInputError, match=f"{field} is not"):
        read(f"[{body}]")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "not dict. This looks like a COCO ground-truth file"),
        ({"predictions": []}, "Write the list alone"),
        ("3", "a list of {image_id, category_id, bbox, score} was expected, not int"),
        ('[{"score": NaN}]', "NaN is not allowed"),
        ("[{", "not valid JSON"),
        ('[{"score": 1, "score": 2}]', "duplicate key 'score'"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_list_of_rows_is_refused(read, content, message):
    with pytest.raises(BadInputError) as error:
        read(content)
    assert message in str(error.value)


def test_a_missing_file_and_one_too_large_are_refused(read, tmp_path, monkeypatch):
    with pytest.raises(MissingError):
        read_predictions(tmp_path / "none.json", SAMPLES, CLASSES)
    monkeypatch.setattr(predictions, "MAX_BYTES", 10)
    with pytest.raises(BadInputError, match="more than the 10 that are read"):
        read([GOOD])


def test_all_faults_of_a_file_are_named_at_once(read):
    rows = [row(image_id=number) for number in range(50_000)] + [row(score=-1), row(bbox=[]), GOOD]
    with pytest.raises(BadInputError) as error:
        read(rows)
    lines = str(error.value).splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("row 1 (0), row 2 (1), row 3 (2), row 4 (3), row 5 (4) and 49,995 more rows")
    assert "row 50001 (-1)" in lines[2]
    assert "row 50002 ([])" in lines[3]


def test_several_faults_of_one_row_are_all_named(read):
    with pytest.raises(BadInputError) as error:
        read([row(image_id=1, category_id=0, bbox=[], score=-1)])
    assert len(str(error.value).splitlines()) == 5


def test_rows_of_a_sample_are_capped(read):
    assert len(read([GOOD] * MAX_PER_IMAGE)) == MAX_PER_IMAGE
    with pytest.raises(BadInputError) as error:
        read([row(image_id="FLIR_08865")] + [GOOD] * (MAX_PER_IMAGE + 5))
    message = "more than 1,000 rows for one sample; keep those with the highest scores: row 1002 ('FLIR_08864')"
    assert message in str(error.value)


def test_sample_ids_must_ascend(tmp_path):
    for samples in (("b", "a"), ("a", "a")):
        with pytest.raises(ValueError, match="ascending"):
            read_predictions(tmp_path / "p.json", samples, CLASSES)
        with pytest.raises(ValueError, match="ascending"):
            write_predictions(tmp_path / "p.json", columns(0), samples)


def test_written_bytes_do_not_depend_on_the_order_of_rows(tmp_path):
    found = columns(400)
    digests = set()
    for seed in range(5):
        path = tmp_path / f"{seed}.json"
        write_predictions(path, found.take(np.random.default_rng(seed).permutation(len(found))), SAMPLES)
        digests.add(sha256_file(path))
    assert len(digests) == 1


def test_what_is_written_is_read_again_to_the_last_bit(tmp_path):
    found = columns(400)
    path = tmp_path / "p.json"
    write_predictions(path, found, SAMPLES)
    again = read_predictions(path, SAMPLES, CLASSES)
    assert same(again, found.take(canonical_order(found)))
    content = path.read_bytes()
    write_predictions(path, again, SAMPLES)
    assert path.read_bytes() == content


def test_the_written_form(tmp_path):
    path = tmp_path / "p.json"
    bbox = np.array([[-0.0, 0.1, 2, 1 / 3], [5, 6, 7, 8]])
    write_predictions(path, Detections(np.array([1, 0]), np.array([2, 0]), bbox, np.array([0.5, 1.0])), SAMPLES)
    assert path.read_text() == (
        "[\n"
        '{"bbox":[5.0,6.0,7.0,8.0],"category_id":1,"image_id":"FLIR_08864","score":1.0},\n'
        '{"bbox":[0.0,0.1,2.0,0.3333333333333333],"category_id":3,"image_id":"FLIR_08865","score":0.5}\n'
        "]\n"
    )
    write_predictions(path, columns(0), SAMPLES)
    assert path.read_text() == "[]\n"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("score", np.nan, "2 with bbox or score not finite, first at 0"),
        ("score", -1.0, "2 with score below 0"),
        ("score", 1e7, "2 with bbox or score beyond 1,000,000"),
        ("bbox", [0, 0, 0, 1], "2 with bbox without width or height"),
        ("bbox", [0, np.inf, 1, 1], "2 with bbox or score not finite"),
        ("category", -1, "2 with category below 0"),
        ("sample_index", 3, "2 with sample_index outside 0..2"),
        ("sample_index", -1, "2 with sample_index outside 0..2"),
    ],
)
def test_nothing_is_written_that_would_be_refused(tmp_path, column, value, message):
    found = columns(4)
    getattr(found, column)[[0, 2]] = value
    with pytest.raises(BadInputError) as error:
        write_predictions(tmp_path / "p.json", found, SAMPLES)
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_too_many_of_a_sample_are_not_written(tmp_path):
    with pytest.raises(BadInputError, match="1,001 with more than 1,000 of one sample"):
        write_predictions(tmp_path / "p.json", columns(MAX_PER_IMAGE + 1, samples=1), SAMPLES)


def test_columns_of_another_type_or_length_are_refused():
    good = columns(3)
    with pytest.raises(ValueError, match=r"bbox: float64\(3, 4\) expected, not float32\(3, 4\)"):
        Detections(good.sample_index, good.category, good.bbox.astype(np.float32), good.score)
    with pytest.raises(ValueError, match="category"):
        Detections(good.sample_index, good.category[:2], good.bbox, good.score)


def test_importing_loads_neither_torch_nor_an_evaluator():
    code = (
        "import sys, rgbt_bench.predictions, rgbt_bench.metrics.detection;"
        "print([name for name in ('torch', 'hotcoco', 'pycocotools', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_canonical_order_is_by_every_key():
    """Sorting by sample and score first, and by the rest where they tie, is sorting by all of it."""
    tied = 0
    for seed in range(200):
        found = random_case(seed)[1]
        order = canonical_order(found)
        columns = (found.sample_index, -found.score, found.category, *found.bbox.T)
        rows = [tuple(column[place] for column in columns) for place in order]
        assert sorted(order.tolist()) == list(range(len(found)))
        assert rows == sorted(rows), seed
        tied += any(first[:2] == second[:2] for first, second in pairwise(rows))
    assert tied > 50


ROW = {"image_id": "a", "category_id": 1, "bbox": [1.0, 2, 3.5, 4], "score": 0.5}
ODD = [
    None, True, "a", "b", "", 0, 1, 2, 3, -1, 0.0, -0.0, 1e-320, 1e6, 1e7, 10**400, float("inf"), [], [1, 2, 3, 4],
    [1, 2, 0, 4], [1, 2, -3, 4], [1, 2, 1e-200, 1e-200], [1, 2, 3], [1, 2, 3, True], [1, 2, 3, "4"], [1, 2, 3, 10**400],
    {},
]  # fmt: skip


@pytest.mark.parametrize("key", ROW)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_what_is_plainly_usable_is_found_so_row_by_row(key, value):
    from rgbt_bench import predictions as module

    rows, names = [ROW, ROW | {key: value}], {"a": 0, "b": 1}
    expected = module._Expected(names, "", "", 2, [0, 0])
    faults = [fault for row in rows for fault in module._row_faults(row, expected)]
    assert not (module._are_plainly_usable(rows, names, 2) and faults)
    assert module._are_plainly_usable([ROW, ROW], names, 2)


def test_too_many_rows_of_one_sample_are_never_plainly_usable():
    from rgbt_bench import predictions as module

    assert module._are_plainly_usable([ROW] * module.MAX_PER_IMAGE, {"a": 0}, 2)
    assert not module._are_plainly_usable([ROW] * (module.MAX_PER_IMAGE + 1), {"a": 0}, 2)
    assert not module._are_plainly_usable([ROW, ROW | {"area": 3}], {"a": 0}, 2), "the slow way passes it over"
