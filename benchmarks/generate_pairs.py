"""Generate registered pairs in FLIR-aligned's original layout: `python benchmarks/generate_pairs.py OUT --pairs 1000`.

The pictures are smooth noise with grain, so that at 640x512 their JPEG files weigh about what FLIR-aligned's do
(35 real pairs: 33 and 44 kB).
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

TEST_EVERY = 5


def generate(folder, pairs, size=(640, 512), seed=0):
    """Write pairs, their XML annotations and the two lists; the same arguments give the same bytes."""
    rng = np.random.default_rng(seed)
    for name in ("JPEGImages", "Annotations"):
        (folder / name).mkdir(parents=True)
    lists = {"align_train.txt": [], "align_validation.txt": []}
    fields = {bands: _field(rng, size, bands) for bands in (3, 1)}
    for number in range(1, pairs + 1):
        stem = f"FLIR_{number:05d}"
        images = folder / "JPEGImages"
        _picture(rng, fields[3]).save(images / f"{stem}_RGB.jpg", quality=45)
        _picture(rng, fields[1]).save(images / f"{stem}_PreviewData.jpeg", quality=70)
        (folder / "Annotations" / f"{stem}_PreviewData.xml").write_text(_annotation(rng, size))
        lists["align_validation.txt" if number % TEST_EVERY == 0 else "align_train.txt"].append(f"{stem}_PreviewData")
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")


def _field(rng, size, bands):
    """A smooth picture, twice as large as a pair's, that windows are cut from."""
    width, height = size
    coarse = rng.integers(0, 255, (2 * height // 16, 2 * width // 16, bands), dtype=np.uint8)
    image = Pillow.fromarray(coarse.squeeze()).resize((2 * width, 2 * height), Pillow.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.int16)


def _picture(rng, field):
    height, width = field.shape[0] // 2, field.shape[1] // 2
    top, left = rng.integers(0, (height, width))
    window = field[top : top + height, left : left + width]
    grain = rng.integers(-9, 10, (height, width), dtype=np.int16)
    return Pillow.fromarray(np.clip(window + (grain[..., None] if field.ndim == 3 else grain), 0, 255).astype(np.uint8))


def _annotation(rng, size):
    width, height = size
    objects = []
    for name in rng.choice(["person", "bicycle", "car"], rng.integers(0, 13)):
        x, y = rng.integers(1, (width - 12, height - 12))
        objects.append(
            f"<object><name>{name}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + 10}</xmax>"
            f"<ymax>{y + 10}</ymax></bndbox></object>"
        )
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{''.join(objects)}</annotation>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 512), metavar=("WIDTH", "HEIGHT"))
    arguments = parser.parse_args()
    generate(arguments.out, arguments.pairs, tuple(arguments.size))


if __name__ == "__main__":
    main()
