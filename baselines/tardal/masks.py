"""A folder of target masks: which file is whose, and reading one."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from rgbt_bench.errors import BadInputError, MissingError, enumerate_faults
from rgbt_bench.schema import Labels

from .saliency import target_mask


class Masks:
    """Where the targets of a sample are: what a folder says, or without one the histogram of the thermal image.

    A folder has an 8-bit grey PNG for each sample, named by its id or by the stem of its original thermal image; 0 is
    background, 255 target, and what lies between counts in part.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = None if folder is None else Path(folder).expanduser()

    def check(self, labels: Iterable[Labels]) -> None:
        """Raise unless every sample has its mask.

        Raises:
            MissingError: there is no such folder.
            BadInputError: masks are missing, damaged, of another size, or no masks; each is named.
        """
        if self.folder is None:
            return
        if not self.folder.is_dir():
            raise MissingError(f"model.masks: {self.folder}: no such folder; null needs none")
        faults = []
        for one in labels:
            try:
                self._read(self.folder, one)
            except BadInputError as error:
                faults.append(str(error))
        if faults:
            raise BadInputError(enumerate_faults(f"{self.folder}: not a mask for every sample:", faults))

    def of(self, sample: Labels, thermal: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return a sample's mask, float32[H, W] in 0..1, 1 at targets; `thermal` is its image, uint8[H, W].

        Raises:
            BadInputError: as `check`.
        """
        if self.folder is None:
            return target_mask(thermal).astype(np.float32)
        return self._read(self.folder, sample).astype(np.float32) / np.float32(255)

    def _read(self, folder: Path, sample: Labels) -> NDArray[np.uint8]:
        stems = dict.fromkeys((sample.sample_id, PurePosixPath(sample.source).stem))
        path = next((found for stem in stems if stem and (found := folder / f"{stem}.png").is_file()), None)
        if path is None:
            raise BadInputError(f"{folder / sample.sample_id}.png: no such file")
        try:
            with Pillow.open(path, formats=["PNG"]) as opened:
                mode, pixels = opened.mode, np.asarray(opened)
        except Exception as error:  # a damaged file makes a decoder raise almost anything
            raise BadInputError(f"{path}: cannot be decoded ({' '.join(str(error).split())})") from None
        if mode != "L":
            raise BadInputError(f"{path}: a picture of mode {mode}; a mask is 8-bit grey (mode L)")
        if pixels.shape != (sample.height, sample.width):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise BadInputError(f"{path}: {size}, but the sample is {sample.width}x{sample.height}")
        if 0 < pixels.max() < 128:
            raise BadInputError(f"{path}: the largest value is {pixels.max()}; a target is 255")
        return pixels
