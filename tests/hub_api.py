"""The Hub's web interface over `hub_store`: every URL, header and status that huggingface_hub relies on."""

import base64
import hmac
import json
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlencode

from hub_card import card_data, check_card
from hub_store import HubError, User

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
API = r"/api/(?P<kind>models|datasets)/(?P<id>[^/]+(?:/[^/]+)?)"
ROUTES = []


@dataclass(frozen=True)
class Call:
    """A request as the interface reads it."""

    method: str
    path: str
    query: dict
    headers: object
    body: bytes
    user: User | None

    def json(self):
        try:
            found = json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, f"The body is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise HubError(400, "The body is no JSON object")
        return found

    def option(self, name, default=None):
        return self.query.get(name, [default])[0]

    def flag(self, name):
        return str(self.option(name, "")).lower() in ("true", "1")


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict = field(default_factory=dict)


def as_json(value, status=200, **headers):
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **headers})


def error_answer(error):
    # A header holds one line of ASCII.
    message = " ".join(error.message.split()).encode("ascii", "backslashreplace").decode()
    headers = {"X-Error-Message": message, **error.headers}
    if error.code:
        headers["X-Error-Code"] = error.code
    return as_json({"error": error.message}, error.status, **headers)


def route(method, pattern):
    def register(function):
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


def iso(date):
    return date.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def ranged(data, asked, headers):
    """Answer with the asked range of the bytes, or all of them."""
    headers = {"Accept-Ranges": "bytes", **headers}
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
    if not found or found.group(0) == "bytes=-":
        return Answer(200, data, headers)
    first, last = found.groups()
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    if start > end:
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return Answer(206, data[start : end + 1], headers)


class Interface:
    """Answers calls; large files go to and come from another origin by signed URLs, as with a storage service."""

    def __init__(self, store, multipart_above, page_size):
        self.store, self.secret = store, secrets.token_bytes(32)
        self.multipart_above, self.page_size = multipart_above, page_size
        self.uploads = {}
        self.url = self.storage_url = None

    def answer(self, method, target, headers, body, storage=False):
        path, _, query = target.partition("?")
        try:
            if storage and headers.get("Authorization"):
                raise HubError(400, "Only one auth mechanism allowed; the URL is signed already")
            user = None if storage else self.store.user(bearer(headers))
            call = Call(method, path, parse_qs(query, keep_blank_values=True), headers, body, user)
            for verb, pattern, function in ROUTES:
                found = pattern.fullmatch(path)
                at_storage = pattern.pattern.startswith("/storage/")
                if found and at_storage == storage and verb in (method, "GET" if method == "HEAD" else method):
                    groups = {name: unquote(text) for name, text in found.groupdict(default="").items()}
                    return function(self, call, **groups)
            raise HubError(404, f"Sorry, there is nothing at {path}")
        except HubError as error:
            return error_answer(error)

    def repo(self, call, kind, repo_id, write=False):
        return self.store.open(KINDS.get(kind, kind), repo_id, call.user, write)

    def sign(self, base, path, **query):
        """Return a URL that needs no token."""
        text = f"{quote(path)}?{urlencode({**query, 'Expires': 4102444800})}"
        return f"{base}{text}&Signature={hmac.new(self.secret, text.encode(), 'sha256').hexdigest()}"

    def check_signature(self, call):
        query = {name: values[0] for name, values in call.query.items() if name != "Signature"}
        text = f"{call.path}?{urlencode(query)}"
        good = hmac.new(self.secret, text.encode(), "sha256").hexdigest()
        if not hmac.compare_digest(good, call.option("Signature", "")):
            raise HubError(403, "AccessDenied: the signature does not match")

    def pages(self, call, items, size):
        """Return one page of a list, with the link to the next."""
        start = int(base64.urlsafe_b64decode(call.option("cursor", "")) or 0)
        size = min(size, int(call.option("limit", size)))
        headers = {}
        if start + size < len(items):
            cursor = base64.urlsafe_b64encode(str(start + size).encode()).decode()
            query = urlencode({**call.query, "cursor": [cursor]}, doseq=True)
            headers["Link"] = f'<{self.url}{call.path}?{query}>; rel="next"'
        return as_json(items[start : start + size], **headers)


def bearer(headers):
    value = headers.get("Authorization")
    return value.removeprefix("Bearer ") if value else None


@route("GET", "/api/whoami-v2")
def whoami(hub, call):
    user = call.user
    if user is None:
        raise HubError(401, "Invalid username or password.")
    orgs = [{"type": "org", "id": name, "name": name, "fullname": name, "roleInOrg": "write"} for name in user.orgs]
    token = {"displayName": "test", "role": user.role, "createdAt": "2026-01-01T00:00:00.000Z"}
    auth = {"type": "access_token", "accessToken": token}
    return as_json(
        {"type": "user", "id": user.name, "name": user.name, "fullname": user.name, "orgs": orgs, "auth": auth}
    )


@route("POST", "/api/validate-yaml")
def validate_yaml(hub, call):
    errors, warnings = check_card(call.json().get("content", ""))
    found = {"errors": [{"message": each} for each in errors], "warnings": [{"message": each} for each in warnings]}
    return as_json(found, 400 if errors else 200)


@route("GET", "/api/agent-harnesses")
def agent_harnesses(hub, call):
    return as_json({"standardEnvVars": [], "harnesses": {}})


@route("POST", "/api/repos/create")
def create_repo(hub, call):
    asked = call.json()
    kind = asked.get("type") or "model"
    if kind not in ("model", "dataset"):
        raise HubError(501, f"This Hub has no {kind} repos")
    namespace = asked.get("organization") or (call.user.name if call.user else "")
    repo_id = f"{namespace}/{asked.get('name')}"
    url = f"{hub.url}/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
    private = asked.get("private") or asked.get("visibility") == "private"
    try:
        repo = hub.store.create(kind, repo_id, call.user, bool(private))
    except HubError as error:
        if error.status != 409:
            raise
        return as_json({"error": error.message, "url": url}, 409)
    return as_json({"url": url, "name": repo_id, "id": repo.uid, "private": repo.private})


@route("DELETE", "/api/repos/delete")
def delete_repo(hub, call):
    asked = call.json()
    repo = hub.repo(call, asked.get("type") or "model", f"{asked.get('organization')}/{asked.get('name')}", write=True)
    del hub.store.repos[repo.kind, repo.id]
    return as_json({})


@route("PUT", API + "/settings")
def settings(hub, call, kind, id):  # noqa: A002
    repo, asked = hub.repo(call, kind, id, write=True), call.json()
    if "visibility" in asked or "private" in asked:
        repo.private = bool(asked.get("private")) or asked.get("visibility") == "private"
    repo.gated = asked.get("gated", repo.gated)
    return as_json({"private": repo.private, "gated": repo.gated})


@route("GET", API + "/auth-check")
def auth_check(hub, call, kind, id):  # noqa: A002
    hub.store.read_files(hub.repo(call, kind, id), call.user)
    return as_json({})


def entry_json(repo, commit, path, expand=False):
    """Describe a file or folder as tree and paths-info do."""
    entry = commit.entries.get(path)
    if entry is None:
        found = {"type": "directory", "oid": commit.trees[path], "size": 0, "path": path}
    else:
        found = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.sha256:
            found["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": len(entry.pointer)}
    if expand:
        last = repo.last_change(commit, path)
        found["lastCommit"] = {"id": last.sha, "title": last.message, "date": iso(last.date)}
    return found


@route("GET", API + r"(?:/revision/(?P<revision>[^/]+))?")
def info(hub, call, kind, id, revision):  # noqa: A002
    repo = hub.repo(call, kind, id)
    commit = repo.at(revision or "main")
    siblings = [{"rfilename": path} for path in sorted(commit.entries)]
    if call.flag("blobs"):
        for sibling in siblings:
            entry = commit.entries[sibling["rfilename"]]
            sibling |= {"size": entry.size, "blobId": entry.oid}
            if entry.sha256:
                sibling["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": len(entry.pointer)}
    readme = commit.entries.get("README.md")
    found = {
        "author": id.partition("/")[0],
        "sha": commit.sha,
        "createdAt": iso(repo.created),
        "lastModified": iso(commit.date),
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "cardData": card_data(readme.data.decode(errors="replace")) if readme else None,
        "siblings": siblings,
    }
    if wanted := call.query.get("expand"):
        found = {name: value for name, value in found.items() if name in wanted}
    return as_json({"_id": repo.uid, "id": id, **({"modelId": id} if kind == "models" else {}), **found})


@route("GET", API + r"/tree/(?P<revision>[^/]+)(?:/(?P<folder>.*))?")
def tree(hub, call, kind, id, revision, folder):  # noqa: A002
    repo, folder = hub.repo(call, kind, id), folder.strip("/")
    commit = repo.at(revision)
    if folder not in commit.trees:
        raise HubError(404, f'{folder} does not exist on "{revision}"', "EntryNotFound")
    below = f"{folder}/" if folder else ""
    paths = [path for path in [*commit.trees, *commit.entries] if path.startswith(below) and path != folder]
    if not call.flag("recursive"):
        paths = [path for path in paths if "/" not in path[len(below) :]]
    expand = call.flag("expand")
    items = [entry_json(repo, commit, path, expand) for path in sorted(paths)]
    return hub.pages(call, items, min(50, hub.page_size) if expand else hub.page_size)


@route("POST", API + r"/paths-info/(?P<revision>[^/]+)")
def paths_info(hub, call, kind, id, revision):  # noqa: A002
    repo = hub.repo(call, kind, id)
    commit = repo.at(revision)
    asked = call.json() if "json" in call.headers.get("Content-Type", "") else parse_qs(call.body.decode())
    paths = [path.strip("/") for path in asked.get("paths", [])]
    expand = str(asked.get("expand", "")).strip("[']").lower() == "true"
    there = [path for path in paths if path in commit.entries or (path and path in commit.trees)]
    return as_json([entry_json(repo, commit, path, expand) for path in there])


@route("GET", API + "/refs")
def refs(hub, call, kind, id):  # noqa: A002
    repo = hub.repo(call, kind, id)

    def listed(names, prefix):
        return [{"name": name, "ref": f"{prefix}/{name}", "targetCommit": sha} for name, sha in names.items()]

    branches, tags = listed(repo.branches, "refs/heads"), listed(repo.tags, "refs/tags")
    return as_json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})


@route("GET", API + r"/commits/(?P<revision>[^/]+)")
def commits(hub, call, kind, id, revision):  # noqa: A002
    items = [
        {
            "id": each.sha,
            "title": each.message,
            "message": each.description,
            "authors": [{"user": each.author}],
            "date": iso(each.date),
        }
        for each in hub.repo(call, kind, id).history(revision)
    ]
    return hub.pages(call, items, min(50, hub.page_size))


@route("GET", API + r"/(?:parquet|croissant)(?:/.*)?")
def indexed(hub, call, kind, id):  # noqa: A002
    hub.repo(call, kind, id)
    raise HubError(404, "The dataset viewer has not indexed this repo")


@route("GET", API + "/lfs-files")
def lfs_files(hub, call, kind, id):  # noqa: A002
    repo = hub.repo(call, kind, id, write=True)
    found = {}
    for commit in repo.commits:
        for path, entry in commit.entries.items():
            if entry.sha256:
                kept = {"fileOid": entry.sha256, "oid": entry.sha256, "filename": path, "size": entry.size}
                found.setdefault(entry.sha256, {**kept, "pushedAt": iso(commit.date), "ref": "main"})
    return hub.pages(call, list(found.values()), hub.page_size)


@route("POST", API + r"/branch/(?P<name>[^/]+)")
def create_branch(hub, call, kind, id, name):  # noqa: A002
    repo = hub.repo(call, kind, id, write=True)
    if name in repo.branches:
        raise HubError(409, f"Reference already exists: refs/heads/{name}")
    repo.branches[name] = repo.at(call.json().get("startingPoint", "main")).sha
    return as_json({})


@route("DELETE", API + r"/branch/(?P<name>[^/]+)")
def delete_branch(hub, call, kind, id, name):  # noqa: A002
    repo = hub.repo(call, kind, id, write=True)
    if name == "main":
        raise HubError(403, "Cannot delete the main branch")
    if repo.branches.pop(name, None) is None:
        raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return as_json({})


@route("POST", API + r"/tag/(?P<revision>[^/]+)")
def create_tag(hub, call, kind, id, revision):  # noqa: A002
    repo, name = hub.repo(call, kind, id, write=True), call.json().get("tag", "")
    if name in repo.tags:
        raise HubError(409, f"Tag reference exists already: refs/tags/{name}")
    repo.tags[name] = repo.at(revision).sha
    return as_json({})


@route("DELETE", API + r"/tag/(?P<name>[^/]+)")
def delete_tag(hub, call, kind, id, name):  # noqa: A002
    if hub.repo(call, kind, id, write=True).tags.pop(name, None) is None:
        raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return as_json({})
