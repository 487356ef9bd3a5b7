"""A short cut of the fault sweep, and that it notices what it is there for; test_build.py kills a server."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from entity_expand.elastic.address import parse_address
from entity_expand.elastic.connection import Connection
from entity_expand.errors import UnreachableError
from indexer.elastic.lease import LEASES, Lease
from servers.elasticsearch_node import ask
from servers.faults import Faults
from servers.fixtures import delete_all
from servers.proxy import Proxy

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
SEED, ENTITIES = 7, 60


class Modules:
    """The modules of the sweep."""

    def __init__(self) -> None:
        self.sweep = self._module("sweep")
        self.runs = self._module("runs")
        self.findings = self._module("findings")
        self.expansions = self._module("expansions")

    @staticmethod
    def _module(name: str) -> ModuleType:
        return importlib.import_module(f"fault_{name}")


@pytest.fixture(scope="module")
def faults() -> Iterator[Modules]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        yield Modules()


@pytest.fixture(scope="module")
def worker(faults: Modules, tmp_path_factory: pytest.TempPathFactory):
    with faults.runs.Worker(tmp_path_factory.mktemp("world"), ENTITIES) as worker:
        yield worker


@pytest.fixture(scope="module")
def truth(faults: Modules, worker, elasticsearch_url: str):
    name = f"test-faults-{worker.root.parent.name}"
    yield faults.runs.find_truth(worker, elasticsearch_url, name, times=1)
    delete_all(elasticsearch_url, name)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("kill", 5), ("proxy", 2), ("both", 2)])
def test_indexing_goes_on_to_the_same_end(
    faults: Modules, worker, truth, elasticsearch_url: str, index_name: str, kind: str, count: int
) -> None:
    total = faults.findings.Found()
    for what in faults.sweep.disturbances(kind, count, SEED, truth):
        what = replace(what, name=f"{index_name}-{what.name}")
        total.add(faults.runs.run_indexing(worker, elasticsearch_url, truth, what))
    assert total.problems == []
    assert total.kills == {"kill": count, "proxy": 0, "both": 2 * count}[kind]
    assert (total.injected.total() > 0) == (kind != "kill")
    assert total.looks > total.runs == count


@pytest.fixture(scope="module")
def indexed(faults: Modules, worker, elasticsearch_url: str) -> Iterator[str]:
    name = f"test-faults-{worker.root.parent.name}-right"
    faults.expansions.index_undisturbed(worker, elasticsearch_url, name)
    yield name
    delete_all(elasticsearch_url, name)


def test_expansions_through_faults_are_right_or_fail_in_time(
    faults: Modules, indexed: str, elasticsearch_url: str
) -> None:
    queries = faults.expansions.make_queries(ENTITIES)
    right = faults.expansions.answers(f"{elasticsearch_url}/{indexed}", queries)
    assert all(right)
    found = faults.expansions.run_with_faults(elasticsearch_url, indexed, right, queries, SEED)
    assert found.problems == []
    assert found.expansions > found.errors.total()
    assert found.injected.total() > 0


def test_a_wrong_list_a_late_one_and_a_foreign_error_are_noticed(faults: Modules) -> None:
    def fail(kind: type[Exception]):
        def expand():
            raise kind("no")

        return expand

    def be_late():
        time.sleep(0.51)
        return (("1", 2.0),)

    found = faults.findings.Found()
    asking = faults.expansions.Asking("", [None], [(("1", 2.0),)], found)
    asking.judge(0, lambda: (("1", 2.0),), 1.0)
    asking.judge(0, fail(UnreachableError), 1.0)
    assert (found.problems, found.errors, found.expansions) == ([], {"UnreachableError": 1}, 2)
    asking.judge(0, lambda: (("1", 2.5),), 1.0)
    assert (found.wrong, found.problems.pop()) == (1, "set 0: a wrong list")
    asking.judge(0, fail(KeyError), 1.0)
    assert found.problems.pop() == "set 0: KeyError: 'no'"
    asking.judge(0, be_late, 0.0)
    assert (found.late, found.problems.pop()[:10]) == (1, "set 0: 0.5")


def test_a_lease_is_removed_though_the_answer_to_a_renewal_was_lost(elasticsearch_url: str, index_name: str) -> None:
    document = f"/{LEASES}/_doc/{index_name}"
    with Proxy(elasticsearch_url) as proxy, Connection(parse_address(f"{proxy.url}/{index_name}")) as connection:
        with Lease(connection, index_name, seconds=1.2):
            proxy.set_faults(Faults(SEED, lose=1.0, paths=f"^PUT {document}"))
            while proxy.counts["lose"] == 0:
                time.sleep(0.01)
            assert ask("GET", elasticsearch_url + document)[0] == 200
        assert ask("GET", elasticsearch_url + document)[0] == 404


OLD, NEW, LOADING = (("n-1", "verified"),), (("n-2", "verified"),), (("n-2", "loading"),)


@pytest.mark.parametrize(
    ("history", "older", "bad"),
    [
        ([OLD, NEW], "n-1", []),
        ([(), NEW], None, []),
        ([OLD, LOADING, NEW], "n-1", [LOADING]),
        ([OLD, (), NEW], "n-1", [()]),
        ([OLD, OLD + NEW, NEW], "n-1", [OLD + NEW]),
        ([OLD, NEW, OLD, NEW], "n-1", [OLD, NEW, OLD, NEW]),
        ([(), NEW], "n-1", [()]),
        ([OLD], "n-1", [OLD]),
    ],
)
def test_a_wrong_state_of_the_alias_is_noticed(faults: Modules, history: list, older: str | None, bad: list) -> None:
    assert faults.findings.bad_views(history, older, "n-2") == bad


def test_a_watcher_sees_what_an_alias_stands_for(faults: Modules, elasticsearch_url: str, index_name: str) -> None:
    def state(number: int, name: str) -> None:
        body = {"mappings": {"_meta": {"entity_expand": {"state": name}}}}
        assert ask("PUT", f"{elasticsearch_url}/{index_name}-{number}", body)[0] == 200

    state(1, "verified")
    state(2, "loading")
    with faults.findings.Watcher(elasticsearch_url, index_name) as watcher:
        for number in (1, 2):
            ask("PUT", f"{elasticsearch_url}/{index_name}-{number}/_alias/{index_name}")
            seen = watcher.looks
            while watcher.looks < seen + 2:
                time.sleep(0.01)
    one, two = (f"{index_name}-1", "verified"), (f"{index_name}-2", "loading")
    assert watcher.history == [(), (one,), (one, two)]


def test_what_is_left_is_noticed(faults: Modules, truth, indexed: str, worker, elasticsearch_url: str) -> None:
    def look(versions: list[str], chosen) -> list[str]:
        found = faults.findings.Found()
        faults.findings.look_at(elasticsearch_url, indexed, worker.bundle, chosen, versions, found)
        return [problem.removeprefix(f"{indexed}: ") for problem in found.problems]

    right, other = f"{indexed}{truth.version}", f"{indexed}{truth.older}"
    assert look([right], truth) == []
    assert look([right], replace(truth, digest="0")) == ["the contents differ from those after an undisturbed run"]
    assert look([other], truth) == [f"stands for {right}, not {other}", f"[{right!r}] are there, expected [{other!r}]"]
    ask("PUT", f"{elasticsearch_url}/{right}/_settings", {"index": {"refresh_interval": "-1"}})
    ask("PUT", f"{elasticsearch_url}/{LEASES}/_doc/{indexed}", {})
    assert look([right], truth) == ["is left as it was for loading", "the lease is left"]
    ask("DELETE", f"{elasticsearch_url}/{LEASES}/_doc/{indexed}")
