"""Entries to refuse by the form and the texts of their row: each with its rule and a word of the reason."""

import json
from dataclasses import dataclass

from checking_cases import brought


@dataclass(frozen=True)
class Hostile:
    """How a good entry is spoilt, the one rule that has to refuse it, and others that must, too."""

    rule: str
    says: str
    spoil: object
    track: str = "flir/detection-rgbt"
    seeds: tuple = (0,)
    also: frozenset = frozenset()

    def entry(self):
        made = brought(self.track, self.seeds)
        changed = self.spoil(made)
        return made if changed is None else changed


def hostile(rule, says, spoil, also=(), **made):
    return Hostile(rule, says, spoil, also=frozenset(also), **made)


def put(path, value):
    """Spoil by setting a value at a dotted path; `*` is every run."""

    def spoil(entry):
        for place in [0] if not path.startswith("runs.*") else range(len(entry.content["runs"])):
            *way, last = path.replace("*", str(place)).split(".")
            node = entry.content
            for step in way:
                node = node[int(step)] if isinstance(node, list) else node[step]
            node[int(last) if isinstance(node, list) else last] = value

    return spoil


def inside(old, new):
    """Spoil the row's text."""

    def spoil(entry):
        text = json.dumps(entry.content, ensure_ascii=False)
        assert old in text
        entry.raw = text.replace(old, new, 1).encode(errors="surrogatepass")

    return spoil


def raw(make):
    """Spoil the row's bytes."""

    def spoil(entry):
        entry.raw = make(json.dumps(entry.content).encode())

    return spoil


def name(text):
    return put("entry.name", text)


def result(path, value):
    return put(f"runs.0.result.{path}", value)


def each(*spoils):
    def spoil(entry):
        for one in spoils:
            one(entry)

    return spoil


def model(**changes):
    """Give every run a model, made without any recipe of ours."""

    def spoil(entry):
        for run in entry.content["runs"]:
            run["result"]["model"] = {
                "recipe": "my-net", "preset": "paper", "recipe_digest": "a" * 64, "run_key": "b" * 64,
                "seed": run["seed"], "settings": [], "weights_sha256": f"{run['seed']}" * 64, "requires": {},
                "parameters": {"total": 5}, "epochs": 50, "processes": 1, "weights_from": None,
            } | changes  # fmt: skip

    return spoil


FORM = {
    "not-a-number": hostile("row-form", "NaN", inside('"AP50": 0.3', '"AP50": NaN')),
    "infinity": hostile("row-form", "Infinity", inside('"AP50": 0.3', '"AP50": -Infinity')),
    "a-float-too-large": hostile("row-form", "beyond what a float", inside('"AP50": 0.3', '"AP50": 1e999')),
    "an-integer-too-large": hostile("row-form", "beyond 2**53", inside('"cores": 2', f'"cores": 1{"0" * 400}')),
    "an-integer-of-5000-digits": hostile("row-form", "not valid JSON", inside('"cores": 2', f'"cores": 1{"0" * 5000}')),
    "a-duplicate-key": hostile("row-form", "duplicate key 'seed'", inside('"seed": 0', '"seed": 1, "seed": 0')),
    "a-key-twice-by-escape": hostile(
        "row-form", "duplicate key 'seed'", inside('"seed": 0', '"se\\u0065d": 1, "seed": 0')
    ),
    "an-unknown-field": hostile("row-form", "entry.rank: Extra", put("entry.rank", 1)),
    "an-unknown-field-of-a-result": hostile("row-form", "proof: Extra", result("proof", "re-run")),
    "a-badge-of-its-own": hostile("row-form", "badge: Extra", put("badge", "re-run")),
    "a-byte-order-mark": hostile("row-form", "BOM", raw(lambda data: b"\xef\xbb\xbf" + data)),
    "not-utf-8": hostile("row-form", "not UTF-8", raw(lambda data: data.replace(b"Ann", b"\xffnn"))),
    "utf-16": hostile("row-form", "not UTF-8", raw(lambda data: data.decode().encode("utf-16"))),
    "overlong-utf-8": hostile("row-form", "not UTF-8", raw(lambda data: data.replace(b"Ann", b"\xc0\xaf"))),
    "half-a-surrogate-pair": hostile("row-form", "surrogate", inside("a processor", "\\ud800")),
    "half-a-surrogate-pair-as-a-key": hostile("row-form", "surrogate", inside('"cpu"', '"\\udfff"')),
    "nested-a-thousandfold": hostile(
        "row-form", "too deeply", inside('"cores": 2', f'"cores": {"[" * 1000}{"]" * 1000}')
    ),
    "nested-a-million-times": hostile("row-form", "too deeply", raw(lambda data: b"[" * 10**6)),
    "nested-thirtyfold": hostile("row-form", "too deeply", inside('"cores": 2', f'"cores": {"[" * 30}{"]" * 30}')),
    "a-number-as-a-text": hostile("row-form", "not written as rgbt-bench", inside('"AP50": 0.3', '"AP50": "0.3"')),
    "an-integer-as-a-float": hostile(
        "row-form", "not written as rgbt-bench", inside('"samples": 1013', '"samples": 1013.0')
    ),
    "true-for-one": hostile("row-form", "row", inside('"board": 1', '"board": true')),
    "something-behind-the-row": hostile("row-form", "Extra data", raw(lambda data: data + b"{}")),
    "an-empty-file": hostile("row-form", "not valid JSON", raw(lambda data: b"")),
    "a-list": hostile("row-form", "not a row", raw(lambda data: b"[]")),
    "a-pickle": hostile("row-form", "not UTF-8", raw(lambda data: b"\x80\x04cos\nsystem\n(S'touch /tmp/x'\ntR.")),
    "yaml": hostile("row-form", "not valid JSON", raw(lambda data: b"!!python/object/apply:os.system [touch x]")),
    "kind-is-a-list": hostile("row-form", "not a row", result("metrics.kind", ["detection"])),
    "no-runs": hostile("row-form", "runs", put("runs", [])),
    "one-seed-twice": hostile("row-form", "different seeds", put("runs.1.seed", 0), seeds=(0, 1)),
    "two-tracks": hostile("row-form", "one track", put("runs.1.result.track", "flir/detection-rgb"), seeds=(0, 1)),
    "a-path-as-predictions": hostile(
        "row-form", "predictions.file", put("runs.0.predictions.file", "../../../.git/config")
    ),
    "http": hostile("row-form", "code_url", put("entry.code_url", "http://github.com/a")),
    "a-script-url": hostile("row-form", "code_url", put("entry.code_url", "javascript:alert(1)")),
    "a-url-with-a-password": hostile("row-form", "code_url", put("entry.code_url", "https://github.com@evil.org/")),
    "another-id": hostile("row-name", "holds the row other", put("id", "other"), also={"predictions-name"}),
    "an-id-with-a-path": hostile("row-form", "id", put("id", "../good-net")),
    "another-version": hostile("row-name", "version 2", put("board", 2)),
    "from-the-future": hostile("time", "to come", put("created", "2099-01-01T00:00:00+00:00")),
    "without-a-time-zone": hostile("time", "without a time zone", put("created", "2026-11-20T00:00:00")),
    "a-time-in-another-form": hostile("time", "is written as", put("created", "2026-W47-5T00:00:00Z")),
    "a-time-before-all-time": hostile("time", "is written as", put("created", "0001-01-01T00:00:00+00:00")),
    "no-time": hostile("time", "no time", result("created", "yesterday")),
}

TEXTS = {
    "turned-around": hostile("characters", "U+202E", name("Good\u202eteN"), also={"name"}),
    "an-isolate-in-a-note": hostile("characters", "U+2066", put("entry.note", "a\u2066b")),
    "a-zero-width-space": hostile("characters", "U+200B", name("Good\u200b Net"), also={"name"}),
    "a-bom-inside": hostile("characters", "U+FEFF", put("entry.authors", "Ann\ufeff")),
    "a-soft-hyphen": hostile("characters", "U+00AD", put("entry.paper", "so\u00adft")),
    "a-private-character": hostile("characters", "U+E000", put("entry.note", "\ue000")),
    "an-unassigned-character": hostile("characters", "U+0378", put("entry.note", "\u0378")),
    "an-escape-sequence": hostile("characters", "U+001B", put("entry.note", "\x1b[2J")),
    "a-nul": hostile("characters", "U+0000", put("entry.note", "a\x00b")),
    "a-new-line-in-a-note": hostile("characters", "U+000A", put("entry.note", "a\n::set-output name=x::y")),
    "a-hard-space": hostile("characters", "U+00A0", put("entry.authors", "Ann\u00a0Author")),
    "a-letter-that-is-blank": hostile("characters", "U+3164", put("entry.authors", "\u3164")),
    "a-selector-of-another-look": hostile("characters", "U+FE0F", put("entry.note", "x\ufe0f")),
    "full-width-letters": hostile("characters", "U+FF27", name("\uff27ood Net"), also={"name"}),
    "mathematical-letters": hostile("characters", "looks like G", put("entry.paper", "\U0001d406ood")),
    "decomposed": hostile("characters", "NFC", put("entry.authors", "Jo\u0308rg")),
    "stacked-marks": hostile("characters", "more than 2 marks", put("entry.note", "x\u0338\u0337\u0336")),
    "hidden-in-a-key": hostile("characters", "a key of runs.0.result.libraries", result("libraries.a\u202e", "1")),
    "hidden-in-the-hardware": hostile("characters", "hardware.cpu", result("hardware.cpu", "a\u200d")),
    "a-cyrillic-letter-in-a-word": hostile("scripts", "Cyrillic and Latin", put("entry.authors", "\u0410nn")),
    "a-cyrillic-letter-in-the-name": hostile("scripts", "Cyrillic and Latin", name("G\u043eod Net"), also={"name"}),
    "a-greek-letter-in-a-word": hostile("scripts", "Greek and Latin", put("entry.paper", "Fusi\u03bfn")),
    "a-name-in-cyrillic": hostile("name", "\\u0425", name("\u0425\u043e\u0440\u043e\u0448\u043e")),
    "a-script-as-a-name": hostile("name", "'<'", name("<script>alert(1)</script>")),
    "a-name-without-a-letter": hostile("name", "no letter", name("42 - 1")),
    "an-emoji-as-a-name": hostile("name", "\\U0001f3c6", name("Best \U0001f3c6")),
    "markup-in-the-authors": hostile("text", "angle brackets", put("entry.authors", "<img src=x onerror=alert(1)>")),
    "a-long-text-in-the-hardware": hostile("hardware", "200", result("hardware.cpu", "x" * 900)),
    "a-formula-as-a-name": hostile("name", "begins with '+'", name("+cmd (1)")),
    "a-formula-in-a-note": hostile("text", "spreadsheet", put("entry.note", "=HYPERLINK(1)")),
    "a-long-text": hostile("text", "3,000", result("hardware.cpu", "\u00e9" * 3000), also={"hardware"}),
    "a-paper-that-is-none": hostile("paper", "no such paper", put("entry.paper_key", "nature")),
    "a-space-at-the-end": hostile("spaces", "entry.name", name("Good Net ")),
    "two-spaces": hostile("spaces", "entry.name", name("Good  Net")),
    "two-bibtex-entries": hostile("bibtex", "more than one", put("entry.bibtex", "@misc{a, x={1}}\n@misc{b, x={2}}")),
    "a-command-in-bibtex": hostile(
        "bibtex", "input", put("entry.bibtex", "@misc{a, title={\\input{/etc/passwd}}}"), also={"local-path"}
    ),
    "bibtex-left-open": hostile("bibtex", "unpaired", put("entry.bibtex", "@misc{a, title={x}")),
    "something-behind-bibtex": hostile("bibtex", "behind", put("entry.bibtex", "@misc{a, x={1}} and more")),
    "no-bibtex": hostile("bibtex", "does not begin", put("entry.bibtex", "@preamble{x}")),
    "an-address-of-numbers": hostile("url", "no public host", put("entry.code_url", "https://127.0.0.1/x")),
    "an-address-of-one-number": hostile("url", "no public host", put("entry.code_url", "https://2130706433/x")),
    "this-machine": hostile("url", "no public host", put("entry.paper_url", "https://localhost/x")),
    "an-internal-host": hostile("url", "no public host", put("entry.paper_url", "https://metadata.internal/x")),
    "a-port": hostile("url", "port", put("entry.paper_url", "https://arxiv.org:8443/x")),
    "punycode": hostile("url", "punycode", put("entry.paper_url", "https://xn--rxiv-7cd.org/x")),
    "a-folder-of-somebody": hostile("local-path", "/home/ann", put("entry.note", "weights in /home/ann/runs")),
    "a-folder-in-a-setting": hostile("local-path", "/data/x", model(settings=["model.file=/data/x/y"])),
    "a-folder-of-windows": hostile("local-path", "C:", result("hardware.cpu", "C:\\Users\\ann")),
    "a-file-url": hostile("local-path", "file:", put("entry.note", "see file:///etc/passwd")),
}

OF_FORM = FORM | TEXTS
