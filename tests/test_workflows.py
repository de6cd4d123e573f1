"""The workflows: pinned, with the least rights, without a way in for a pull request; and faults in them are found."""

import re
import tomllib
from pathlib import PurePosixPath

import pytest

from workflow_cases import FOLDER, NAMES, ROOT, ZIZMOR, audit, faults, load, read, scripts, steps, strings

PR_TEXT = "${{ github.event.pull_request.title }}"
BRANCH = "${{ github.head_ref }}"
CHECK = 'rgbt-bench leaderboard check --base "$base"'
PIP = "python -m pip install --quiet --no-cache-dir ."
TOKEN = "${{ secrets.HF_TOKEN }}"
READ = "permissions:\n  contents: read\n"
SETUP = '          python-version: "3.12"\n'

needs_zizmor = pytest.mark.skipif(not ZIZMOR.is_file(), reason="needs zizmor, which the extra dev brings")


def test_the_workflows_are_the_four_that_the_project_has():
    assert NAMES == ["ci.yml", "pages.yml", "submission.yml", "verify.yml"]
    assert sorted(path.name for path in (ROOT / ".github").iterdir()) == ["workflows"]


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_has_no_fault(name):
    assert faults(name, read(name)) == []


@needs_zizmor
def test_zizmor_finds_nothing_at_all():
    assert audit(FOLDER) == []


def test_an_action_is_the_same_everywhere():
    pins = {line.split("uses: ")[1] for name in NAMES for line in read(name).splitlines() if "uses: actions/" in line}
    assert len({pin.partition("@")[0] for pin in pins}) == len(pins) > 4


# Each: the workflow, what is changed in it into what, a part of our finding, and zizmor's finding if it has one.
MUTATIONS = {
    "a tag": ("ci.yml", r"checkout@\w{40} # v6.0.2", "checkout@v6", "checkout@v6", "unpinned-uses"),
    "a short SHA": ("ci.yml", r"(checkout@\w{12})\w{28}", r"\1", "not pinned", "unpinned-uses"),
    "no version": ("pages.yml", r" # v8.0.1", "", "download-artifact", None),
    "no permissions": ("submission.yml", re.escape(READ), "", "the default ones", "excessive-permissions"),
    "write-all": ("ci.yml", re.escape(READ), "permissions: write-all\n", "write-all", "excessive-permissions"),
    "a job that writes": (
        "ci.yml",
        r"    timeout-minutes: 30\n    steps",
        "    timeout-minutes: 30\n    permissions: {contents: write}\n    steps",
        "permissions of demo",
        None,
    ),
    "the build may publish": ("pages.yml", r"contents: read", "pages: write", "permissions of build", None),
    "the target's rights": (
        "submission.yml",
        "  pull_request:",
        "  pull_request_target:",
        "trigger",
        "dangerous-triggers",
    ),
    "after another run": (
        "verify.yml",
        "  workflow_dispatch:",
        "  workflow_run: {workflows: [ci]}",
        "trigger",
        "dangerous-triggers",
    ),
    "a title in a script": ("submission.yml", re.escape(PIP), f"echo {PR_TEXT}", "an expression", "template-injection"),
    "a branch in a script": ("ci.yml", "make demo", f"make demo {BRANCH}", "an expression", "template-injection"),
    "a number in a script": (
        "submission.yml",
        r"pull/\$NUMBER",
        "pull/${{ github.event.pull_request.number }}",
        "an expression",
        "template-injection",
    ),
    "an old command": ("ci.yml", "make demo", "echo ::set-output name=x::y", "set-output", None),
    "pip's cache": ("pages.yml", re.escape(SETUP), f"{SETUP}          cache: pip\n", "a cache", None),
    "a cache": ("verify.yml", r"actions/upload-artifact@", "actions/cache@", "actions/cache", None),
    "the token stays": ("ci.yml", "persist-credentials: false", "fetch-depth: 1", "leaves the token", "artipacked"),
    "the head is checked out": (
        "submission.yml",
        "ref: main",
        "ref: ${{ github.event.pull_request.head.sha }}",
        "may be of a pull request",
        None,
    ),
    "a secret elsewhere": (
        "submission.yml",
        r"NUMBER: \$\{\{.*",
        f"NUMBER: {TOKEN}",
        "a secret in submission.yml",
        "secrets-outside-env",
    ),
    "a secret without its environment": (
        "verify.yml",
        "    environment: verification\n",
        "",
        "not only main",
        "secrets-outside-env",
    ),
    "a secret for any branch": ("verify.yml", r"github\.ref == 'refs/heads/main'", "true", "not only main", None),
    "a secret for main or anybody": ("verify.yml", r"(refs/heads/main') &&", r"\1 ||", "not only main", None),
    "a secret on pull requests": (
        "verify.yml",
        "  workflow_dispatch:",
        "  pull_request:",
        "a secret in verify.yml",
        None,
    ),
    "a secret for every job": (
        "verify.yml",
        r"permissions: \{\}",
        f"permissions: {{}}\nenv: {{T: '{TOKEN}'}}",
        "every job",
        None,
    ),
    "all secrets handed on": (
        "verify.yml",
        r"(uses: \$/.*)",
        r"\1\n    secrets: inherit",
        "not only main",
        "secrets-inherit",
    ),
    "any machine": ("ci.yml", "ubuntu-24.04", "self-hosted", "named machine", "self-hosted-runner"),
    "no end": ("submission.yml", "    timeout-minutes: 15\n", "", "no time limit", None),
}


def mutated(case):
    name, old, new, *_ = MUTATIONS[case]
    text, count = re.subn(old, new, read(name), count=1)
    assert count == 1, f"{name} no longer holds {old}"
    return name, text


@pytest.mark.parametrize("case", MUTATIONS)
def test_a_fault_is_found(case):
    name, text = mutated(case)
    found = faults(name, text)
    assert any(MUTATIONS[case][3] in fault for fault in found), found


@needs_zizmor
@pytest.mark.parametrize("case", [case for case, mutation in MUTATIONS.items() if mutation[4]])
def test_zizmor_finds_the_fault_too(case, tmp_path):
    name, text = mutated(case)
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / name).write_text(text, encoding="utf-8")
    assert MUTATIONS[case][4] in audit(folder)


def test_what_is_published_was_proved_in_the_same_run():
    verify, pages = load(read("verify.yml")), load(read("pages.yml"))
    assert list(pages["on"]) == ["workflow_call"], "nothing else may publish"
    assert {"push", "schedule", "workflow_dispatch"} == set(verify["on"])
    assert verify["on"]["push"] == {"branches": ["main"]}
    publish = verify["jobs"]["publish"]
    assert (publish["needs"], publish["uses"]) == ("verify", "$/.github/workflows/pages.yml")
    assert "if" not in publish, "a failed proof must keep the old site"
    assert pages["jobs"]["deploy"]["needs"] == "build"


def test_the_token_is_in_the_environment_of_one_step_alone():
    holders = [(job, step) for job, step in steps(load(read("verify.yml"))) if "HF_TOKEN" in str(step)]
    assert [(job, list(step["env"])) for job, step in holders] == [("verify", ["HF_TOKEN", "SETS"])]


def test_the_proofs_land_where_they_were_written():
    up = next(step["with"] for _, step in steps(load(read("verify.yml"))) if "upload-artifact" in step.get("uses", ""))
    down = next(step["with"] for _, step in steps(load(read("pages.yml"))) if "download" in step.get("uses", ""))
    assert up["name"] == down["name"]
    # An artefact keeps the folders from the first wildcard on.
    kept = PurePosixPath("leaderboards/v1/proofs/row.json").relative_to(up["path"].partition("/*")[0])
    assert f"{down['path']}/{kept}" == "leaderboards/v1/proofs/row.json"


def test_a_board_without_a_proof_is_built_too():
    verify, pages = load(read("verify.yml"))["jobs"], load(read("pages.yml"))
    upload = next(step for step in verify["verify"]["steps"] if "upload-artifact" in step.get("uses", ""))
    assert (upload["id"], upload["with"]["if-no-files-found"]) == ("proofs", "warn")
    assert verify["verify"]["outputs"] == {"proofs": "${{ steps.proofs.outputs.artifact-id }}"}
    assert verify["publish"]["with"] == {"proofs": "${{ needs.verify.outputs.proofs }}"}
    assert list(pages["on"]["workflow_call"]["inputs"]) == ["proofs"]
    download = next(step for _, step in steps(pages) if "download" in step.get("uses", ""))
    assert download["if"] == "inputs.proofs != ''"


def test_the_board_is_built_before_the_documentation_that_lies_in_it():
    build = [step for job, step in steps(load(read("pages.yml"))) if job == "build"]
    runs = [step["run"] for step in build if "run" in step]
    board = runs.index("rgbt-bench leaderboard build --board leaderboards --docs --out site")
    assert runs[board + 1] == "mkdocs build --strict --site-dir site/docs"
    assert build[-1]["with"] == {"path": "site"}


def test_every_check_keeps_the_screenshots_even_when_it_fails():
    job = load(read("ci.yml"))["jobs"]["test"]
    check, upload = job["steps"][-2:]
    assert check["run"] == "bash .ci/run"
    assert check["env"]["RGBT_BENCH_SCREENSHOTS"] == upload["with"]["path"]
    assert upload["if"] == "always()"
    assert "${{ matrix.python }}" in upload["with"]["name"], "two jobs may not write one artefact"


def test_the_commands_of_the_readme_are_run():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    fresh = readme.partition("## Two commands for a fresh machine")[2].partition("```\n")[2].partition("```")[0]
    named = set(re.findall(r"^make \w+", fresh, re.MULTILINE))
    run = " ".join((*scripts(load(read("ci.yml"))), (ROOT / ".ci" / "run").read_text(encoding="utf-8")))
    assert {"make demo", "make test"} <= named
    assert {command for command in named if command not in run} == set()


def test_every_make_target_and_extra_that_is_named_is_there():
    text = "\n".join(script for name in NAMES for script in scripts(load(read(name))))
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"make (\w+)", text)) <= set(targets)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = {one for found in re.findall(r"\.\[([\w,]+)\]", text) for one in found.split(",")}
    assert asked == {"docs"} <= extras.keys()
    assert (ROOT / ".ci" / "run").is_file()


def test_no_secret_and_no_variable_is_named_but_those_that_are_explained():
    explained = read("verify.yml").partition("\nname:")[0]
    named = {
        found
        for name in NAMES
        for text in strings(load(read(name)))
        for found in re.findall(r"(?:secrets|vars)\.(\w+)", text)
    }
    assert named == {"HF_TOKEN", "VERIFICATION_SETS"}
    assert all(name in explained for name in named)


def test_the_board_that_is_proved_and_published_is_the_checkouts():
    # `pip install .` packages a board without its predictions and proofs.
    about = [
        line
        for name in ("verify.yml", "pages.yml")
        for script in scripts(load(read(name)))
        for line in script.splitlines()
    ]
    about = [line for line in about if re.search(r"rgbt-bench (verify|leaderboard)", line)]
    assert len(about) == 2
    assert [line for line in about if "--board leaderboards" not in line] == []
