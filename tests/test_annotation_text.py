"""No text of an annotation or a list crashes a converter: a whole set results, or an error that names the file."""

import hashlib
import json
import re
import shutil
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flir_cases
import m3fd_cases
import mfnet_cases
import test_custom
import visdrone_cases
from flir_cases import DAY, put
from rgbt_bench.converting import convert
from rgbt_bench.custom.converter import Custom
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BenchError
from rgbt_converters.dronevehicle import DroneVehicle
from rgbt_converters.flir import Flir
from rgbt_converters.llvip import Llvip
from rgbt_converters.m3fd import M3fd
from rgbt_converters.mfnet import Mfnet
from rgbt_converters.msrs import Msrs
from rgbt_converters.visdrone import VisDrone
from test_dronevehicle import CAR, PLAIN, put_set
from test_llvip import put_llvip
from test_msrs import FUSION, put_msrs


def put_m3fd_lists(base):
    m3fd_cases.put_tardal(base)
    put(base / "classes.txt", "\n".join(m3fd_cases.YOLO))
    for part, ids in m3fd_cases.LISTS.items():
        put(base / f"meta/{part}.txt", "\n".join(f"{one}.png" for one in ids))
    return base


def put_m3fd_yaml(base):
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(m3fd_cases.YOLO))
    put(base / "data.yaml", f"path: ../m3fd\ntrain: images/vi/train\nnames:\n{names}")
    return m3fd_cases.put_yolo(base)


def put_described(base, kind="voc"):
    """A user's pairs with every file that a description can name."""
    splits = {"few": {"train": "few.txt"}}
    test_custom.put_pairs(base, kind, meta="meta.csv", splits=splits, exact="exact.json")
    put(base / "few.txt", "a2N.jpg\n")
    put(base / "meta.csv", "id,scene,illumination\na1D,s,overcast\na2N,,\n")
    box = {"category": "person", "bbox": [2, 3, 4, 5], "area": 20, "occlusion": 1}
    labels = {"width": test_custom.WIDTH, "height": test_custom.HEIGHT, "objects": [box]}
    if (name := test_custom.LABELS[kind][1]) is not None:
        labels["label_sha256"] = hashlib.sha256((base / name.format("a2N")).read_bytes()).hexdigest()
    put(base / "exact.json", json.dumps({"version": 1, "samples": {"a2N": labels}}))
    return base


FLIR_XML, M3FD_XML = f"Annotations/{DAY}_PreviewData.xml", "Annotation/00000.xml"
STEM = next(iter(visdrone_cases.LINES["train"]))
put_drones = partial(put_set, objects={"train": {"00001": [CAR]}, "val": {"00001": [CAR]}}, size=PLAIN)
# For every case: the converter, what writes its set, and the file that is changed.
CASES = {
    "flir voc": (Flir, flir_cases.put_voc, FLIR_XML),
    "flir voc list": (Flir, flir_cases.put_voc, "align_train.txt"),
    "flir coco": (Flir, flir_cases.put_coco, "meta/thermal/flir_train.json"),
    "flir d3t": (Flir, flir_cases.put_d3t, FLIR_XML),
    "flir d3t list": (Flir, flir_cases.put_d3t, "ImageSets/Main/align_train_CarPersonBicycle_RGB.txt"),
    "flir voc-ir": (Flir, flir_cases.put_ir, FLIR_XML),
    "flir yolo": (Flir, flir_cases.put_yolo, "infrared/train/labels/FLIR_00002.txt"),
    "flir yolo list": (Flir, flir_cases.put_yolo_lists, "yolo/ir/align_train.txt"),
    "m3fd flat": (M3fd, m3fd_cases.put_flat, M3FD_XML),
    "m3fd old": (M3fd, m3fd_cases.put_old, f"Overcast/Lake/{M3FD_XML}"),
    "m3fd coco": (M3fd, m3fd_cases.put_coco, "meta/m3fd-train.json"),
    "m3fd tardal": (M3fd, put_m3fd_lists, "labels/00000.txt"),
    "m3fd tardal list": (M3fd, put_m3fd_lists, "meta/train.txt"),
    "m3fd tardal classes": (M3fd, put_m3fd_lists, "classes.txt"),
    "m3fd yolo": (M3fd, put_m3fd_yaml, "labels/ir/train/00000.txt"),
    "m3fd yolo classes": (M3fd, put_m3fd_yaml, "data.yaml"),
    "visdrone": (VisDrone, visdrone_cases.put_original, f"{visdrone_cases.PUBLISHED['train']}/annotations/{STEM}.txt"),
    "visdrone yolo": (VisDrone, visdrone_cases.put_yolo, f"labels/train/{STEM}.txt"),
    "llvip": (Llvip, put_llvip, "Annotations/190001.xml"),
    "dronevehicle": (DroneVehicle, put_drones, "train/trainlabelr/00001.xml"),
    "msrs": (Msrs, put_msrs, f"{FUSION}/test/00004N.txt"),
    "msrs classes": (Msrs, put_msrs, "detection_label/classes.txt"),
    "mfnet list": (Mfnet, mfnet_cases.put_original, "train.txt"),
    "mfnet night list": (Mfnet, mfnet_cases.put_original, "test_night.txt"),
    "mfnet flips": (Mfnet, mfnet_cases.put_cekd, "dataset/MFNet/train.txt"),
    "mfnet gmnet": (Mfnet, mfnet_cases.put_gmnet, "test.txt"),
    "mfnet cmx": (Mfnet, mfnet_cases.put_cmx, "val.txt"),
    "custom": (Custom, put_described, "rgbt-bench.yaml"),
    "custom voc": (Custom, put_described, "labels/a1D.xml"),
    "custom yolo": (Custom, partial(put_described, kind="yolo"), "labels/a1D.txt"),
    "custom coco": (Custom, partial(put_described, kind="coco"), "labels/train.json"),
    "custom list": (Custom, put_described, "train.txt"),
    "custom split": (Custom, put_described, "few.txt"),
    "custom meta": (Custom, put_described, "meta.csv"),
    "custom exact labels": (Custom, put_described, "exact.json"),
}
NUMBERS = ("", "-1", "0", "1", "7", "2.5", "-0.0", "nan", "inf", "1e400", "1e-320", "9" * 400, "0x1", "1_0", "\u0663")


@st.composite
def contents(draw, whole):
    """Any text or bytes, or the real content with a piece deleted, doubled or replaced, or with another number."""
    kind = draw(st.sampled_from(["text", "bytes", "delete", "double", "replace", "number", "number"]))
    own = st.sampled_from(sorted(set(whole.decode()))) | st.characters()
    if kind == "text":
        return draw(st.text(own, max_size=60)).encode("utf-8", "surrogatepass")
    if kind == "bytes":
        return draw(st.binary(max_size=60))
    if kind == "number":
        numbers = [match.span() for match in re.finditer(rb"\d+(?:\.\d+)?", whole)] or [(0, 0)]
        start, end = draw(st.sampled_from(numbers))
        return whole[:start] + draw(st.sampled_from(NUMBERS)).encode() + whole[end:]
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    middle = {"delete": b"", "double": whole[start:end] * 2}.get(kind)
    if middle is None:
        middle = draw(st.text(own, max_size=5)).encode("utf-8", "surrogatepass")
    return whole[:start] + middle + whole[end:]


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """The converter, its set in a folder, the file that is changed, its content, the sample it is of, and all."""
    converter, build, name = CASES[request.param]
    base = tmp_path_factory.mktemp("any") / "in"
    build(base)
    report, dataset = outcome(converter, base)
    assert report.faults == ()
    ids = [sample_id.rpartition("_")[2] for sample_id in dataset.labels]
    own = [sample_id for sample_id in ids if sample_id in name]
    return converter, base, name, (base / name).read_bytes(), own, ids


def outcome(converter, base):
    """Convert; return the report and the set."""
    out = base.with_name("out")
    shutil.rmtree(out, ignore_errors=True)
    report = convert(converter(), base, out)
    return report, Dataset(out)


def names_in(content):
    """Return the words of a list or a description that may be names of samples or files."""
    return [word for word in re.findall(r"[\w.]{3,}", content.decode("utf-8", "replace")) if re.search(r"[\d.]", word)]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_content_converts_or_is_named_and_nothing_is_half_written(data, case):
    converter, base, name, whole, own, ids = case
    content = data.draw(contents(whole))
    error = ""
    try:
        (base / name).write_bytes(content)
        report, dataset = outcome(converter, base)
        assert sum(report.parts.values()) == len(dataset.labels)
    except BenchError as caught:
        error = str(caught).replace(str(base), "")
        assert {path.name for path in base.parent.iterdir()} == {"in", ".out.lock"}
    finally:
        (base / name).write_bytes(whole)
    # What can be read but not used is told of the image whose label it is, or of the pair that a list names.
    readable = content.decode("utf-8", "replace").encode() == content
    named = [name, *(own or [*ids, *names_in(content)])] if readable else [name]
    assert any(one in error for one in named) if error else readable
