"""The rules of the house, as checks over the sources."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("rgbt_bench", "converters", "baselines", "leaderboards")
OTHERS = {"rgbt_converters", "rgbt_baselines", "converters", "baselines"}
MAX_LINES = 400
MAX_FUNCTION = 60
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# What reads or writes a file, in our core or in Python.
FILE_ROOMS = ("files", "paths", "datasets", "harness", "scoring", "pictures", "results", "runs", "recipes", "registry")
FILE_MODULES = {"pathlib", "os", "shutil", "tempfile", "json", "ruamel", "pyarrow", "PIL", "urllib"} | {
    f"rgbt_bench.{name}" for name in (*FILE_ROOMS, "converting", "cli")
}
FILE_CALLS = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "load", "save", "fromfile", "tofile"}


def sources(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def label(path):
    return path.relative_to(ROOT).as_posix()


def imported(path):
    """Yield the full name of every module that a file imports, wherever in it; relative imports are left out."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_in(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", sources("rgbt_bench"), ids=label)
def test_the_core_imports_no_converter_and_no_baseline(path):
    assert [module for module in imported(path) if is_in(module, OTHERS)] == []


@pytest.mark.parametrize("path", sources("converters", "baselines"), ids=label)
def test_a_plug_in_imports_the_core_and_itself_alone(path):
    assert [module for module in imported(path) if is_in(module, {*OTHERS, "rgbt_leaderboards"})] == []


@pytest.mark.parametrize("path", sources("converters"), ids=label)
def test_a_converter_imports_no_torch(path):
    assert [module for module in imported(path) if is_in(module, {"torch", "torchvision", "timm"})] == []


def test_converting_loads_no_torch():
    code = """
    import sys
    from rgbt_bench import registry
    assert len([registry.load_converter(name) for name in registry.converters()]) > 1
    import rgbt_bench.converting, rgbt_bench.datasets.writer, rgbt_bench.datasets.inspecting
    print(*[name for name in ("torch", "torchvision", "timm") if name in sys.modules])
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize("path", sources("rgbt_bench/metrics"), ids=label)
def test_a_metric_reads_no_file(path):
    assert [module for module in imported(path) if is_in(module, FILE_MODULES)] == []
    assert [module for module in imported(path) if module.rpartition(".")[2].startswith(("read_", "write_"))] == []
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    names = {func.id if isinstance(func, ast.Name) else getattr(func, "attr", "") for func in calls}
    assert names & FILE_CALLS == set()


def known_elsewhere():
    """The names that only plug-ins and data may know: of datasets, baselines and papers."""
    datasets = {path.stem for path in (ROOT / "converters").glob("[!_]*.py")}
    methods = {path.parent.name for path in (ROOT / "baselines").glob("*/recipes")}
    papers = {path.stem for path in (ROOT / "leaderboards" / "papers").glob("*.yaml")}
    formats = {path.stem for path in (ROOT / "rgbt_bench" / "formats").glob("*.py")}  # one is called as a method is
    return (datasets | methods | papers) - formats


# Protocols are called after the toolkit that defines them, and so are the modules that compute them.
PROTOCOL_NAMES = re.compile(r"visdrone-(official|clean)|rgbt_bench\.(metrics|protocols)\.visdrone\b")


def words_of_code(path):
    """Yield the identifiers and texts of a file, but not what is written for people: docstrings and `help=`."""
    module = tree(path)
    written_for_people = set()
    for node in ast.walk(module):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and ast.get_docstring(node):
            written_for_people.add(id(node.body[0].value))
        elif isinstance(node, ast.keyword) and node.arg == "help":
            written_for_people |= {id(inner) for inner in ast.walk(node.value)}
    for node in ast.walk(module):
        if id(node) in written_for_people:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        for field in ("id", "attr", "name", "arg", "module"):
            if isinstance(getattr(node, field, None), str):
                yield getattr(node, field)


@pytest.mark.parametrize("path", sources("rgbt_bench"), ids=label)
def test_the_core_names_no_dataset_and_no_paper(path):
    names = known_elsewhere()
    assert {"flir", "ffkd"} <= names
    texts = [PROTOCOL_NAMES.sub("", text.lower()) for text in words_of_code(path)]
    found = {name for text in texts for name in re.findall(r"[a-z0-9]+", text) if name in names}
    assert found == set()


def test_only_what_computes_a_protocol_and_lists_it_is_called_as_its_dataset_is():
    named = [path for path in sources("rgbt_bench") if any(map(PROTOCOL_NAMES.search, words_of_code(path)))]
    assert {label(path) for path in named} == {
        "rgbt_bench/metrics/visdrone.py",
        "rgbt_bench/protocols/visdrone.py",
        "rgbt_bench/protocols/registry.py",
        "rgbt_bench/leaderboard/tracks.py",
    }


def test_the_cores_templates_name_no_dataset_and_no_paper():
    pattern = re.compile("|".join(map(re.escape, known_elsewhere())), re.IGNORECASE)
    texts = [path for path in (ROOT / "rgbt_bench").rglob("*") if path.suffix in {".jinja", ".html", ".css", ".md"}]
    assert texts
    assert [label(path) for path in texts if pattern.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=label)
def test_files_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    lengths = {
        node.name: node.end_lineno - node.lineno + 1 for node in ast.walk(tree(path)) if isinstance(node, FUNCTIONS)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION} == {}


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=label)
def test_nothing_that_is_read_can_run_code(path):
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        where = f"{label(path)}:{node.lineno}: {name}"
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", where
        assert keywords.get("allow_pickle") != "True", where
        assert name not in {"eval", "exec", "compile", "__import__"}, where
        if name == "YAML":
            assert keywords.get("typ") in {"'safe'", "'rt'"}, where
    assert [module for module in imported(path) if is_in(module, {"pickle", "marshal", "shelve", "yaml", "dill"})] == []


@pytest.mark.parametrize("path", sources(*FOLDERS), ids=label)
def test_no_banner_comments(path):
    banner = re.compile(r"^\s*#\s*([-=#*~_])\1{3,}", re.MULTILINE)
    assert banner.findall(path.read_text(encoding="utf-8")) == []
