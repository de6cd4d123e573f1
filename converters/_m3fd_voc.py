"""The layouts of M3FD with VOC annotations: the flat one, and the older one by scenario and scene."""

from dataclasses import replace

from rgbt_bench.converters import Scan
from rgbt_bench.errors import BadInputError
from rgbt_bench.formats.voc import read_voc
from rgbt_bench.schema import Illumination, Labels
from rgbt_bench.sources import Source

from ._m3fd_labels import Object, make_labels
from ._m3fd_pairs import Entry, Found, M3fdLayout, below, first_folder, ids_in, read_lists

VIS, IR, ANNOTATION = ("Vis", "vis", "VIS"), ("Ir", "ir", "IR"), ("Annotation", "annotation", "Annotations")
_SCENARIOS: dict[str, Illumination] = {
    "Challenge": "challenge",
    "Daytime": "day",
    "Night": "night",
    "Overcast": "overcast",
}
FUSION = "M3FD_Fusion"

_FLAT_TREE = """
M3FD_Detection/                              also in lower case
  Vis/  Ir/         00000.png to 04199.png
  Annotation/       00000.xml to 04199.xml
  meta/             train.txt, val.txt, test.txt: lists of ids, if there are any
M3FD_Fusion/ beside it (300 pairs for fusion only) has ids that mean other pictures: it is left out.
"""
_OLD_TREE = """
M3FD/
  {Challenge,Daytime,Night,Overcast}/SCENE/{Vis,Ir,Annotation}/    00000.png, 00000.xml
"""


def _folders(source: Source, base: str) -> tuple[str, str, str] | None:
    """Return the folders of visible and thermal images and annotations, if all have files."""
    vis, ir, annotation = (first_folder(source, base, names) for names in (VIS, IR, ANNOTATION))
    return (vis, ir, annotation) if vis and ir and annotation else None


def _flat_marks(source: Source, base: str) -> set[str]:
    return set(_folders(source, base) or ())


def _read_flat(source: Source, base: str, scan: Scan) -> Found:
    above = base.rstrip("/").rpartition("/")[0]
    places = {f"{base}{FUSION}/", f"{above}/{FUSION}/" if above else f"{FUSION}/"}
    left_out = {name for place in places for folder in VIS for name in below(source, f"{place}{folder}/")}
    scan.quirks[f"pairs of {FUSION} (other pictures than the detection pairs of the same ids; left out)"] += len(
        left_out
    )
    return Found(_read_folder(source, base, base, scan), read_lists(source, base, scan))


def _read_folder(source: Source, folder: str, base: str, scan: Scan) -> list[Entry]:
    """Return the pairs of one folder that has visible and thermal images and annotations in folders of its own."""
    folders = _folders(source, folder)
    if folders is None:
        return []
    vis, ir, annotation = folders
    rgb, thermal, xmls = (ids_in(source, name, end, scan) for name, end in ((vis, ""), (ir, ""), (annotation, ".xml")))
    if not xmls:
        raise BadInputError(f"{source.where(annotation)}: no annotation such as 00000.xml in it")
    entries = []
    for sample_id in sorted({*rgb, *thermal, *xmls}):
        places = rgb.get(sample_id, f"{vis}/{sample_id}.png"), thermal.get(sample_id, f"{ir}/{sample_id}.png")
        if sample_id not in xmls:
            missing = source.where(f"{annotation}/{sample_id}.xml")
            scan.faults.append(f"{missing}: missing, but {sample_id} has an image")
            continue
        try:
            xml = xmls[sample_id]
            entries.append(Entry(*places, _labels(source, sample_id, xml, places[1].removeprefix(base)), xml))
        except BadInputError as error:
            scan.faults.append(str(error))
    return entries


def _labels(source: Source, sample_id: str, xml: str, place: str) -> Labels:
    voc = read_voc(source, xml)
    objects = (Object(one.name, one.bbox, one.bbox[2] * one.bbox[3]) for one in voc.objects)
    return make_labels(sample_id, place, (voc.width, voc.height), objects, source.where(xml))


def _scenes(source: Source, base: str) -> dict[str, Illumination]:
    """Return the folders of scenes by their illumination, those alone that have what a scene has."""
    found: dict[str, Illumination] = {}
    for scenario, illumination in _SCENARIOS.items():
        for spelling in (scenario, scenario.lower()):
            prefix = f"{base}{spelling}/"
            names = {name.removeprefix(prefix).split("/")[0] for name in below(source, prefix)}
            folders = (f"{prefix}{name}/" for name in sorted(names))
            found.update((folder, illumination) for folder in folders if _folders(source, folder))
    return found


def _old_marks(source: Source, base: str) -> set[str]:
    return {name for folder in _scenes(source, base) for name in _flat_marks(source, folder)}


def _read_old(source: Source, base: str, scan: Scan) -> Found:
    entries = []
    for folder, illumination in _scenes(source, base).items():
        for entry in _read_folder(source, folder, base, scan):
            known = entry.labels.illumination
            scan.quirks["pairs in a scenario's folder that scenario.json does not give them (its word is kept)"] += (
                known not in ("unknown", illumination)
            )
            labels = replace(entry.labels, illumination=illumination) if known == "unknown" else entry.labels
            entries.append(entry._replace(labels=labels))
    return Found(entries, read_lists(source, base, scan))


FLAT = M3fdLayout("flat", _FLAT_TREE, "Vis/, Ir/ and Annotation/", _flat_marks, _read_flat)
OLD = M3fdLayout("old", _OLD_TREE, "Daytime/SCENE/Annotation/ and so on", _old_marks, _read_old)
