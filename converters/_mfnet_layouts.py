"""The layouts that MFNet comes in: where each keeps its pictures and label maps."""

from dataclasses import dataclass

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import is_image
from rgbt_bench.layouts import Layout
from rgbt_bench.sources import Source

from ._mfnet_lists import FLIP, name_of

_RGBA = "images"
# What its users keep beside the pairs and the lists; the last three are the pictures of other layouts.
_SIDE = ("edge_4x", "bound", "binary_labels", "anno_json", "seperated_images", "RGB", "Label")

_LISTS = "  train.txt  val.txt  test.txt               lines like 00001D; 00001D_flip is left out\n"
_ORIGINAL_TREE = f"""
ir_seg_dataset/                              also dataset/ (RTFNet), dataset/MFNet/ (CEKD)
{_LISTS}  test_day.txt  test_night.txt               or text_day.txt, text_night.txt; compared with the names
  images/          00001D.png                8-bit RGBA, the fourth channel is thermal; 00001D_flip.png is left out
  labels/          00001D.png
RTFNet's copy has the flipped copies in its train list, CEKD's has edge_4x/ beside, which is left out.
"""
_GMNET_TREE = f"""
irseg/
{_LISTS}  seperated_images/  00001D_rgb.png, 00001D_th.png
  labels/            00001D.png
bound/ and binary_labels/ are left out; where images/ is there, too, that is read instead.
"""
_CMX_TREE = f"""
MFNet/
{_LISTS}  RGB/               00001D.png, or .jpg, which gives other pixels
  Modal/             or Thermal/: 00001D.png or .jpg
  Label/             00001D.png
"""


@dataclass(frozen=True)
class Folder:
    """The pictures of one kind: where they are, how their names end, and the file names by sample id."""

    path: str
    end: str
    files: dict[str, str]

    def name(self, sample_id: str) -> str:
        """Return the name of a sample's file in the source, or of the one that should be there."""
        return f"{self.path}/{self.files.get(sample_id, f'{sample_id}{self.end}.png')}"


@dataclass(frozen=True)
class MfnetLayout(Layout):
    """One layout: the folders that its RGB pictures, thermal ones and label maps may be in, and how names end there.

    `thermal` is empty where the thermal channel is in the RGB picture.
    """

    rgb: tuple[str, ...]
    thermal: tuple[str, ...]
    mask: tuple[str, ...]
    ends: tuple[str, str] = ("", "")

    def folders(self, source: Source, base: str, scan: Scan) -> tuple[Folder, Folder | None, Folder]:
        """Return the RGB, thermal and label folders of a source; lone flipped copies are faults.

        Raises:
            BadInputError: there are no pictures of one kind at all.
        """
        rgb = self._folder(source, base, self.rgb, self.ends[0], scan)
        thermal = self._folder(source, base, self.thermal, self.ends[1], scan) if self.thermal else None
        mask = self._folder(source, base, self.mask, "", scan)
        _count_side(source, base, {one.path for one in (rgb, thermal, mask) if one}, scan)
        return rgb, thermal, mask

    def _folder(self, source: Source, base: str, folders: tuple[str, ...], end: str, scan: Scan) -> Folder:
        """Return the first of the folders that has pictures whose names end so."""
        path = next((base + folder for folder in folders if _has_pictures(source, base + folder, end)), None)
        if path is None:
            places = " or ".join(source.where(base + folder) for folder in folders)
            raise BadInputError(f"{places}: no picture such as 00001D{end}.png, which the {self.name} layout has here")
        files: dict[str, str] = {}
        flips: dict[str, str] = {}
        strange = 0
        for file in source.files_in(path):
            name = name_of(file, end) if is_image(file) else None
            if name is None:
                strange += not any(is_image(file) and name_of(file, other) for other in self.ends)
                continue
            sample_id, flip = name
            found = flips if flip else files
            if sample_id in found:
                where = source.where(f"{path}/{file}")
                scan.faults.append(f"{where}: {sample_id} again, first in {found[sample_id]}; keep one")
            found.setdefault(sample_id, file)
        scan.faults += [
            f"{source.where(f'{path}/{file}')}: a flipped copy without its original {sample_id}; bring that back"
            for sample_id, file in flips.items()
            if sample_id not in files
        ]
        place = path.removeprefix(base)
        scan.quirks[f"files with other names in {place}/ (left out)"] = strange
        scan.quirks[f"{FLIP} files in {place}/ (left out)"] += len(flips)
        return Folder(path, end, files)


def _count_side(source: Source, base: str, used: set[str], scan: Scan) -> None:
    for folder in _SIDE:
        if base + folder not in used:
            files = sum(name.startswith(f"{base}{folder}/") for name in source.names)
            scan.quirks[f"files in {folder}/ (left out)"] += files


def _has_pictures(source: Source, folder: str, end: str = "") -> bool:
    return any(is_image(file) and name_of(file, end) for file in source.files_in(folder))


def _marks(source: Source, base: str) -> set[str]:
    return {base + _RGBA} if _has_pictures(source, base + _RGBA) else set()


def _marks_of_gmnet(source: Source, base: str) -> set[str]:
    folder = f"{base}seperated_images"
    return {folder} if _has_pictures(source, folder, "_rgb") and not _marks(source, base) else set()


def _marks_of_cmx(source: Source, base: str) -> set[str]:
    folders = [f"{base}RGB", *(base + name for name in _MODAL)]
    found = {folder for folder in folders if _has_pictures(source, folder)}
    return found if len(found) > 1 and folders[0] in found and not _marks(source, base) else set()


_MODAL = ("Modal", "Thermal")
LAYOUTS = (
    MfnetLayout("original", _ORIGINAL_TREE, "images/00001D.png", _marks, (_RGBA,), (), ("labels",)),
    MfnetLayout(
        "gmnet",
        _GMNET_TREE,
        "seperated_images/00001D_rgb.png",
        _marks_of_gmnet,
        ("seperated_images",),
        ("seperated_images",),
        ("labels",),
        ("_rgb", "_th"),
    ),
    MfnetLayout(
        "cmx", _CMX_TREE, "RGB/00001D.png and Modal/ or Thermal/", _marks_of_cmx, ("RGB",), _MODAL, ("Label", "Labels")
    ),
)
