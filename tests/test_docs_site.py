"""The documentation as a site: built as it is published, complete, and without anything from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("material", reason="needs mkdocs-material, which the extra docs brings")

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://git.invalid/owner/name"
LOADING = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
KINDS = ["tutorial", "how-to", "reference", "explanation", "measurements"]


def build(out, config=ROOT / "mkdocs.yml", **environment):
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(out),
    ]
    clean = {name: value for name, value in os.environ.items() if name != "DOCS_REPOSITORY"}
    return subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "docs"
    done = build(out, DOCS_REPOSITORY=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return out


class Page(HTMLParser):
    """The addresses that a page loads, those that it links to, its ids and its text."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.ids, self.navigation = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids |= {values["id"]} if "id" in values else set()
        self.loads += [value for name, value in attrs if (tag, name) in LOADING]
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
            if "md-nav__link" in (values.get("class") or ""):
                self.navigation.append(values["href"])


def sources():
    return sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))


def page_of(site, source):
    return site / (source.parent / "index.html" if source.name == "README.md" else source.with_suffix(".html"))


def test_every_page_is_on_the_site_and_in_its_navigation(site):
    home = Page(site / "index.html")
    listed = {(site / link).resolve() for link in home.navigation}
    assert [str(source) for source in sources() if page_of(site, source).resolve() not in listed] == []


def test_the_navigation_begins_with_the_board_and_goes_from_learning_to_reference(site):
    board, *pages = [link for link in Page(site / "index.html").navigation if not link.startswith("#")]
    assert board == "../index.html"
    folders = [link.partition("/")[0] for link in pages if "/" in link]
    assert sorted(set(folders), key=folders.index) == KINDS
    assert folders == sorted(folders, key=KINDS.index)


def test_no_page_loads_anything_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(sources()) - 1
    elsewhere = {load for path in pages for load in Page(path).loads if urlsplit(load).scheme or load.startswith("//")}
    assert elsewhere == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\([\"']?(?:https?:)?//[^)]*", styles) == []


def test_every_link_within_the_site_leads_somewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    broken = []
    for path, page in pages.items():
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme or target == site.parent / "index.html":
                continue
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in pages[target].ids):
                broken.append((path.name, link))
    assert broken == []


def test_what_serves_the_build_is_not_published(site):
    assert [path.name for path in site.rglob("hooks*")] == []


def test_a_link_that_leaves_the_documentation_points_at_the_repository(site):
    links = [link for path in site.rglob("*.html") for link in Page(path).links if link.startswith(REPOSITORY)]
    assert f"{REPOSITORY}/blob/main/baselines/tardal/README.md" in links
    for link in links:
        assert (ROOT / link.removeprefix(f"{REPOSITORY}/blob/main/")).is_file(), link


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium, which .ci/run installs")
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright, which the extra dev brings")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium)
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(site):
    """Serve the site as it is published: under /docs/, beside the board."""
    handler = partial(QuietHandler, directory=str(site.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/docs"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def save_screenshot(page, name):
    if os.environ.get("RGBT_BENCH_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["RGBT_BENCH_SCREENSHOTS"]) / f"docs-{name}.png")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["how-to/add-a-dataset", "measurements/fusion"])
def test_everybody_can_read_a_page_and_it_asks_for_nothing_from_elsewhere(address, browser, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{address}/{name}.html")
    found = axe.run(page).response["violations"]
    save_screenshot(page, f"{name.replace('/', '-')}-{scheme}")
    page.close()
    assert [url for url in asked if not url.startswith(address)] == []
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    assert complaints == []


def test_the_search_finds_a_word_of_a_page(address, browser):
    page = browser.new_page()
    page.goto(f"{address}/index.html", wait_until="networkidle")
    page.locator("input[name=query]").press_sequentially("fingerprint")
    page.wait_for_selector(".md-search-result__item", timeout=15_000)
    save_screenshot(page, "search")
    found = page.locator(".md-search-result__link").evaluate_all("links => links.map(link => link.href)")
    page.close()
    assert any(link.startswith(f"{address}/reference/schema.html") for link in found)


@pytest.fixture
def copy(tmp_path):
    """Return the root of a small copy, where pages can be written."""
    root = tmp_path / "copy"
    (root / "docs" / "how-to").mkdir(parents=True)
    (root / "baselines").mkdir()
    (tmp_path / "above.md").write_text("# Not of the repository\n", encoding="utf-8")
    (root / "baselines" / "README.md").write_text("# Baselines\n", encoding="utf-8")
    shutil.copy(ROOT / "mkdocs.yml", root)
    for name in ("hooks.py", "site.css", "site.js"):
        shutil.copy(ROOT / "docs" / name, root / "docs")
    (root / "docs" / "README.md").write_text("# Start\n", encoding="utf-8")
    return root


def build_page(root, text, **environment):
    (root / "docs" / "how-to" / "page.md").write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    done = build(root / "out", root / "mkdocs.yml", **environment)
    page = root / "out" / "how-to" / "page.html"
    return done, page.read_text(encoding="utf-8") if page.is_file() else ""


def test_without_a_repository_a_link_that_leaves_the_documentation_names_its_file(copy):
    done, page = build_page(copy, "See [the baselines](../../baselines/README.md#x).")
    assert done.returncode == 0, done.stderr
    assert "See the baselines (<code>baselines/README.md</code>)." in page


def test_a_link_to_a_folder_points_at_its_tree(copy):
    done, page = build_page(copy, "[All](../../baselines)", DOCS_REPOSITORY=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert f'href="{REPOSITORY}/tree/main/baselines"' in page


BROKEN = {
    "[gone](../../baselines/gone.md)": "../../baselines/gone.md leads to nothing",
    "[above](../../../above.md)": "../../../above.md leads to nothing",
    "[gone](gone.md)": "'gone.md'",
    "[no such part](../README.md#none)": "'../README.md#none'",
    "[absolute](/docs/README.md)": "'/docs/README.md'",
}


def test_links_that_lead_nowhere_fail_the_build_and_each_is_named(copy):
    done, _ = build_page(copy, "\n\n".join(BROKEN), DOCS_REPOSITORY=REPOSITORY)
    assert done.returncode != 0
    assert [named for named in BROKEN.values() if named not in done.stderr] == []
    assert done.stderr.count("WARNING -") == len(BROKEN)
