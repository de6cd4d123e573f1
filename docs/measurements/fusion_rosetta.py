r"""Print what each fusion convention says of the same fused images, as Markdown: means over pairs.

FUSED is a folder of PNG files under the stems of the thermal images, or the name of one of rgbt-bench's controls.
Without --convention there is a table of metrics by conventions for each FUSED, with it one of metrics by FUSED. --jpeg
saves each fused image as JPEG and reads it again before it is scored; --colour gives it the colour of the RGB image
(Pillow's YCbCr).

    python docs/measurements/fusion_rosetta.py crop_LR_visible cropinfrared average \
        --list converters/splits/roadscene_heldout.txt
"""

import argparse
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rgbt_bench.fused_images import Sources
from rgbt_bench.fusion.controls import CONTROLS
from rgbt_bench.metrics.fusion import luma_of
from rgbt_bench.metrics.fusion.conventions import CONVENTIONS, Convention, find_convention

Bytes = NDArray[np.uint8]
Triple = tuple[Bytes, Bytes, Bytes]
Means = dict[str, str]


def rosetta(triples: Iterable[Triple], conventions: Sequence[Convention] = CONVENTIONS) -> dict[str, Means]:
    """Return each convention's means over pairs by metric, as text; how many are undefined stands behind."""
    found: dict[str, list[dict[str, float]]] = {convention.name: [] for convention in conventions}
    for triple in triples:
        for convention in conventions:
            found[convention.name].append(convention.figures(*triple))
    return {name: {metric: mean([one[metric] for one in rows]) for metric in rows[0]} for name, rows in found.items()}


def mean(values: Sequence[float]) -> str:
    """Return the mean of what is defined, as text."""
    defined = [value for value in values if not np.isnan(value)]
    if not defined:
        return "undefined"
    average = float(np.mean(defined))
    text = f"{average:.1f}" if abs(average) >= 1000 else f"{average:.4f}" if abs(average) < 10 else f"{average:.3f}"
    return text if len(defined) == len(values) else f"{text} ({len(values) - len(defined)} undefined)"


def table(columns: dict[str, Means]) -> str:
    """Return a Markdown table of the metrics that any column has."""
    metrics = list(dict.fromkeys(metric for column in columns.values() for metric in column))
    lines = [f"| metric | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [
        f"| {metric} | {' | '.join(column.get(metric, '–') for column in columns.values())} |" for metric in metrics
    ]
    return "\n".join(lines)


def read(folder: Path, stem: str, mode: str) -> Bytes:
    """Return the one image of a stem."""
    (path,) = (path for path in folder.iterdir() if path.stem == stem)
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def listed(file: str) -> list[str]:
    """Return the stems that a file names, one a line."""
    return Path(file).read_text(encoding="utf-8").split()


def triples(options: argparse.Namespace, fused: str) -> Iterator[Triple]:
    """Yield RGB, thermal and fused images of the chosen pairs."""
    every = sorted(path.stem for path in options.thermal.iterdir())
    for stem in every if options.list is None else options.list:
        rgb, thermal = read(options.rgb, stem, "RGB"), read(options.thermal, stem, "L")
        if fused in CONTROLS:
            image = CONTROLS[fused](Sources(rgb, luma_of(rgb), thermal), stem)
        else:
            image = read(Path(fused), stem, "L")
        yield rgb, thermal, saved(coloured(image, rgb) if options.colour else image, options.jpeg)


def coloured(fused: Bytes, rgb: Bytes) -> Bytes:
    """Return a fused image with the colour of the RGB image, uint8[H, W, 3]."""
    _, *chroma = Image.fromarray(rgb).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (Image.fromarray(fused), *chroma)).convert("RGB"))


def saved(fused: Bytes, quality: int | None) -> Bytes:
    """Return a fused image as it is read back from a JPEG of a quality, or as it is."""
    if quality is None:
        return fused
    file = io.BytesIO()
    Image.fromarray(fused).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.asarray(image)


def main() -> None:
    """Read what is asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rgb", type=Path)
    parser.add_argument("thermal", type=Path)
    parser.add_argument("fused", nargs="+")
    parser.add_argument("--list", type=listed, metavar="FILE", help="the stems of the pairs, one a line (default: all)")
    parser.add_argument("--convention", type=find_convention, default=None)
    parser.add_argument("--jpeg", type=int, default=None, metavar="QUALITY")
    parser.add_argument("--colour", action="store_true")
    options = parser.parse_args()
    chosen = [options.convention] if options.convention else CONVENTIONS
    by_fused = {fused: rosetta(triples(options, fused), chosen) for fused in options.fused}
    if options.convention:
        print(table({Path(fused).name: means[options.convention.name] for fused, means in by_fused.items()}))
    else:
        print("\n\n".join(f"{Path(fused).name}:\n\n{table(means)}" for fused, means in by_fused.items()))


if __name__ == "__main__":
    main()
