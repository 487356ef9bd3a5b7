"""What the Elasticsearch benchmarks share: a bare client, a server to run on, results in a file, tables in a page."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import platform
import subprocess
import sys
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MARK = "<!-- From here on the script writes. -->"


class Server:
    """One bare connection to a server, for one thread."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.url = url
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=3_600)

    def raw(self, method: str, path: str, body: bytes | None = None, kind: str = "json") -> bytes:
        """Send a request and return the body of its answer."""
        self._connection.request(method, path, body, {"Content-Type": f"application/{kind}"})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:600]!r}")
        return content

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request with a JSON body and return the decoded answer."""
        return json.loads(self.raw(method, path, None if body is None else json.dumps(body).encode()))

    def exists(self, index: str) -> bool:
        """Return whether an index exists; if so, wait until it can be searched, as after a start of the server."""
        found = bool(self.call("GET", f"/_resolve/index/{index}*")["indices"])
        if found:
            self.call("GET", f"/_cluster/health/{index}?wait_for_status=yellow&timeout=120s")
        return found

    def drop(self, index: str) -> None:
        """Delete an index if it exists."""
        self.call("DELETE", f"/{index}?ignore_unavailable=true")


def load(server: Server, index: str, fields: Mapping[str, np.ndarray], chunk_bytes: int = 8 << 20) -> None:
    """Index vectors (n, W') by field, with their place."""
    names, total = list(fields), len(next(iter(fields.values())))
    step = max(1, chunk_bytes // (sum(array.shape[1] for array in fields.values()) * 16 // 3))
    for start in range(0, total, step):
        lines = []
        for place in range(start, min(start + step, total)):
            source: dict[str, Any] = {"place": place}
            for name in names:
                source[name] = base64.b64encode(fields[name][place].astype(">f4").tobytes()).decode()
            lines += [f'{{"index":{{"_id":"{place}"}}}}', json.dumps(source)]
        content = server.raw("POST", f"/{index}/_bulk", ("\n".join(lines) + "\n").encode(), "x-ndjson")
        if b'"errors":true' in content[:200]:
            raise RuntimeError(f"Items of {index} were refused: {content[:600]!r}")


@contextlib.contextmanager
def server_at(url: str | None, home: Path, heap: str) -> Iterator[str]:
    """Yield the address of a server: the one given, or one that is started on `home` and stopped at the end."""
    if url:
        yield url
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.servers.elasticsearch_node import Node

    with Node(home, name="benchmark", cluster="benchmark", heap=heap) as node:
        yield node.url


def machine(url: str) -> str:
    """Return a line about the machine and what runs on it."""
    server = Server(url)
    node = next(iter(server.call("GET", "/_nodes/jvm,os")["nodes"].values()))
    jvm = f"{node['jvm']['version']} ({node['jvm']['vm_vendor']})"
    heap = node["jvm"]["mem"]["heap_max_in_bytes"] >> 20
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory} GiB; Elasticsearch {node['version']}, heap {heap} MiB, "
        f"Java {jvm}; Python {platform.python_version()}, numpy {np.__version__}; commit {revision}"
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


class Notes:
    """Results as JSON Lines: each is known by its key, so that a run that was ended goes on where it stood."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[dict[str, Any]] = []
        if path.exists():
            self.found = [json.loads(line) for line in path.read_text().splitlines()]

    def has(self, **key: Any) -> bool:
        """Return whether there is a result with these entries."""
        return bool(self.select(**key))

    def select(self, **key: Any) -> list[dict[str, Any]]:
        """Return the results that have these entries."""
        return [row for row in self.found if all(row.get(name) == value for name, value in key.items())]

    def add(self, **row: Any) -> None:
        """Keep a result and print it."""
        self.found.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    filled = ([*line, *["-"] * (len(columns) - len(line))] for line in lines)
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in filled)


def put_into(page: Path, tables: str) -> None:
    """Replace what follows the mark in a result page."""
    text, mark, _ = page.read_text().partition(MARK)
    if not mark:
        raise RuntimeError(f"{page} lacks the line {MARK!r} after which the tables stand.")
    page.write_text(f"{text}{MARK}\n\n{tables}\n")
