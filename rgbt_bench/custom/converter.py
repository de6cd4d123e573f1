"""The converter of a user's own pairs: what the set is, its description says."""

from pathlib import Path
from typing import ClassVar

from rgbt_bench.converters import Converter, Scan
from rgbt_bench.schema import DatasetInfo
from rgbt_bench.sources import Source

from .description import DESCRIPTION_FILE, read_description
from .scanning import scan_pairs

_TREE = f"""
whatever {DESCRIPTION_FILE} describes:
  name: my-pairs
  classes: [person, car]
  rgb: visible/{{part}}/{{id}}.jpg
  thermal: infrared/{{part}}/{{id}}.png
  labels:
    yolo: labels/{{part}}/{{id}}.txt
  parts: [train, val, test]
"""


class Custom(Converter):
    """Pairs, boxes and label maps of the user's own, from a folder or an archive."""

    info = DatasetInfo(
        name="custom",
        title="Your own pairs, described by a YAML file",
        classes=(),
        tasks=(),
        homepage="docs/reference/custom.md",
        licence="yours",
        citation="yours",
        split_policy="yours",
    )
    how_to_get = f"""
Describe your pairs in a YAML file, {DESCRIPTION_FILE} in their folder for one. Then: rgbt-bench convert custom PATH
with the YAML file or that folder as PATH. The set is called as it says there. docs/reference/custom.md has every key.
"""
    layouts: ClassVar[dict[str, str]] = {"described": _TREE}

    def locate(self, path: Path) -> Path:
        """Read the description that the user named, and return the folder or archive that it is of.

        Raises:
            MissingError: there is no such file.
            BadInputError: it is no description; the message names the file and the key.
        """
        self.described = read_description(path)
        description = self.described.description
        vars(self).update(info=description.info(), parts=tuple(description.parts))  # this set's, over the class's
        return self.described.root

    def scan(self, source: Source) -> Scan:
        """Describe every pair of every part."""
        return scan_pairs(source, self.described)


CONVERTER = Custom
