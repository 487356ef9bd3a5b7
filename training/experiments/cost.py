"""What training and expansion cost in time and memory against the number n of entities and the length K of a list."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand.config import to_mapping
from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from entity_expand.files import write_json
from training.config import TrainingConfig
from training.experiments.describe import changed
from training.experiments.parts import write_part
from training.experiments.plots import Panel, Series
from training.experiments.records import run_key
from training.experiments.runner import Say
from training.experiments.statistics import fitted_exponent
from training.experiments.views import Table

ENTITIES = (500, 1000, 2000, 4000, 8000)
LENGTHS = (25, 50, 100, 200)
SHARES = (0.125, 0.25, 0.5, 1.0)
_WORKER = "training.experiments.cost_worker"


@dataclass(frozen=True)
class Cost:
    """One point.

    Attributes:
        entities: n.
        length: K; 0 for a training.
        pairs: Sentences with their pictures in an epoch; 0 for an expansion.
        seconds: Of an expansion (the median) or an epoch.
        megabytes: Peak of the resident memory of a process that does only this.
    """

    entities: int
    length: int
    pairs: int
    seconds: float
    megabytes: float


def expansion_costs(entities: Sequence[int], lengths: Sequence[int], say: Say) -> list[Cost]:
    """Measure expansions over made vectors, a process for each point."""
    found = []
    for n in entities:
        for length in lengths:
            if 2 * length < n:
                done = _work("expand", {"entities": n, "length": length})
                found.append(Cost(n, length, 0, done["seconds"], done["megabytes"]))
                say(f"expansion, n = {n}, K = {length}: {1000 * done['seconds']:.2f} ms, {done['megabytes']:.0f} MiB")
    return found


def training_costs(config: TrainingConfig, corpus: Corpus, shares: Sequence[float], work: Path, say: Say) -> list[Cost]:
    """Measure the second epoch on parts of a corpus, a process for each; nothing is measured on queries meanwhile."""
    settings = changed(config, {"loop.epochs": 2, "validation.queries": None, "validation.patience": None})
    order = np.random.default_rng(0).permutation(len(corpus.entities))
    found = []
    for share in shares:
        count = max(2, round(share * len(order)))
        kept = frozenset(corpus.entities[place].id for place in order[:count].tolist())
        part = write_part(corpus, work / "parts" / f"{corpus.content_hash[:16]}-{count}", kept)
        run = work / "costs" / run_key(settings, f"{corpus.content_hash} {count}")
        write_json(run / "asked.json", to_mapping(settings))
        done = _work("train", {"config": str(run / "asked.json"), "corpus": str(part), "run": str(run)})
        found.append(Cost(count, 0, int(done["pairs"]), done["seconds"], done["megabytes"]))
        say(f"training, n = {count}: {done['seconds']:.1f} s an epoch, {done['megabytes']:.0f} MiB")
    return found


def _work(kind: str, arguments: dict[str, Any]) -> dict[str, float]:
    """Run the worker in a process of its own.

    Raises:
        TrainingError: It failed.
    """
    command = [sys.executable, "-m", _WORKER, kind, json.dumps(arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise TrainingError(f"Measuring {kind} with {arguments} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def cost_views(expansions: Sequence[Cost], trainings: Sequence[Cost]) -> tuple[list[Table], list[Panel]]:
    """Return the tables and the figure, with exponents fitted along n and along K."""
    tables, panels = [], []
    if expansions:
        exponents = [_along_entities(expansions), _along_length(expansions)]
        text = (
            "Made vectors, 3 seeds; the median of an expansion in a table of all scores, as an index of this size has "
            f"it, and the peak memory of the process. {' '.join(exponents)} O(nK) would be an exponent of 1 for each."
        )
        lines = tuple(
            (f"{each.entities:,}", str(each.length), f"{1000 * each.seconds:.2f}", f"{each.megabytes:.0f}")
            for each in expansions
        )
        tables.append(Table("Expansion", text, ("n", "K", "ms", "MiB"), lines))
        panels += [_panel("expansion", "ms", 1000.0, expansions), _memory_panel("memory of expansion", expansions)]
    if trainings:
        exponent = _exponent([each.entities for each in trainings], [each.seconds for each in trainings])
        text = (
            "The second epoch of the configuration on parts of the corpus, all its samples and tasks; the peak memory "
            f"of the process. Time grows with n to the power {exponent}."
        )
        lines = tuple(
            (f"{each.entities:,}", f"{each.pairs:,}", f"{each.seconds:.1f}", f"{each.megabytes:.0f}")
            for each in trainings
        )
        tables.append(Table("Training", text, ("n", "pairs an epoch", "s an epoch", "MiB"), lines))
        panels += [_panel("training", "s an epoch", 1.0, trainings), _memory_panel("memory of training", trainings)]
    return tables, panels


def _exponent(sizes: Sequence[float], costs: Sequence[float]) -> str:
    return f"{fitted_exponent(sizes, costs):.2f}" if len(set(sizes)) > 1 else "unknown (one size)"


def _along_entities(costs: Sequence[Cost]) -> str:
    longest = max(each.length for each in costs)
    own = [each for each in costs if each.length == longest]
    exponent = _exponent([each.entities for each in own], [each.seconds for each in own])
    return f"At K = {longest} time grows with n to the power {exponent}."


def _along_length(costs: Sequence[Cost]) -> str:
    largest = max(each.entities for each in costs)
    own = [each for each in costs if each.entities == largest]
    exponent = _exponent([each.length for each in own], [each.seconds for each in own])
    return f"At n = {largest:,} it grows with K to the power {exponent}."


def _panel(title: str, unit: str, factor: float, costs: Sequence[Cost]) -> Panel:
    series = []
    for length in sorted({each.length for each in costs}):
        own = [each for each in costs if each.length == length]
        label = f"K = {length}" if length else "measured"
        places, values = (tuple(float(getattr(each, name)) for each in own) for name in ("entities", "seconds"))
        series.append(Series(label, places, tuple(factor * value for value in values)))
    return Panel(title, "entities n", unit, tuple(series), logarithmic=True)


def _memory_panel(title: str, costs: Sequence[Cost]) -> Panel:
    longest = max(each.length for each in costs)
    own = [each for each in costs if each.length == longest]
    places, values = (tuple(float(getattr(each, name)) for each in own) for name in ("entities", "megabytes"))
    return Panel(title, "entities n", "MiB", (Series("peak", places, values),), logarithmic=True)
