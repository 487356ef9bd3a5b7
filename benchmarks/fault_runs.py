"""One disturbed indexing run for fault_sweep.py: kills, a dying server, faults on the way, and a look afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from fault_findings import Found, Truth, Watcher, bad_views, look_at
from fault_worker import ENDED_BY_AN_ERROR, Order

from entity_expand.bundle import Bundle
from indexer import verify_index
from servers.elasticsearch_node import Node
from servers.faults import FAULTS, Faults
from servers.fixtures import delete_all
from servers.proxy import Proxy

ATTEMPTS = 12
KILLED = -9
MOMENTS = ("before", "during", "after")


class FaultSweepError(Exception):
    """The sweep itself cannot go on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process that indexed ended: its exit code, its seconds, the requests that it sent, its error."""

    code: int
    seconds: float
    requests: int
    error: str


class Worker:
    """The process that forks one that indexes for each order; with a bundle and corpora in `root`."""

    def __init__(self, root: Path, entities: int | None = None) -> None:
        self.root = root
        command = [sys.executable, str(Path(__file__).with_name("fault_worker.py")), str(root)]
        self._process = subprocess.Popen(
            command + ([str(entities)] if entities else []),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        if self._line() != "ready":
            raise FaultSweepError("The process that indexes did not start.")
        self.bundle = Bundle.open(root / "bundle")

    def _line(self) -> str:
        return self._process.stdout.readline().strip() if self._process.stdout else ""

    def run(self, order: Order) -> Outcome:
        """Let a process do what is ordered, and wait for its end."""
        if self._process.stdin:
            self._process.stdin.write(json.dumps(asdict(order)) + "\n")
            self._process.stdin.flush()
        line = self._line()
        if not line:
            raise FaultSweepError("The process that indexes is gone.")
        return Outcome(**json.loads(line))

    def undisturbed(self, order: Order) -> Outcome:
        """Run what nothing disturbs.

        Raises:
            FaultSweepError: It failed all the same.
        """
        outcome = self.run(order)
        if outcome.code:
            raise FaultSweepError(f"An undisturbed run ended with {outcome.code}: {outcome.error}")
        return outcome

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_truth(worker: Worker, url: str, name: str, times: int = 2) -> Truth:
    """Index both corpora undisturbed under names that begin with `name`, so many times, and delete them."""
    versions = {}
    for corpus in ("old", "new"):
        order = Order(f"{url}/{name}-{corpus}", str(worker.root / "work"), corpus)
        for _ in range(times):  # the first time all is cold
            outcome = worker.undisturbed(order)
            audit = verify_index(order.address, worker.bundle)
            if audit.problems:
                raise FaultSweepError(f"After an undisturbed run: {'; '.join(audit.problems)}")
            versions[corpus] = audit.physical.removeprefix(f"{name}-{corpus}")
            delete_all(url, f"{name}-{corpus}")
            shutil.rmtree(order.work)
    return Truth(audit.digest, versions["new"], versions["old"], outcome.requests, outcome.seconds)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to one run.

    Attributes:
        name: The alias.
        older: Whether an older version stands under it before.
        kills: Requests at which the process kills itself, one for each beginning, and when.
        faults: What the proxy does to requests; None for no proxy.
        crash: Seconds after which the server is killed and started again; None for never.
        forget: Whether the folder of work is lost after a kill.
    """

    name: str
    older: bool
    kills: tuple[tuple[int, str], ...] = ()
    faults: Faults | None = None
    crash: float | None = None
    forget: bool = False


def draw_faults(source: random.Random, scale: float = 1.0, longest: float = 0.3) -> Faults:
    """Draw how often which fault happens: none of a kind in a third of the cases, `scale` / 8 of the requests at most.

    Args:
        source: Of the draws.
        scale: At most 1.6.
        longest: Longest delay in seconds.
    """

    def share(most: float) -> float:
        return max(0.0, source.uniform(-most / 2, most))

    chosen = {name: share(scale / 8) for name in FAULTS}
    return Faults(
        source.randrange(1 << 30), **chosen, delay=share(0.2), seconds=source.uniform(0.01, longest), reject=share(0.3)
    )


def run_indexing(worker: Worker, node: Node | str, truth: Truth, what: Disturbance) -> Found:
    """Index under disturbance until it is done, look at what is left, and delete it.

    Args:
        worker: Forks the processes.
        node: The server, or its address if it is never to be killed.
        truth: What must come out.
        what: Happens.
    """
    url, began = node if isinstance(node, str) else node.url, time.monotonic()
    found = Found(runs=1)
    order = Order(f"{url}/{what.name}", str(worker.root / "work" / what.name))
    older = f"{what.name}{truth.older}" if what.older else None
    if what.older:
        worker.undisturbed(replace(order, corpus="old"))
    with ExitStack() as stack:
        watcher = stack.enter_context(Watcher(url, what.name))
        if what.faults is not None:
            proxy = stack.enter_context(Proxy(url, faults=what.faults))
            order = replace(order, address=f"{proxy.url}/{what.name}")
        if what.crash is not None and isinstance(node, Node):
            stack.enter_context(_Crash(node, what.crash))
            order = replace(order, patience=180.0)
            found.kills += 1
        _run_until_done(worker, order, what, found)
    if what.faults is not None:
        kinds = (*FAULTS, "delayed", "rejected")
        found.injected += Counter({kind: proxy.counts[kind] for kind in kinds})
    if what.crash is not None and found.again:
        found.problems.append(f"{what.name}: the run did not survive the death of the server")
    newer = f"{what.name}{truth.version}"
    found.looks = watcher.looks
    if bad := bad_views(watcher.history, older, newer):
        found.states += len(bad)
        found.problems.append(f"{what.name}: the alias stood for {bad} in {watcher.history}")
    look_at(url, what.name, worker.bundle, truth, [each for each in (older, newer) if each], found)
    delete_all(url, what.name)
    shutil.rmtree(worker.root / "work", ignore_errors=True)
    found.seconds = found.longest = time.monotonic() - began
    return found


class _Crash:
    """Kills a server after a while and starts it again; leaving the block waits until it answers."""

    def __init__(self, node: Node, seconds: float) -> None:
        self._node, self._seconds = node, seconds
        self._thread = threading.Thread(target=self._crash)

    def _crash(self) -> None:
        time.sleep(self._seconds)
        self._node.kill()
        self._node.launch()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join()
        self._node.wait()


def _run_until_done(worker: Worker, order: Order, what: Disturbance, found: Found) -> None:
    for attempt in range(ATTEMPTS):
        kill, moment = what.kills[attempt] if attempt < len(what.kills) else (0, "before")
        outcome = worker.run(replace(order, seed=attempt, kill=kill, moment=moment))
        if outcome.code == 0:
            return
        found.again += 1
        if outcome.code == KILLED and kill:
            found.kills += 1
            if what.forget:
                shutil.rmtree(order.work, ignore_errors=True)
            continue
        found.errors[outcome.error.partition(":")[0]] += 1
        if outcome.code != ENDED_BY_AN_ERROR:
            found.problems.append(f"{what.name}: a run ended with {outcome.code}: {outcome.error}")
    found.problems.append(f"{what.name}: not done after {ATTEMPTS} runs, at last: {outcome.error}")
