"""Examples of what is not wanted: what is more like them than like the seeds sinks in a list that the seeds alone made.

Negatives never take part in retrieval. A query from which they are subtracted also loses what they share with the
seeds, which is most of what a good negative is. So the list stays, and each place in it is corrected:

    score(v) = exp(-β · max(0, likeness of v to the negatives - likeness of v to the seeds)) / place of v

The likeness of v to a set is the mean over its members m of (Z_m[v] + Z_v[m]) / 2, in deviations (`scoring.py`). β was
chosen on data: docs/results/strategies.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from entity_expand.growth import Ranking
from entity_expand.scoring import EntityRows, scores_between
from entity_expand.search import mean_gain
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Rows, Steps, ask
from entity_expand.types import AnyArray, Float64

PENALTY = 0.6
"""β, per deviation."""
DEEPER = 50
"""How many more entities are retrieved than asked for, so that others come up for those that sink."""


def corrected(to_seeds: AnyArray, to_negatives: AnyArray, weights: tuple[float, ...] = ()) -> Float64:
    """Return the scores of a list.

    Args:
        to_seeds: (S, T) likeness to each seed of T entities, by their places in the list.
        to_negatives: (N, T) likeness to each negative.
        weights: How much each seed counts, of mean 1; () for all alike.
    """
    excess = np.maximum(to_negatives.mean(axis=0) - mean_gain(to_seeds, weights), 0.0)
    scores: Float64 = np.exp(-PENALTY * excess) / np.arange(1, to_seeds.shape[1] + 1)
    return scores


def away_from(negatives: SeedSet, seeds: SeedSet, ranking: Ranking, size: int) -> Steps[Ranking]:
    """Correct a ranking by its likeness to negatives.

    Args:
        negatives: At least one.
        seeds: What the ranking was made from.
        ranking: Of `size + DEEPER` entities; none of them is a negative.
        size: How many of them remain.
    """
    wanted, unwanted = (yield from seeds.rows()), (yield from negatives.rows())
    listed = yield from ask(Rows(ranking.positions))
    scores = corrected(likeness(wanted, listed), likeness(unwanted, listed), seeds.weights)
    order = np.argsort(-scores, kind="stable")[:size]
    return dataclasses.replace(
        ranking,
        positions=ranking.positions[order],
        scores=scores[order],
        similarities=ranking.similarities[order],
    )


def likeness(members: EntityRows, others: EntityRows) -> Float64:
    """Return (Z_m[v] + Z_v[m]) / 2 of each of S members with each of T others, (S, T)."""
    both: Float64 = (scores_between(members, others) + scores_between(others, members).T) / np.float64(2)
    return both
