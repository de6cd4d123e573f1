"""Names of the files of an export: safe on every system, and read back to the same ids."""

import re

from rgbt_bench.datasets.digests import open_image
from rgbt_bench.errors import BadInputError
from rgbt_bench.schema import Image

_UNSAFE = re.compile(r'[%/\\:*?"<>|]|^\.')
_LONGEST = 200  # bytes; file systems take 255, and a suffix follows
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "TIFF": ".tif", "BMP": ".bmp"}


def file_stem(sample_id: str) -> str:
    """Return a sample id as the stem of a file's name, what leads elsewhere or no system takes percent-encoded.

    Raises:
        BadInputError: it is too long for a file name.
    """
    stem = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", sample_id)
    if len(stem.encode()) > _LONGEST:
        raise BadInputError(f"{sample_id}: a sample id of more than {_LONGEST} bytes, which no file can be called by")
    return stem


def suffix_of(image: Image, where: str) -> str:
    """Return the suffix of an encoded image's real format, whatever its file was called.

    Raises:
        BadInputError: it is no image; the message begins with `where`.
    """
    try:
        with open_image(image.data) as opened:
            return _SUFFIXES[str(opened.format)]
    except Exception as error:  # a damaged file makes a decoder raise almost anything
        raise BadInputError(f"{where} ({image.name}): cannot be decoded: {error}") from None
