"""What is asked of the lexical channel: which entities' sentences share words with those of the seeds.

The embedded store answers by the cosine of TF-IDF vectors (`words.py`), a search server by its own BM25. Both look at
masked sentences, so that a name counts only where others use it. The scores of the two are of different sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

from entity_expand.stores.base import Request
from entity_expand.stores.filters import Filter
from entity_expand.types import Float64, Int64

QUERY_TERMS = 64
"""How many terms of a seed are compared, those of the highest weights."""


@dataclass(frozen=True, slots=True, eq=False)
class LexicalQuery:
    """The seeds, as this channel hears them.

    Attributes:
        seeds: (s,) positions of those that are in the index.
        texts: (t,) the masked sentences of those that are not.
        weights: (s + t,) how much each counts.
    """

    seeds: Int64
    texts: tuple[str, ...]
    weights: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Entities with scores: positions and scores by falling score, ties by position, (k,) each."""

    positions: Int64
    scores: Float64


@dataclass(frozen=True, slots=True, eq=False)
class LexicalNearest(Request[Scored]):
    """The entities that share most with the seeds, none that shares nothing.

    Attributes:
        query: The seeds.
        size: How many; fewer come back if there are no more, or the store gives no more at once.
        excluded: (x,) positions to leave out, rising.
        filter: Which entities may come back; None for all.
    """

    query: LexicalQuery
    size: int
    excluded: Int64
    filter: Filter | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LexicalScores(Request[Float64]):
    """The scores (m,) of certain entities, by their `positions` (m,), which are rising; 0 where nothing is shared."""

    query: LexicalQuery
    positions: Int64
