"""How files get into and out of the test Hub: commits, git-lfs uploads, and downloads through signed URLs."""

import base64
import hashlib
import json
import math
import secrets
from urllib.parse import quote

from hub_api import API, Answer, as_json, ranged, route
from hub_card import check_card
from hub_store import REGULAR_LIMIT, Entry, HubError

LFS_TYPE = "application/vnd.git-lfs+json"
GIT = r"/(?P<kind>datasets/|)(?P<id>[^/]+(?:/[^/]+)?)"


def kind_of(prefix):
    return "dataset" if prefix else "model"


@route("POST", API + r"/preupload/(?P<revision>[^/]+)")
def preupload(hub, call, kind, id, revision):  # noqa: A002
    repo, asked = hub.repo(call, kind, id, write=True), call.json()
    if "gitIgnore" in asked or call.flag("create_pr"):
        raise HubError(501, "This Hub knows no .gitignore and no pull requests")
    commit, found = repo.at(revision), []
    for file in asked["files"]:
        mode = "lfs" if repo.is_large(file["path"], file["size"], revision) else "regular"
        there = commit.entries.get(file["path"])
        oid = {"oid": there.etag} if there else {}
        found.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **oid})
    return as_json({"files": found, "commitOid": commit.sha})


def read_operations(repo, lines):
    """Turn the lines of a commit into its header and changes."""
    header, changes = None, []
    for line in lines:
        key, value = line["key"], line["value"]
        if key == "header":
            header = value
        elif key == "file":
            data = base64.b64decode(value["content"])
            if len(data) > REGULAR_LIMIT:
                raise HubError(400, f"Your push was rejected: {value['path']} is larger than 10 MiB outside of git-lfs")
            changes.append((value["path"], Entry(data)))
        elif key == "lfsFile":
            data = repo.lfs.get(value["oid"])
            if data is None or len(data) != value.get("size", len(data)):
                text = "Your push was rejected because an LFS pointer pointed to a file that does not exist."
                raise HubError(400, f"{text} Offending file: {value['path']}")
            changes.append((value["path"], Entry(data, lfs=True)))
        elif key == "deletedFile":
            changes.append((value["path"], None))
        elif key == "deletedFolder":
            changes.append((value["path"].rstrip("/") + "/", None))
        else:
            raise HubError(400, f"Unknown operation in a commit: {key}")
    if not header or not header.get("summary"):
        raise HubError(400, "A commit needs a header with a summary")
    return header, changes


@route("POST", API + r"/commit/(?P<revision>[^/]+)")
def commit(hub, call, kind, id, revision):  # noqa: A002
    repo = hub.repo(call, kind, id, write=True)
    if call.flag("create_pr"):
        raise HubError(501, "This Hub knows no pull requests")
    try:
        lines = [json.loads(line) for line in call.body.splitlines() if line]
        header, changes = read_operations(repo, lines)
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(400, f"The commit is no NDJSON of operations: {error!r}") from None
    readme = dict(changes).get("README.md")
    errors = check_card(readme.data.decode(errors="replace"))[0] if readme else []
    if errors:
        raise HubError(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
    made = repo.write(
        changes,
        header["summary"],
        call.user.name,
        branch=revision,
        parent=header.get("parentCommit"),
        description=header.get("description", ""),
    )
    url = f"{hub.url}/{'datasets/' if kind == 'datasets' else ''}{id}/commit/{made.sha}"
    return as_json({"success": True, "commitOid": made.sha, "commitUrl": url, "hookOutput": ""})


@route("POST", GIT + r"\.git/info/lfs/objects/batch")
def batch(hub, call, kind, id):  # noqa: A002
    repo, asked = hub.repo(call, kind_of(kind), id, write=True), call.json()
    if asked.get("operation") != "upload" or asked.get("hash_algo", "sha256") != "sha256":
        raise HubError(400, "This Hub's git-lfs only takes uploads, by sha256")
    multipart, objects = "multipart" in asked.get("transfers", ()), []
    for each in asked["objects"]:
        objects.append({"oid": each["oid"], "size": each["size"], "authenticated": True})
        if each["oid"] not in repo.lfs:
            big = multipart and each["size"] > hub.multipart_above
            upload = start_parts(hub, repo, each) if big else start_upload(hub, repo, each)
            verify = {"href": f"{hub.url}/{kind}{id}.git/info/lfs/verify", "header": {}}
            objects[-1]["actions"] = {"upload": upload, "verify": verify}
    found = {"transfer": "multipart" if multipart else "basic", "objects": objects}
    return as_json(found, **{"Content-Type": LFS_TYPE})


def start_upload(hub, repo, asked):
    href = hub.sign(hub.storage_url, f"/storage/{repo.uid}/{asked['oid']}", size=asked["size"])
    return {"href": href, "header": {}}


def start_parts(hub, repo, asked):
    """Offer an upload in parts: their size and URLs are in the "header", as the Hub has it."""
    upload, size = secrets.token_hex(8), hub.multipart_above
    hub.uploads[upload] = {"repo": repo, "oid": asked["oid"], "size": asked["size"], "parts": {}}
    path = f"/storage/{repo.uid}/{asked['oid']}"
    header = {
        str(number): hub.sign(hub.storage_url, path, uploadId=upload, partNumber=number)
        for number in range(1, math.ceil(asked["size"] / size) + 1)
    }
    href = hub.sign(hub.url, "/api/complete_multipart", uploadId=upload)
    return {"href": href, "header": {"chunk_size": str(size), **header}}


@route("PUT", "/storage/(?P<uid>[0-9a-f]+)/(?P<oid>[0-9a-f]{64})")
def put(hub, call, uid, oid):
    hub.check_signature(call)
    etag = f'"{hashlib.md5(call.body, usedforsecurity=False).hexdigest()}"'
    if call.option("uploadId"):
        upload = hub.uploads.get(call.option("uploadId"))
        if upload is None:
            raise HubError(404, "NoSuchUpload")
        upload["parts"][int(call.option("partNumber"))] = (etag, call.body)
    else:
        hub.store.by_uid(uid).store_large(oid, int(call.option("size")), call.body)
    return Answer(200, b"", {"ETag": etag})


@route("POST", "/api/complete_multipart")
def complete(hub, call):
    hub.check_signature(call)
    asked, upload = call.json(), hub.uploads.get(call.option("uploadId"))
    if upload is None or asked.get("oid") != upload["oid"]:
        raise HubError(404, "NoSuchUpload")
    listed = {part["partNumber"]: part["etag"] for part in asked.get("parts", [])}
    if listed != {number: etag for number, (etag, _) in upload["parts"].items()}:
        raise HubError(400, "InvalidPart: a part was not found, or its ETag differs")
    data = b"".join(upload["parts"][number][1] for number in sorted(listed))
    upload["repo"].store_large(upload["oid"], upload["size"], data)
    hub.uploads.pop(call.option("uploadId"), None)
    return as_json({})


@route("POST", GIT + r"\.git/info/lfs/verify")
def verify(hub, call, kind, id):  # noqa: A002
    repo, asked = hub.repo(call, kind_of(kind), id, write=True), call.json()
    data = repo.lfs.get(asked.get("oid"))
    if data is None or len(data) != asked.get("size"):
        raise HubError(404, "The object was not uploaded, or not with this size")
    return as_json({})


@route("GET", GIT + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(hub, call, kind, id, revision, path):  # noqa: A002
    repo = hub.repo(call, kind_of(kind), id)
    hub.store.read_files(repo, call.user)
    at = repo.at(revision)
    headers = {"X-Repo-Commit": at.sha}
    entry = at.entries.get(path)
    if entry is None:
        raise HubError(404, "Entry not found", "EntryNotFound", **headers)
    name = quote(path.rpartition("/")[2])
    disposition = f"inline; filename*=UTF-8''{name}; filename=\"{name}\";"
    if not entry.sha256:
        headers |= {"ETag": f'"{entry.oid}"', "Content-Disposition": disposition}
        return ranged(entry.data, call.headers.get("Range"), headers)
    query = {"response-content-disposition": disposition}
    location = hub.sign(hub.storage_url, f"/storage/{repo.uid}/{entry.sha256}", **query)
    headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size), "Location": location}
    return Answer(302, f"Found. Redirecting to {hub.storage_url}".encode(), headers)


@route("GET", "/storage/(?P<uid>[0-9a-f]+)/(?P<oid>[0-9a-f]{64})")
def get(hub, call, uid, oid):
    hub.check_signature(call)
    data = hub.store.by_uid(uid).lfs.get(oid)
    if data is None:
        raise HubError(404, "NoSuchKey")
    headers = {"ETag": f'"{oid}"', "Content-Disposition": call.option("response-content-disposition", "attachment")}
    return ranged(data, call.headers.get("Range"), {**headers, "Content-Type": "application/octet-stream"})
