"""`evaluate` and `compare` on folders of label maps: one JSON object, and each typing mistake with what to do."""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image as Pillow

from cli_cases import only_object
from label_map_cases import maps_of, put_maps
from rgbt_bench.files import read_json
from rgbt_bench.png_folders import png_digest


@pytest.fixture
def call(home, tiny, tiny_folder, tmp_path, bench):
    """Call the command line with the words MAPS, BOXES, NOWHERE, HERE, OUT for what lies in the test's folder."""
    shutil.copytree(tiny_folder, home / "datasets" / "sample")
    put_maps(tmp_path / "maps", tiny.part("test"), maps_of(tiny.part("test"), 0.2))
    (tmp_path / "p.json").write_text("[]")
    names = {"MAPS": "maps", "BOXES": "p.json", "NOWHERE": "nowhere", "HERE": "", "OUT": "result.json"}

    def call(line, *more):
        words = (
            re.sub(r"^(MAPS|BOXES|NOWHERE|HERE|OUT)\b", lambda found: str(tmp_path / names[found[0]]), word)
            for word in line.split()
        )
        return bench(*words, *more)

    return call


def test_a_folder_is_scored_into_one_object_and_one_file(call, tmp_path):
    code, out, err = call("evaluate MAPS --dataset sample --out OUT", "--json")
    assert code == 0, err
    content = only_object(out)
    assert content == read_json(tmp_path / "result.json")
    assert (content["track"], content["evaluator"]) == ("sample/segmentation-rgbt", "rgbt-bench")
    assert content["predictions_sha256"] == png_digest(tmp_path / "maps")
    assert 0 < content["metrics"]["figures"]["mIoU"] < 1
    out = call("evaluate MAPS --dataset sample --task segmentation-thermal")[1]
    assert "track sample/segmentation-thermal, unofficial" in out
    assert f"{content['metrics']['figures']['mIoU']:.4f}" in out


def test_two_folders_are_compared(call):
    line = "compare MAPS MAPS --dataset sample --metric mAcc_present"
    content = only_object(call(line, "--json")[1])
    assert (content["metric"], content["pairs"][0]["difference"]) == ("mAcc_present", 0.0)
    out = call(line)[1]
    assert out.count("mAcc_present") >= 2  # in the table, and in the sentence below it
    assert "mAcc present" not in out
    out = call("compare MAPS MAPS --dataset sample")[1]
    assert "mIoU of the run minus that of the one it is held against" in out


FAULTS = {
    "evaluate MAPS --dataset sample --evaluator pycocotools": (
        2, "unknown evaluator 'pycocotools'. Known: rgbt-bench."
    ),
    "evaluate MAPS --dataset sample --task segmentation-termal": (2, "Did you mean 'segmentation-thermal'"),
    "evaluate MAPS --dataset sample --task detection-rgbt": (3, "maps: is a folder, and boxes are one JSON file"),
    "run cekd-cenet --preset quick --dataset sample --set model.edge=null": (
        3, "recipe cekd-cenet: model: kind cenet needs edge"
    ),
    "evaluate BOXES --dataset sample --task segmentation-rgbt": (3, "p.json: is a file; label maps are a folder"),
    "evaluate NOWHERE --dataset sample": (4, "nowhere: no such file"),
    "evaluate NOWHERE --dataset sample --task segmentation-rgbt": (4, "nowhere: no such folder"),
    "evaluate MAPS --dataset sample --part val": (3, "4 of 4 samples have no label map: sample_val_0000.png"),
    "evaluate MAPS --dataset sample --part tst": (2, "Did you mean 'test'"),
    "evaluate MAPS --dataset sample --out HERE": (2, "is a folder; name a file in it"),
    "evaluate MAPS --dataset sample --out MAPS": (2, "is a folder; name a file in it"),
    "evaluate MAPS --dataset sample --out MAPS/result.json": (2, "is among the predictions"),
    "evaluate MAPS --dataset sample --out MAPS/sample_test_0000.png": (2, "is among the predictions"),
    "run mfnet-thermal --preset quick --dataset sample --set protocol=coco": (
        3, "the protocol coco scores detection, and the submission mfnet does segmentation"
    ),
    "run ffkd-teacher-thermal --preset quick --dataset sample --set protocol=miou": (
        3, "the protocol miou scores segmentation, and the submission ffkd does detection"
    ),
    "compare MAPS BOXES --dataset sample": (3, "is scored by miou and"),
    "compare MAPS NOWHERE --dataset sample": (4, "nowhere: no run here"),
    "compare MAPS MAPS": (2, "say with --dataset what these predictions are of"),
    "compare MAPS MAPS --dataset sample --metric AP": (2, "unknown metric 'AP'"),
    "compare MAPS MAPS --dataset sample --metric mIOU": (2, "Did you mean 'mIoU'"),
}  # fmt: skip


@pytest.mark.parametrize("line", FAULTS)
def test_each_fault_is_one_object_with_its_code_and_changes_nothing(call, tmp_path, line):
    expected, message = FAULTS[line]
    before = png_digest(tmp_path / "maps")
    code, out, err = call(line, "--json")
    content = only_object(out)
    assert (code, content["exit_code"]) == (expected, expected), err
    assert message in content["error"]
    assert err.endswith(f"error: {content['error']}\n")
    assert png_digest(tmp_path / "maps") == before


def test_names_that_are_no_text_are_told_without_their_codes(call, tmp_path):
    for name in (b"\x1b[31mred.png", b"\xff\xfe.png", b"two\nlines.png"):
        (tmp_path / "maps" / os.fsdecode(name)).write_bytes(b"")
    code, out, err = call("evaluate MAPS --dataset sample", "--json")
    assert code == 3
    assert only_object(out)["error"].count("no sample of this part is called so") == 3
    assert "\x1b" not in err
    assert r"\x1b[31mred.png" in err
    assert r"\udcff\udcfe.png: no sample" in err


def test_edge_maps_of_two_fractions_are_refused(call, tiny, tmp_path):
    maps = maps_of(tiny.part("test"), edge_step=4)
    put_maps(tmp_path / "edged", tiny.part("test"), maps)
    code, out, _ = call("evaluate HERE/edged --dataset sample", "--json")
    assert (code, 0 < only_object(out)["metrics"]["figures"]["IoU_e"] < 1) == (0, True)
    path = tmp_path / "edged" / "edges" / "sample_test_0003.png"
    Pillow.fromarray(maps[3].edges.repeat(2, 0).repeat(2, 1)).save(path)
    code, _, err = call("evaluate HERE/edged --dataset sample")
    assert code == 3
    assert f"edges: {path}: is 1/2 of its sample and sample_test_0000.png is 1/4; make all edge maps of one" in err


def test_all_that_is_wrong_is_named_in_one_pass(call, tmp_path):
    maps = tmp_path / "maps"
    (maps / "sample_test_0000.png").unlink()
    Pillow.fromarray(np.zeros((96, 96, 3), np.uint8)).save(maps / "sample_test_0001.png")
    Pillow.fromarray(np.full((96, 96), 9, np.uint8)).save(maps / "sample_test_0002.png")
    (maps / "sample_test_0003_flip.png").write_bytes(b"")
    code, _, err = call("evaluate MAPS --dataset sample")
    assert code == 3
    for message in (
        "1 of 12 samples have no label map: sample_test_0000.png", "sample_test_0001.png: colours (RGB) instead of",
        "sample_test_0002.png: the value(s) 9 are no class: 0 background to 3 car",
        "sample_test_0003_flip.png: no sample of this part is called so; take it away. Did you mean sample_test_0003?",
    ):  # fmt: skip
        assert message in err
