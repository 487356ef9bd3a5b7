"""A small HTTP/1.1 proxy before a server: with TLS, with a check of who asks, and with faults drawn from a seed.

with Proxy(elasticsearch_url, faults=Faults(seed=1, reset=0.1, overload=0.1)) as proxy:
    client = Elasticsearch(proxy.url)
    ...
    assert proxy.counts["reset"] > 0
"""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import ssl
import struct
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from servers.authority import Authority
from servers.faults import Check, Draws, Fate, Faults, made_up, merge_bulk, read_bulk, without_filter

PRODUCT = {"X-Elastic-Product": "Elasticsearch", "Content-Type": "application/json"}
DECIDED_HERE = {
    "accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "keep-alive",
    "transfer-encoding",
}  # fmt: skip
"""Headers that concern one connection or the form of a body, and so are not passed on."""
UPSTREAM_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on its way to the client."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False


class Proxy:
    """A proxy on 127.0.0.1 before `target_url`, from the `with` statement on; its threads end with the block."""

    def __init__(
        self, target_url: str, tls: Authority | None = None, check: Check | None = None, faults: Faults | None = None
    ) -> None:
        """Take a free port. `tls` makes it speak TLS, `check` refuse who may not ask, `faults` break things."""
        self.check = check
        self.counts: Counter[str] = Counter()
        """How many "requests" came and were "forwarded", "delayed", "unauthorized" and "forbidden", bulk items were
        "rejected", the server was "gone"; and each fault by its name."""
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._target = urlsplit(target_url)
        self._draws = Draws(faults) if faults else None
        self._server = _Server(self, tls.context if tls else None)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut all connections and wait for the threads."""
        self._closing.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()

    def set_faults(self, faults: Faults | None) -> None:
        """Break other things from the next request on, or nothing."""
        self._draws = Draws(faults) if faults else None

    def reply(self, method: str, path: str, headers: Message, body: bytes) -> Reply | None:
        """Return what a request is answered with; None to reset its connection."""
        self._count("requests")
        request = f"{method} {path}"
        refused = self.check.refusal(request, headers.get("Authorization")) if self.check else None
        if refused:
            self._count("forbidden" if refused[0] == 403 else "unauthorized")
            return make_reply(*refused)
        draws = self._draws
        draws = draws if draws and draws.concerns(request) else None
        fate = draws.fate() if draws else Fate()
        if fate.delay:
            self._count("delayed")
            self._closing.wait(fate.delay)
        if fate.fault:
            self._count(fate.fault)
        answer = made_up(fate.fault)
        if answer:
            return make_reply(*answer)
        if fate.fault == "reset":
            return None
        try:
            if draws and urlsplit(path).path.endswith("/_bulk"):
                found = self._forward_bulk(method, path, headers, body, draws)
            else:
                found = self._forward(method, path, headers, body)
        except (OSError, http.client.HTTPException):
            self._count("gone")
            return None
        return None if fate.fault == "lose" else replace(found, truncated=fate.fault == "truncate")

    def _forward(self, method: str, path: str, headers: Message, body: bytes) -> Reply:
        self._count("forwarded")
        connection = http.client.HTTPConnection(
            self._target.hostname or "", self._target.port or 80, timeout=UPSTREAM_SECONDS
        )
        kept = {key: value for key, value in headers.items() if key.lower() not in DECIDED_HERE}
        try:
            connection.connect()
            with self._server.watched(connection.sock):
                connection.request(method, path, body or None, kept)
                answer = connection.getresponse()
                content = answer.read()
        finally:
            connection.close()
        passed_on = {key: value for key, value in answer.getheaders() if key.lower() not in DECIDED_HERE}
        return Reply(answer.status, passed_on, content)

    def _forward_bulk(self, method: str, path: str, headers: Message, body: bytes, draws: Draws) -> Reply:
        """Forward those items of a bulk request that are not rejected, and put the others into the answer."""
        items = read_bulk(body, path)
        rejected = draws.rejections(len(items))
        if not any(rejected):
            return self._forward(method, path, headers, body)
        self._count("rejected", sum(rejected))
        if all(rejected):
            return make_reply(200, merge_bulk({"took": 0, "errors": True, "items": []}, items, rejected))
        kept = [line for item, no in zip(items, rejected, strict=True) if not no for line in item.lines]
        found = self._forward(method, without_filter(path), headers, b"\n".join(kept) + b"\n")
        if found.status != 200:
            return found
        return replace(found, body=json.dumps(merge_bulk(json.loads(found.body), items, rejected)).encode())

    def _count(self, what: str, by: int = 1) -> None:
        with self._lock:
            self.counts[what] += by


def make_reply(status: int, body: Mapping[str, Any]) -> Reply:
    """Return an answer that looks like the server's own."""
    challenge = {"WWW-Authenticate": 'Basic realm="security", charset="UTF-8"'} if status == 401 else {}
    return Reply(status, {**PRODUCT, **challenge}, json.dumps(body).encode())


class _Server(ThreadingHTTPServer):
    """Accepts connections, knows which are open, and can end them as a crash would."""

    daemon_threads = False

    def __init__(self, proxy: Proxy, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy
        self.to_reset: set[socket.socket] = set()
        self._context = context
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        accepted, client = super().get_request()
        if self._context:
            # The handshake comes with the first byte read, in the connection's own thread.
            accepted = self._context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._open.add(accepted)
        return accepted, client

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        if request in self.to_reset:
            self.to_reset.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that hung up is none of ours
            super().handle_error(request, client_address)

    @contextmanager
    def watched(self, connection: socket.socket) -> Iterator[None]:
        """Let `cut` end this connection, too."""
        self._open.add(connection)
        try:
            yield
        finally:
            self._open.discard(connection)

    def cut(self) -> None:
        """End all connections, so that no thread waits for one."""
        for connection in list(self._open):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection and writes what the proxy answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        reply = self.server.proxy.reply(self.command, self.path, self.headers, body)
        if reply is None:
            self.server.to_reset.add(self.connection)
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.truncated else reply.body)
        self.close_connection = self.close_connection or reply.truncated

    do_DELETE = do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Write no log."""
