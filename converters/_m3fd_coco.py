"""The layout of M3FD with the COCO files of RGBXFusion."""

from dataclasses import replace

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.coco import CocoImage, read_coco
from rgbt_bench.schema import Labels
from rgbt_bench.sources import Source

from ._m3fd_labels import Object, make_labels, sample_id_of
from ._m3fd_pairs import PARTS, Entry, Found, M3fdLayout, first_folder, ids_in
from ._m3fd_voc import ANNOTATION, IR, VIS

_TREE = """
M3FD/
  Vis/  Ir/                                  00000.png to 04199.png; also in lower case
  meta/m3fd-{train,val,test}.json            COCO json of RGBXFusion; it has no annotations in XML beside it
"""


def _file(base: str, part: str) -> str:
    return f"{base}meta/m3fd-{part}.json"


def _marks(source: Source, base: str) -> set[str]:
    if first_folder(source, base, ANNOTATION):
        return set()  # the original annotations go before those made from them
    return {name for part in PARTS if (name := _file(base, part)) in source}


def _read(source: Source, base: str, scan: Scan) -> Found:
    vis, ir = (first_folder(source, base, names) for names in (VIS, IR))
    if not vis or not ir:
        raise BadInputError(f"{source.where(base)}: no images in Vis/ and Ir/ beside meta/")
    rgb, thermal = (ids_in(source, folder, "", scan) for folder in (vis, ir))
    found = Found()
    for part in PARTS:
        name = _file(base, part)
        if name not in source:
            scan.quirks[f"{part}: no meta/m3fd-{part}.json, so its pairs are left out"] += 1
            continue
        ids = []
        for image in read_coco(source, name):
            try:
                labels = labels_of_coco(image, f"{source.where(name)}: {image.file_name}")
                one = labels.sample_id
                ids.append(one)
                places = rgb.get(one, f"{vis}/{one}.png"), thermal.get(one, f"{ir}/{one}.png")
                found.entries.append(Entry(*places, replace(labels, source=places[1].removeprefix(base)), name))
            except BadInputError as error:
                scan.faults.append(str(error))
        found.lists[part] = tuple(ids)
    listed = {sample_id for ids in found.lists.values() for sample_id in ids}
    scan.quirks["thermal images that no json lists (left out)"] += len(thermal.keys() - listed)
    return found


def labels_of_coco(image: CocoImage, where: str) -> Labels:
    """Return the labels of one image of a COCO file, with the image's name as their source.

    Raises:
        BadInputError: a class or an id that M3FD does not have; the message begins with `where`.
    """
    sample_id = sample_id_of(image.file_name.rpartition(".")[0], where)
    objects = (Object(one.name, one.bbox, one.area, one.iscrowd, one.ignore) for one in image.objects)
    return make_labels(sample_id, image.file_name, (image.width, image.height), objects, where)


COCO = M3fdLayout("coco", _TREE, "meta/m3fd-train.json", _marks, _read)
