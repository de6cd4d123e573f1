"""A made-up M3FD of eight small pairs in each of its layouts, shared by the tests that convert it."""

import io
import json
from functools import cache

import numpy as np
from PIL import Image as Pillow

PARTS = ("train", "val", "test")
SMALL, LARGE = (64, 48), (80, 60)
# By sample: size, scenario and scene of the old layout, and boxes x, y, width, height as RGBXFusion's COCO has them.
PAIRS = {
    "00000": (SMALL, "Overcast/Lake", [("People", 4, 5, 9, 20), ("Car", 0, 0, 64, 48)]),
    "00002": (SMALL, "Overcast/Lake", [("Lamp", 30, 30, 5, 5), ("Motorcycle", 1, 1, 3, 3)]),
    "00255": (SMALL, "Challenge/Heavy Rain", [("People", 60, 40, 4, 8)]),
    "00537": (LARGE, "Night/Fair", [("Bus", 3, 3, 40, 30), ("Bus", 3, 3, 40, 30)]),
    "01301": (LARGE, "Challenge/Unknown", [("Truck", 10, 11, 12, 13)]),
    "01530": (SMALL, "Challenge/Field", []),
    "02779": (SMALL, "Daytime/Alley", [("Car", 1, 2, 3, 4)]),
    "04199": (SMALL, "Overcast/Alley", [("Lamp", 0, 47, 1, 1)]),
}
LISTS = {
    "train": ("00000", "00255", "00537", "01301", "04199"),
    "val": ("01530", "02779"),
    "test": ("00002",),
}  # RGBXFusion's lists have 00002 in test; the others are made up
NUMBERS = {"People": 1, "Car": 2, "Motorcycle": 3, "Bus": 4, "Truck": 5, "Lamp": 6}
BOX_ORDER = ("People", "Car", "Bus", "Motorcycle", "Lamp", "Truck")  # as TarDAL's README has them
YOLO = ("People", "Car", "Bus", "Lamp", "Motorcycle", "Truck")


@cache
def pngs(sample_id, size):
    """A made-up pair's visible and thermal bytes; the thermal image has three equal channels."""
    noise = np.random.default_rng(int(sample_id)).integers(0, 255, (size[1], size[0], 4), dtype=np.uint8)
    streams = io.BytesIO(), io.BytesIO()
    for stream, array in zip(streams, (noise[..., :3], np.repeat(noise[..., 3:], 3, axis=2)), strict=True):
        Pillow.fromarray(array).save(stream, "PNG")
    return [stream.getvalue() for stream in streams]


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def voc_xml(boxes, size):
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
        f"<xmax>{x + width}</xmax><ymax>{y + height}</ymax></bndbox></object>"
        for name, x, y, width, height in boxes
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{objects}</annotation>"


def yolo_text(boxes, size, classes=YOLO):
    """A YOLO file as the field's converters write it."""
    lines = []
    for name, x, y, width, height in boxes:
        numbers = ((x + width / 2) / size[0], (y + height / 2) / size[1], width / size[0], height / size[1])
        lines.append(" ".join([str(classes.index(name)), *(f"{number:.6f}" for number in numbers)]))
    return "\n".join(lines)


def put_images(base, pairs, vis="Vis", ir="Ir"):
    for sample_id, (size, _, _) in pairs.items():
        for folder, data in zip((vis, ir), pngs(sample_id, size), strict=True):
            put(base / folder / f"{sample_id}.png", data)


def put_flat(base, pairs=PAIRS, folders=("Vis", "Ir", "Annotation")):
    put_images(base, pairs, *folders[:2])
    for sample_id, (size, _, boxes) in pairs.items():
        put(base / folders[2] / f"{sample_id}.xml", voc_xml(boxes, size))
    return base


def put_lower(base, pairs=PAIRS):
    return put_flat(base, pairs, ("vis", "ir", "annotation"))


def put_old(base, pairs=PAIRS):
    for sample_id, pair in pairs.items():
        put_flat(base / pair[1], {sample_id: pair})
    return base


def coco(pairs, ids):
    images = [
        {"id": one, "file_name": f"{one}.png", "width": pairs[one][0][0], "height": pairs[one][0][1], "scene": 1}
        for one in ids
        if one in pairs
    ]
    annotations = [
        {"image_id": one["id"], "category_id": NUMBERS[name], "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for one in images
        for name, *box in pairs[one["id"]][2]
    ]
    categories = [{"id": number, "name": name} for name, number in NUMBERS.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def put_coco(base, pairs=PAIRS):
    put_images(base, pairs)
    for part, ids in LISTS.items():
        put(base / f"meta/m3fd-{part}.json", json.dumps(coco(pairs, ids)))
    return base


def put_tardal(base, pairs=PAIRS, classes=YOLO):
    put_images(base, pairs, "vi", "ir")
    for sample_id, (size, _, boxes) in pairs.items():
        put(base / "labels" / f"{sample_id}.txt", yolo_text(boxes, size, classes))
        put(base / "mask" / f"{sample_id}.png", b"not read")
        put(base / "iqa/vi" / f"{sample_id}.png", b"not read")
    return base


def put_yolo(
    base, pairs=PAIRS, images="images/{modality}/{part}", labels="labels/{modality}/{part}", names=("vi", "ir")
):
    part_of = {one: part for part, ids in LISTS.items() for one in ids}
    for sample_id, (size, _, boxes) in pairs.items():
        for modality, data in zip(names, pngs(sample_id, size), strict=True):
            fields = {"modality": modality, "part": part_of[sample_id]}
            put(base / images.format(**fields) / f"{sample_id}.png", data)
            put(base / labels.format(**fields) / f"{sample_id}.txt", yolo_text(boxes, size))
    return base


BUILDERS = {
    "flat": put_flat,
    "flat, lower case": put_lower,
    "old": put_old,
    "coco": put_coco,
    "tardal": put_tardal,
    "yolo": put_yolo,
}
