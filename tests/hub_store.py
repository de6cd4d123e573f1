"""What the test Hub keeps: users, repos and commits, addressed by content as git and git-lfs address them."""

import hashlib
import re
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import cached_property

# A text file may be this large outside of git-lfs.
REGULAR_LIMIT = 10 * 1024 * 1024
LFS_PATTERNS = (
    "*.7z *.arrow *.avro *.bin *.bz2 *.ckpt *.gz *.h5 *.joblib *.lz4 *.mds *.model *.msgpack *.npy *.npz *.onnx"
    " *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors *.tar *.tar.* *.tflite *.tgz *.xz *.zip *.zst"
    " *tfevents* *.pcm *.sam *.raw *.aac *.flac *.mp3 *.ogg *.wav *.bmp *.gif *.png *.tiff *.jpg *.jpeg *.webp *.mp4"
    " *.webm"
)
GITATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS.split()).encode()


class HubError(Exception):
    """An answer that is no success: its status, message and `X-Error-Code`."""

    def __init__(self, status, message, code=None, **headers):
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers


def git_hash(kind, data):
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data).hexdigest()


class Entry:
    """One file of a commit, kept in git itself or as a git-lfs pointer to a large file."""

    def __init__(self, data, lfs=False):
        self.data, self.size = data, len(data)
        self.sha256 = hashlib.sha256(data).hexdigest() if lfs else None
        self.pointer = (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()
            if lfs
            else None
        )
        self.oid = git_hash("blob", data if self.pointer is None else self.pointer)
        self.etag = self.sha256 or self.oid


def git_trees(entries):
    """Map every folder of the files ("" is the root) to its git tree id."""
    children = {"": []}
    for path in entries:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            children.setdefault("/".join(parts[:depth]), [])
    for path, entry in entries.items():
        folder, _, name = path.rpartition("/")
        children[folder].append((name.encode(), b"100644", entry.oid))
    trees = {}
    for folder in sorted(children, key=lambda each: -each.count("/") if each else 1):
        # git sorts a folder as if its name ended in a slash
        lines = sorted(children[folder], key=lambda child: child[0] + b"/" * (child[1] == b"40000"))
        trees[folder] = git_hash("tree", b"".join(m + b" " + n + b"\0" + bytes.fromhex(oid) for n, m, oid in lines))
        if folder:
            parent, _, name = folder.rpartition("/")
            children[parent].append((name.encode(), b"40000", trees[folder]))
    return trees


@dataclass(frozen=True)
class Commit:
    sha: str
    parent: str | None
    message: str
    description: str
    author: str
    date: datetime
    entries: dict = field(repr=False)
    trees: dict = field(repr=False)

    @cached_property
    def files(self):
        """The bytes of every file, the large ones included."""
        return {path: entry.data for path, entry in self.entries.items()}

    def oid(self, path):
        entry = self.entries.get(path)
        return entry.oid if entry else self.trees.get(path)


def new_commit(entries, parent, message, author, description=""):
    date = datetime.now(UTC)
    trees = git_trees(entries)
    person = f"{author} <{author}@example.org> {int(date.timestamp())} +0000"
    lines = [f"tree {trees['']}", *([f"parent {parent}"] if parent else []), f"author {person}", f"committer {person}"]
    text = "\n".join([*lines, "", message, *(["", description] if description else []), ""])
    return Commit(git_hash("commit", text.encode()), parent, message, description, author, date, entries, trees)


def check_path(path):
    parts = path.split("/")
    if not path or len(path) > 1000 or any(p in ("", ".", "..") or p.lower() == ".git" for p in parts) or "\0" in path:
        raise HubError(400, f"Invalid path in repo: {path!r}")


class Repo:
    """A model or dataset repo: its branches and commits, and the large files uploaded to it."""

    def __init__(self, kind, repo_id, private, owner):
        self.kind, self.id, self.private, self.gated = kind, repo_id, private, False
        self.uid, self.lock = secrets.token_hex(12), threading.RLock()
        self.created = datetime.now(UTC)
        self.lfs, self.tags = {}, {}
        first = new_commit({".gitattributes": Entry(GITATTRIBUTES)}, None, "initial commit", owner)
        self.history_by_sha, self.branches = {first.sha: first}, {"main": first.sha}

    @property
    def head(self):
        """The commit id that main points to."""
        return self.branches["main"]

    @property
    def commits(self):
        """Every commit of main, the first one first."""
        return list(self.history("main"))[::-1]

    @property
    def files(self):
        """The files of main."""
        return self.at("main").files

    def at(self, revision):
        """Return the commit that a branch, a tag, a full ref or (the beginning of) a commit id names."""
        with self.lock:
            refs = {f"refs/heads/{name}": sha for name, sha in self.branches.items()}
            refs |= {f"refs/tags/{name}": sha for name, sha in self.tags.items()}
            sha = self.branches.get(revision) or self.tags.get(revision) or refs.get(revision)
            if sha is None and re.fullmatch("[0-9a-f]{7,40}", revision):
                sha = next((each for each in self.history_by_sha if each.startswith(revision)), None)
            if sha is None:
                raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            return self.history_by_sha[sha]

    def history(self, revision):
        """Yield the commits from a revision back to the first."""
        sha = self.at(revision).sha
        while sha:
            yield self.history_by_sha[sha]
            sha = self.history_by_sha[sha].parent

    def last_change(self, commit, path):
        """Return the commit that gave a file or folder the content that it has in `commit`."""
        while commit.parent and self.history_by_sha[commit.parent].oid(path) == commit.oid(path):
            commit = self.history_by_sha[commit.parent]
        return commit

    def is_large(self, path, size, revision="main"):
        """Whether a new file goes to git-lfs: `.gitattributes` says so, or its size."""
        attributes = self.at(revision).entries.get(".gitattributes", Entry(b"")).data.decode(errors="replace")
        patterns = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line.split()]
        name = path.rpartition("/")[2]
        return size > REGULAR_LIMIT or any(fnmatch(path if "/" in p else name, p) for p in patterns)

    def commit(self, files, message="Change files", author="elsewhere"):
        """Commit to main on the server's side: bytes by path, None to delete; return the commit id."""
        changes = []
        for path, data in files.items():
            large = data and self.is_large(path, len(data))
            changes.append((path, None if data is None else Entry(data, bool(large))))
            if large:
                self.lfs[changes[-1][1].sha256] = data
        return self.write(changes, message, author).sha

    def write(self, changes, message, author, *, branch="main", parent=None, description=""):
        """Move a branch to a new commit with all changes (path and Entry; None deletes a file or `folder/`)."""
        with self.lock:
            head = self.at(branch)
            if branch.removeprefix("refs/heads/") not in self.branches:
                raise HubError(400, f"{branch} is no branch")
            if parent is not None and not head.sha.startswith(parent):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            entries = dict(head.entries)
            for path, entry in changes:
                change(entries, path, entry)
            new = new_commit(entries, head.sha, message, author, description)
            self.history_by_sha[new.sha] = new
            self.branches[branch.removeprefix("refs/heads/")] = new.sha
            return new

    def store_large(self, oid, size, data):
        """Keep a large file, if its bytes are what its id says."""
        if len(data) != size or hashlib.sha256(data).hexdigest() != oid:
            raise HubError(400, f"The bytes of the object {oid} do not match its sha256 or size")
        with self.lock:
            self.lfs[oid] = data


def change(entries, path, entry):
    """Apply one change to the files of a commit."""
    check_path(path.removesuffix("/"))
    if entry is None:
        gone = [each for each in entries if each.startswith(path)] if path.endswith("/") else [path]
        if not gone or any(each not in entries for each in gone):
            raise HubError(404, f'A file with this name doesn\'t exist: "{path}"', "EntryNotFound")
        for each in gone:
            del entries[each]
        return
    parents = ["/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 1)]
    if any(parent in entries for parent in parents) or any(each.startswith(f"{path}/") for each in entries):
        raise HubError(400, f"{path!r} would be both a file and a folder")
    entries[path] = entry


@dataclass(frozen=True)
class User:
    name: str
    token: str = field(repr=False)
    orgs: tuple = ()
    role: str = "write"

    def owns(self, repo_id):
        return repo_id.partition("/")[0] in (self.name, *self.orgs)


class Store:
    """Who may do what with which repo."""

    def __init__(self):
        self.users, self.repos, self.lock = {}, {}, threading.RLock()

    def user(self, token):
        """Return the user whose token it is; None without a token."""
        if token is None:
            return None
        if token not in self.users:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.users[token]

    def open(self, kind, repo_id, user, write=False):
        """Return a repo that the user may read, or write."""
        repo = self.repos.get((kind, repo_id))
        if repo is None or (repo.private and not (user and user.owns(repo_id))):
            if user is None:
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        if write:
            if user is None:
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            if not user.owns(repo_id):
                raise HubError(403, 'Forbidden: pass "create_pr=1" as a query parameter to create a Pull Request')
            if user.role != "write":
                raise HubError(403, "Forbidden: you must use a write token to upload to a repository.")
        return repo

    def read_files(self, repo, user):
        """Refuse the files of a gated repo to all but its owners."""
        if repo.gated and not (user and user.owns(repo.id)):
            what = f"Access to {repo.kind} {repo.id} is restricted"
            raise HubError(403 if user else 401, f"{what} and you are not in the authorized list.", "GatedRepo")

    def create(self, kind, repo_id, user, private):
        """Make a repo in a namespace of the user."""
        if user is None:
            raise HubError(401, "Invalid username or password.")
        if not user.owns(repo_id) or user.role != "write":
            namespace = repo_id.partition("/")[0]
            raise HubError(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')
        return self.add(kind, repo_id, private, user.name)

    def add(self, kind, repo_id, private, owner):
        if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", repo_id) or "--" in repo_id or ".." in repo_id:
            raise HubError(400, f"Invalid repo name: {repo_id}")
        with self.lock:
            if (kind, repo_id) in self.repos:
                raise HubError(409, f"You already created this {kind} repo: {repo_id}")
            self.repos[kind, repo_id] = Repo(kind, repo_id, private, owner)
            return self.repos[kind, repo_id]

    def by_uid(self, uid):
        repo = next((repo for repo in list(self.repos.values()) if repo.uid == uid), None)
        if repo is None:
            raise HubError(404, "The repo of this object is gone")
        return repo
