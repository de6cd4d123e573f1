"""ultralytics as a library alone: imported here and late; nothing is fetched, written, printed or left changed."""

import os
import random
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from PIL import Image as Pillow

from rgbt_bench.errors import MissingError

# Kept for the whole process: it reads them later, too, and would install packages by itself.
_SETTINGS = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
_ITS_OWN = -1  # OpenCV's own number of threads
_memory: Any = torch.utils.deterministic
_lock = threading.Lock()
_imported = False


def library(module: str) -> Any:
    """Return a module of ultralytics by its name in the package, such as `nn.tasks`.

    Raises:
        MissingError: ultralytics is not installed or cannot be loaded here.
    """
    global _imported
    with _lock:
        if not _imported:
            _import()
            _imported = True
    return import_module(f"ultralytics.{module}")


def folder() -> Path:
    """Return the folder of the installed package.

    Raises:
        MissingError: as `library`.
    """
    return Path(library("utils").ROOT)


def _import() -> None:
    os.environ.update(_SETTINGS)
    is_first = "ultralytics" not in sys.modules  # a program that uses it on its own has settings of its own
    try:
        with tempfile.TemporaryDirectory(prefix="rgbt-bench-") as private, _process_as_before():
            # else its settings wait for the other processes of a run, which may not come here
            os.environ |= {"YOLO_CONFIG_DIR": private, "WORLD_SIZE": "1", "RANK": "-1", "LOCAL_RANK": "-1"}
            downloads: Any = import_module("ultralytics.utils.downloads")
            import_module("ultralytics.nn.tasks")
            if is_first:
                import_module("ultralytics.utils").SETTINGS.update(sync=False)
    except ModuleNotFoundError as error:
        raise MissingError(
            f"this needs the package {error.name!r}, which is not installed: pip install 'rgbt-bench[yolo]'"
        ) from None
    except ImportError as error:
        raise MissingError(
            f"ultralytics is installed and cannot be loaded: {error}. If a system library is missing, install it"
            " (Debian and Ubuntu: apt-get install libgl1 libglib2.0-0), or reinstall opencv-python-headless after"
            " opencv-python, which needs none"
        ) from None
    downloads.safe_download = _refuse_download
    downloads.get_github_assets = _refuse_download


@contextmanager
def left_as_it_was() -> Iterator[None]:
    """Put back what the library's trainer changes for everybody in the process: seeds, determinism, environment."""
    strict, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn, fills = torch.backends.cudnn.deterministic, _memory.fill_uninitialized_memory
    drawn, drawn_arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(), _process_as_before():
            yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        torch.backends.cudnn.deterministic, _memory.fill_uninitialized_memory = cudnn, fills
        random.setstate(drawn)
        np.random.set_state(drawn_arrays)


def _refuse_download(url: Any = "", file: Any = None, dir: Any = None, *others: Any, **more: Any) -> NoReturn:  # noqa: A002
    """Stand in the place of the library's downloads, with their arguments."""
    source = str(url or more.get("repo", "a file"))
    place = Path(file) if file else Path(dir or ".") / source.rpartition("/")[2]
    raise MissingError(f"ultralytics would fetch {source}, and nothing is fetched here: put that file at {place}")


@contextmanager
def _process_as_before() -> Iterator[None]:
    """Put back what importing the library changes for everybody in the process."""
    environment, save, opened = dict(os.environ), torch.save, Pillow.open
    threads = sys.modules["cv2"].getNumThreads() if "cv2" in sys.modules else _ITS_OWN
    arrays, tensors = np.get_printoptions(), vars(torch._tensor_str.PRINT_OPTS).copy()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        torch.save = save
        Pillow.open = opened  # type: ignore[assignment,unused-ignore]
        if "cv2" in sys.modules:
            sys.modules["cv2"].setNumThreads(threads)
        np.set_printoptions(**arrays)
        torch.set_printoptions(**tensors)  # type: ignore[no-untyped-call]
