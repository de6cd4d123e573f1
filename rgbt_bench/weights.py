"""Weights that were made elsewhere: a safetensors file, or a model on the Hugging Face Hub."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rgbt_bench.errors import BadInputError, MissingError, UsageError
from rgbt_bench.files import sha256_file

SUFFIX = ".safetensors"
FROM_FILE = "file"


@dataclass(frozen=True)
class GivenWeights:
    """Weights that are not trained here: where they came from, and how to get the file.

    `origin` is `hub:OWNER/NAME@COMMIT`, or `file`; `seed` is the one that is told there, None where none is; `hint`
    says what to write next time, or is empty.
    """

    origin: str
    sha256: str
    seed: int | None
    fetch: Callable[[], Path]
    hint: str = ""


def weights_of_file(text: str) -> GivenWeights:
    """Return the weights in a safetensors file; whether they fit the recipe's network is seen when they are loaded.

    Raises:
        UsageError: a file of another kind: other formats may run code when they are opened.
        MissingError: there is no such file.
        BadInputError: damaged.
    """
    path = Path(text).expanduser()
    if path.suffix != SUFFIX:
        raise UsageError(
            f"--weights {text}: write hub:OWNER/NAME@REVISION, or a {SUFFIX} file; others may run code when opened"
        )
    if not path.is_file():
        raise MissingError(f"--weights {text}: no such file; weights on the Hub are hub:OWNER/NAME@REVISION")
    require_safetensors(path)
    return GivenWeights(FROM_FILE, sha256_file(path), None, lambda: path)


def require_safetensors(path: Path, name: str = "") -> None:
    """Raise a BadInputError unless a file is whole safetensors; the message begins with `name`, or else the path.

    Raises:
        MissingError: the package safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingError("weights need the package 'safetensors': pip install 'rgbt-bench[train]'") from None
    try:
        with safe_open(path, framework="np"):
            return
    except (SafetensorError, OSError) as error:
        raise BadInputError(f"{name or path}: not a whole safetensors file ({error})") from None
