"""Texts of a row that are HTML come out as texts, whatever field they are in."""

import re
from pathlib import Path

import pytest

from board_cases import add_row, edited, empty_board, make_row
from rgbt_bench.errors import BadInputError
from rgbt_bench.files import json_bytes
from rgbt_bench.leaderboard import site as pages
from rgbt_bench.leaderboard.board import Proof
from rgbt_bench.leaderboard.rows import parse_row
from rgbt_bench.leaderboard.site.building import build
from rgbt_bench.leaderboard.site.links import Page, outside, paper_page, track_page
from site_cases import HOSTILE, parse, poisoned, timed

FOLDER = Path(pages.__file__).parent
ON = "flir/detection-rgbt"


def poisoned_board(folder, text):
    """A board with two rows whose every string is `text`: one stays on its track, the other's track is the text."""
    board = empty_board(folder)
    for name in ("stays", "strays"):
        urls = {"paper_url": "https://example.org/a", "code_url": "https://example.org/b"}
        made = make_row(name, recipe="ffkd-student", seeds=(0, 1), paper="p", bibtex="b", note="n", **urls)
        row, count = poisoned(timed(made, {"gpu": 0.01}), text)
        runs = tuple(run.model_copy(update={"resamples": first.resamples}) for run, first in
                     zip(row.runs, make_row(name, seeds=(0, 1)).runs, strict=True))  # fmt: skip
        if name == "stays":
            runs = tuple(run.model_copy(update={"result": run.result.model_copy(update={"track": ON})}) for run in runs)
        row = add_row(board, row.model_copy(update={"runs": runs}))
        proof = Proof(row=text, row_digest=row.digest, kind="rescored", rgbt_bench=text, created=text,
                      libraries={text: text}, note=text)  # fmt: skip
        board.proof_file(name).parent.mkdir(exist_ok=True)
        board.proof_file(name).write_bytes(json_bytes(proof.model_dump(mode="json")))
    return board, count


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """The same board twice: with harmless texts and with hostile ones."""
    made = []
    for text in ("harmless words", HOSTILE):
        folder = tmp_path_factory.mktemp("poisoned")
        board, count = poisoned_board(folder / "board", text)
        assert count > 100  # strings and keys
        build(folder / "site", board.root)
        made.append(folder / "site")
    return made


def shape(path):
    """What a page is made of, without its texts: every element with its attributes' names, and classes."""
    return [(tag, tuple(values), values.get("class")) for tag, values in parse(path).elements]


def test_hostile_texts_make_no_element_and_no_attribute(sites):
    harmless, hostile = sites
    names = sorted(path.relative_to(harmless) for path in harmless.rglob("*.html"))
    assert names == sorted(path.relative_to(hostile) for path in hostile.rglob("*.html"))
    assert [name for name in names if shape(harmless / name) != shape(hostile / name)] == []


@pytest.mark.parametrize("page", ["v1/rows/stays.html", "v1/rows/strays.html", f"v1/{ON}/index.html", "v1/index.html"])
def test_hostile_texts_are_there_as_texts(sites, page):
    found = parse(sites[1] / page)
    assert HOSTILE in found.text
    assert not found.inline
    assert all(not (values.get("src") or "").startswith("x") for _, values in found.elements)
    assert all(not name.startswith("on") for _, values in found.elements for name in values)


def test_every_address_is_of_the_site_or_https(sites):
    for path in sites[1].rglob("*.html"):
        for target in (*parse(path).targets, *parse(path).sources):
            assert re.fullmatch(r"https://[^\s\"'<>]+|[A-Za-z0-9._/-]*(#[A-Za-z0-9._-]+)?", target), (path, target)


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "http://example.org", "https://a b", 'https://a/"onclick="x', "https://a/<b>", "//x", "",
     "data:text/html,x", "https://a/\nb", "https://user@host/", "HTTPS://A\\b"],
)  # fmt: skip
def test_an_address_that_is_not_plainly_https_is_no_link(url):
    assert outside(url) is None


def test_names_that_are_no_folders_make_no_page():
    for track in ("../../etc/x", "a/b/c", "a", "A/b", 'a/"b', "a/.."):
        with pytest.raises(BadInputError):
            track_page("v1", track)
    for key in ("../x", "index", "a/b", ""):
        with pytest.raises(BadInputError):
            paper_page(key)


def test_links_are_relative_and_quoted():
    assert Page("v1/rows/a.html").to("assets/site.css") == "../../assets/site.css"
    assert Page("index.html").to("v1/index.html") == "v1/index.html"
    assert Page("papers/a.html").to("papers/a.html#table-1") == "#table-1"
    assert Page("papers/a.html").to('papers/b.html#"><b>') == "b.html#%22%3E%3Cb%3E"


def test_a_row_in_a_file_of_a_hostile_name_builds_nothing(tmp_path):
    board = empty_board(tmp_path / "board")
    build(tmp_path / "site", board.root)
    before = sorted(tmp_path.joinpath("site").rglob("*"))
    (board.folder / "rows" / "<img src=x onerror=alert(1)>.json").write_bytes(edited(make_row("a-row")))
    with pytest.raises(BadInputError, match="a row's file is called as the row"):
        build(tmp_path / "site", board.root)
    assert sorted(tmp_path.joinpath("site").rglob("*")) == before
    for name in ("../up", "a/b", "<b>", "a.b", ""):
        with pytest.raises(BadInputError, match="not a row"):
            parse_row(edited(make_row("a-row"), id=name), "it")


@pytest.mark.parametrize("path", sorted((FOLDER / "templates").iterdir()), ids=lambda path: path.name)
def test_no_template_turns_escaping_off_or_leaves_an_attribute_unquoted(path):
    text = path.read_text()
    assert not re.search(r"\|\s*safe\b|autoescape|Markup|forceescape", text)
    assert not re.search(r"=\s*\{[{%]", re.sub(r"\{%.*?%\}", "", text, flags=re.DOTALL))
    assert not re.search(r"<(script|style)[^>]*>[^<]", text)


def test_no_module_makes_html_by_itself():
    for path in FOLDER.glob("*.py"):
        text = path.read_text()
        assert "Markup" not in text, path
        assert not re.search(r"[\"'f]<[a-z/]", text), path
