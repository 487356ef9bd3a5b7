"""A server on 127.0.0.1 that answers what a test wrote down, also what no HTTP server would send."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Request:
    """What came in: first line, headers in lower case, body, and when."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    time: float


Step = Callable[[socket.socket, threading.Event], None]
"""Answers one request on its socket; the event says that the server ends."""


class ScriptedServer:
    """Takes one step of the script for each request, the last one again and again.

    Attributes:
        url: Its address.
        requests: What came, in order.
    """

    def __init__(self, *steps: Step) -> None:
        self.requests: list[Request] = []
        self._steps = list(steps)
        self._over = threading.Event()
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    while request := read_request(self.rfile):
                        owner._take(request)(self.connection, owner._over)
                except OSError:
                    pass  # the client went away, as many of these tests make it do

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _take(self, request: Request) -> Step:
        self.requests.append(request)
        return self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def read_request(stream: BufferedIOBase) -> Request | None:
    line = stream.readline().decode().strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while entry := stream.readline().decode().strip():
        name, _, value = entry.partition(":")
        headers[name.lower()] = value.strip()
    return Request(line, headers, stream.read(int(headers.get("content-length", 0))), time.monotonic())


def raw(status: int, content: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole answer as bytes."""
    fields = {"X-Elastic-Product": "Elasticsearch", "Content-Type": "application/json"}
    fields |= {"Content-Length": str(len(content)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + content


def reply(status: int = 200, body: Any = None, headers: Mapping[str, str] | None = None) -> Step:
    """Answer with JSON, or with bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return lambda connection, over: connection.sendall(raw(status, content, headers))


def refuse(status: int, kind: str, reason: str = "because", headers: Mapping[str, str] | None = None) -> Step:
    """Answer with an error as the server writes it."""
    error = {"type": kind, "reason": reason}
    return reply(status, {"error": {**error, "root_cause": [error]}, "status": status}, headers)


def hang(connection: socket.socket, over: threading.Event) -> None:
    """Never answer."""
    over.wait()


def drip(start: int) -> Step:
    """Send a large answer up to `start` bytes at once, the rest one byte every 20 ms."""

    def step(connection: socket.socket, over: threading.Event) -> None:
        content = raw(200, b'"' + 10_000 * b"x" + b'"')
        connection.sendall(content[:start])
        for byte in content[start:]:
            if over.wait(0.02):
                return
            connection.sendall(bytes([byte]))

    return step


def truncate(connection: socket.socket, over: threading.Event) -> None:
    """Break off in the middle of a body."""
    connection.sendall(raw(200, b'{"a": 1}')[:-3])
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket, over: threading.Event) -> None:
    """Reset the connection after the request was read."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())  # close() would wait for the stream that reads requests


def garble(connection: socket.socket, over: threading.Event) -> None:
    """Send what is no HTTP."""
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x50 nonsense\r\n\r\n")
    connection.shutdown(socket.SHUT_RDWR)
