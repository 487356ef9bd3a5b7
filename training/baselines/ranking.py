"""Scores of all entities for a set of seeds, out of vectors, and the lists that they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from entity_expand.corpus import Query
from entity_expand.errors import QueryError
from entity_expand.types import Float64, Int64
from training.baselines.vectors import VectorTable, unit

Score: TypeAlias = Callable[[Int64], Float64]
"""Maps the places (S,) of the seeds to a score for each of n entities, (n,)."""
_BLOCK = 1 << 24


@dataclass(frozen=True)
class Baseline:
    """A way to rank entities that needs no training.

    Attributes:
        name: As tables show it.
        family: Baselines of one family are candidates for one row of a table; validation chooses among them.
        ids: n ids of entities.
        score: Of the entities.
    """

    name: str
    family: str
    ids: tuple[str, ...]
    score: Score


@dataclass(frozen=True)
class Standardised:
    """Cosines between n entities; those of one entity with all others have mean 0 and deviation 1.

    The cosines of two entities are the same from both sides, but what they are standardised by is not: so there are two
    directions, as with the scores of the model.

    Attributes:
        ids: n ids of the entities.
        unit: (n, d) float64 rows of length 1 or 0.
        mean, deviation: (n,) float64, of the cosines of each entity with the others.
    """

    ids: tuple[str, ...]
    unit: Float64
    mean: Float64
    deviation: Float64

    def score(self, seeds: Int64, both_directions: float = 0.0) -> Float64:
        """Return (n,): the sum of the seeds' standardised cosines, and λ times how they look from the candidates."""
        cosines = self.unit[seeds] @ self.unit.T  # (S, n)
        found: Float64 = ((cosines - self.mean[seeds, None]) / self.deviation[seeds, None]).sum(axis=0)
        if both_directions:
            found = found + both_directions * ((cosines - self.mean) / self.deviation).sum(axis=0)
        return found


def standardised(table: VectorTable) -> Standardised:
    """Return the standardised cosines between the rows of a table; a row of zeros gives every other one the score 0."""
    rows = unit(table.vectors)
    count = len(rows)
    mean, deviation = np.zeros(count), np.ones(count)
    step = max(1, _BLOCK // max(1, count))
    for start in range(0, count, step):
        part = np.arange(start, min(count, start + step))
        cosines = rows[part] @ rows.T
        own = cosines[np.arange(len(part)), part]
        others = max(1, count - 1)
        mean[part] = (cosines.sum(axis=1) - own) / others
        squares = np.square(cosines - mean[part, None]).sum(axis=1) - np.square(own - mean[part])
        deviation[part] = np.sqrt(np.maximum(squares / others, 0.0))
    deviation[deviation < 1e-9] = 1.0
    return Standardised(table.ids, rows, mean, deviation)


def by_mean(table: VectorTable, family: str) -> Baseline:
    """Rank by the cosine to the mean of the seeds' unit vectors."""
    rows = unit(table.vectors)

    def score(seeds: Int64) -> Float64:
        found: Float64 = rows @ rows[seeds].mean(axis=0)
        return found

    return Baseline(table.name, family, table.ids, score)


def by_scores(
    channels: Sequence[Standardised], weights: Sequence[float], name: str, family: str, both_directions: float = 0.0
) -> Baseline:
    """Rank by the weighted sum of standardised scores of the same entities."""

    def score(seeds: Int64) -> Float64:
        found = [weight * each.score(seeds, both_directions) for each, weight in zip(channels, weights, strict=True)]
        total: Float64 = np.sum(found, axis=0)
        return total

    return Baseline(name, family, channels[0].ids, score)


def ranked(baseline: Baseline, queries: Iterable[Query], size: int = 100) -> dict[Query, list[str]]:
    """Rank all other entities for each query; ties by their place.

    Seeds that are not among the entities are left out.

    Raises:
        QueryError: No seed of a query is among the entities.
    """
    place = {identifier: number for number, identifier in enumerate(baseline.ids)}
    lists = {}
    for query in queries:
        seeds = np.array([place[seed] for seed in query.seeds if seed in place], dtype=np.int64)
        if not len(seeds):
            raise QueryError(f"{baseline.name!r} knows none of the seeds {', '.join(query.seeds)}.")
        order = np.argsort(-baseline.score(seeds), kind="stable")
        barred = set(seeds.tolist())
        lists[query] = [baseline.ids[number] for number in order.tolist() if number not in barred][:size]
    return lists
