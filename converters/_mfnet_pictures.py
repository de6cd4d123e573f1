"""MFNet's pictures: RGB and thermal out of one four-channel PNG, and one channel out of three equal ones."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from rgbt_bench.datasets.checks import MAX_PIXELS
from rgbt_bench.datasets.digests import is_jpeg, open_image
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Image

_PNG = b"\x89PNG\r\n\x1a\n"
_DEPTH_AND_COLOUR = slice(24, 26)  # of the header chunk, which is a PNG's first
_EIGHT_BIT_RGBA = b"\x08\x06"
_LEVEL = 2  # zlib's: a tenth larger than at 6, in a third of the time


def split_rgba(image: Image, stem: str, size: tuple[int, int], where: str) -> tuple[Image, Image]:
    """Return the first three channels and the fourth of an 8-bit RGBA PNG, each as a PNG with the same pixels.

    What is transparent keeps its colour. `size` is the width and height in pixels that the picture must have, `stem`
    what the names of both begin with.

    Raises:
        BadInputError: no such PNG, or not of that size; the message begins with `where`.
    """
    pixels = _decode(image, size, where, four=True)
    return _png(pixels[..., :3], f"{stem}_rgb.png"), _png(pixels[..., 3], f"{stem}_th.png")


def one_channel(image: Image, size: tuple[int, int], where: str) -> Image:
    """Return a lossless picture of three equal channels as one channel, and any other picture as it is.

    Raises:
        BadInputError: it cannot be decoded, or is not of that size; the message begins with `where`.
    """
    if is_jpeg(image.data):
        return image
    pixels = _decode(image, size, where, four=False)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or (pixels != pixels[..., :1]).any():
        return image
    return _png(pixels[..., 0], image.name)


def _decode(image: Image, size: tuple[int, int], where: str, four: bool) -> NDArray[np.uint8]:
    try:
        with open_image(image.data) as opened:
            fault = _rgba_fault(image.data, opened.mode) if four else ""
            if not fault and opened.size != size:
                fault = f"{opened.width}x{opened.height}, but its label is {size[0]}x{size[1]}"
            elif not fault and opened.width * opened.height > MAX_PIXELS:
                fault = f"{opened.width}x{opened.height} is above {MAX_PIXELS} pixels"
            if not fault:
                return np.asarray(opened)
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        fault = f"cannot be decoded: {error}"
    raise BadInputError(f"{where}: {fault}")


def _rgba_fault(data: bytes, mode: str) -> str:
    if data.startswith(_PNG) and data[_DEPTH_AND_COLOUR] == _EIGHT_BIT_RGBA:
        return ""
    if mode == "RGB":
        return "the thermal channel is missing: 3 channels, and MFNet's images have it as their fourth"
    return f"8-bit RGBA PNG was expected, whose fourth channel is thermal, not Pillow's mode {mode}"


def _png(pixels: NDArray[np.uint8], name: str) -> Image:
    stream = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=_LEVEL)
    return Image(stream.getvalue(), name)
