"""A made-up VisDrone of eight small images in each of its layouts, shared by the tests that convert it."""

import io
from functools import cache

import numpy as np
from PIL import Image as Pillow

WIDTH, HEIGHT = 64, 48
# By part and stem: lines of the published form; category 0 is a region, 11 others.
LINES = {
    "train": {
        "0000002_00005_d_0000014": ["4,5,9,20,1,1,0,0", "30,30,5,5,1,4,1,2", "1,1,20,20,0,0,0,0"],
        "0000002_00448_d_0000015": ["10,10,0,7,1,4,0,0", "20,8,6,6,0,2,0,1", "3,3,8,8,0,11,0,0", "5,5,0,5,0,0,0,0"],
        "9999999_00000_d_0000001": [],
    },
    "val": {"0000001_02999_d_0000005": ["60,40,9,9,1,10,0,0", "2,2,8,8,1,11,-1,-1"]},
    "test": {"0000006_00159_d_0000001": ["1,1,9,9,1,9,0,0", "1,1,9,9,1,9,0,0"], "0000006_00159_d_0000002": []},
    "challenge": {"0000000_00000_d_0000001": [], "0000000_00000_d_0000002": []},
}
PUBLISHED = {
    "train": "VisDrone2019-DET-train",
    "val": "VisDrone2019-DET-val",
    "test": "VisDrone2019-DET-test-dev",
    "challenge": "VisDrone2019-DET-test-challenge",
}


@cache
def jpeg(stem, size=(WIDTH, HEIGHT)):
    noise = np.random.default_rng(int(stem[-7:]) + int(stem[:7])).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def put_original(base, names=PUBLISHED, images="{name}/images", annotations="{name}/annotations", lines=LINES):
    for part, of_part in lines.items():
        for stem, rows in of_part.items():
            put(base / images.format(name=names[part]) / f"{stem}.jpg", jpeg(stem))
            if part != "challenge":
                put(base / annotations.format(name=names[part]) / f"{stem}.txt", "\n".join(rows))
    return base


def yolo_text(rows):
    """A YOLO file as Ultralytics writes it: rows of score 0 are left out, classes count from 0."""
    lines = []
    for row in rows:
        x, y, width, height, score, category, *_ = map(int, row.split(","))
        if score:
            numbers = ((x + width / 2) / WIDTH, (y + height / 2) / HEIGHT, width / WIDTH, height / HEIGHT)
            lines.append(" ".join([str(category - 1), *(f"{number:.6f}" for number in numbers)]))
    return "\n".join(lines)


def put_yolo(base, images="images/{name}", labels="labels/{name}", names=None, lines=LINES):
    for part in ("train", "val", "test"):
        for stem, rows in lines[part].items():
            name = (names or {}).get(part, part)
            put(base / images.format(name=name) / f"{stem}.jpg", jpeg(stem))
            put(base / labels.format(name=name) / f"{stem}.txt", yolo_text(rows))
    return base
