"""What an expansion returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entity_expand.stores.base import Evidence


@dataclass(frozen=True, slots=True)
class Seed:
    """What a seed was resolved to.

    Attributes:
        id: Key of the entity.
        name: What a person calls it.
        attributes: Of the entity.
        evidence: Sentences that name it, with pictures.
    """

    id: str
    name: str
    attributes: Mapping[str, str]
    evidence: Sequence[Evidence]


@dataclass(frozen=True, slots=True)
class Result:
    """One entity of an expanded set.

    Attributes:
        rank: From 1.
        id: Key of the entity.
        name: What a person calls it.
        attributes: Of the entity.
        evidence: Sentences that name it, with pictures; the first of them is the one to show.
        score: What the list is sorted by: the paper's μ / place of joining + 1 / rank of divergence.
        similarity: Mean over the seeds of what each adds to the score: their standardised log-probability of this
            entity, in deviations; in feature space the cosine.
    """

    rank: int
    id: str
    name: str
    attributes: Mapping[str, str]
    evidence: Sequence[Evidence]
    score: float
    similarity: float


@dataclass(frozen=True, slots=True)
class Expansion:
    """The rest of the set.

    Attributes:
        seeds: What the seeds were resolved to, in the order given.
        results: By falling score.
        exact: Whether the list is the one that a full scan at every step gives.
        fetches: How many pools were fetched from the store; 0 if it handed over all its entities.
    """

    seeds: tuple[Seed, ...]
    results: tuple[Result, ...]
    exact: bool
    fetches: int

    @property
    def names(self) -> list[str]:
        """The names of the results, best first."""
        return [result.name for result in self.results]

    @property
    def ids(self) -> list[str]:
        """The ids of the results, best first."""
        return [result.id for result in self.results]
