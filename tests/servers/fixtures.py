"""Fixtures that lend a real server to tests; a server that cannot start is a failure, never a skip."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.elasticsearch_node import Node, NodeError, ask

EXISTING = "ENTITY_EXPAND_TEST_ELASTICSEARCH"
LEASES = "entity-expand-leases"
MAIN_PROCESS = "main_process"
_NODE = pytest.StashKey[Node]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker of pytest-xdist with which process the servers that it starts have to end."""
    node.workerinput[MAIN_PROCESS] = os.getpid()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def elasticsearch_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an Elasticsearch server that all workers share.

    The first test that needs it starts it; it ends with the run's main process, however that ends. The environment
    variable ENTITY_EXPAND_TEST_ELASTICSEARCH names a server to use instead.
    """
    if existing := os.environ.get(EXISTING):
        return existing.rstrip("/")
    worker = getattr(request.config, "workerinput", None)
    folder = tmp_path_factory.getbasetemp().parent if worker else tmp_path_factory.getbasetemp()
    with (folder / "elasticsearch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = folder / "elasticsearch.json"
        if not state.exists():
            state.write_text(json.dumps(start(request.config, folder, worker[MAIN_PROCESS] if worker else os.getpid())))
        found: dict[str, str] = json.loads(state.read_text())
    if "problem" in found:
        pytest.fail(found["problem"], pytrace=False)
    return found["url"]


def start(config: pytest.Config, folder: Path, main_process: int) -> dict[str, str]:
    """Start the shared node; return its "url", or the "problem" that all workers are to report."""
    node = Node(folder / "elasticsearch", until_exit_of=main_process)
    try:
        node.start()
    except NodeError as problem:
        return {"problem": str(problem)}
    # Kept to the end of this process: it may end before other workers, which still use the node.
    config.stash[_NODE] = node
    return {"url": node.url}


@pytest.fixture
def index_name(elasticsearch_url: str) -> Iterator[str]:
    """A fresh name for an index; what begins with it is deleted afterwards: indices, aliases, leases."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    delete_all(elasticsearch_url, name)


def delete_all(url: str, name: str) -> None:
    """Delete all indices, aliases and leases whose names begin with `name`."""
    _, found = ask("GET", f"{url}/_alias?expand_wildcards=all")
    for index, aliases in found.items():
        if index.startswith(name):
            ask("DELETE", f"{url}/{index}")
        for alias in aliases["aliases"]:
            if alias.startswith(name) and not index.startswith(name):
                ask("DELETE", f"{url}/{index}/_alias/{alias}")
    if LEASES in found:
        ask("POST", f"{url}/{LEASES}/_refresh")
        _, leases = ask("POST", f"{url}/{LEASES}/_search", {"size": 10_000, "_source": False})
        for hit in leases["hits"]["hits"]:
            if hit["_id"].startswith(name):
                ask("DELETE", f"{url}/{LEASES}/_doc/{hit['_id']}")
