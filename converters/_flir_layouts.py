"""The layouts that FLIR-aligned comes in: where each keeps its lists, images and annotations."""

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.coco import read_coco
from rgbt_bench.sources import Source

from ._flir_labels import labels_of_coco, sample_id_of
from ._flir_pairs import Entries, FlirLayout, Pair
from ._flir_voc import D3T, IR, VOC
from ._flir_yolo import YOLO

_COCO_FILES = {"train": "meta/thermal/flir_train.json", "test": "meta/thermal/flir_test.json"}
_COCO_TREE = """
FLIR_Aligned/
  images_{rgb,thermal}_{train,test}/data/    FLIR_00002_RGB.jpg, FLIR_00002_PreviewData.jpg
  meta/thermal/flir_train.json               COCO json
  meta/thermal/flir_test.json
"""


def _coco_marks(source: Source, base: str) -> set[str]:
    return {base + name for name in _COCO_FILES.values() if base + name in source}


def _coco_entries(source: Source, base: str, part: str, scan: Scan) -> Entries:
    name = base + _COCO_FILES[part]
    file = name.rpartition("/")[2]
    if name not in source:
        scan.quirks[f"{part}: no {file}, so this part is empty"] += 1
        return
    rgb, thermal = (f"images_{modality}_{part}/data" for modality in ("rgb", "thermal"))
    listed = set()
    for image in read_coco(source, name):
        try:
            sample_id = sample_id_of(image.file_name, source.where(name))
            place = f"{thermal}/{sample_id}_PreviewData.jpg"
            listed.add(f"{sample_id}_PreviewData.jpg")
            pair = Pair(f"{base}{rgb}/{sample_id}_RGB.jpg", base + place)
            where = f"{source.where(name)}: {image.file_name}"
            yield pair, labels_of_coco(image, place, scan.quirks, where), name
        except BadInputError as error:
            scan.faults.append(str(error))
    found = {one for one in source.files_in(base + thermal) if one.startswith("FLIR_")}
    scan.quirks[f"{part}: thermal images that {file} does not list (left out)"] += len(found - listed)


COCO = FlirLayout("coco", _COCO_TREE, _COCO_FILES["train"], _coco_marks, _coco_entries)
LAYOUTS = (VOC, COCO, YOLO, D3T, IR)
