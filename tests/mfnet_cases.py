"""A made-up MFNet of eight small pairs in each of its layouts, shared by the tests that convert it."""

import io
from functools import cache

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from flir_cases import put

WIDTH, HEIGHT = 32, 24
# By part, all in the same part of the published lists.
PARTS = {
    "train": ["00001D", "00003N", "00101D"],
    "val": ["00498D", "01002N"],
    "test": ["01189N", "01402D", "01606D"],
}
IDS = [sample_id for ids in PARTS.values() for sample_id in ids]


@cache
def pixels(sample_id):
    """A made-up pair as height x width x 4 bytes, of which some are transparent but not black, and its label map."""
    rng = np.random.default_rng(int(sample_id[:5]))
    pair = rng.integers(0, 255, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    pair[:4, :4, 3] = 0
    return pair, rng.integers(0, 9, (HEIGHT, WIDTH), dtype=np.uint8)


def encoded(array, kind="PNG"):
    stream = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(array)).save(stream, kind)
    return stream.getvalue()


def put_lists(base, parts=PARTS, line="{}\n"):
    for part, ids in parts.items():
        put(base / f"{part}.txt", "".join(line.format(sample_id) for sample_id in ids))


def put_original(base, parts=PARTS):
    put_lists(base, parts)
    for light, letter in (("day", "D"), ("night", "N")):
        put(base / f"test_{light}.txt", "".join(f"{one}\n" for one in parts["test"] if one.endswith(letter)))
    for sample_id in (one for ids in parts.values() for one in ids):
        pair, mask = pixels(sample_id)
        put(base / f"images/{sample_id}.png", encoded(pair))
        put(base / f"labels/{sample_id}.png", encoded(mask))
    return base


def put_flips(base, parts=PARTS, lists=("train",)):
    """What make_flip.py adds: mirrored pictures of every listed pair, and their names after each in the lists."""
    for part in lists:
        put(base / f"{part}.txt", "".join(f"{one}\n{one}_flip\n" for one in parts[part]))
        for folder in ("images", "labels"):
            for sample_id in parts[part]:
                with Pillow.open(base / folder / f"{sample_id}.png") as opened:
                    ImageOps.mirror(opened).save(base / folder / f"{sample_id}_flip.png")
    return base


def put_rtfnet(base, parts=PARTS):
    put(base / "dataset/val_test.txt", "00498D\n01189N\n")
    put_flips(put_original(base / "dataset", parts), parts)
    return base


def put_cekd(base, parts=PARTS):
    folder = put_flips(put_original(base / "dataset/MFNet", parts), parts)
    for sample_id in IDS:
        put(folder / f"edge_4x/{sample_id}.png", encoded(pixels(sample_id)[1][::4, ::4]))
    return base


def put_gmnet(base, parts=PARTS):
    put_original(base, parts)
    for sample_id in IDS:
        pair, mask = pixels(sample_id)
        (base / f"images/{sample_id}.png").unlink(missing_ok=True)
        put(base / f"seperated_images/{sample_id}_rgb.png", encoded(pair[..., :3]))
        put(base / f"seperated_images/{sample_id}_th.png", encoded(pair[..., 3:].repeat(3, axis=2)))
        put(base / f"bound/{sample_id}.png", encoded(mask))
        put(base / f"binary_labels/{sample_id}.png", encoded(mask))
    return base


def put_cmx(base, parts=PARTS, modal="Modal", kind="PNG", suffix="png"):
    put_lists(base, parts)
    for sample_id in (one for ids in parts.values() for one in ids):
        pair, mask = pixels(sample_id)
        put(base / f"RGB/{sample_id}.{suffix}", encoded(pair[..., :3], kind))
        put(base / f"{modal}/{sample_id}.{suffix}", encoded(pair[..., 3], kind))
        put(base / f"Label/{sample_id}.png", encoded(mask))
    return base
