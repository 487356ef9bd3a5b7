"""One measurement of cost in a process of its own: `python -m training.experiments.cost_worker KIND JSON`."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from entity_expand.config import from_mapping
from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from entity_expand.files import read_json
from entity_expand.search.plan import ExpandSettings, search_whole
from entity_expand.search.pools import Pool, VectorPool
from entity_expand.types import Int64
from training.config import TrainingConfig
from training.features import EntityFeatures
from training.loop import train
from training.table import EntityTable, entity_table

_CAP = 1 << 20
_WIDTH, _SEEDS = 64, 3


def times(entities: Sequence[int], lengths: Sequence[int], table: bool, turns: int) -> dict[str, Any]:
    """Measure expansions among made entities, all sizes and lengths in turns: what disturbs one disturbs all.

    Args:
        entities: Each n.
        lengths: Each K, rising.
        table: Search in a table of all scores, which is made once; otherwise each expansion computes the scores that
            it needs, as it does above a gibibyte of them.
        turns: Sets of seeds; each is expanded to every length. A first one warms caches and is not counted.

    Returns:
        `seconds`, the median processor time of an expansion by size and length.
    """
    generator = np.random.default_rng(1)
    made = [_made(n) for n in entities]
    tables = [each.pool(ExpandSettings()) if table else None for each in made]
    measured: dict[tuple[int, int], list[float]] = {(n, length): [] for n in entities for length in lengths}
    for turn in range(turns + 1):
        for rows, whole in zip(made, tables, strict=True):
            n = len(rows.entities)
            seeds = generator.choice(n, _SEEDS, replace=False)
            for length in lengths:
                seconds = _expanded(whole or _on_demand(rows), seeds, length)
                measured[n, length] += [seconds] if turn else []
    return {"seconds": [[median(measured[n, length]) for length in lengths] for n in entities]}


def memory(entities: int, length: int, table: bool) -> dict[str, float]:
    """Return what a process needs that expands one set among made entities; arguments as in `times`.

    Returns:
        `base`, MiB before anything is made; `prepared`, seconds of processor time until the set can be expanded;
        `megabytes`, MiB, the peak.
    """
    base, started = peak(), time.process_time()
    rows = _made(entities)
    pool = rows.pool(ExpandSettings()) if table else _on_demand(rows)
    prepared = time.process_time() - started
    _expanded(pool, np.arange(_SEEDS), length)
    return {"base": base, "prepared": prepared, "megabytes": peak()}


def _made(entities: int) -> EntityTable:
    """Return entities in groups of about fifty."""
    generator = np.random.default_rng(0)
    groups = generator.standard_normal((max(1, entities // 50), _WIDTH))
    means = groups[generator.integers(0, len(groups), entities)] + 0.7 * generator.standard_normal((entities, _WIDTH))
    head = torch.from_numpy(means.astype(np.float32) / 4), torch.zeros(entities)
    return entity_table(EntityFeatures(np.arange(entities), means.astype(np.float32)), head)


def _on_demand(table: EntityTable) -> Pool:
    return VectorPool(table.rows, table.vocabulary)


def _expanded(pool: Pool, seeds: Int64, length: int) -> float:
    """Return the seconds of processor time of one expansion: other processes of the machine do not count."""
    started = time.process_time()
    search_whole(pool, seeds, length, ExpandSettings().search, np.empty(0, dtype=np.int64))
    return time.process_time() - started


def train_epochs(config: str, corpus: str, run: str) -> dict[str, float]:
    """Return the seconds and the pairs of the last epoch of a training.

    Raises:
        TrainingError: The run left no metrics of an epoch.
    """
    settings = from_mapping(TrainingConfig, read_json(Path(config), _CAP, TrainingError))
    with Corpus.open(corpus, per_mention=settings.data.per_mention) as opened:
        train(settings, opened, Path(run))
    lines = (Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    epochs = [record for record in map(json.loads, lines) if "seconds" in record and "pairs_per_second" in record]
    if not epochs:
        raise TrainingError(f"{run}/metrics.jsonl has no epoch with its seconds.")
    last = epochs[-1]
    pairs = float(last["seconds"]) * float(last["pairs_per_second"])
    return {"seconds": float(last["seconds"]), "pairs": round(pairs), "megabytes": peak()}


def peak() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    # What getrusage says can be that of the process before it became this program.
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    return int(found[1]) / 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_KINDS: dict[str, Callable[..., dict[str, Any]]] = {"times": times, "memory": memory, "train": train_epochs}

if __name__ == "__main__":
    print(json.dumps(_KINDS[sys.argv[1]](**json.loads(sys.argv[2]))))
