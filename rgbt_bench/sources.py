"""Where an original dataset lies: its files by their relative names, in a folder or in an archive."""

import os
import stat
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from rgbt_bench.errors import BadInputError, enumerate_faults
from rgbt_bench.files import decode_text, parse_json

MAX_FILES = 1_000_000
MAX_FILE_BYTES = 512 * 1024 * 1024
# What operating systems leave beside the files of a dataset.
_STRAY = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"})


class Source(ABC):
    """The files of an original dataset, read-only, by their names relative to `root`, with `/` between folders.

    A source can be sent to another process; `root` is what the user named, a folder or an archive.
    """

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = root
        self.names = tuple(sorted(names))

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.names:
            folder, _, base = name.rpartition("/")
            found[folder].append(base)
        return dict(found)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def files_in(self, folder: str) -> list[str]:
        """Return the base names of the files right in a folder, sorted; the top folder is an empty text."""
        return self._by_folder.get(folder.rstrip("/"), [])

    def bases(self, depth: int) -> list[str]:
        """Return the folders with anything in them, at most `depth` deep, as prefixes: empty, or ending in `/`."""
        found = {""}
        for name in self.names:
            folders = name.split("/")[:-1]
            found |= {"/".join(folders[:count]) + "/" for count in range(1, min(depth, len(folders)) + 1)}
        return sorted(found)

    @abstractmethod
    def where(self, name: str) -> str:
        """Return how a message names a file."""

    @abstractmethod
    def size(self, name: str) -> int:
        """Return a file's size in bytes."""

    @abstractmethod
    def stamp(self, name: str) -> str:
        """Return a text that changes when the file changes."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            BadInputError: the file is missing, cannot be read or is larger than MAX_FILE_BYTES.
        """

    def text(self, name: str) -> str:
        """Return a UTF-8 file's text, without its byte order mark.

        Raises:
            BadInputError: as `read`, or it is not UTF-8.
        """
        return decode_text(self.read(name), self.where(name))

    def json(self, name: str) -> Any:
        """Return a JSON file's content, read strictly.

        Raises:
            BadInputError: as `text`, or it is not strict JSON.
        """
        return parse_json(self.text(name), self.where(name))

    def close(self) -> None:  # noqa: B027 - a folder has nothing to close
        """Release what reading needed."""

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FolderSource(Source):
    """A folder of the user's; links in it are followed, as the user put them there."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, _walk(root))
        self._prefix = str(root / "x")[:-1]  # a Path for each file would cost more than reading it

    def where(self, name: str) -> str:
        """Return the file's path."""
        return self._prefix + name

    def size(self, name: str) -> int:
        """Return the file's size in bytes."""
        return self._stat(name).st_size

    def stamp(self, name: str) -> str:
        """Return the file's time of change and size."""
        found = self._stat(name)
        return f"{found.st_mtime_ns} {found.st_size}"

    def read(self, name: str) -> bytes:
        """Return the file's bytes."""
        try:
            with open(self.where(name), "rb", buffering=0, opener=_open) as stream:
                found = os.fstat(stream.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise BadInputError(f"{self.where(name)}: a pipe or a device, not a file")
                if found.st_size > MAX_FILE_BYTES:
                    where = self.where(name)
                    raise BadInputError(f"{where}: larger than {MAX_FILE_BYTES:,} bytes, which no file of a set is")
                return stream.read()
        except OSError as error:
            raise self._unreadable(name, error) from None

    def _stat(self, name: str) -> os.stat_result:
        try:
            return os.stat(self.where(name))  # noqa: PTH116
        except OSError as error:
            raise self._unreadable(name, error) from None

    def _unreadable(self, name: str, error: OSError) -> BadInputError:
        return BadInputError(f"{self.where(name)}: {error.strerror or error}")


class NoSource(Source):
    """The source of a set that is generated: there are no files."""

    def __init__(self) -> None:
        super().__init__(Path(), ())

    def where(self, name: str) -> str:
        """Return the name."""
        return name

    def size(self, name: str) -> int:
        """Return 0: nothing is read."""
        return 0

    def stamp(self, name: str) -> str:
        """Return an empty text: nothing can change."""
        return ""

    def read(self, name: str) -> bytes:
        """Refuse: there is nothing to read."""
        raise BadInputError(f"{name}: no such file")


class MemorySource(Source):
    """Files that are at hand as bytes by name."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(Path(), files)
        self._files = dict(files)

    def where(self, name: str) -> str:
        """Return the name."""
        return name

    def size(self, name: str) -> int:
        """Return the file's size in bytes."""
        return len(self.read(name))

    def stamp(self, name: str) -> str:
        """Return an empty text: nothing can change."""
        return ""

    def read(self, name: str) -> bytes:
        """Return the file's bytes."""
        if name not in self._files:
            raise BadInputError(f"{name}: no such file")
        return self._files[name]


def _open(path: str, flags: int) -> int:
    """Open a file for reading, without waiting at a pipe that nobody writes to."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_stray(name: str) -> bool:
    """Tell whether a name is of a file that an operating system left, such as `.DS_Store` or `._x.jpg`."""
    return any(part in _STRAY or part.startswith("._") for part in name.split("/"))


def _walk(root: Path) -> Iterator[str]:
    """Yield the relative name of every file below a folder; a linked folder is entered once."""
    faults: list[str] = []
    seen: set[tuple[int, int]] = set()
    count = 0
    for folder, folders, files in os.walk(root, followlinks=True, onerror=lambda error: faults.append(str(error))):
        here = Path(folder)
        found = here.stat()
        if (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        within = (here.relative_to(root) / "x").as_posix()[:-1]
        for file in files:
            name = within + file
            if is_stray(name):
                continue
            count += 1
            if count > MAX_FILES:
                raise BadInputError(f"{root}: holds more than {MAX_FILES:,} files; name the dataset's own folder")
            yield name
    if faults:
        raise BadInputError(enumerate_faults(f"{root}: cannot be listed:", faults))
