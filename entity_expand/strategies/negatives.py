"""Examples of what is not wanted: what is nearer to one of them than to any seed sinks in the list of the seeds.

Negatives never take part in retrieval. A query from which they are subtracted also loses what they share with the
seeds, which is most of what a good negative is. So the list stays, and each place in it is corrected:

    score(v) = exp(-β · max(0, likeness of v to the nearest negative - likeness of v to the nearest seed)) / place of v

Likeness is the cosine of features less the mean feature of the index. β was chosen on data, and the effect measured:
docs/results/strategies.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from entity_expand.search.growth import Ranking
from entity_expand.search.scoring import unit_features
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Rows, Steps, ask
from entity_expand.types import AnyArray, Float64

PENALTY = 3.0
"""β, per unit of cosine."""
DEEPER = 50
"""How many more entities are retrieved than asked for, so that others come up for those that sink."""


def corrected(to_seeds: AnyArray, to_negatives: AnyArray, penalty: float = PENALTY) -> Float64:
    """Return the scores (T,) of a list.

    Args:
        to_seeds: (S, T) likeness to each seed of T entities, by their places in the list.
        to_negatives: (N, T) likeness to each negative.
        penalty: β.
    """
    excess = np.maximum(to_negatives.max(axis=0) - to_seeds.max(axis=0), 0.0)
    scores: Float64 = np.exp(-penalty * excess) / np.arange(1, to_seeds.shape[1] + 1)
    return scores


def away_from(negatives: SeedSet, seeds: SeedSet, ranking: Ranking, size: int, mean_feature: Float64) -> Steps[Ranking]:
    """Correct a ranking by its likeness to negatives.

    Args:
        negatives: At least one.
        seeds: What the ranking was made from.
        ranking: Of `size + DEEPER` entities; none of them is a negative.
        size: How many of them remain.
        mean_feature: (D,) of the index.
    """
    wanted, unwanted = (yield from seeds.rows()), (yield from negatives.rows())
    listed = unit_features((yield from ask(Rows(ranking.positions))), mean_feature)
    given = [unit_features(rows, mean_feature).astype(np.float64) for rows in (wanted, unwanted)]
    scores = corrected(given[0] @ listed.T, given[1] @ listed.T)
    order = np.argsort(-scores, kind="stable")[:size]
    return dataclasses.replace(
        ranking,
        positions=ranking.positions[order],
        scores=scores[order],
        similarities=ranking.similarities[order],
        fused=None if ranking.fused is None else ranking.fused[order],
    )
