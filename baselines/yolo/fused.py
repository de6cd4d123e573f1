"""The fused images a detector is trained on: made once, saved as they would be scored, and read at every epoch."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from rgbt_bench.datasets.store import Part
from rgbt_bench.errors import BenchError
from rgbt_bench.files import read_json, write_json
from rgbt_bench.fused_images import FusedImage, FusedImages, read_fused_images, source_images, write_fused_image
from rgbt_bench.fusion.submission import fuse
from rgbt_bench.png_folders import SUFFIX
from rgbt_bench.progress import Progress
from rgbt_bench.training.processes import Processes, processes

RECORD_FILE = "fusion.json"


def fused_images(network: nn.Module, part: Part, places: Sequence[int], device: torch.device) -> Iterator[FusedImage]:
    """Yield the fused images of samples of a part, as a fusion submission saves them."""
    network.eval().to(device)
    for place in places:
        yield FusedImage(place, fuse(network, source_images(part[place], part.dataset.info), device, part.ids[place]))


def keep_fused(
    folder: Path, network: nn.Module, made_with: dict[str, str], part: Part, device: torch.device, progress: Progress
) -> FusedImages:
    """Return a part's fused images from `folder`, after those that are not there were made and written.

    Each process makes its share. What another fusion than `made_with` left there is deleted first.

    Raises:
        BadInputError: a file in the folder is damaged or nobody's.
    """
    team = processes()
    if team.is_main:
        _claim(folder, made_with)
    team.wait()
    own = folder / part.name
    missing = [place for place, name in enumerate(part.ids) if not (own / f"{name}{SUFFIX}").exists()]
    team.wait()  # every process has looked before any writes
    _write(own, network, part, team, missing, device, progress)
    team.wait()
    return read_fused_images(own, part.labels)


def _write(
    own: Path,
    network: nn.Module,
    part: Part,
    team: Processes,
    missing: Sequence[int],
    device: torch.device,
    progress: Progress,
) -> None:
    own.mkdir(parents=True, exist_ok=True)
    before = len(part) - len(missing)
    for done, image in enumerate(fused_images(network, part, team.share(missing), device), 1):
        write_fused_image(own, part.labels[image.index], image)
        progress(f"fusing {part.name}", min(before + done * team.world, len(part)), len(part))


def _claim(folder: Path, made_with: dict[str, str]) -> None:
    """Empty a folder of images that are not of this fusion, and say of which they are from now on."""
    try:
        if read_json(folder / RECORD_FILE) == made_with:
            return
    except BenchError:
        pass  # nothing there yet, or killed before it was written
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / RECORD_FILE, made_with)
