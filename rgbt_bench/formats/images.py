"""Reading what an image file says of itself, without decoding it."""

from rgbt_bench.datasets.digests import open_image
from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import Source

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


def image_size(source: Source, name: str) -> tuple[int, int]:
    """Return an image's width and height in pixels from its header.

    Raises:
        BadInputError: no such file, or not a readable image; the message names it.
    """
    return image_header(source, name)[0]


def image_header(source: Source, name: str) -> tuple[tuple[int, int], str]:
    """Return an image's width and height in pixels and Pillow's mode of it from its header.

    Raises:
        BadInputError: as `image_size`.
    """
    data = source.read(name)
    try:
        with open_image(data) as image:
            return image.size, image.mode
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        raise BadInputError(f"{source.where(name)}: cannot be decoded: {error}") from None


def is_image(name: str) -> bool:
    """Tell whether a file's name ends as an image's does, in small or capital letters."""
    return name.lower().endswith(IMAGE_SUFFIXES)
