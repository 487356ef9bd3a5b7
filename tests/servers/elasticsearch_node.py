"""Start, stop and kill a real Elasticsearch node from a test.

As a command it serves until it is ended, and prints its address once it answers:

    python tests/servers/elasticsearch_node.py HOME [--http-port 9200] [--heap 1g]
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SERVER = Path(__file__).with_name("elasticsearch_server.py")
START_SECONDS = 300.0  # of which ten suffice, unless the jars have yet to be fetched
STOP_SECONDS = 30.0
TAIL_LINES = 25


class NodeError(Exception):
    """A node could not be started; the message ends with the tail of its logs."""


class Node:
    """One Elasticsearch node on 127.0.0.1, ended with this object's `with` block or with the process that made it.

    All that it writes lies in `home`: made again with the same home it has its documents still. A port of 0 is
    replaced by a free one when the object is made, and stays the same when the node is started again. A node with
    neither `seed_hosts` nor `masters` is a cluster of its own. For a cluster of several, give the first
    `masters=(its name,)`, and the others `seed_hosts=(f"127.0.0.1:{first.transport_port}",)`.
    """

    def __init__(
        self,
        home: Path,
        http_port: int = 0,
        transport_port: int = 0,
        name: str = "n1",
        cluster: str = "tests",
        seed_hosts: Sequence[str] = (),
        masters: Sequence[str] = (),
        heap: str = "512m",
        until_exit_of: int | None = None,
    ) -> None:
        """Prepare a node in the folder `home`; it ends with the process `until_exit_of`, by default this one."""
        self.home = Path(home).absolute()
        self.http_port = http_port or free_port()
        self.transport_port = transport_port or free_port()
        self.name = name
        self._options = [f"--cluster={cluster}", f"--heap={heap}", f"--until-exit-of={until_exit_of or os.getpid()}"]
        self._options += [f"--seed-hosts={','.join(seed_hosts)}", f"--masters={','.join(masters)}"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, e.g. "http://127.0.0.1:19200"."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int | None:
        """The process number of a node that was launched and neither stopped nor killed."""
        return self._process.pid if self._process else None

    def start(self, timeout: float = START_SECONDS) -> Self:
        """Launch the node and wait until it answers; a `NodeError` says why it does not."""
        self.launch()
        self.wait(timeout)
        return self

    def launch(self) -> None:
        """Launch the node without waiting for it."""
        if self._process:
            raise NodeError(f"The node in {self.home} was started already: stop or kill it first.")
        self.home.mkdir(parents=True, exist_ok=True)
        ports = [f"--http-port={self.http_port}", f"--transport-port={self.transport_port}", f"--name={self.name}"]
        command = [sys.executable, str(SERVER), str(self.home), *ports, *self._options]
        with (self.home / "console.log").open("ab") as console:
            # In a session of its own: an interrupt from the keyboard is for the tests, which may still need the node.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd=self.home, start_new_session=True
            )

    def wait(self, timeout: float = START_SECONDS) -> None:
        """Wait until the node has a master and answers; if it does not within `timeout` seconds, end it and raise."""
        end = time.monotonic() + timeout
        while self._process and self._process.poll() is None and time.monotonic() < end:
            try:
                if ask("GET", f"{self.url}/_cluster/health?timeout=1s&master_timeout=1s", timeout=5)[0] == 200:
                    return
            except OSError:
                pass  # it does not listen yet
            time.sleep(0.1)
        code = self._process.poll() if self._process else None
        self.kill()
        said = f"did not answer within {timeout:g} s" if code is None else f"ended with {code}"
        raise NodeError(f"The Elasticsearch node {self.name} {said}.\n{self.tail()}")

    def stop(self) -> None:
        """Close the node in order; it is killed if that takes too long."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill the node as a crash would (SIGKILL): nothing is written any more."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None

    def tail(self) -> str:
        """Return the last lines of what the node wrote to its logs."""
        logs = [self.home / "console.log", self.home / "logs" / "elasticsearch.log"]
        found = []
        for log in logs:
            lines = (
                log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else ["(no such file)"]
            )
            found.append("\n".join([f"--- {log}", *lines[-TAIL_LINES:]]))
        return "\n".join(found)

    def __enter__(self) -> Self:
        """Start the node unless it is running."""
        return self if self._process else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def ask(method: str, url: str, body: object = None, timeout: float = 30.0) -> tuple[int, Any]:
    """Send one request, with a JSON body if one is given; return the status and the JSON body of the answer.

    An answer that is not JSON comes back as a string. An `OSError` means that there was no answer.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        with problem:
            status, content = problem.code, problem.read()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, content.decode(errors="replace")


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    runpy.run_path(str(SERVER), run_name="__main__")
