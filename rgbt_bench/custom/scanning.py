"""Describing every pair of a source as its description says."""

from collections import Counter

from rgbt_bench.converters import Item, Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.images import image_size
from rgbt_bench.schema import Labels, SplitList
from rgbt_bench.sources import Source

from .description import Described, LabelFiles, in_part
from .exact import read_exact
from .labels import Classes, CocoFile, Told, coco_labels, exact_labels_of, voc_labels, yolo_labels
from .meta import as_illumination, illumination_of, read_meta
from .pairs import Pair, count_unused, find_pairs, read_ids


def scan_pairs(source: Source, described: Described) -> Scan:
    """Return what a description finds in a source.

    Raises:
        BadInputError: a part has no image or no labels where they belong, or a file that is named is missing.
    """
    _require_files(source, described)
    return _Scanner(source, described).scan()


def _require_files(source: Source, described: Described) -> None:
    """Refuse a description that names a file which is not there."""
    description = described.description
    named = {"meta": description.meta, "exact": description.exact}
    for part in description.parts:
        files = description.part(part)
        named[f"parts.{part}.ids"] = in_part(files.ids or "", part)
        named[f"labels.coco (part {part})"] = in_part((files.labels and files.labels.coco) or "", part)
    for split, lists in description.splits.items():
        named |= {f"splits.{split}.{part}": in_part(name, part) for part, name in lists.items()}
    for key, name in named.items():
        if name and name not in source:
            try:
                source.read(name)
            except BadInputError as error:
                raise BadInputError(f"{error}, which {described.file.name} names as {key}") from None


class _Scanner:
    """One look at a source."""

    def __init__(self, source: Source, described: Described) -> None:
        self.source = source
        self.described = described
        self.description = described.description
        self.result = Scan("described")
        self.classes = Classes(self.description.classes, self.description.rename)
        self.pairs: dict[str, Pair] = {}
        meta, exact = self.description.meta, self.description.exact
        self.meta = read_meta(source, meta, self.result) if meta else {}
        self.exact = read_exact(source, exact) if exact else {}
        self.used = {described.file.name, meta or "", exact or ""}

    def scan(self) -> Scan:
        for part in self.description.parts:
            pairs = find_pairs(self.source, self.described, part, self.result)
            self.pairs.update({pair.sample_id: pair for pair in pairs})
            self._add_items(part, pairs)
        self._add_splits()
        for name, rows in ((self.description.meta, self.meta), (self.description.exact, self.exact)):
            self.result.quirks[f"{name}: ids that are no pair here"] += len(rows.keys() - self.pairs.keys())
        self.used.update(name for pair in self.pairs.values() for name in pair.files.values())
        count_unused(self.source, self.used, self.result)
        return self.result

    def _add_items(self, part: str, pairs: list[Pair]) -> None:
        files = self.description.part(part)
        labels = files.labels or None
        coco = None
        if labels and labels.coco:
            name = in_part(labels.coco, part)
            coco = CocoFile(self.source, name, by_base="{scene}" not in (files.rgb or ""))
            self.used.add(name)
        self.used.add(in_part(files.ids or "", part))
        self._require_labels(part, pairs, labels)
        for pair in pairs:
            try:
                told = self._told(part, pair, labels, coco)
                self.result.items.append(self._item(part, pair, told))
            except BadInputError as error:
                self.result.faults.append(str(error))
        if coco and pairs:
            self._require_coco(part, pairs, coco)

    def _require_labels(self, part: str, pairs: list[Pair], labels: LabelFiles | None) -> None:
        """Count the pairs without a label file, and refuse a part in which no pair has one."""
        kind = "voc" if labels and labels.voc else "yolo"
        pattern = getattr(labels, kind, None)
        without = sum(kind not in pair.files for pair in pairs) if pattern else 0
        if pairs and without == len(pairs):
            looked = in_part(str(pattern), part)
            raise BadInputError(f"{self.source.root}: no label file of any pair of {part}: looked for {looked!r}")
        if kind == "yolo":
            self.result.quirks[f"{part}: pairs without a label file (kept, no boxes: background)"] += without

    def _require_coco(self, part: str, pairs: list[Pair], coco: CocoFile) -> None:
        if not coco.used and not self.exact:
            there = ", ".join(repr(image.file_name) for image in coco.images[:3]) or "none"
            raise BadInputError(
                f"{coco.where}: none of its images is a pair of {part}: its file names are {there}, the first pair is"
                f" {' and '.join(pairs[0].images)}"
            )
        place = coco.where.removeprefix(str(self.source.root)).lstrip("/: ")
        self.result.quirks[f"{part}: images of {place} that are no pair of it (left out)"] += len(coco.images) - len(
            coco.used
        )

    def _told(self, part: str, pair: Pair, labels: LabelFiles | None, coco: CocoFile | None) -> Told:
        """Return what is said of a pair; one without a YOLO file is background, as the field has it."""
        left: Counter[str] = self.result.quirks
        name = pair.files.get("voc") or pair.files.get("yolo")
        if pair.sample_id in self.exact:
            where = f"{self.source.where(str(self.description.exact))}: {pair.sample_id}"
            data = self.source.read(name) if name else None
            return exact_labels_of(self.exact[pair.sample_id], data, self.classes, where)
        if coco:
            image = coco.find(pair.images, pair.sample_id)
            if image is None:
                raise BadInputError(
                    f"{coco.where}: no image called as {' or '.join(pair.images)} of {part}; an image without objects"
                    " is listed, too; list it, or leave the pair out with `ids`"
                )
            return coco_labels(image, self.classes, coco.where, left)
        if labels and labels.voc:
            if name is None:
                raise BadInputError(f"{self.source.where(pair.files['rgb'])}: no VOC file for {pair.sample_id}")
            return voc_labels(self.source, name, self.classes, labels.boxes or "one-based", left)
        size = image_size(self.source, pair.files["rgb"])
        return yolo_labels(self.source, name, size, self.classes.names) if name else Told(size)

    def _item(self, part: str, pair: Pair, told: Told) -> Item:
        meta = self.meta.get(pair.sample_id)
        light = as_illumination(meta.illumination) if meta and meta.illumination else ""
        labels = Labels(
            sample_id=pair.sample_id,
            width=told.size[0],
            height=told.size[1],
            objects=told.objects,
            ignore_regions=told.ignore_regions,
            illumination=light or illumination_of(pair.sample_id, self.description),
            scene=(meta.scene if meta else "") or pair.scene,
            source=pair.files["rgb"],
        )
        files, described = pair.files, self.description.part(part).labels
        coco = in_part(described.coco, part) if described and described.coco else ""
        label_file = files.get("voc") or files.get("yolo") or coco
        if pair.sample_id in self.exact:
            label_file = str(self.description.exact)
        return Item(part, labels, files["rgb"], files.get("thermal"), files.get("mask"), label_file)

    def _add_splits(self) -> None:
        for split, lists in self.description.splits.items():
            parts = {}
            for part, name in lists.items():
                own = in_part(name, part)
                self.used.add(own)
                parts[part] = tuple(read_ids(self.source, self.described, own, self.pairs, self.result))
            every = [sample_id for ids in parts.values() for sample_id in ids]
            self.result.quirks[f"split {split}: pairs in more than one part"] += len(every) - len(set(every))
            origin = f"{self.described.file.name}: {', '.join(lists.values())}"
            self.result.named_splits.append(SplitList(split, parts, origin))
