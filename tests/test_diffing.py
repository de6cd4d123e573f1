"""What differs between two sets: every kind of change alone, and nothing where nothing differs."""

import io
import json
import shutil
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image as Pillow

from cli_cases import only_object
from rgbt_bench.converters import Converter, Images, Scan
from rgbt_bench.converting import convert
from rgbt_bench.datasets.sample_converter import to_item
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.diffing import diff, label_change, to_dict
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Box, DatasetInfo, Image, Labels, Sample, SplitList

CLASSES = ("person", "bike", "car")
ONE, TWO = Box((1.0, 1.0, 10.0, 10.0), 0, 100.0), Box((15.0, 2.0, 8.0, 8.0), 2, 64.0)


def png(value, channels=3):
    shape = (20, 40, 3) if channels == 3 else (20, 40)
    stream = io.BytesIO()
    Pillow.fromarray(np.full(shape, value, np.uint8)).save(stream, "PNG")
    return Image(stream.getvalue(), "x.png")


def sample(name, *boxes, rgb=10, thermal=20, **labels):
    images = {"rgb": png(rgb), "thermal": None if thermal is None else png(thermal, 1)}
    return Sample(sample_id=name, width=40, height=20, objects=boxes, **images, **labels)


SAMPLES = {"train": [sample("a", ONE, TWO), sample("b", ONE)], "test": [sample("c", TWO), sample("d")]}


@pytest.fixture
def made(tmp_path):
    """Convert samples by part into a set, and open it."""

    def make(parts=SAMPLES, classes=CLASSES, name="set", split="default", masks=None):
        class MadeUp(Converter):
            info = DatasetInfo(
                name="made-up", title="", classes=classes, tasks=("detection",), homepage="", licence="", citation="",
                split_policy="", mask_classes=("none", "one", "two"),
            )  # fmt: skip
            how_to_get = ""
            layouts: ClassVar[dict[str, str]] = {}
            needs_path = False

            def scan(self, source):
                items = [to_item(part, one) for part, samples in parts.items() for one in samples]
                return Scan("memory", items, named_splits=[SplitList("small", {"train": ("a",), "test": ("c",)})])

            def read(self, source, item):
                one = next(one for one in parts[item.part] if one.sample_id == item.labels.sample_id)
                return Images(one.rgb, one.thermal, png(masks[one.sample_id], 1) if masks else None)

        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        convert(MadeUp(), None, folder)
        return Dataset(folder, split)

    return make


def changed(part, place, **values):
    """The samples with other values of one of them."""
    samples = list(SAMPLES[part])
    samples[place] = replace(samples[place], **values)
    return {**SAMPLES, part: samples}


def test_the_same_set_converted_twice_is_equal(made, bench):
    # The order of boxes is no difference.
    a, b = made(), made(changed("train", 0, objects=(TWO, ONE)))
    found = diff(a, b, verify=True)
    assert found.equal
    assert to_dict(found, 5)["counts"] == dict.fromkeys(
        ("only_in_a", "only_in_b", "rgb_differs", "thermal_differs", "labels_differ", "parts_differ"), 0
    )
    code, out, _ = bench("diff", a.root, b.root, "--exit-code")
    assert code == 0
    assert out.startswith("equal: ")
    assert f"fingerprint {a.record.fingerprint}" in out


CHANGES = {
    "removed": ((ONE,), {"boxes removed": 1}),
    "added": ((ONE, TWO, ONE), {"boxes added": 1}),
    "moved": ((ONE, replace(TWO, bbox=(16.0, 2.0, 8.0, 8.0))), {"bbox changed": 1}),
    "class": ((replace(ONE, category=1), TWO), {"class changed": 1}),
    "area": ((replace(ONE, area=99.0), TWO), {"area changed": 1}),
    "flags": ((replace(ONE, iscrowd=True, ignore=True), TWO), {"iscrowd changed": 1, "ignore changed": 1}),
    "occlusion": ((replace(ONE, occlusion=0), TWO), {"occlusion changed": 1}),
    "far": ((ONE, replace(TWO, bbox=(30.0, 2.0, 8.0, 8.0))), {"boxes removed": 1, "boxes added": 1}),
    "moved and another class": (
        (ONE, replace(TWO, bbox=(16.0, 2.0, 8.0, 8.0), category=0)), {"bbox changed": 1, "class changed": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_of_a_box_is_named(made, name):
    objects, counts = CHANGES[name]
    found = to_dict(diff(made(), made(changed("train", 0, objects=objects))), 5)
    assert not found["equal"]
    assert not found["fingerprints_equal"]
    assert found["label_changes"] == counts
    assert [row["sample_id"] for row in found["labels_differ"]] == ["a"]
    assert found["counts"]["rgb_differs"] == found["counts"]["parts_differ"] == 0
    assert json.loads(json.dumps(found))["labels_differ"][0]["sample_id"] == "a"


def test_a_box_shifted_everywhere_is_moved_and_not_replaced():
    rng = np.random.default_rng(0)
    corners = rng.permutation(np.mgrid[0:40:8, 0:40:8].reshape(2, -1).T)
    boxes = [Box((float(x), float(y), 6.0, 6.0), 0, 36.0) for x, y in corners]
    shifted = [replace(box, bbox=(box.bbox[0] - 1, box.bbox[1] - 1, 6.0, 6.0)) for box in boxes]
    a, b = (Labels(sample_id="a", width=50, height=50, objects=tuple(some)) for some in (boxes, shifted))
    change = label_change(a, b, CLASSES, CLASSES)
    assert len(change.boxes) == len(boxes)
    for one in change.boxes:
        assert one.fields == ("bbox",)
        assert one.a.bbox[0] - one.b.bbox[0] == one.a.bbox[1] - one.b.bbox[1] == 1


def test_a_box_twice_in_one_set_is_one_more():
    a, b = (Labels(sample_id="a", width=50, height=50, objects=objects) for objects in ((ONE, ONE, ONE), (ONE,)))
    change = label_change(a, b, CLASSES, CLASSES)
    assert [one.kind for one in change.boxes] == ["removed", "removed"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ignore_regions": ((0.0, 0.0, 5.0, 5.0),)}, "ignore regions: 0 in A, 1 in B"),
        ({"objects": (ONE,)}, None),
    ],
)
def test_other_label_changes_are_named(made, values, words):
    found = diff(made(), made(changed("train", 0, **values)))
    assert found.labels[0].others == ((words,) if words else ())


def test_a_changed_mask_is_named(made):
    masks = dict.fromkeys("abcd", 1)
    found = diff(made(masks=masks), made(masks={**masks, "c": 2}))
    assert [(change.sample_id, change.others) for change in found.labels] == [("c", ("mask",))]


def test_samples_of_one_set_alone_are_named(made):
    a, b = made(), made({**SAMPLES, "test": [*SAMPLES["test"][1:], sample("e", ONE)]})
    found = to_dict(diff(a, b), 5)
    assert (found["only_in_a"], found["only_in_b"]) == (["c"], ["e"])
    assert found["samples_in_both"] == 3
    assert found["labels_differ"] == []


def test_changed_pixels_are_named_by_modality(made):
    found = to_dict(diff(made(), made(changed("train", 0, rgb=png(11)))), 5)
    assert (found["rgb_differs"], found["thermal_differs"], found["labels_differ"]) == (["a"], [], [])
    found = to_dict(diff(made(), made(changed("train", 1, thermal=None))), 5)
    assert (found["rgb_differs"], found["thermal_differs"]) == ([], ["b"])


def test_another_split_of_the_same_pairs_differs_though_the_fingerprints_are_equal(made):
    found = to_dict(diff(made(), made({"train": [SAMPLES["train"][0]], "val": [SAMPLES["train"][1]],
                                       "test": SAMPLES["test"]})), 5)  # fmt: skip
    assert found["fingerprints_equal"]
    assert not found["equal"]
    assert found["parts_differ"] == [{"sample_id": "b", "a": ["train"], "b": ["val"]}]


def test_a_named_split_holds_its_samples_alone(made):
    whole, small = made(), made(split="small")
    found = to_dict(diff(whole, small), 5)
    assert (found["only_in_a"], found["only_in_b"], found["samples_in_both"]) == (["b", "d"], [], 2)
    # A change outside the split is none of the split.
    other = Dataset(made(changed("train", 1, objects=())).root, "small")
    assert diff(small, other).equal


def test_another_order_of_classes_is_a_difference_but_no_change_of_a_box(made):
    swapped = {part: [replace(one, objects=tuple(replace(box, category=2 - box.category) for box in one.objects))
                      for one in samples] for part, samples in SAMPLES.items()}  # fmt: skip
    found = diff(made(), made(swapped, classes=CLASSES[::-1]))
    assert not found.equal
    assert found.labels == ()


def test_the_limit_cuts_lists_and_not_counts(made, bench):
    a, b = made(), made({part: [replace(one, rgb=png(99)) for one in some] for part, some in SAMPLES.items()})
    found = only_object(bench("diff", a.root, b.root, "--limit", 1, "--json")[1])
    assert found["counts"]["rgb_differs"] == 4
    assert found["rgb_differs"] == ["a"]
    assert "rgb differs: 3 more; --limit shows them" in bench("diff", a.root, b.root, "--limit", 1)[1]


def test_the_exit_code_is_asked_for(made, bench):
    a, b = made(), made(changed("train", 0, objects=()))
    assert bench("diff", a.root, b.root)[0] == 0
    code, out, _ = bench("diff", a.root, b.root, "--exit-code", "--json")
    assert (code, only_object(out)["equal"]) == (6, False)


def test_every_change_is_printed(made, bench):
    other = (replace(ONE, category=1), replace(TWO, bbox=(16.0, 2.0, 8.0, 8.0)), Box((30.0, 10.0, 5.0, 5.0), 0, 25.0))
    out = bench("diff", made().root, made(changed("train", 0, objects=other)).root)[1]
    assert out.startswith("different: ")
    for line in (
        "labels of a differ:",
        "  person [1, 1, 10, 10]: class person -> bike",
        "  car [15, 2, 8, 8]: bbox [15, 2, 8, 8] -> [16, 2, 8, 8]",
        "  added: person [30, 10, 5, 5]",
    ):
        assert line in out.splitlines()


def test_the_sheet_has_a_beside_b_and_is_not_written_for_equal_sets(made, bench, tmp_path):
    a, b = made(), made(changed("train", 0, objects=(), rgb=png((200, 0, 0))))
    sheet = tmp_path / "sheet.png"
    assert only_object(bench("diff", a.root, a.root, "--sheet", sheet, "--json")[1])["sheet"] is None
    assert not sheet.exists()
    assert f"drawn to {sheet}" in bench("diff", a.root, b.root, "--sheet", sheet)[1]
    with Pillow.open(sheet) as picture:
        # One row: A's pair from the left edge, B's from the middle on; in their corner there is no box.
        below = picture.height - 10
        assert picture.getpixel((300, below)) == (10, 10, 10)
        assert picture.getpixel((picture.width // 2 + 20, below)) == (200, 0, 0)


def test_verify_finds_changed_bytes_and_a_plain_diff_does_not(made):
    a, b = made(), made(changed("test", 0, rgb=png(77)))
    forged = a.root.with_name("forged")
    shutil.copytree(a.root, forged)
    shutil.copytree(b.root / "data", forged / "data", dirs_exist_ok=True)  # other pixels under A's digests
    assert diff(a, Dataset(forged)).equal
    with pytest.raises(BadInputError, match=r"1 sample\(s\) are not what was recorded.*\n  - c: rgb"):
        diff(a, Dataset(forged), verify=True)


def test_a_sample_that_no_shard_holds_is_named(made):
    a, b = made(), made(changed("train", 1, sample_id="e"))
    other = made(changed("train", 1, objects=(TWO,)))
    shutil.copytree(b.root / "data", other.root / "data", dirs_exist_ok=True)  # with the sample e, but without b
    with pytest.raises(BadInputError, match="no shard holds the sample 'b'; convert the set again"):
        diff(a, Dataset(other.root))


def test_digests_of_another_set_are_refused(made):
    a, b = made(), made(changed("test", 0, rgb=png(77)))
    shutil.copy(b.root / "digests.json", a.root / "digests.json")
    with pytest.raises(BadInputError, match=r"digests\.json: these digests do not make the set's fingerprint"):
        diff(Dataset(a.root), b)
