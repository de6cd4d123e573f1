"""MFNet (Ha et al., IROS 2017): registered RGB-thermal pairs of street scenes with label maps."""

from collections.abc import Mapping
from typing import ClassVar

from rgbt_bench.converters import Converter, Images, Item, Scan, read_image
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_size
from rgbt_bench.layouts import find_layout
from rgbt_bench.schema import DatasetInfo, Labels, SplitList
from rgbt_bench.sources import Source

from ._mfnet_labels import CLASSES, PALETTE, illumination_of
from ._mfnet_layouts import LAYOUTS, Folder
from ._mfnet_lists import PARTS, PUBLISHED, published, read_parts
from ._mfnet_pictures import one_channel, split_rgba


class Mfnet(Converter):
    """MFNet from any of the layouts that circulate."""

    info = DatasetInfo(
        name="mfnet",
        title="MFNet (RGB-thermal street scenes, 640x480)",
        classes=CLASSES,
        tasks=("segmentation",),
        homepage="https://www.mi.t.u-tokyo.ac.jp/static/projects/mil_multispectral/",
        licence="None found; a right to redistribute is not established, so keep it private.",
        citation="Q. Ha, K. Watanabe, T. Karasawa, Y. Ushiku, T. Harada: MFNet: Towards real-time semantic segmentation"
        " for autonomous vehicles with multi-spectral scenes. IROS 2017, pp. 5108-5115.",
        split_policy="The archive's own train, val and test lists (784, 392, 393 pairs), without the flipped copies"
        " that some copies of the train list have. 1,569 pairs = 820 by day + 749 by night = 784 + 392 + 393; the"
        " 1,596 that CEKD prints is a transposition of it. `mfnet@official` are the published lists, put together from"
        " what others took over (see its origin), whatever the archive's lists say.",
        mask_classes=CLASSES,
        palette=PALETTE,
    )
    how_to_get = """
The project page is https://www.mi.t.u-tokyo.ac.jp/static/projects/mil_multispectral/; ir_seg_dataset.zip is linked
there, and by RTFNet (github.com/yuxiangsun/RTFNet) with flipped copies. No licence was found: keep it private.
Then: rgbt-bench convert mfnet PATH
"""
    layouts: ClassVar[dict[str, str]] = {layout.name: layout.tree for layout in LAYOUTS}
    expected: ClassVar[dict[str, int]] = {"train": 784, "val": 392, "test": 393}

    def published_splits(self) -> tuple[SplitList, ...]:
        """Return the published lists."""
        origin = (
            "Ha et al. 2017, put together: test and train as in haoqiu111/RGB-T-3, val is what they leave of the 1,569;"
            " every id of QPQQQQ/multisource's extract (train 100, val 100, test 20) lies in the same part; the"
            " archive's own list files were not seen"
        )
        return (SplitList("official", published(), origin),)

    def scan(self, source: Source) -> Scan:
        """Describe every listed pair, in whichever of the layouts the source has."""
        layout, base = find_layout(source, LAYOUTS, "MFNet")
        scan = Scan(layout.name)
        folders = layout.folders(source, base, scan)
        parts = read_parts(source, base, scan)
        for part in PARTS:
            items = (_item(source, base, part, one, where, folders, scan) for one, where in parts[part].items())
            scan.items += [item for item in items if item]
        _count(folders[0], parts, scan)
        return scan

    def read(self, source: Source, item: Item) -> Images:
        """Return the pictures of one pair and its label map; a four-channel picture is split."""
        labels = item.labels
        size = labels.width, labels.height
        rgb, mask = read_image(source, item.rgb), read_image(source, item.mask or "")
        if item.thermal is None:
            return Images(*split_rgba(rgb, labels.sample_id, size, source.where(item.rgb)), mask)
        thermal = read_image(source, item.thermal)
        return Images(rgb, one_channel(thermal, size, source.where(item.thermal)), mask)


CONVERTER = Mfnet


def _item(
    source: Source,
    base: str,
    part: str,
    sample_id: str,
    listed: str,
    folders: tuple[Folder, Folder | None, Folder],
    scan: Scan,
) -> Item | None:
    rgb, thermal, mask = (folder.name(sample_id) if folder else None for folder in folders)
    missing = [source.where(name) for name in (rgb, thermal, mask) if name and name not in source]
    if len(missing) == sum(map(bool, folders)) and listed == PUBLISHED.format(part):
        return None  # a copy without lists need not be of the whole set, which the expected counts say
    if missing or not rgb or not mask:
        scan.faults.append(f"{' and '.join(missing)}: missing, but {listed} has {sample_id}")
        return None
    try:
        width, height = image_size(source, mask)
    except BadInputError as error:
        scan.faults.append(str(error))
        return None
    labels = Labels(
        sample_id=sample_id,
        width=width,
        height=height,
        illumination=illumination_of(sample_id),
        source=rgb.removeprefix(base),
    )
    return Item(part, labels, rgb, thermal, mask)


def _count(rgb: Folder, parts: Mapping[str, Mapping[str, str]], scan: Scan) -> None:
    """Count pictures that no list names, and pairs whose pixels are not those of the original."""
    listed = {sample_id for ids in parts.values() for sample_id in ids}
    scan.quirks["pictures that no list names (left out)"] += len(rgb.files.keys() - listed)
    jpegs = sum(item.rgb.lower().endswith((".jpg", ".jpeg")) for item in scan.items)
    scan.quirks["pairs kept as JPEG (not the pixels of the original: pixel digests of their own)"] += jpegs
