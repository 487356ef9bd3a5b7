"""The command, as a process: where it listens, how it ends, and whoever sends slowly."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Started = Callable[..., tuple[subprocess.Popen[str], int]]
COMMAND = (sys.executable, "-c", "from entity_expand.cli import main; main()", "serve")
BODY = b'{"seeds": ["3", "6"], "size": 2}'


@pytest.fixture
def started(world: Path) -> Iterator[Started]:
    running: list[subprocess.Popen[str]] = []

    def start(*options: str) -> tuple[subprocess.Popen[str], int]:
        command = [*COMMAND, str(world / "index"), "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        match = re.fullmatch(r"Serving \S+ at http://\S+:(\d+)\n", said)
        assert match, said + process.communicate(timeout=20)[1]
        return process, int(match[1])

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=20)


def begin_post(port: int, body: bytes) -> socket.socket:
    """Send a head that announces the whole body, and a part of it."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = f"POST /v1/expand HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n"
    opened.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
    return opened


def answer(opened: socket.socket) -> tuple[int, dict]:
    response = http.client.HTTPResponse(opened)
    response.begin()
    return response.status, json.loads(response.read())


def test_what_is_under_way_is_finished_and_then_it_ends(started: Started) -> None:
    process, port = started()
    with begin_post(port, BODY[:5]) as opened:
        with begin_post(port, BODY) as other:
            assert answer(other)[0] == 200
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        opened.sendall(BODY[5:])
        status, found = answer(opened)
    assert status == 200 and len(found["results"]) == 2
    _, written = process.communicate(timeout=20)
    assert process.returncode == 0
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["status"] for line in lines if line["message"] == "answered"] == [200, 200]


def test_a_body_that_does_not_come_is_not_waited_for(started: Started) -> None:
    _, port = started("--seconds", "0.3")
    with begin_post(port, BODY[:5]) as opened:
        status, found = answer(opened)
    assert status == 408 and found["type"].endswith("slow")


def test_a_second_service_does_not_take_the_port(started: Started, world: Path) -> None:
    _, port = started()
    command = [*COMMAND, str(world / "index"), "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "in use" in done.stderr and "Traceback" not in done.stderr


def test_keys_come_from_a_file(started: Started, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("page: secret-of-20-letters\n")
    (tmp_path / "keys").chmod(0o600)
    process, port = started("--host", "0.0.0.0", "--api-key-file", str(tmp_path / "keys"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for headers, status in (({}, 401), ({"Authorization": "Bearer secret-of-20-letters"}, 200)):
        connection.request("GET", "/v1/index", headers=headers)
        response = connection.getresponse()
        assert response.status == status and response.read()
    connection.close()
    process.send_signal(signal.SIGINT)
    assert "secret" not in "".join(process.communicate(timeout=20)) and process.returncode == 0


def test_an_answer_is_not_held_back(started: Started) -> None:
    _, port = started()
    connection, fastest = http.client.HTTPConnection("127.0.0.1", port, timeout=20), 1.0
    for _ in range(20):
        connection.request("POST", "/v1/expand", BODY, {"Content-Type": "application/json"})
        response = connection.getresponse()
        began = time.monotonic()
        assert response.read()
        fastest = min(fastest, time.monotonic() - began)
    connection.close()
    assert fastest < 0.02  # a body that waits for an acknowledgement of its head takes 0.04 s
