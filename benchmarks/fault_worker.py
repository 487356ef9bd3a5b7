"""Indexes into a search server for fault_sweep.py, each time in a fork, so that no moment is spent on imports.

    python benchmarks/fault_worker.py ROOT [ENTITIES]

Makes a bundle and two corpora, `new` and `old`, in ROOT, and says `ready`. Then every line of standard input is a JSON
object with the fields of `Order`. The answer is a line with the outcome: the exit code, the seconds, how many requests
were sent, and the error if there was one.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.elastic.client import Client
from entity_expand.elastic.exchange import Call
from entity_expand.encoder import FakeEncoder
from entity_expand.errors import EntityExpandError
from entity_expand.types import Entity
from indexer import ElasticSettings, IndexSettings, index_corpus
from indexer.elastic.lease import LEASES

ENTITIES = 160
ENDED_BY_AN_ERROR, BROKEN = 3, 1
_DURING = 0.002


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is to do.

    Attributes:
        address: Where to index to.
        work: Folder for what must survive a kill.
        corpus: "new" or "old".
        seed: Of the times between tries.
        kill: The process kills itself at this request, counted from 1; 0 for never.
        moment: "before" it is sent, "during" its way, or "after" its answer.
        patience: Seconds without progress that it survives.
        shards: Primary shards.
        replicas: Copies of each.
    """

    address: str
    work: str
    corpus: str = "new"
    seed: int = 0
    kill: int = 0
    moment: str = "before"
    patience: float = 60.0
    shards: int = 1
    replicas: int = 0


class Steps:
    """Counts the requests that this process sends, without renewals of the lease, and kills it at one of them."""

    def __init__(self, kill: int, moment: str) -> None:
        self.sent = 0
        send = Client.send

        async def counted(client: Client, call: Call, *arguments: Any) -> Any:
            renewal = call.method == "PUT" and call.path.startswith(f"/{LEASES}/_doc/")
            self.sent += not renewal  # those come by the clock, so that their number says how busy the machine is
            mine = self.sent == kill and not renewal
            if mine and moment == "before":
                die()
            if mine and moment == "during":
                asyncio.get_running_loop().call_later(_DURING, die)
            try:
                return await send(client, call, *arguments)
            finally:
                if mine:
                    die()

        Client.send = counted  # type: ignore[method-assign]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def make_world(root: Path, count: int) -> None:
    """Write two corpora of the same entities with other sentences, and a bundle that knows most of them."""
    entities = [
        Entity(str(number), f"Place {number}", (f"P{number}",), {"kind": ("sea", "hill", "wood")[number % 3]})
        for number in range(count)
    ]
    for name, word in (("new", "lies"), ("old", "lay")):
        rows = []
        for number, entity in enumerate(entities):
            for turn in range(2):
                text = f"{entity.name} {word} at a{number % 7} b{number % 11} c{number % 13} {turn}."
                rows.append(OwnRow(text, ((entity.id, 0, len(entity.name)),), None, "train"))
        write_corpus(root / name, entities, rows)
    fake_bundle(root / "bundle", entities[: count * 9 // 10])


def index(root: Path, order: Order) -> None:
    bundle = Bundle.open(root / "bundle")
    settings = ElasticSettings(
        shards=order.shards,
        replicas=order.replicas,
        chunk_bytes=10 << 10,
        patience=order.patience,
        lease_seconds=3.0,
        work=Path(order.work),
        seed=order.seed,
    )
    with Corpus.open(root / order.corpus) as corpus:
        chosen = IndexSettings(modality="text")
        index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, order.address, chosen, elastic=settings)


def run_and_exit(root: Path, order: Order, outcome: Path) -> None:
    """Do what is ordered, write down how it went, and end."""
    before, began, code, error = set(sys.modules), time.monotonic(), BROKEN, ""
    os.dup2(2, 1)  # standard output is for the answers
    steps = Steps(order.kill, order.moment)
    try:
        index(root, order)
        code = 0
    except EntityExpandError as problem:
        code, error = ENDED_BY_AN_ERROR, f"{type(problem).__name__}: {problem}"
    except BaseException as problem:
        error = f"{type(problem).__name__}: {problem}"
        traceback.print_exc()
    finally:
        found = {"seconds": time.monotonic() - began, "requests": steps.sent, "error": error}
        outcome.write_text(json.dumps({**found, "imports": [name for name in sys.modules if name not in before]}))
        os._exit(code)


def main() -> int:
    root = Path(sys.argv[1])
    outcome = root / "outcome.json"
    make_world(root, int(sys.argv[2]) if len(sys.argv) > 2 else ENTITIES)
    os.environ["TQDM_DISABLE"] = "1"
    say("ready")
    for line in sys.stdin:
        order, began = Order(**json.loads(line)), time.monotonic()
        outcome.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            run_and_exit(root, order, outcome)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = {"seconds": time.monotonic() - began, "requests": 0, "error": ""}
        if code != -signal.SIGKILL:
            found = json.loads(outcome.read_text())
            for name in found.pop("imports"):
                with contextlib.suppress(ImportError, AttributeError):  # a name that is made, not imported
                    importlib.import_module(name)
        say(json.dumps({**found, "code": code}))
    return 0


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
