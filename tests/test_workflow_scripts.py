"""The scripts of the workflows, run as they are: an entry stays git objects, and what is missing is said."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from rgbt_bench.errors import BadInputError
from workflow_cases import ROOT, load, read, steps

HOSTILE = "$(touch taken)`touch taken`;touch taken|touch taken&&touch taken"
SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]  # what `shell: bash` stands for
FAKE = """#!{python}
import json, os, subprocess, sys
call = {{"arguments": sys.argv[1:], "token": os.environ.get("HF_TOKEN")}}
with open({record!r}, "a") as file:
    file.write(json.dumps(call) + "\\n")
if "--head" in sys.argv:
    head = sys.argv[sys.argv.index("--head") + 1]
    listed = ["git", "diff", "--name-only", "-z", sys.argv[sys.argv.index("--base") + 1] + "..." + head]
    sys.stdout.buffer.write(subprocess.run(listed, capture_output=True, check=True).stdout.replace(b"\\0", b"\\n"))
sys.exit("broken" in sys.argv)
"""


def git(folder, *arguments, text=None):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "init.defaultBranch=main", *arguments]
    done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", HOSTILE)
    return git(folder, "rev-parse", "HEAD")


ROW = "leaderboards/v1/rows/new.json"
ENTRY = {
    ROW: '{"name": "new"}',
    "leaderboards/v1/rows/a\n::warning::taken": "{}",
    "setup.py": "open('taken', 'w')",
    "sitecustomize.py": "open('taken', 'w')",
    "rgbt-bench": "#!/bin/sh\ntouch taken\n",
    ".gitattributes": "* filter=taken\n",
    ".githooks/post-checkout": "#!/bin/sh\ntouch taken\n",
}


class Forge:
    """A repository as a forge serves it, a pull request to it, and the checkout that a workflow begins with."""

    def __init__(self, tmp_path):
        self.origin, self.author = tmp_path / "origin.git", tmp_path / "author"
        self.work, self.record = tmp_path / "work", tmp_path / "record.jsonl"
        git(tmp_path, "init", "--quiet", "--bare", str(self.origin))
        git(tmp_path, "clone", "--quiet", str(self.origin), str(self.author))
        git(self.author, "checkout", "--quiet", "-b", "main")
        commit(self.author, {"leaderboards/v1/rows/old.json": "{}", "pyproject.toml": "[project]"})
        git(self.author, "push", "--quiet", "origin", "main")
        git(self.author, "checkout", "--quiet", "-b", "$(touch${IFS}taken)")
        self.head = commit(self.author, ENTRY)
        git(self.author, "push", "--quiet", "origin", "HEAD:refs/pull/7/head")
        git(self.author, "checkout", "--quiet", "main")
        self.base = commit(self.author, {"leaderboards/v1/rows/later.json": "{}"})
        git(self.author, "push", "--quiet", "origin", "main")
        git(tmp_path, "clone", "--quiet", str(self.origin), str(self.work))
        self.bin = tmp_path / "bin"
        self.bin.mkdir()
        (self.bin / "rgbt-bench").write_text(
            FAKE.format(python=sys.executable, record=str(self.record)), encoding="utf-8"
        )
        (self.bin / "rgbt-bench").chmod(0o755)

    def run(self, script, **environment):
        path = self.bin / "script.sh"
        path.write_text(script, encoding="utf-8")
        search = {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.bin)}
        return subprocess.run(
            [*SHELL, str(path)],
            cwd=self.work,
            env={**search, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self):
        return [json.loads(line) for line in self.record.read_text().splitlines()] if self.record.exists() else []

    def taken(self):
        """Return what a pull request got into the working copy, or did anywhere near it."""
        status = git(self.work, "status", "--porcelain", "--ignored")
        moved = [] if git(self.work, "rev-parse", "HEAD") == self.base else ["HEAD"]
        return [*moved, *status.splitlines(), *self.work.parent.rglob("taken")]


@pytest.fixture
def forge(tmp_path):
    return Forge(tmp_path)


def step_of(name, words):
    return next(step for _, step in steps(load(read(name))) if words in step.get("run", ""))


CHECK = step_of("submission.yml", "leaderboard check")
PULL = step_of("verify.yml", "rgbt-bench pull")


def environment_of(step, event):
    """Return a step's environment as the runner fills it in from an event."""

    def value(found):
        node = {"github": {"event": event}}
        for key in found[1].split("."):
            node = node[key]
        return str(node)

    return {name: re.sub(r"\$\{\{ ([\w.]+) \}\}", value, text) for name, text in step["env"].items()}


def pull_request(head, number=7):
    reference = {"ref": HOSTILE, "sha": head, "label": HOSTILE, "repo": {"full_name": HOSTILE}}
    return {"pull_request": {"number": number, "title": HOSTILE, "body": HOSTILE, "head": reference}}


def test_an_entry_is_fetched_and_checked_as_git_objects_alone(forge):
    environment = environment_of(CHECK, pull_request(forge.head))
    assert environment == {"NUMBER": "7", "HEAD_SHA": forge.head}
    done = forge.run(CHECK["run"], **environment)
    assert done.returncode == 0, done.stderr
    assert [call["arguments"] for call in forge.calls()] == [
        ["leaderboard", "check", "--base", forge.base, "--head", forge.head]
    ]
    assert forge.taken() == []
    assert git(forge.work, "cat-file", "blob", f"{forge.head}:{ROW}") == ENTRY[ROW]


def test_only_what_the_entry_brings_differs_although_main_has_gone_on(forge):
    done = forge.run(CHECK["run"], **environment_of(CHECK, pull_request(forge.head)))
    assert ROW in done.stdout
    assert "later.json" not in done.stdout


def test_a_file_named_like_a_command_to_the_runner_is_none(forge):
    done = forge.run(CHECK["run"], **environment_of(CHECK, pull_request(forge.head)))
    first, *rest = done.stdout.splitlines()
    assert re.fullmatch(r"::stop-commands::[0-9a-f-]{36}", first)
    assert "::warning::taken" in rest
    again = forge.run(CHECK["run"], **environment_of(CHECK, pull_request(forge.head)))
    assert again.stdout.splitlines()[0] != first


@pytest.mark.parametrize(
    "number", ["7; touch taken", "$(touch taken)", "7/head:refs/heads/main #", "--upload-pack=touch taken", "", "8"]
)
def test_a_number_that_is_none_fetches_nothing(forge, number):
    done = forge.run(CHECK["run"], **environment_of(CHECK, pull_request(forge.head, number)))
    assert done.returncode != 0
    assert (forge.calls(), forge.taken()) == ([], [])
    assert git(forge.work, "branch", "--list") == "* main"


def test_a_pull_request_that_changed_meanwhile_is_not_judged_by_its_old_commit(forge):
    done = forge.run(CHECK["run"], **environment_of(CHECK, pull_request(forge.base)))
    assert done.returncode == 1
    assert "newer commit" in done.stderr
    assert forge.calls() == []


@pytest.mark.parametrize("name", [".git", "..", ".GIT"])
def test_a_tree_that_git_itself_finds_malformed_is_refused(forge, name):
    blob = git(forge.author, "hash-object", "-w", "--stdin", text="x")
    entry = f"100644 {name}\0".encode() + bytes.fromhex(blob)
    write = ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"]
    tree = subprocess.run(write, cwd=forge.author, input=entry, capture_output=True, check=True).stdout.decode().strip()
    head = git(forge.author, "commit-tree", tree, "-p", forge.base, "-m", "x")
    git(forge.author, "push", "--quiet", "origin", f"{head}:refs/pull/9/head")
    done = forge.run(CHECK["run"], **environment_of(CHECK, pull_request(head, 9)))
    assert done.returncode != 0
    assert "hasDotgit" in done.stderr or "hasDotdot" in done.stderr
    assert forge.calls() == []


def test_the_check_itself_reads_a_hostile_entry_so_and_refuses_it(forge):
    frozen = "leaderboards/v1/leaderboard.yaml"
    commit(forge.author, {frozen: (ROOT / frozen).read_text(encoding="utf-8")})
    git(forge.author, "push", "--quiet", "origin", "main")
    head = commit(forge.author, {ROW: '{"id": "new", "__import__": "os"}', "conftest.py": "open('taken', 'w')"})
    git(forge.author, "push", "--quiet", "origin", "HEAD:refs/pull/8/head")
    git(forge.work, "pull", "--quiet")
    forge.base = git(forge.work, "rev-parse", "HEAD")
    ours = forge.bin / "rgbt-bench"
    ours.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m rgbt_bench "$@"\n', encoding="utf-8")
    done = forge.run(CHECK["run"], **environment_of(CHECK, pull_request(head, 8)))
    assert done.returncode == BadInputError.exit_code, done.stderr
    assert ROW in done.stdout + done.stderr
    assert "conftest.py" in done.stdout + done.stderr
    assert forge.taken() == []


@pytest.mark.parametrize("fault", ["git checkout --quiet FETCH_HEAD", 'git show "FETCH_HEAD:setup.py" > setup.py'])
def test_a_script_that_takes_files_of_the_entry_is_found(forge, fault):
    done = forge.run(f"{CHECK['run']}\n{fault}\n", **environment_of(CHECK, pull_request(forge.head)))
    assert done.returncode == 0, done.stderr
    assert forge.taken() != []


def test_an_interpolated_title_would_be_found(forge):
    script = f"echo {HOSTILE}\n{CHECK['run']}"
    forge.run(script, **environment_of(CHECK, pull_request(forge.head)))
    assert forge.taken() != []


def test_every_listed_set_is_pulled_by_the_one_step_that_holds_the_token(forge):
    (forge.work / "owner").mkdir()
    done = forge.run(PULL["run"], HF_TOKEN="hf_x", SETS="owner/flir  owner/mfnet@0123abc\n  owner/*  ")
    assert done.returncode == 0, done.stderr
    assert [call["arguments"] for call in forge.calls()] == [
        ["pull", "owner/flir"],
        ["pull", "owner/mfnet@0123abc"],
        ["pull", "owner/*"],
    ]
    assert {call["token"] for call in forge.calls()} == {"hf_x"}
    assert "hf_x" not in done.stdout + done.stderr


@pytest.mark.parametrize(("token", "sets"), [("", "owner/flir"), ("hf_x", ""), ("", "")])
def test_without_a_token_or_a_list_it_says_that_rows_stay_measured(forge, token, sets):
    done = forge.run(PULL["run"], HF_TOKEN=token, SETS=sets)
    assert (done.returncode, forge.calls()) == (0, [])
    assert re.fullmatch(r"::warning::.*stay measured\n", done.stdout)


def test_a_set_that_cannot_be_pulled_stops_the_proof(forge):
    done = forge.run(PULL["run"], HF_TOKEN="hf_x", SETS="broken owner/flir")
    assert done.returncode != 0
    assert len(forge.calls()) == 1
