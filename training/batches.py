"""Batches out of the caches: this process's share of each step, prepared while the last one is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from entity_expand.types import AnyArray, Bool, Int64
from training.cached import PictureCache, TextCache
from training.config import TrainingConfig
from training.data import Batch, TrainingSet
from training.distributed import ALONE, World
from training.draws import PAIRS, SAMPLES, Draw, Drawer
from training.held import Held
from training.losses.words import NOT_CHOSEN
from training.phases import Phase, step_of

_BUCKET = 16
"""With torch.compile, lengths are multiples of this, or the largest there is, so that few of them are met."""


@dataclass(frozen=True)
class Counts:
    """How much there is for a task to average over: rows, words to predict, rows with both text and picture."""

    rows: int
    words: int
    paired: int


@dataclass(frozen=True)
class Part:
    """Some samples of a step, those that one pass through the network takes.

    Attributes:
        rows: (b,) int64 rows of the training set.
        batch: What is shown of them.
        own: What counts of them; nothing where a process that has no row of a small batch was lent one.
        whole: The same of the whole step, over all processes.
    """

    rows: Int64
    batch: Batch
    own: Counts
    whole: Counts


@dataclass(frozen=True)
class Pairs:
    """This process's pairs of a step.

    Attributes:
        rows: (2b,) int64 rows of the training set, the first sides before the second ones.
        batch: What is shown of them.
        own: How many pairs count here.
        labels: (2B,) int64 labels of the whole step, the first sides before the second ones.
    """

    rows: Int64
    batch: Batch
    own: int
    labels: Int64

    @property
    def count(self) -> int:
        """B, the pairs of the step over all processes."""
        return len(self.labels) // 2


@dataclass(frozen=True)
class StepInput:
    """This process's input of one step.

    Attributes:
        number: Of the step in the epoch, from 0.
        phase: Where it belongs.
        samples: In as many parts as the gradient is accumulated over; none without such tasks.
        pairs: None without a contrast.
    """

    number: int
    phase: Phase
    samples: tuple[Part, ...]
    pairs: Pairs | None

    @property
    def shown(self) -> int:
        """How many pairs of a text and a picture the step shows, over all processes."""
        return (self.samples[0].whole.rows if self.samples else 0) + (2 * self.pairs.count if self.pairs else 0)


@dataclass(frozen=True)
class Source:
    """Everything a batch is gathered from.

    Attributes:
        config: All settings.
        data: The samples.
        text, pictures: The caches.
        held: What of the caches lies on the device.
        world: This process.
    """

    config: TrainingConfig
    data: TrainingSet
    text: TextCache
    pictures: PictureCache
    held: Held = field(default_factory=lambda: Held(torch.device("cpu")))
    world: World = ALONE

    @cached_property
    def drawer(self) -> Drawer:
        """Draws what steps show."""
        vocabulary = np.zeros(0, np.int64)
        if self.config.tasks.words:
            frame = np.concatenate([self.text.ids[self.text.offsets[:-1]], self.text.ids[self.text.offsets[1:] - 1]])
            vocabulary = np.setdiff1d(self.text.ids, [*np.unique(frame).tolist(), self.text.mask]).astype(np.int64)
        return Drawer(self.config, self.data, self.text, self.pictures, vocabulary)

    def batch(self, rows: Int64, hide_picture: Bool, hide_text: Bool, shown: Int64 | None = None) -> Batch:
        """Gather a batch of which nothing is drawn; arguments as in `Drawer.plain`."""
        return self.gathered(self.drawer.plain(rows, hide_picture, hide_text, shown))

    def gathered(self, draw: Draw) -> Batch:
        """Gather what a draw shows, as `Held.moved` takes it."""
        multiple = _BUCKET if self.config.loop.compile else 1
        here = self.text.padded if self.held.states is None else self.text.places
        text, mask, position = here(draw.items, multiple, self.config.text.max_length)
        if draw.hidden is not None:
            mask = np.where(_fitted(draw.hidden, mask.shape[1], False), 0, mask)
        pictures = self.pictures.gather(draw.pictures) if self.held.pictures is None else draw.pictures
        words = draw.words
        batch = Batch(
            torch.from_numpy(text),
            torch.from_numpy(mask),
            torch.from_numpy(position),
            torch.from_numpy(pictures),
            torch.from_numpy((draw.pictures >= 0).astype(np.float32)),
            torch.from_numpy(self.data.labels[draw.rows]),
            torch.from_numpy(draw.paired),
            None if words is None else torch.from_numpy(_fitted(words.ids, mask.shape[1], self.text.padding)),
            None if words is None else torch.from_numpy(_fitted(words.targets, mask.shape[1], NOT_CHOSEN)),
        )
        return batch.map(torch.Tensor.pin_memory) if self.held.device.type == "cuda" else batch

    def steps(self, phases: Sequence[Phase], epoch: int, first: int) -> Iterator[StepInput]:
        """Yield this process's input of each step from number `first` on.

        Args:
            phases: Of the epoch.
            epoch: From 0.
            first: Number in the epoch, from 0.
        """
        steps = sum(phase.steps for phase in phases)
        if first >= steps:
            return
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.step, phases, epoch, first)
            for number in range(first + 1, steps):
                found = ahead.result()
                ahead = pool.submit(self.step, phases, epoch, number)
                yield found
            yield ahead.result()

    def step(self, phases: Sequence[Phase], epoch: int, number: int) -> StepInput:
        """Return this process's input of the step `number` of an epoch."""
        phase, within = step_of(phases, number)
        samples, pairs = phase.sample_rows(within), phase.pair_rows(within)
        parts = () if samples is None else self._parts(self.drawer.training(samples, epoch, number, SAMPLES))
        return StepInput(number, phase, parts, None if pairs is None else self._pairs(pairs, epoch, number))

    def _parts(self, draw: Draw) -> tuple[Part, ...]:
        whole = Counts(len(draw), draw.word_count, int(draw.paired.sum()))
        own = np.arange(len(draw))[self.world.own(len(draw))]
        if not len(own):  # All processes take the same steps, so this one is lent a row that does not count.
            return (Part(draw.rows[:1], _uncounted(self.gathered(draw.take(np.arange(1)))), Counts(0, 0, 0), whole),)
        cut = [part for part in np.array_split(own, self.config.loop.accumulate) if len(part)]
        return tuple(self._part(draw.take(part), whole) for part in cut)

    def _part(self, draw: Draw, whole: Counts) -> Part:
        return Part(
            draw.rows, self.gathered(draw), Counts(len(draw), draw.word_count, int(draw.paired.sum())), whole
        )  # fmt: skip

    def _pairs(self, rows: Int64, epoch: int, number: int) -> Pairs:
        count = rows.shape[1]
        both = rows.reshape(-1)  # (2B,)
        draw = self.drawer.training(both, epoch, number, PAIRS)
        own = np.arange(count)[self.world.own(count)]
        taken = own if len(own) else np.arange(1)
        draw = draw.take(np.concatenate([taken, taken + count]))
        return Pairs(draw.rows, self.gathered(draw), len(own), self.data.labels[both])


def _uncounted(batch: Batch) -> Batch:
    found = dict(vars(batch))
    found["paired"] = torch.zeros_like(batch.paired)
    if batch.word_targets is not None:
        found["word_targets"] = torch.full_like(batch.word_targets, NOT_CHOSEN)
    return Batch(**found)


def _fitted(values: AnyArray, width: int, blank: int) -> AnyArray:
    """Return (B, L) values cut or filled up to another width."""
    found: AnyArray = np.full((len(values), width), blank, values.dtype)
    common = min(width, values.shape[1])
    found[:, :common] = values[:, :common]
    return found
