"""Expansions for fault_sweep.py while a node of the cluster dies, or answers get lost: right, or a typed error."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fault_findings import Found
from fault_runs import FaultSweepError, Worker, draw_faults
from fault_worker import Order

from entity_expand.elastic.store import ElasticStore
from entity_expand.errors import StoreError
from entity_expand.expander import Expander
from entity_expand.query import ExpandQuery
from entity_expand.search.plan import ExpandSettings
from servers.elasticsearch_node import Node, ask, free_port
from servers.faults import FAULTS
from servers.proxy import Proxy

TIMEOUT, GRACE = 3.0, 0.5
RECHECK = 0.5
THREADS = 3
CALM_SECONDS, FAULTY_SECONDS, GREEN_SECONDS = 1.0, 3.0, 180.0

Answer = tuple[tuple[str, float], ...]
"""Ids and scores of an expansion, best first."""


def make_queries(count: int) -> list[ExpandQuery]:
    """Return sets of three over entities "0" to count - 1, small and large, in both spaces, one and both directions."""
    source = random.Random(0)
    kinds = (
        ExpandSettings(pool_size=20),
        ExpandSettings(both_directions=0.5, pool_size=40),
        ExpandSettings(space="features", pool_size=40),
    )
    return [
        ExpandQuery([str(seed) for seed in source.sample(range(count), 3)], 10 + 5 * number, settings=settings)
        for number in range(4)
        for settings in kinds
    ]


def answer(expander: Expander, query: ExpandQuery, timeout: float | None = None) -> Answer:
    """Expand a set."""
    found = expander.expand(query.seeds, query.size, settings=query.settings, timeout=timeout)
    return tuple((result.id, result.score) for result in found.results)


def answers(address: str, queries: Sequence[ExpandQuery]) -> list[Answer]:
    """Expand all sets while nothing is wrong."""
    with Expander(ElasticStore.open(address)) as expander:
        return [answer(expander, query) for query in queries]


@dataclass
class Asking:
    """Threads that expand sets all the time: some through one store, one through a new store each time.

    Args:
        address: Of the index.
        queries: The sets.
        right: Their answers.
        found: Gets what goes wrong, and what else is to be counted.
    """

    address: str
    queries: Sequence[ExpandQuery]
    right: Sequence[Answer]
    found: Found

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()

    def judge(self, number: int, expand: Callable[[], Answer], limit: float) -> None:
        """Expand a set and count how it went."""
        began, kind = time.monotonic(), ""
        try:
            wrong = expand() != self.right[number]
        except StoreError as problem:
            wrong, kind = False, type(problem).__name__
        except Exception as problem:
            wrong, kind = False, f"{type(problem).__name__}: {problem}"
            with self._lock:
                self.found.problems.append(f"set {number}: {kind}")
        seconds = time.monotonic() - began
        with self._lock:
            self.found.expansions += 1
            self.found.over = max(self.found.over, seconds - limit)
            if kind:
                self.found.errors[kind.partition(":")[0]] += 1
            if wrong:
                self.found.wrong += 1
                self.found.problems.append(f"set {number}: a wrong list")
            if seconds > limit + GRACE:
                self.found.late += 1
                self.found.problems.append(f"set {number}: {seconds:.2f} s instead of {limit:g} s ({kind or 'a list'})")

    def _ask(self, expander: Expander, source: random.Random) -> None:
        while not self._over.is_set():
            number = source.randrange(len(self.queries))
            self.judge(number, lambda number=number: answer(expander, self.queries[number], TIMEOUT), TIMEOUT)

    def _ask_anew(self, source: random.Random) -> None:
        while not self._over.wait(0.05):
            number = source.randrange(len(self.queries))
            self.judge(number, lambda number=number: self._opened(number), 2 * TIMEOUT)

    def _opened(self, number: int) -> Answer:
        """Open a store, which may take the time-out, and expand a set, which may take it again."""
        with Expander(ElasticStore.open(self.address, timeout=TIMEOUT)) as expander:
            return answer(expander, self.queries[number], TIMEOUT)

    @contextmanager
    def under_way(self, expander: Expander, seed: int) -> Iterator[None]:
        """Expand in threads while the block is under way."""
        sources = [random.Random(f"{seed}/{thread}") for thread in range(THREADS + 1)]
        threads = [threading.Thread(target=self._ask, args=(expander, source)) for source in sources[:THREADS]]
        threads.append(threading.Thread(target=self._ask_anew, args=(sources[THREADS],)))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()


def run_with_faults(url: str, name: str, right: Sequence[Answer], queries: Sequence[ExpandQuery], seed: int) -> Found:
    """Expand through a proxy that lets requests fail."""
    began, found = time.monotonic(), Found(runs=1)
    with Proxy(url) as proxy:
        asking = Asking(f"{proxy.url}/{name}", queries, right, found)
        # Half of the runs without a memory for rows, so that each expansion fetches all.
        with Expander(ElasticStore.open(asking.address, recheck=RECHECK, cache_bytes=(seed % 2) << 20)) as expander:
            source = random.Random(f"expansions/{seed}")
            proxy.set_faults(draw_faults(source, source.uniform(0.5, 1.6), source.choice((0.3, 2 * TIMEOUT))))
            with asking.under_way(expander, seed):
                time.sleep(FAULTY_SECONDS)
            proxy.set_faults(None)
            _all_right_again(expander, asking, "the faults")
        found.injected += Counter({kind: proxy.counts[kind] for kind in (*FAULTS, "delayed")})
    found.seconds = time.monotonic() - began
    return found


def run_with_kill(
    nodes: Sequence[Node], victim: Node, name: str, right: Sequence[Answer], queries: Sequence[ExpandQuery], seed: int
) -> Found:
    """Expand through the first node while one, perhaps this one, is killed and started again."""
    began, found = time.monotonic(), Found(runs=1, kills=1)
    wait_for_green(nodes[0].url)
    asking = Asking(f"{nodes[0].url}/{name}", queries, right, found)
    with Expander(ElasticStore.open(asking.address, recheck=RECHECK, cache_bytes=(seed % 2) << 20)) as expander:
        with asking.under_way(expander, seed):
            time.sleep(random.Random(seed).uniform(0.2, CALM_SECONDS))
            victim.kill()
            time.sleep(FAULTY_SECONDS)
            victim.launch()
            victim.wait()
        wait_for_green(nodes[0].url)
        _all_right_again(expander, asking, f"the restart of {victim.name}")
    which = "the node asked" if victim is nodes[0] else "another node"
    found.errors = Counter({f"{kind} with {which} dead": count for kind, count in found.errors.items()})
    found.seconds = time.monotonic() - began
    return found


def _all_right_again(expander: Expander, asking: Asking, what: str) -> None:
    for number, query in enumerate(asking.queries):
        try:
            if answer(expander, query, 4 * TIMEOUT) != asking.right[number]:
                asking.found.wrong += 1
                asking.found.problems.append(f"set {number}: a wrong list after {what}")
        except StoreError as problem:
            asking.found.problems.append(f"set {number}: fails after {what}: {type(problem).__name__}: {problem}")


def wait_for_green(url: str) -> None:
    """Wait until the cluster has all nodes and all copies."""
    end = time.monotonic() + GREEN_SECONDS
    while time.monotonic() < end:
        health = "_cluster/health?wait_for_status=green&wait_for_nodes=3&timeout=10s"
        try:
            status, found = ask("GET", f"{url}/{health}")
        except OSError:
            continue
        if status == 200 and not found["timed_out"]:
            return
    raise FaultSweepError(f"The cluster is not green within {GREEN_SECONDS:g} s.")


@contextmanager
def cluster(home: Path, heap: str) -> Iterator[list[Node]]:
    """Start three nodes, of which each may be the master, so that two suffice to choose one."""
    ports = [free_port() for _ in range(3)]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    nodes = [
        Node(home / name, transport_port=port, name=name, seed_hosts=hosts, masters=("n1",) if name == "n1" else (),
             heap=heap, cluster="faults")
        for name, port in zip(("n1", "n2", "n3"), ports, strict=True)
    ]  # fmt: skip
    try:
        for node in nodes:
            node.start()
        wait_for_green(nodes[0].url)
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def index_undisturbed(worker: Worker, url: str, name: str, shards: int = 1, replicas: int = 0) -> None:
    """Make the index that is to be expanded from."""
    worker.undisturbed(Order(f"{url}/{name}", str(worker.root / "work"), shards=shards, replicas=replicas))
