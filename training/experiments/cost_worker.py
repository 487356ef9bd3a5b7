"""One measurement of cost in a process of its own: `python -m training.experiments.cost_worker KIND JSON`."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from entity_expand.config import from_mapping
from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from entity_expand.files import read_json
from entity_expand.search.plan import ExpandSettings, search_whole
from training.config import TrainingConfig
from training.features import EntityFeatures
from training.loop import train
from training.table import entity_table

_CAP = 1 << 20
_WIDTH, _SEEDS, _SETS = 64, 3, 9


def expand(entities: int, length: int) -> dict[str, float]:
    """Return the median seconds of an expansion to `length` results among made entities."""
    generator = np.random.default_rng(0)
    groups = generator.standard_normal((max(1, entities // 50), _WIDTH))
    means = groups[generator.integers(0, len(groups), entities)] + 0.7 * generator.standard_normal((entities, _WIDTH))
    head = torch.from_numpy(means.astype(np.float32) / 4), torch.zeros(entities)
    table = entity_table(EntityFeatures(np.arange(entities), means.astype(np.float32)), head)
    settings, nobody, seconds = ExpandSettings(), np.empty(0, dtype=np.int64), []
    pool = table.pool(settings)
    for _ in range(_SETS + 1):  # the first one warms caches
        seeds = generator.choice(entities, _SEEDS, replace=False)
        started = time.perf_counter()
        search_whole(pool, seeds, length, settings.search, nobody)
        seconds.append(time.perf_counter() - started)
    return {"seconds": median(seconds[1:]), "megabytes": peak()}


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


if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    print(json.dumps(expand(**arguments) if sys.argv[1] == "expand" else train_epochs(**arguments)))
