"""What training and expansion cost in time and memory against the number n of entities and the length K of a list."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand.config import to_mapping
from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from entity_expand.files import read_json, write_json
from training.config import TrainingConfig
from training.experiments.describe import changed
from training.experiments.made import Made
from training.experiments.parts import write_part
from training.experiments.records import run_key
from training.trainer import Say

IN_TABLE = (500, 1000, 2000, 4000, 8000, 14489)
"""14,489 are the entities of MESED, of which a table takes 801 MiB."""
ON_DEMAND = (2000, 4000, 8000, 14489, 20000, 32000)
LENGTHS = (25, 50, 100, 200)
SHARES = (0.125, 0.25, 0.5, 1.0)
TURNS = {True: 61, False: 31}
_WORKER = "training.experiments.cost_worker"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_STEADY = {**_ONE_THREAD, "NUMPY_MADVISE_HUGEPAGE": "0"}
_CAP = 1 << 16


@dataclass(frozen=True)
class ExpansionCost:
    """Expansions among so many entities.

    Attributes:
        entities: n.
        table: Whether all scores lay in a table; otherwise each expansion computed those that it needed.
        lengths: Each K, rising.
        seconds: By length, the median processor time of an expansion.
        base, megabytes: MiB of a process before it makes anything, and its peak after an expansion to the largest K.
        prepared: Seconds of processor time before that expansion: the entities' rows, and the table if there is one.
        made: What made these figures.
    """

    entities: int
    table: bool
    lengths: tuple[int, ...]
    seconds: tuple[float, ...]
    base: float
    megabytes: float
    prepared: float
    made: tuple[Made, ...] = ()


@dataclass(frozen=True)
class TrainingCost:
    """An epoch over part of a corpus.

    Attributes:
        entities: n.
        pairs: Sentences with their pictures in an epoch.
        seconds: Of the epoch.
        megabytes: MiB, the peak of the resident memory of a process that does only this.
        made: What made these figures.
    """

    entities: int
    pairs: int
    seconds: float
    megabytes: float
    made: tuple[Made, ...] = ()


def expansion_costs(
    entities: Sequence[int], lengths: Sequence[int], table: bool, work: Path, say: Say
) -> list[ExpansionCost]:
    """Measure expansions over made vectors: all times in one process, the memory in one for each n, of one thread each.

    Args:
        entities: Each n, above twice the largest K.
        lengths: Each K, rising.
        table: Whether all scores lie in a table.
        work: Folder that keeps what has been measured.
        say: Receives lines about the progress.
    """
    asked = {"entities": list(entities), "lengths": list(lengths), "table": table, "turns": TURNS[table]}
    folder = work / "costs" / f"expansions-{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]}"
    times, of_times = _measured(folder / "times.json", partial(_work, "times", asked, _STEADY))
    found = []
    for n, seconds in zip(entities, times["seconds"], strict=True):
        one = {"entities": n, "length": lengths[-1], "table": table}
        memory, of_memory = _measured(folder / f"memory-{n}.json", partial(_work, "memory", one, _ONE_THREAD))
        found.append(
            ExpansionCost(
                n, table, tuple(lengths), tuple(seconds), memory["base"], memory["megabytes"], memory["prepared"],
                (of_times, of_memory),
            )
        )  # fmt: skip
        shown = ", ".join(f"{1000 * each:.2f}" for each in seconds)
        kind = "in a table" if table else "on demand"
        say(f"expansion {kind}, n = {n}, K in {tuple(lengths)}: {shown} ms, {memory['megabytes']:.0f} MiB")
    return found


def training_costs(
    config: TrainingConfig, corpus: Corpus, shares: Sequence[float], work: Path, say: Say
) -> list[TrainingCost]:
    """Measure the second epoch on parts of a corpus, a process for each; nothing is measured on queries meanwhile."""
    settings = changed(config, {"loop.epochs": 2, "validation.queries": None, "validation.patience": None})
    order = np.random.default_rng(0).permutation(len(corpus.entities))
    found = []
    for share in shares:
        count = max(2, round(share * len(order)))
        kept = frozenset(corpus.entities[place].id for place in order[:count].tolist())
        part = write_part(corpus, work / "parts" / f"{corpus.content_hash[:16]}-{count}", kept)
        run = work / "costs" / run_key(settings, f"{corpus.content_hash} {count}")
        found.append(_training_cost(settings, part, run, count))
        say(f"training, n = {count}: {found[-1].seconds:.1f} s an epoch, {found[-1].megabytes:.0f} MiB")
    return found


def _training_cost(settings: TrainingConfig, part: Path, run: Path, count: int) -> TrainingCost:
    def work() -> dict[str, Any]:
        # A training that went on from a checkpoint would have the time and the memory of its last steps alone.
        shutil.rmtree(run, ignore_errors=True)
        write_json(run / "asked.json", to_mapping(settings))
        return _work("train", {"config": str(run / "asked.json"), "corpus": str(part), "run": str(run)})

    done, made = _measured(run / "measured.json", work)
    return TrainingCost(count, int(done["pairs"]), done["seconds"], done["megabytes"], (made,))


def _measured(kept: Path, work: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], Made]:
    """Return what a file keeps of a measurement and of what made it, after it has been made if it has not."""
    if not kept.is_file():
        found = {**work(), **Made.here().kept()}
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, found)
    record = dict(read_json(kept, _CAP, TrainingError))
    return record, Made.of(record)


def _work(kind: str, arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run the worker in a process of its own.

    Raises:
        TrainingError: It failed.
    """
    command = [sys.executable, "-m", _WORKER, kind, json.dumps(arguments)]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=variables)
    if done.returncode:
        ended = f"ended with {done.returncode}:\n{done.stderr[-2000:]}"
        raise TrainingError(f"Measuring {kind} with {arguments} {ended}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
