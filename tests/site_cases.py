"""Pages read back as elements, and rows with all that a page can show."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from pydantic import ValidationError

from rgbt_bench.clocks import Clocks
from rgbt_bench.latency import LatencyReport, Timing
from rgbt_bench.leaderboard.rows import Row

VOID = {"meta", "link", "input", "img", "br", "hr"}
LINKS = {"a": "href", "link": "href", "script": "src", "img": "src"}


@dataclass
class Parsed:
    """What a page holds: its elements with attributes, texts by element, and the parts that tests ask for."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    policy: str = ""
    rows: list[dict[str, str]] = field(default_factory=list)
    plots: list[list[str]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Parsed()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.faults.append(f"<{tag}> has an attribute twice")
        values = dict(attrs)
        page = self.page
        page.elements.append((tag, values))
        if tag in LINKS and values.get(LINKS[tag]):
            (page.targets if tag == "a" else page.sources).append(values[LINKS[tag]])
        page.ids += [values["id"]] if "id" in values else []
        page.headings += [tag] if tag in {"h1", "h2", "h3"} else []
        page.inline += [f"<{tag} {name}>" for name in values if name == "style" or name.startswith("on")]
        page.inline += ["<style>"] if tag == "style" else []
        page.inline += ["<script>"] if tag == "script" and "src" not in values else []
        if values.get("http-equiv") == "Content-Security-Policy":
            page.policy = values["content"]
        if tag == "svg" and "plot" in (values.get("class") or "").split():
            page.plots.append([])
        if tag == "tr" and "data-badge" in values:
            body = next(one for name, one in reversed(self.open) if name == "tbody")
            page.rows.append({"body": body.get("class") or "", "rank": "", "name": ""})
        if tag not in VOID:
            self.open.append((tag, values))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1][0] if self.open else 'nothing'}")
            return
        self.open.pop()

    def handle_data(self, data):
        page, within = self.page, [name for name, _ in self.open]
        page.text += data
        if within[-2:] == ["a", "title"] and page.plots:
            page.plots[-1].append(data)
        if within[-2:] == ["pre", "code"]:
            page.commands += data.split("\n")
        if page.rows and "tr" in within and "tbody" in within:
            cell = next((one for name, one in reversed(self.open) if name in {"td", "th"}), {})
            if "rank" in (cell.get("class") or "").split():
                page.rows[-1]["rank"] += data.strip()
            if within[-2:] == ["th", "a"]:
                page.rows[-1]["name"] += data


def parse(path: Path) -> Parsed:
    """Return what a page holds; elements that are not closed as they were opened are refused."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert not reader.faults, (path, reader.faults)
    assert not reader.open, (path, reader.open)
    return reader.page


def timing(recipe, seconds, batch=1):
    return Timing(
        recipe=recipe, preset="paper", batch=batch, image_size=(512, 640), precision="float32", compile_mode="eager",
        includes="the network", warm_up=20, passes=100, median_s=seconds, p90_s=1.1 * seconds, p99_s=1.5 * seconds,
        images_per_s=batch / seconds, macs=6_100_000_000, parameters=4_821_867, weights="random",
    )  # fmt: skip


def timed(row, seconds):
    """Return a row with its median time by the device's name."""
    recipe = row.first.model.recipe if row.first.model else "own"
    reports = tuple(
        LatencyReport(
            device={"type": "cpu" if "cpu" in name else "cuda", "name": name, "threads": 2, "memory_gib": 80.0},
            threads=2,
            timings=(timing("its-teacher", 9.0), timing(recipe, one)) if row.first.model else (timing(recipe, one),),
            ratio_to_teacher={},
            macs_ratio_to_teacher=None,
            clocks=Clocks(least=1200, median=1500, greatest=1980, source="nvml", readings=9) if "gpu" in name else None,
        )
        for name, one in seconds.items()
    )
    return row.model_copy(update={"latency": reports})


FREE = {  # how deep the keys of a field are free
    "libraries": 1, "durations_s": 1, "figures": 1, "per_class": 2, "subsets": 2, "subset_samples": 1, "requires": 1,
    "parameters": 1, "resampling": 1, "undefined": 1, "ratio_to_teacher": 1, "hardware": 9, "protocol": 9, "device": 9,
}  # fmt: skip
HOSTILE = "\"'><img src=x onerror=alert(1)></pre></title><script>alert(1)</script>{{7*7}}"


def poisoned(row, text):
    """Return a row with `text` in every string, and in every key that is free, that a row may hold there."""
    content = row.model_dump(mode="json")
    wanted = _poison(content, text, 0)
    while True:
        try:
            return Row.model_validate(wanted), _count(wanted, text)
        except ValidationError as error:
            places = [one["loc"] for one in error.errors()]
            for place in places:
                if not any(len(other) > len(place) and other[: len(place)] == place for other in places):
                    _restore(wanted, content, place)


def _poison(value, text, free):
    if isinstance(value, dict):
        deeper = {key: max(0, free - 1) if free else FREE.get(key, 0) for key in value}
        return {
            f"{key}{text}" if free else key: one if key == "kind" else _poison(one, text, deeper[key])
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_poison(one, text, 0) for one in value]
    return text if isinstance(value, str) else value


def _restore(wanted, content, place):
    """Put back what was at the place where a row refuses the text; the kind of a union is no key."""
    way = [one for one in place if not (isinstance(one, str) and one in {"detection", "segmentation", "fusion"})]
    for step in way[:-1]:
        wanted, content = wanted[step], content[step]
    wanted[way[-1]] = content[way[-1]]


def _count(value, text):
    if isinstance(value, dict):
        return sum((text in key) + _count(one, text) for key, one in value.items())
    if isinstance(value, list):
        return sum(_count(one, text) for one in value)
    return int(isinstance(value, str) and text in value)
