"""Pairs of samples for the contrasts, drawn from expanded lists."""

from __future__ import annotations

from dataclasses import dataclass

from entity_expand.types import Int64


@dataclass(frozen=True)
class EntityLists:
    """What the model's own expansion says of L sets; entities are rows of the head.

    Attributes:
        positives: L arrays (m,) int64, the seeds and the top of a list: taken to be of one class.
        negatives: L arrays (h,) int64, hard negatives: further down the same list.
    """

    positives: tuple[Int64, ...]
    negatives: tuple[Int64, ...]


@dataclass(frozen=True)
class PairRows:
    """Pairs of samples, as rows of the training set.

    Attributes:
        first: (n,) int64.
        second: (n,) int64, each of the same class as its partner, as far as the lists tell.
        block: (n,) int64 number of the list that a pair comes from.
    """

    first: Int64
    second: Int64
    block: Int64
