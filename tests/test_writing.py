"""Writing other frameworks' detections: the reader gets what the model said; what is refused and left out."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.predictions import LARGEST, MAX_PER_IMAGE, read_predictions
from rgbt_bench.writing import OF_OTHER_CLASSES, OVER_THE_CAP, WITHOUT_AREA, PredictionsWriter

CLASSES = ("person", "bike", "car")
BOX = [1.5, 2, 4.5, 6]


@pytest.fixture
def writer():
    return PredictionsWriter(CLASSES, CLASSES)


@pytest.fixture
def write(tmp_path):
    """Write a writer's file, and return what was written and what `read_predictions` makes of it."""

    def write(writer, ids):
        path = tmp_path / "predictions.json"
        written = writer.write(path)
        return written, read_predictions(path, ids, CLASSES)

    return write


def test_what_is_read_is_what_was_added(writer, write):
    writer.add("b", [BOX, [0, 0, 10, 20]], [2, 0], [0.25, 0.5])
    writer.add("a", [[-3, -2.5, 1, 1]], [1], [0.125])
    written, found = write(writer, ("a", "b"))
    assert found.sample_index.tolist() == [0, 1, 1]
    assert found.category.tolist() == [1, 0, 2]
    assert found.bbox.tolist() == [[-3, -2.5, 4, 3.5], [0, 0, 10, 20], [1.5, 2, 3, 4]]
    assert found.score.tolist() == [0.125, 0.5, 0.25]
    assert (written.images, written.samples, written.detections, written.left_out) == (2, None, 3, {})
    assert str(written) == f"{written.path}: 3 detections on 2 images"


@given(st.lists(st.tuples(*[st.floats(-1000, 1000, width=32)] * 4, st.floats(0, 1, width=32)), min_size=1, max_size=9))
def test_corners_of_float32_come_back_to_the_last_bit(tmp_path_factory, rows):
    table = np.array(rows, dtype=np.float32)
    corners = np.concatenate([np.minimum(table[:, :2], table[:, 2:4]), np.maximum(table[:, :2], table[:, 2:4]) + 1], 1)
    writer = PredictionsWriter(CLASSES, CLASSES)
    writer.add("a", corners, np.arange(len(rows)) % 3, table[:, 4])
    path = tmp_path_factory.mktemp("written") / "predictions.json"
    writer.write(path)
    found = read_predictions(path, ("a",), CLASSES)
    back = np.concatenate([found.bbox[:, :2], found.bbox[:, :2] + found.bbox[:, 2:]], axis=1).astype(np.float32)
    assert sorted(back.tolist()) == sorted(corners.tolist())
    assert sorted(found.score.tolist()) == sorted(table[:, 4].astype(float).tolist())


def test_the_order_of_rows_and_images_changes_no_byte(tmp_path):
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 5, (20, 2))
    columns = (np.hstack([corners, corners + 3]), rng.integers(0, 3, 20), rng.integers(0, 4, 20) / 3)
    texts = set()
    for seed in range(3):
        writer = PredictionsWriter(CLASSES, CLASSES)
        for image in np.random.default_rng(seed).permutation(["a", "b", "c"]):
            order = np.random.default_rng(seed).permutation(20)
            writer.add(str(image), *(column[order] for column in columns))
        writer.write(tmp_path / "predictions.json")
        texts.add((tmp_path / "predictions.json").read_bytes())
    assert len(texts) == 1


class OnDevice:
    """A tensor as frameworks have them on a GPU: NumPy gets it only after `detach` and `cpu`."""

    dtype = "float32"

    def __init__(self, values, is_here=False):
        self.values, self.is_here = values, is_here

    def detach(self):
        return self

    def cpu(self):
        return OnDevice(self.values, is_here=True)

    def __array__(self, dtype=None, copy=None):
        if not self.is_here:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return np.array(self.values, dtype=np.float32)


def tensors(dtype):
    import torch

    return lambda values: torch.tensor(values, dtype=getattr(torch, dtype)).requires_grad_(dtype != "int64")


@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.array, np.float16, OnDevice, tensors("float32"), tensors("float16"), tensors("bfloat16")],
    ids=["list", "tuple", "NumPy", "float16", "device", "torch float32", "torch float16", "torch bfloat16"],
)
def test_lists_arrays_and_tensors_give_the_same(kind, writer, write):
    writer.add("a", kind([[1.0, 2.0, 4.0, 6.0]]), kind([2.0]), kind([0.5]))
    assert write(writer, ("a",))[1].bbox.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("nothing", [[], np.zeros((0, 4)), OnDevice(np.zeros((0, 4)))], ids=["list", "array", "tensor"])
def test_an_image_without_detections_is_legal(nothing, writer, write):
    writer.add("a", nothing, [], [])
    written, found = write(writer, ("a",))
    assert (written.images, len(found)) == (1, 0)


def test_labels_are_looked_up_in_names_wherever_they_begin(write):
    for names, label in ((CLASSES, 2), ({1: "person", 2: "bike", 3: "car"}, 3), (("__background__", *CLASSES), 3)):
        writer = PredictionsWriter(CLASSES, names, drop_unknown=True)
        writer.add("a", [BOX], [label], [0.5])
        assert write(writer, ("a",))[1].category.tolist() == [2]


def test_a_renamed_class_counts_as_the_datasets_and_several_may(write):
    rename = {"bicycle": "bike", "motorcycle": "bike"}
    writer = PredictionsWriter(CLASSES, {4: "bicycle", 7: "motorcycle"}, rename=rename)
    writer.add("a", [BOX, BOX], [7, 4], [0.5, 0.25])
    assert write(writer, ("a",))[1].category.tolist() == [1, 1]


def test_classes_that_the_dataset_does_not_have_are_left_out_only_where_that_is_said(write):
    names = ["person", "dog", "cat", "Car"]
    with pytest.raises(UsageError) as refused:
        PredictionsWriter(CLASSES, names)
    assert all(text in str(refused.value) for text in ("'dog'", "'cat'", "'Car': Did you mean 'car'?", "drop_unknown"))
    writer = PredictionsWriter(CLASSES, names, drop_unknown=True)
    writer.add("a", [BOX] * 4, [0, 1, 1, 2], [0.5] * 4)
    written, found = write(writer, ("a",))
    assert len(found) == 1
    assert (written.left_out, written.unknown) == ({OF_OTHER_CLASSES: 3}, {"dog": 2, "cat": 1})
    assert str(written).endswith(f"1 detections on 1 images; left out: 3 {OF_OTHER_CLASSES}")


@pytest.mark.parametrize(
    ("names", "options", "told"),
    [
        (["a", "b"], {"drop_unknown": True}, "none of them is a class"),
        ("person", {}, "not the text"),
        ({"0": "person"}, {}, "whole numbers"),
        ({True: "person"}, {}, "whole numbers"),
        ([1, 2], {}, "whole numbers"),
        (CLASSES, {"rename": {"pers": "person"}}, "Did you mean 'person'"),
        (CLASSES, {"rename": {"car": "bikes"}}, "Did you mean 'bike'"),
    ],
)
def test_names_that_map_nothing_are_refused_before_anything_runs(names, options, told):
    with pytest.raises(UsageError, match=re.escape(told)):
        PredictionsWriter(CLASSES, names, **options)


class Gone:
    def detach(self):
        raise RuntimeError("freed")


FAULTS = {
    "NaN": (([[1, 2, np.nan, 6]], [0], [0.5]), "1 of 1 with a box or score that is not finite, first 0"),
    "infinite score": (([BOX], [0], [np.inf]), "not finite"),
    "x, y, width, height": (([BOX, [50, 60, 7, 80]], [0, 0], [0.5, 0.5]), "first 1"),
    "negative score": (([BOX], [0], [-0.1]), "a score below 0"),
    "far away": (([[0, 0, 1, 2 * LARGEST]], [0], [0.5]), "beyond 1,000,000"),
    "wide": (([[-LARGEST, 0, LARGEST, 1]], [0], [0.5]), "wider or higher than 1,000,000"),
    "no such label": (([BOX], [3], [0.5]), "labels that `names` does not have: 3; it begins 0 person, 1 bike, 2 car"),
    "half a label": (([BOX], [0.5], [0.5]), "does not have: 0.5"),
    "five numbers": (([[1, 2, 3, 4, 5]], [0], [0.5]), "not boxes [1, 5], labels [1], scores [1]"),
    "a flat box": ((BOX, [0], [0.5]), "not boxes [4], labels [1], scores [1]"),
    "fewer scores": (([BOX, BOX], [0, 0], [0.5]), "scores [1]"),
    "ragged": (([BOX, [1]], [0, 0], [0.5, 0.5]), "boxes are no array of numbers"),
    "text": (([BOX], ["person"], [0.5]), "labels are no array of numbers"),
    "truth values": (([BOX], [True], [0.5]), "labels are no array of numbers, but of bool"),
    "a tensor that is gone": (([BOX], [0], Gone()), "scores are no array of numbers: freed"),
    "nothing": ((None, [0], [0.5]), "boxes are no array of numbers"),
}


@pytest.mark.parametrize(("columns", "told"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_scored_is_refused_with_the_images_name(columns, told, writer):
    with pytest.raises(BadInputError, match=re.escape(told)) as refused:
        writer.add("folder/night_7.png", *columns)
    assert str(refused.value).startswith("folder/night_7.png: ")
    writer.add("folder/night_7.png", [BOX], [0], [0.5])  # nothing of the refused one was kept


def test_several_faults_are_named_at_once(writer):
    with pytest.raises(BadInputError) as refused:
        writer.add("a", [[5, 5, 1, 1], [0, 0, np.nan, 1]], [7, 0], [-1, 0.5])
    assert str(refused.value).count("\n") == 4


@pytest.mark.parametrize("flat", [[3, 3, 3, 9], [3, 3, 9, 3], [0, 0, 1e-200, 1e-200]])
def test_boxes_without_area_are_left_out_and_counted(flat, writer, write):
    writer.add("a", [flat, BOX], [0, 0], [0.5, 0.25])
    written, found = write(writer, ("a",))
    assert found.score.tolist() == [0.25]
    assert written.left_out == {WITHOUT_AREA: 1}


def test_the_highest_scores_stay_of_more_than_an_image_may_have(writer, write):
    scores = np.random.default_rng(0).permutation(MAX_PER_IMAGE + 5) / 2000
    writer.add("a", [BOX] * len(scores), np.zeros(len(scores)), scores)
    writer.add("b", [BOX], [0], [0.0])
    written, found = write(writer, ("a", "b"))
    assert found.score.tolist() == [*np.sort(scores)[::-1][:MAX_PER_IMAGE], 0.0]
    assert written.left_out == {OVER_THE_CAP: 5}


@pytest.mark.parametrize(
    ("image", "known_as"),
    [
        ("some/where/n7.png", "n7"),
        ("n7.npy", "n7"),
        (Path("n7.JPG"), "n7"),
        ("n7", "n7"),
        ("a.b", "a.b"),
        ("a.b.tiff", "a.b"),
    ],
)
def test_an_image_is_known_by_its_name_without_its_ending(image, known_as, writer, write):
    writer.add(image, [BOX], [0], [0.5])
    assert len(write(writer, (known_as,))[1]) == 1


def test_an_image_twice_and_no_image_at_all_are_refused(writer, tmp_path):
    with pytest.raises(BadInputError, match="no image was added"):
        writer.write(tmp_path / "predictions.json")
    assert not list(tmp_path.glob("*.json"))
    writer.add("visible/n7.png", [], [], [])
    with pytest.raises(BadInputError, match="n7 was added before"):
        writer.add("infrared/n7.jpg", [BOX], [0], [0.5])
    with pytest.raises(BadInputError, match="no image's name"):
        writer.add("", [], [], [])


def test_of_a_set_images_are_known_by_id_file_and_stem(tiny_folder, tiny, tmp_path):
    part = tiny.part("test")
    first, second, third = part.labels[:3]
    writer = PredictionsWriter(tiny_folder, CLASSES)
    for image in (first.sample_id, Path(second.source), f"elsewhere/{third.sample_id}.png"):
        writer.add(image, [BOX], [0], [0.5])
    written = writer.write(tmp_path / "predictions.json")
    rows = json.loads((tmp_path / "predictions.json").read_text())
    assert [row["image_id"] for row in rows] == [first.sample_id, second.sample_id, third.sample_id]
    assert (written.images, written.samples) == (3, len(part))
    assert "on 3 of 12 images" in str(written)


def test_of_a_set_an_image_of_another_part_or_none_is_refused_at_once(tiny_folder, tiny):
    writer = PredictionsWriter(tiny_folder, CLASSES)
    known, elsewhere = tiny.part("test").ids[0], tiny.part("train").ids[0]
    with pytest.raises(BadInputError, match="is no sample of the part test of sample"):
        writer.add(elsewhere, [BOX], [0], [0.5])
    with pytest.raises(BadInputError, match=f"Did you mean .*{known[:5]}"):
        writer.add(known + "x", [BOX], [0], [0.5])
    with pytest.raises(BadInputError, match=f"whose ids are such as '{known}'"):
        writer.add("###.png", [BOX], [0], [0.5])
    PredictionsWriter(tiny_folder, CLASSES, part="train").add(elsewhere, [BOX], [0], [0.5])


@pytest.mark.parametrize("classes", [(), {0: "person"}, 7, [1, 2], ["car", "car"], None])
def test_what_is_neither_a_set_nor_class_names_is_refused(classes):
    with pytest.raises(UsageError, match="a set's name, its folder or its class names"):
        PredictionsWriter(classes, CLASSES)


def test_a_percent_encoded_file_of_an_export_is_its_sample(tiny_folder, tiny):
    known = tiny.part("test").ids[0]
    writer = PredictionsWriter(tiny_folder, CLASSES)
    writer.add(f"export/%{ord(known[0]):02X}{known[1:]}.png", [BOX], [0], [0.5])
    with pytest.raises(BadInputError, match=f"{known} was added before"):
        writer.add(known, [BOX], [0], [0.5])


@pytest.mark.parametrize("image", [7, None, b"n7.png"])
def test_a_number_is_no_image(image, writer):
    with pytest.raises(BadInputError, match="a sample id was expected"):
        writer.add(image, [], [], [])


def test_a_set_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(MissingError, match="no converted set"):
        PredictionsWriter(tmp_path / "none", CLASSES)


def test_writing_loads_no_torch():
    code = "import rgbt_bench.writing, sys; print(*({'torch', 'numba'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
