"""The named split visdrone@val: trained on train, scored on val, and made only where both are there."""

import pytest

from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import UsageError
from rgbt_bench.leaderboard.tracks import leaderboard, standing
from rgbt_converters.visdrone import VisDrone
from visdrone_cases import LINES, PUBLISHED, put_original, put_yolo

TRACKS = ("visdrone/detection-rgb", "visdrone/detection-official-rgb", "visdrone/detection-clean-rgb")


def converted(tmp_path, lines=LINES, put=put_original):
    convert(VisDrone(), put(tmp_path / "in", lines=lines), tmp_path / "set")
    return Dataset(tmp_path / "set")


@pytest.mark.parametrize("put", [put_original, put_yolo])
def test_val_is_its_test_part_and_nothing_else_is_in_it(put, tmp_path):
    dataset = converted(tmp_path, put=put)
    split = dataset.under("val")
    assert split.parts == ("train", "test")
    assert list(split.part("train").ids) == sorted(LINES["train"])
    assert list(split.part("test").ids) == sorted(LINES["val"])
    assert split.part("test").record.label_digest == dataset.part("val").record.label_digest
    assert "test-dev is in no part" in dataset.record.split_origins["val"]


@pytest.mark.parametrize("missing", ["train", "val"])
def test_it_is_made_only_where_both_parts_are_there(missing, tmp_path):
    dataset = converted(tmp_path, {part: lines for part, lines in LINES.items() if part != missing})
    assert "val" not in dataset.record.splits
    with pytest.raises(UsageError, match="unknown split of visdrone 'val'"):
        dataset.under("val")


def test_a_part_whose_images_were_all_left_out_makes_no_split(tmp_path):
    base = put_original(tmp_path / "in")
    for path in (base / PUBLISHED["val"] / "annotations").iterdir():
        path.write_text("no label\n")
    convert(VisDrone(), base, tmp_path / "set", on_error="skip")
    assert "val" not in Dataset(tmp_path / "set").record.splits


@pytest.mark.parametrize("track", TRACKS)
def test_its_labels_are_pending_and_other_samples_are_not(track):
    board = leaderboard()
    frozen = board.tracks[track]
    data = board.data[frozen.data]
    assert (data.split, data.part, data.samples, data.thermal_digest) == ("val", "test", 548, None)

    def verdict(split, samples):
        return standing(track, "test", frozen.protocol, "a" * 64, split=split, samples=samples)

    assert verdict("val", 548)[0] == "pending"
    assert verdict("official", 548) == ("unofficial", f"{track} is scored on the split val, not official")
    assert verdict("val", 547) == ("unofficial", "these are 547 samples, and the official test part has 548")
    wrong = "coco" if frozen.protocol != "coco" else "visdrone-clean"
    assert standing(track, "test", wrong, "a" * 64, split="val")[0] == "unofficial"
