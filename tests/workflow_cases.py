"""What our workflows must hold, as checks over their text; each returns the faults that it finds."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(path.name for path in FOLDER.glob("*.y*ml"))
ZIZMOR = Path(sysconfig.get_path("scripts")) / "zizmor"

_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
_OWN = re.compile(r"\$/\.github/workflows/[\w.-]+\.yml")
_ON_MAIN = re.compile(r"github\.ref == 'refs/heads/main'( && [^|]+)?")
# Only these may hold a write token, and only these parts of it.
_WRITING = {("verify.yml", "publish"), ("pages.yml", "deploy")}
_WRITES = {"pages": "write", "id-token": "write"}
_FORBIDDEN_TRIGGERS = {"pull_request_target", "workflow_run", "issue_comment", "issues", "repository_dispatch"}


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def load(text):
    return YAML(typ="safe", pure=True).load(text)


def steps(workflow):
    """Yield the name of the job and the step, of every step."""
    for job_name, job in workflow["jobs"].items():
        yield from ((job_name, step) for step in job.get("steps", []))


def scripts(workflow):
    return [step["run"] for _, step in steps(workflow) if "run" in step]


def strings(node):
    """Yield every key and text of a part of a workflow."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def faults(name, text):
    """Return what is wrong with a workflow, one sentence a fault."""
    workflow = load(text)
    return [
        *_pins(workflow, text),
        *_triggers(workflow),
        *_permissions(name, workflow),
        *_scripts(workflow),
        *_caches(workflow),
        *_checkouts(workflow),
        *_secrets(name, workflow),
        *_jobs(workflow),
    ]


def _pins(workflow, text):
    used = [job["uses"] for job in workflow["jobs"].values() if "uses" in job]
    for action in (*used, *(step["uses"] for _, step in steps(workflow) if "uses" in step)):
        line = re.compile(rf"uses: {re.escape(action)} # v\d+\.\d+\.\d+$", re.MULTILINE)
        if not _OWN.fullmatch(action) and not (_PINNED.fullmatch(action) and line.search(text)):
            yield f"not pinned by a SHA with its version: {action}"


def _triggers(workflow):
    triggers = workflow["on"] if isinstance(workflow["on"], (dict, list)) else [workflow["on"]]
    for trigger in _FORBIDDEN_TRIGGERS & set(triggers):
        yield f"forbidden trigger: {trigger}"


def _permissions(name, workflow):
    if workflow.get("permissions") not in ({}, {"contents": "read"}):
        yield f"permissions of the workflow: {workflow.get('permissions', 'the default ones')}"
    for job_name, job in workflow["jobs"].items():
        allowed = {"contents": "read"} | (_WRITES if (name, job_name) in _WRITING else {})
        asked = job.get("permissions", {})
        if not isinstance(asked, dict) or not asked.items() <= allowed.items():
            yield f"permissions of {job_name}: {asked}"


def _scripts(workflow):
    for script in scripts(workflow):
        yield from (f"an expression in a script: {found}" for found in re.findall(r"\$\{\{.*?\}\}", script))
    for found in sorted(set(re.findall(r"(?:set-output|save-state|set-env|add-path)", " ".join(scripts(workflow))))):
        yield f"a command that the runner takes from any output: {found}"


def _caches(workflow):
    for _, step in steps(workflow):
        if step.get("uses", "").startswith("actions/cache"):
            yield "a cache: actions/cache"
        yield from (f"a cache: {key}" for key in step.get("with", {}) if "cache" in key)


def _checkouts(workflow):
    for job_name, step in steps(workflow):
        options = step.get("with", {})
        if step.get("uses", "").startswith("actions/checkout@"):
            if options.get("persist-credentials") is not False:
                yield f"the checkout of {job_name} leaves the token behind"
            if "pull_request" in workflow["on"] and options.get("ref", "main") != "main":
                yield f"the checkout of {job_name} may be of a pull request: {options['ref']}"


def _secrets(name, workflow):
    for job_name, job in workflow["jobs"].items():
        found = sorted({text for text in strings(job) if re.search(r"\bsecrets\b|github\.token", text)})
        if not found:
            continue
        if name != "verify.yml" or "pull_request" in workflow["on"]:
            yield f"a secret in {name}: {found}"
        if job.get("environment") != "verification" or not _ON_MAIN.fullmatch(job.get("if", "")):
            yield f"a secret of {job_name} that not only main may read: {found}"
    outside = strings({key: value for key, value in workflow.items() if key != "jobs"})
    yield from (f"a secret for every job: {text}" for text in outside if "secrets." in text)


def _jobs(workflow):
    for job_name, job in workflow["jobs"].items():
        if "uses" not in job and not (job.get("runs-on") == "ubuntu-24.04" and "timeout-minutes" in job):
            yield f"{job_name} has no named machine or no time limit"


def audit(folder):
    """Return the identifiers of what zizmor finds in a folder's workflows, with the strictest of its personas."""
    command = [ZIZMOR, "--offline", "--no-config", "--no-ignores", "--persona", "auditor", "--strict-collection"]
    done = subprocess.run(
        [*command, "--no-exit-codes", "--format", "json", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return sorted({finding["ident"] for finding in json.loads(done.stdout)})
