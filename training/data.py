"""What is trained on: the entities of the head, their samples, the order of an epoch, and what is hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from entity_expand.types import Bool, Entity, Int64
from training.config import ALL_SPLITS, DataSettings

_ORDER, _HIDE, _WORDS, _WRONG, _OTHER = 1, 2, 3, 4, 8


@dataclass(frozen=True)
class TrainingSet:
    """The samples of a run; "rows" are positions in `samples`.

    Attributes:
        entities: The V entities of the head, by id.
        samples: (N,) int64 sample numbers in the corpus, the trained ones first, then the held-out ones.
        labels: (N,) int64, the head's row of each sample.
        trained: How many of the samples are trained on.
    """

    entities: tuple[Entity, ...]
    samples: Int64
    labels: Int64
    trained: int


@dataclass(frozen=True)
class Batch:
    """What the network is shown.

    Attributes:
        text: (B, L) int64 ids, or (B, L, D) float16 states of the frozen layers; or, until `training.held` has put
            them there, (B, L) int64 places among states that lie on the device.
        attention_mask: (B, L) int64, 0 for padding and hidden words.
        mask_position: (B,) int64.
        pictures: (B, P, C) float16 tokens of a frozen backbone, or (B, 3, H, W) pixels: uint8, or, once they are
            distorted, float32 in [0, 1]; or (B,) int64 rows among those that lie on the device, -1 for none.
        image_present: (B,) float32.
        labels: (B,) int64.
        paired: (B,) bool, where text and picture are both shown and belong together.
        word_ids: (B, L) int64 ids of which some are hidden or replaced; None without masked language modelling.
        word_targets: (B, L) int64, the former id at those places and -100 elsewhere; likewise.
    """

    text: Tensor
    attention_mask: Tensor
    mask_position: Tensor
    pictures: Tensor
    image_present: Tensor
    labels: Tensor
    paired: Tensor
    word_ids: Tensor | None = None
    word_targets: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with every tensor changed."""
        changed = {name: change(value) for name, value in vars(self).items() if value is not None}
        return Batch(**changed)


def training_set(corpus: Corpus, settings: DataSettings) -> TrainingSet:
    """Choose the entities and their samples.

    Raises:
        TrainingError: A split is unknown, fewer than two entities have enough samples, or none of them is held out.
    """
    trained = _select(corpus, settings.split)
    counts = np.bincount(corpus.sample_entity[trained], minlength=len(corpus.entities))
    kept = np.flatnonzero(counts >= settings.min_samples)
    if len(kept) < 2:
        raise TrainingError(
            f"{len(kept)} entities have at least data.min_samples = {settings.min_samples} samples in the split "
            f"{settings.split!r}; two are needed."
        )
    head = np.full(len(corpus.entities), -1, np.int64)
    head[kept] = np.arange(len(kept))
    trained = trained[head[corpus.sample_entity[trained]] >= 0]
    held = _select(corpus, settings.held_out) if settings.held_out else np.zeros(0, np.int64)
    held = held[head[corpus.sample_entity[held]] >= 0]
    if settings.held_out and not len(held):
        raise TrainingError(
            f"The split {settings.held_out!r} has no sample of an entity that is trained, so nothing can be measured "
            "on it; take another as data.held_out, or leave that out."
        )
    samples = np.concatenate([trained, held])
    entities = tuple(corpus.entities[position] for position in kept.tolist())
    return TrainingSet(entities, samples, head[corpus.sample_entity[samples]], len(trained))


def _select(corpus: Corpus, split: str) -> Int64:
    if split == ALL_SPLITS:
        return corpus.select(None)
    if split not in corpus.splits:
        raise TrainingError(f"The corpus has no split {split!r}, only {', '.join(map(repr, corpus.splits))}.")
    return corpus.select(split)


def stream(purpose: int, seed: int, epoch: int, step: int, *further: int) -> np.random.Generator:
    """Return the generator of one purpose in one step; the same arguments give the same numbers.

    Args:
        purpose: Keeps the draws of different purposes apart.
        seed: Of the run.
        epoch: From 0.
        step: In the epoch, from 0.
        further: What else tells draws apart; zeros count for nothing.
    """
    return np.random.default_rng((seed, purpose, epoch, step, *(number for number in further if number)))


def epoch_rows(labels: Int64, per_entity: int | None, seed: int, epoch: int) -> Int64:
    """Return the rows of an epoch in the order they are trained on.

    Args:
        labels: (N,) int64 entity of each row.
        per_entity: How many samples are drawn of each entity: without replacement where it has as many, else with.
            None takes every row once.
        seed: Of the run.
        epoch: From 0.

    Returns:
        (n,) int64 rows; the same arguments give the same rows.
    """
    generator = np.random.default_rng((seed, _ORDER, epoch))
    if per_entity is None:
        return generator.permutation(len(labels))
    by_entity = np.argsort(labels, kind="stable")
    groups = np.split(by_entity, np.flatnonzero(np.diff(labels[by_entity])) + 1)
    drawn = [generator.choice(group, per_entity, replace=len(group) < per_entity) for group in groups]
    return generator.permutation(np.concatenate(drawn))


def hidden_parts(
    has_text: Bool, has_picture: Bool, shares: tuple[float, float], seed: int, epoch: int, step: int, view: int = 0
) -> tuple[Bool, Bool]:
    """Draw which pictures and which texts of a step are hidden.

    Never both of a sample, and nothing of a sample that has only one of them.

    Args:
        has_text: (B,) bool.
        has_picture: (B,) bool.
        shares: Share of the pictures and of the texts to hide; together at most 1.
        seed: Of the run.
        epoch: From 0.
        step: In the epoch, from 0.
        view: 0 for samples, 1 for pairs, whose draws are their own.

    Returns:
        (B,) bool hidden pictures, (B,) bool hidden texts.
    """
    draw = stream(_HIDE, seed, epoch, step, view).random(len(has_text))
    both = has_text & has_picture
    return both & (draw < shares[0]), both & (draw >= 1.0 - shares[1])


def hidden_words(context: Bool, share: float, seed: int, epoch: int, step: int, view: int = 0) -> Bool:
    """Draw which words of a step are hidden, each on its own.

    Args:
        context: (B, L) bool, the words that may be.
        share: Probability of each.
        seed: Of the run.
        epoch: From 0.
        step: In the epoch, from 0.
        view: 0 for samples, 1 for pairs, whose draws are their own.

    Returns:
        (B, L) bool.
    """
    draw = stream(_WORDS, seed, epoch, step, view).random(context.shape)
    return context & (draw < share)


def picture_rows(rows: Int64, trained: int, share: float, seed: int, epoch: int, step: int, view: int = 0) -> Int64:
    """Draw whose picture each sample of a step is shown.

    Args:
        rows: (B,) int64 the samples.
        trained: How many samples there are to draw from.
        share: Probability of the picture of any sample, drawn evenly: now and then of the sample itself or of another
            of its entity, or of one that has no picture, which then shows none.
        seed: Of the run.
        epoch: From 0.
        step: In the epoch, from 0.
        view: 0 for samples, 1 for pairs, whose draws are their own.

    Returns:
        (B,) int64 samples.
    """
    generator = stream(_WRONG, seed, epoch, step, view)
    return np.where(generator.random(len(rows)) < share, generator.integers(0, trained, len(rows)), rows)


@dataclass(frozen=True)
class Album:
    """The samples that have a picture, by entity.

    Attributes:
        rows: (M,) int64 samples, entity by entity.
        owners: (M,) int64 their labels, rising.
    """

    rows: Int64
    owners: Int64

    @classmethod
    def of(cls, labels: Int64, has_picture: Bool) -> Album:
        """Sort the samples, given by (N,) int64 labels and (N,) bool, that have a picture."""
        rows = np.flatnonzero(has_picture)
        rows = rows[np.argsort(labels[rows], kind="stable")]
        return cls(rows, labels[rows])

    def others(
        self, rows: Int64, labels: Int64, share: float, seed: int, epoch: int, step: int, view: int = 0
    ) -> Int64:
        """Draw which of its entity's pictures each sample of a step is shown.

        Args:
            rows: (B,) int64 the samples.
            labels: (B,) int64 their labels.
            share: Probability of any picture of the entity instead of the sample's own, which may be drawn again.
            seed: Of the run.
            epoch: From 0.
            step: In the epoch, from 0.
            view: 0 for samples, 1 for pairs, whose draws are their own.

        Returns:
            (B,) int64 samples; of an entity without pictures the sample itself.
        """
        generator = stream(_OTHER, seed, epoch, step, view)
        first, end = (np.searchsorted(self.owners, labels, side) for side in ("left", "right"))
        drawn = first + (generator.random(len(rows)) * (end - first)).astype(np.int64)
        chosen = (generator.random(len(rows)) < share) & (end > first)
        return np.where(chosen, self.rows[np.where(chosen, drawn, 0)], rows) if len(self.rows) else rows
