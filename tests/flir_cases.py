"""A made-up FLIR-aligned of eight small pairs in each of its layouts, shared by the tests that convert it."""

import io
import json
from functools import cache

import numpy as np
from PIL import Image as Pillow

WIDTH, HEIGHT = 64, 48
DAY, NIGHT = "FLIR_09019", "FLIR_09398"
# By part and sample: boxes as a published COCO file has them.
PAIRS = {
    "train": {
        "FLIR_00002": [("person", 4, 5, 9, 20), ("bicycle", -1, 3, 12, 9), ("dog", 30, 30, 5, 5)],
        "FLIR_00699": [("car", 20, 10, 30, 20), ("car", 20, 10, 30, 20)],
        "FLIR_00700": [("car", 1, -1, 3, 3)],
        "FLIR_01799": [("person", 60, 40, 9, 9)],
        "FLIR_01800": [("bicycle", 1, 1, 9, 9)],
        "FLIR_00008": [],
    },
    "test": {DAY: [("car", 3, 3, 8, 8), ("dog", 0, 0, 4, 4)], NIGHT: [("person", -1, -1, 8, 8)]},
}
NAMES = {"person": 1, "bike": 2, "car": 3, "dog": 17}


@cache
def jpegs(sample_id):
    """A made-up pair's RGB and thermal bytes."""
    noise = np.random.default_rng(int(sample_id[-5:])).integers(0, 255, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    streams = io.BytesIO(), io.BytesIO()
    for stream, array in zip(streams, (noise[..., :3], noise[..., 3]), strict=True):
        Pillow.fromarray(array).save(stream, "JPEG")
    return [stream.getvalue() for stream in streams]


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def voc_xml(boxes):
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
        f"<xmax>{x + width}</xmax><ymax>{y + height}</ymax></bndbox></object>"
        for name, x, y, width, height in boxes
    )
    return f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>{objects}</annotation>"


def put_voc(base, pairs=PAIRS):
    for part, name in (("train", "align_train.txt"), ("test", "align_validation.txt")):
        put(base / name, "".join(f"{sample_id}_PreviewData\n" for sample_id in pairs[part]))
        for sample_id, boxes in pairs[part].items():
            rgb, thermal = jpegs(sample_id)
            put(base / f"JPEGImages/{sample_id}_RGB.jpg", rgb)
            put(base / f"JPEGImages/{sample_id}_PreviewData.jpeg", thermal)
            put(base / f"Annotations/{sample_id}_PreviewData.xml", voc_xml(boxes))
    return base


def coco(boxes_of):
    """A COCO file as RGBXFusion publishes them: string image ids, newest image first, `bike` for bicycle."""
    images = [
        {
            "id": f"{sample_id}_PreviewData",
            "file_name": f"{sample_id}_PreviewData.jpg",
            "width": WIDTH,
            "height": HEIGHT,
        }
        for sample_id in reversed(boxes_of)
    ]
    annotations = [
        {
            "image_id": f"{sample_id}_PreviewData",
            "category_id": NAMES["bike" if name == "bicycle" else name],
            "bbox": [x, y, width, height],
            "area": width * height,
            "iscrowd": 0,
            "ignore": 0,
        }
        for sample_id, boxes in boxes_of.items()
        for name, x, y, width, height in reversed(boxes)
    ]
    categories = [{"id": number, "name": name} for name, number in NAMES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def put_coco(base, pairs=PAIRS):
    for part in ("train", "test"):
        put(base / f"meta/thermal/flir_{part}.json", json.dumps(coco(pairs[part])))
        for sample_id in pairs[part]:
            rgb, thermal = jpegs(sample_id)
            put(base / f"images_rgb_{part}/data/{sample_id}_RGB.jpg", rgb)
            put(base / f"images_thermal_{part}/data/{sample_id}_PreviewData.jpg", thermal)
    return base
