"""An epoch as a series of phases, each with its tasks and its samples or pairs in order (NOTES.md section 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.types import Int64
from training.config import TrainingConfig
from training.data import TrainingSet, epoch_rows
from training.pairs import EntityLists, ordered, pair_rows

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
    of_samples = tasks.of_samples
    samples = epoch_rows(labels, config.data.samples_per_entity, loop.seed, epoch) if of_samples else None
    sample_steps = 0 if samples is None else math.ceil(len(samples) / loop.batch_size)
    size, contrasts = (0, {}) if lists is None else _contrasts(config, lists, labels, epoch)
    joint, found = tasks.schedule == JOINT, []
    if contrasts and joint:
        pairs = next(iter(contrasts.values()))
        steps = max(sample_steps, pairs.shape[1] // size)
        return (Phase(JOINT, (*of_samples, *tasks.contrasts), steps, samples, pairs, loop.batch_size, size),)
    for name, pairs in contrasts.items():
        found.append(Phase(name, (name,), pairs.shape[1] // size, None, pairs, loop.batch_size, size))
    if samples is not None:
        found.append(Phase(of_samples[0], of_samples, sample_steps, samples, None, loop.batch_size, 0))
    return tuple(found)


def _contrasts(config: TrainingConfig, lists: EntityLists, labels: Int64, epoch: int) -> tuple[int, dict[str, Int64]]:
    """Return the size of a batch of pairs, and the pairs (2, m) of each contrast in order, in whole batches.

    Jointly trained contrasts have the same pairs, which stand under the name of the first.
    As in the original the last, smaller batch of a pass is dropped, unless it is the only one.
    """
    tasks, loop = config.tasks, config.loop
    joint = tasks.schedule == JOINT
    passes, names = (1, tasks.contrasts[:1]) if joint else (tasks.passes, tasks.contrasts)
    pairs = pair_rows(lists, labels, config.mining, loop.seed, epoch)
    size = min(loop.batch_size, len(pairs))
    if size < 2:
        return 0, {}
    kept, found = len(pairs) // size * size, {}
    for number, name in enumerate(names):
        turns = []
        for turn in range(number * passes, (number + 1) * passes):
            together = tasks.form != "paper"
            order = ordered(pairs, size, together=together, seed=loop.seed, epoch=epoch, turn=turn)
            turns.append(np.stack([order.first[:kept], order.second[:kept]]))
        found[name] = np.concatenate(turns, axis=1)
    return size, found


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
