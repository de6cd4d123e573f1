"""A Hugging Face Hub on loopback, for tests of code that talks to one through huggingface_hub."""

import json
import re
import socket
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

import hub_transfers  # noqa: F401  registers its routes
from hub_api import Answer, Interface
from hub_store import Store, User

CHUNK = 64 * 1024


class CutError(Exception):
    """The connection ends here, as a fault of the test asks."""


@dataclass
class Request:
    """A request that came in; `received` and `sent` count the bytes of the bodies."""

    method: str
    path: str
    status: int | None = None
    received: int = 0
    sent: int = 0


@dataclass
class Fault:
    method: str
    path_regex: str
    times: int
    after: int
    status: int | None
    cut_after: int | None
    headers: dict
    do: object
    lose_answer: bool

    def takes(self, request):
        """Count a request that matches; return whether it is one to fail."""
        if not re.fullmatch(self.method, request.method) or not re.search(self.path_regex, request.path):
            return False
        if self.times <= 0:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


class HubServer:
    """A Hub with users, repos and faults; a context manager that serves while it is open.

    Large files go through a second origin with signed URLs, as the Hub's storage does. Uploads above
    `multipart_above` bytes are asked for in parts of that size; listings come in pages of `page_size`.
    """

    def __init__(self, multipart_above=64 * 1024, page_size=1000):
        self.store = Store()
        self.interface = Interface(self.store, multipart_above, page_size)
        self.requests, self.faults, self.errors, self.lock = [], [], [], threading.Lock()
        self.url = None

    def __enter__(self):
        self.listeners = [Listener(self, storage) for storage in (False, True)]
        self.url, self.interface.storage_url = (f"http://127.0.0.1:{each.server_port}" for each in self.listeners)
        self.interface.url = self.url
        return self

    def __exit__(self, *error):
        for listener in self.listeners:
            listener.stop()

    def add_user(self, name, token, orgs=(), role="write"):
        """Add a user; another token of the same user may have another role ("read" or "write")."""
        self.store.users[token] = User(name, token, tuple(orgs), role)

    def repo(self, repo_id, kind="dataset"):
        return self.store.repos[kind, repo_id]

    def create_repo(self, repo_id, kind="dataset", private=True, files=None):
        """Make a repo on the server's side, with a commit of the files."""
        repo = self.store.add(kind, repo_id, private, repo_id.partition("/")[0])
        if files:
            repo.commit(files)
        return repo

    def fail(
        self,
        method,
        path_regex,
        *,
        times=1,
        status=None,
        after=0,
        cut_after=None,
        headers=None,
        do=None,
        lose_answer=False,
    ):
        """Let requests fail whose method matches fully and whose path with its query matches somewhere.

        The first `after` of them pass; the next `times` get the `status`, or are cut off after `cut_after` bytes of
        the body (the request's, if it has one, else the answer's; it must be longer), or are carried out with their
        answer lost. `do` is called with this server once the request is in, before it is carried out.
        """
        fault = Fault(method, path_regex, times, after, status, cut_after, headers or {}, do, lose_answer)
        self.faults.append(fault)

    def begin(self, method, path):
        """Record a request; return it and its fault, if any."""
        request = Request(method, path)
        with self.lock:
            self.requests.append(request)
            return request, next((fault for fault in self.faults if fault.takes(request)), None)

    def bytes_sent(self, path_regex=".*"):
        """Return how many bytes of bodies went out for paths that match somewhere."""
        return sum(each.sent for each in self.requests if re.search(path_regex, each.path))

    def reset(self):
        """Forget all requests and faults."""
        with self.lock:
            self.requests.clear()
            self.faults.clear()


class Listener(ThreadingHTTPServer):
    """One origin of the Hub."""

    daemon_threads, block_on_close, request_queue_size = True, False, 128

    def __init__(self, hub, storage):
        self.hub, self.storage, self.open_sockets = hub, storage, set()
        super().__init__(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def server_bind(self):
        # The parent's method asks the DNS for the name of this host.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def get_request(self):
        connection, address = super().get_request()
        # A small buffer, so that what a client that goes away never read is not counted as sent.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
        self.open_sockets.add(connection)
        return connection, address

    def shutdown_request(self, request):
        self.open_sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """Keep what is a fault of this server; a client may go away at any time."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.hub.errors.append(error)

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join()
        for connection in list(self.open_sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "hub"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        """Print nothing."""

    def dispatch(self):
        hub = self.server.hub
        self.record, fault = hub.begin(self.command, self.path)
        cut = fault.cut_after if fault else None
        try:
            body = self.read_body(cut)
            if fault and fault.do:
                fault.do(hub)
            answer = self.failed(fault) if fault and fault.status else self.answer(body)
            if fault and fault.lose_answer:
                raise CutError
            self.send(answer, cut)
            if cut is not None:
                hub.errors.append(
                    AssertionError(f"{self.command} {self.path}: no body of more than {cut} bytes to cut")
                )
        except (CutError, ConnectionError):
            self.close_connection = True

    def answer(self, body):
        hub = self.server.hub
        try:
            return hub.interface.answer(self.command, self.path, self.headers, body, self.server.storage)
        except Exception as error:
            hub.errors.append(error)
            return Answer(500, b'{"error": "Internal Error"}', {"Content-Type": "application/json"})

    def failed(self, fault):
        body = json.dumps({"error": f"The test asked for {fault.status}"}).encode()
        return Answer(fault.status, body, {"Content-Type": "application/json", **fault.headers})

    def read_body(self, cut):
        """Return the body of the request, whether it tells its length or comes in chunks."""
        parts = []
        for part in self.body_parts():
            room = len(part) if cut is None else max(0, min(len(part), cut - self.record.received))
            self.record.received += room
            parts.append(part[:room])
            if cut is not None and room < len(part):
                raise CutError
        return b"".join(parts)

    def body_parts(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.exactly(size)
                self.rfile.readline()
            self.rfile.readline()
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            part = self.exactly(min(left, CHUNK))
            left -= len(part)
            yield part

    def exactly(self, size):
        data = self.rfile.read(size)
        if len(data) != size:
            raise ConnectionError
        return data

    def send(self, answer, cut):
        self.record.status = answer.status
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": len(answer.body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "HEAD":
            return
        cuts = cut is not None and not self.record.received and cut < len(answer.body)
        body = answer.body[:cut] if cuts else answer.body
        for start in range(0, len(body), CHUNK):
            part = body[start : start + CHUNK]
            self.record.sent += len(part)
            self.wfile.write(part)
        if cuts:
            raise CutError


for _method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
    setattr(Handler, f"do_{_method}", Handler.dispatch)
