"""An epoch as a series of phases, each with its tasks and its samples or pairs in order (NOTES.md section 6)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.types import Int64
from training.config import CONTRASTS, TrainingConfig
from training.data import TrainingSet, epoch_rows
from training.pairs import EntityLists, ordered, pair_rows

SAMPLE_TASKS = ("entity", "words", "matching", "image_text")
JOINT = "joint"


@dataclass(frozen=True)
class Phase:
    """Steps with the same tasks.

    Attributes:
        name: "joint", or that of its first task.
        tasks: Names of the tasks whose weighted losses are summed.
        steps: How many there are.
        samples: (n,) int64 rows for the tasks of samples, in batches of `size`; None without such tasks.
        pairs: (2, m) int64 rows of both sides for the contrasts, in batches of `pair_size`; None likewise.
        size, pair_size: Of a batch over all processes.
    """

    name: str
    tasks: tuple[str, ...]
    steps: int
    samples: Int64 | None
    pairs: Int64 | None
    size: int
    pair_size: int

    def sample_rows(self, step: int) -> Int64 | None:
        """Return the rows (B,) of a step of the phase; after the last ones the first ones come again."""
        if self.samples is None:
            return None
        first = step % math.ceil(len(self.samples) / self.size) * self.size
        return self.samples[first : first + self.size]

    def pair_rows(self, step: int) -> Int64 | None:
        """Return the rows (2, B) of a step of the phase; likewise."""
        if self.pairs is None:
            return None
        first = step % (self.pairs.shape[1] // self.pair_size) * self.pair_size
        return self.pairs[:, first : first + self.pair_size]


def epoch_phases(config: TrainingConfig, data: TrainingSet, lists: EntityLists | None, epoch: int) -> tuple[Phase, ...]:
    """Return the phases of an epoch: the contrasts first, each on its own; or all tasks together.

    Args:
        config: All settings.
        data: The samples.
        lists: Where pairs come from; None leaves the contrasts out.
        epoch: From 0.

    Returns:
        Phases of at least one step each; the same arguments give the same.
    """
    tasks, loop = config.tasks, config.loop
    labels = data.labels[: data.trained]
    of_samples = tuple(name for name in SAMPLE_TASKS if getattr(tasks, name))
    samples = epoch_rows(labels, config.data.samples_per_entity, loop.seed, epoch) if of_samples else None
    sample_steps = 0 if samples is None else math.ceil(len(samples) / loop.batch_size)
    contrasts = {} if lists is None else dict(_contrasts(config, lists, labels, epoch))
    contrasts = {name: pairs for name, pairs in contrasts.items() if pairs.shape[1]}
    if contrasts and samples is not None and tasks.schedule == JOINT:
        pairs = next(iter(contrasts.values()))
        size = min(loop.batch_size, pairs.shape[1])
        steps = max(sample_steps, pairs.shape[1] // size)
        return (Phase(JOINT, (*of_samples, *contrasts), steps, samples, pairs, loop.batch_size, size),)
    found = []
    for name, pairs in contrasts.items():
        size = min(loop.batch_size, pairs.shape[1])
        together = tuple(contrasts) if tasks.schedule == JOINT else (name,)
        found.append(Phase(name, together, pairs.shape[1] // size, None, pairs, loop.batch_size, size))
        if tasks.schedule == JOINT:
            break
    if samples is not None:
        found.append(Phase(of_samples[0], of_samples, sample_steps, samples, None, loop.batch_size, 0))
    return tuple(found)


def _contrasts(config: TrainingConfig, lists: EntityLists, labels: Int64, epoch: int) -> Iterator[tuple[str, Int64]]:
    """Yield each contrast with its pairs (2, m) in order; m is a multiple of the batch's size, or below it."""
    tasks, loop = config.tasks, config.loop
    names = [name for name in CONTRASTS if name in tasks.contrasts]
    passes = 1 if tasks.schedule == JOINT else tasks.passes
    pairs = pair_rows(lists, labels, config.mining, loop.seed, epoch)
    together = tasks.form != "paper"
    kept = len(pairs) // loop.batch_size * loop.batch_size or (len(pairs) if len(pairs) > 1 else 0)
    for number, name in enumerate(names):
        turns = []
        for turn in range(number * passes, (number + 1) * passes):
            order = ordered(pairs, loop.batch_size, together=together, seed=loop.seed, epoch=epoch, turn=turn)
            turns.append(np.stack([order.first[:kept], order.second[:kept]]))
        yield name, np.concatenate(turns, axis=1)


def step_of(phases: Sequence[Phase], number: int) -> tuple[Phase, int]:
    """Return the phase of the step `number` of an epoch, and its number in the phase; both from 0.

    Raises:
        IndexError: There are fewer steps.
    """
    for phase in phases:
        if number < phase.steps:
            return phase, number
        number -= phase.steps
    raise IndexError(number)
