"""Weights of channels that rank known classes best: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.types import AnyArray, Float64

CUT = 10
"""What is made large is MAP@10: the mean over the classes of the mean average precision of their lists."""
STEPS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
"""The weights that are tried, beside 1 for the model."""
MARGIN = 0.005
"""How much better lists must become for a weight to move: with few classes a smaller gain is chance."""
_ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class ChannelList:
    """What channels say of the candidates for some seeds.

    Attributes:
        class_name: Of the class that the seeds were drawn from.
        scores: (C, K) standardised.
        members: (K,) whether each candidate is a member.
        total: How many members there are beside the seeds, candidates or not.
    """

    class_name: str
    scores: Float64
    members: AnyArray
    total: int


def average_precision(found: ChannelList, weights: Float64) -> float:
    """Return AP@10 of the candidates ranked by the weighted sum of their scores, ties by place."""
    values = weights @ found.scores
    order = np.argsort(-values, kind="stable")[:CUT]
    hits = found.members[order]
    precisions = np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)
    return float(precisions.sum()) / max(1, min(found.total, CUT))


def quality(lists: Sequence[ChannelList], weights: Float64) -> float:
    """Return the mean over the classes of the mean AP@10 of their lists; at least one list."""
    by_class: dict[str, list[float]] = {}
    for each in lists:
        by_class.setdefault(each.class_name, []).append(average_precision(each, weights))
    return float(np.mean([np.mean(values) for values in by_class.values()]))


def best_weights(lists: Sequence[ChannelList], start: Float64) -> Float64:
    """Return the weights (C,) of the largest quality, found one channel after the other.

    The first channel keeps its weight 1. A weight moves only if the lists become better by `MARGIN`, so what makes
    no difference stays as it was.

    Args:
        lists: At least one.
        start: (C,) where to begin.
    """
    best, value = start.copy(), quality(lists, start)
    for _ in range(_ROUNDS):
        before = value
        for channel in range(1, len(best)):
            for step in STEPS:
                tried = best.copy()
                tried[channel] = step
                reached = quality(lists, tried)
                if reached > value + MARGIN:
                    best, value = tried, reached
        if value == before:
            break
    return best
