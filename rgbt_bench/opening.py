"""Opening a set by what a user calls it: a dataset's name, a folder, or a repository of the Hub."""

from pathlib import Path

from rgbt_bench import paths
from rgbt_bench.datasets.splits import parse_dataset_name
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import MissingError, unknown_name
from rgbt_bench.hub.names import is_hub_name
from rgbt_bench.paths import RECORD_FILE
from rgbt_bench.registry import converters, load_converter
from rgbt_bench.schema import DatasetInfo


def open_dataset(name: str) -> Dataset:
    """Open a set by name (`flir`, `flir@official`), by folder (`./my/flir@official`) or on the Hub (`hub:ann/flir`).

    Raises:
        MissingError: there is no such set; the message says how to make it.
        UsageError: the set has no such split.
        HubError: the Hub cannot be reached.
    """
    if is_hub_name(name):
        from rgbt_bench.hub.streaming import HubDataset, parse_hub_dataset  # which loads more than a name needs

        return HubDataset(*parse_hub_dataset(name))
    text, split = parse_dataset_name(name)
    home = paths.datasets_home()
    is_path = "/" in text or "\\" in text or text in (".", "..")
    # A bare name may be the name of a folder here, the unconverted original for one, and still mean the set at home.
    for root in (Path(text).expanduser(), *(() if is_path else (home / text,))):
        if (root / RECORD_FILE).is_file():
            return Dataset(root, split)
    if is_path:
        raise MissingError(f"{text}: no converted set here (no {RECORD_FILE}); `rgbt-bench convert` writes one")
    converted = [folder.name for folder in paths.converted_sets()]
    if text not in converters():
        raise unknown_name("dataset", text, {*converters(), *converted})
    there = f"Converted there: {', '.join(converted)}." if converted else "Nothing is converted there yet."
    raise MissingError(
        f"dataset {text!r} is not converted yet under {home}; `rgbt-bench convert {text}` says how to get and convert"
        f" it. {there}"
    )


def dataset_info(name: str) -> DatasetInfo:
    """Return what holds for a dataset by its name: as its converter has it, or of a user's own set as converted.

    Raises:
        MissingError: there is no such set.
        UsageError: there is no such dataset.
    """
    known = parse_dataset_name(name)[0]
    return load_converter(known).info if known in converters() else open_dataset(name).info
