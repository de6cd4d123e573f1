"""YAML that others wrote, read as plain data: what JSON can hold and nothing else, so that a digest covers it all."""

from math import isfinite
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from rgbt_bench.errors import BadInputError
from rgbt_bench.files import read_text

MAX_BYTES = 100_000  # reading YAML takes seconds a megabyte; no file of ours has a tenth of this
MAX_DEPTH = 32


class YamlFaultError(Exception):
    """Why a text is not YAML of plain data."""


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """Return a YAML file's mapping as plain data; `what` it should be, such as "a recipe", is for the message.

    Raises:
        MissingError: there is no such file.
        BadInputError: not YAML, not a mapping, too large or nested too deeply, or with tags, anchors, NaN or dates.
    """
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise BadInputError(f"{path}: larger than {MAX_BYTES} bytes, which {what} never is")
    try:
        content = load_plain_yaml(read_text(path))
    except YamlFaultError as error:
        raise BadInputError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise BadInputError(f"{path}: {what} is a mapping of keys")
    return content


def load_plain_yaml(text: str) -> Any:
    """Return a YAML text as plain JSON-ready data.

    Raises:
        YamlFaultError: not YAML, or with tags, anchors, aliases, directives, dates, NaN, infinity or keys but texts.
    """
    yaml = YAML(typ="safe", pure=True)
    depth = 0
    try:
        # The events come one by one: what is nested too deeply stops here, before it costs time or stack.
        for event in yaml.parse(text):
            line = event.start_mark.line + 1
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise YamlFaultError(f"line {line}: YAML tags, anchors and aliases are refused")
            if getattr(event, "version", None) or getattr(event, "tags", None):
                raise YamlFaultError(f"line {line}: YAML directives are refused")
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise YamlFaultError(f"line {line}: nested too deeply")
        content = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise YamlFaultError(f"{where}not valid YAML: {error.problem or error.context}") from None
    except YAMLError as error:  # characters that YAML forbids
        raise YamlFaultError(f"not valid YAML: {str(error).splitlines()[0]}") from None
    _require_plain(content, "")
    return content


def _require_plain(value: Any, at: str) -> None:
    """Refuse what JSON has no form for: the digest would not know it from something else."""
    where = f"{at}: " if at else ""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise YamlFaultError(f"{where}the key {key!r} is no text; quote it")
            _require_plain(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _require_plain(inner, f"{at}.{place}")
    elif isinstance(value, float) and not isfinite(value):
        raise YamlFaultError(f"{where}{value} is no figure that JSON can have")
    elif not isinstance(value, str | int | float | None):
        raise YamlFaultError(f"{where}{value} is read as a {type(value).__name__}; quote it if it is a text")
