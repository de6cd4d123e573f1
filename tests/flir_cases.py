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


def put_d3t(base, pairs=PAIRS):
    """D3T's form: train as two overlapping halves whose lines differ in their suffix."""
    put_voc(base, pairs)
    main = base / "ImageSets/Main"
    train = list(pairs["train"])
    put(main / "align_train_CarPersonBicycle_RGB.txt", "".join(f"{one}_RGB\n" for one in train[:4]))
    put(main / "align_train_CarPersonBicycle_IR.txt", "".join(f"{one}_PreviewData\n" for one in train[2:]))
    (base / "align_validation.txt").rename(main / "align_validation.txt")
    (base / "align_train.txt").unlink()
    return base


def put_ir(base, pairs=PAIRS):
    put_voc(base, pairs)
    (base / "IR").mkdir()
    for thermal in (base / "JPEGImages").glob("*_PreviewData.jpeg"):
        thermal.rename(base / "IR" / thermal.name)
    return base


YOLO_CLASSES = ("person", "car", "bicycle")


def yolo_text(boxes, size=(WIDTH, HEIGHT)):
    """A YOLO file as the field's converters write it; dogs are no class of it."""
    lines = []
    for name, x, y, width, height in boxes:
        if name in YOLO_CLASSES:
            numbers = ((x + width / 2) / size[0], (y + height / 2) / size[1], width / size[0], height / size[1])
            lines.append(" ".join([str(YOLO_CLASSES.index(name)), *(f"{number:.6f}" for number in numbers)]))
    return "\n".join(lines)


def put_yolo(base, pairs=PAIRS, images="{modality}/{part}/images", labels="{modality}/{part}/labels", test="test"):
    """The form of CFT and ICAFusion; thermal names end in .jpeg for every second pair."""
    for part, boxes_of in pairs.items():
        for number, (sample_id, boxes) in enumerate(boxes_of.items()):
            names = (f"{sample_id}.jpg",) * 2
            if number % 2:
                names = f"{sample_id}_PreviewData.jpg", f"{sample_id}_PreviewData.jpeg"
            for modality, name, data in zip(("visible", "infrared"), names, jpegs(sample_id), strict=True):
                fields = {"modality": modality, "part": test if part == "test" else part}
                put(base / images.format(**fields) / name, data)
                put(base / labels.format(**fields) / f"{name.partition('.')[0]}.txt", yolo_text(boxes))
    return base


def put_yolo_lists(base, pairs=PAIRS):
    """CFT's form: lists of absolute paths beside the folders of each modality."""
    put_yolo(base, pairs)
    for old, new in (("visible", "rgb"), ("infrared", "ir")):
        (base / "yolo" / new).parent.mkdir(exist_ok=True)
        (base / old).rename(base / "yolo" / new)
        for part, name in (("train", "align_train.txt"), ("test", "align_validation.txt")):
            files = sorted((base / "yolo" / new / part / "images").iterdir())
            put(base / "yolo" / new / name, "".join(f"/home/somebody/align/JPEGImages/{one.name}\n" for one in files))
    return base
