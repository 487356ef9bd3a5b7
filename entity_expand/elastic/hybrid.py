"""Expansion inside larger searches of your own: pure functions of what your own client sends and receives.

1. `read_index` of `GET /NAME/_mapping`;
2. fetch the documents of the seeds by any search, with `FIELDS` in `_source`;
3. put `knn_of_seeds` into your search, beside queries, filters and whatever else;
4. `rerank` its hits.

docs/elasticsearch.md shows it whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entity_expand.elastic.bodies import knn
from entity_expand.elastic.documents import unpack_rows
from entity_expand.elastic.state import IndexState, read_mapping
from entity_expand.errors import QueryError
from entity_expand.search.growth import Space
from entity_expand.search.plan import ExpandSettings, in_space, rank_pool, space_of
from entity_expand.search.pools import VectorPool
from entity_expand.stores.filters import Filter
from entity_expand.types import Int64

FIELDS = ("place", "rows")
"""What the hits must hold in their `_source`."""


@dataclass(frozen=True, slots=True)
class RankedHit:
    """A hit in its place.

    Attributes:
        hit: The hit, as it came.
        score: What the list is sorted by; see `Result.score`.
        similarity: Mean over the seeds of what each adds to the score.
    """

    hit: Mapping[str, Any]
    score: float
    similarity: float


def read_index(mapping: Mapping[str, Any]) -> IndexState:
    """Return what the other functions must know of an index, from the answer to `GET /NAME/_mapping`.

    Raises:
        IndexMissingError: There is no index.
        IndexMismatchError: It is none of ours, or not as it says.
    """
    return read_mapping("The index", mapping)


def knn_of_seeds(
    seeds: Sequence[Mapping[str, Any]],
    size: int,
    index: IndexState,
    settings: ExpandSettings | None = None,
    filtered: Filter | None = None,
) -> dict[str, Any]:
    """Return the `knn` section that finds the entities nearest to a set, without the set itself.

    A graph is asked as hard, and quantised vectors are scored again, as in an expansion.

    Args:
        seeds: The seeds' documents, as hits of a search.
        size: k, at most 10,000.
        index: From `read_index`.
        settings: How to expand; None for the paper's.
        filtered: Which entities may come back; None for all.

    Raises:
        QueryError: A document lacks a field, or the index does not hold the vectors that the settings need.
    """
    space = space_of(settings or ExpandSettings(), index.facts)
    places, pool = _pool(seeds, space)
    query = pool.query(np.arange(len(places)))
    return knn(
        space.field,
        index.frames[None].sent(space.field, query),
        size,
        excluded=places,
        filtered=filtered,
        candidates=2 * size,
        rescore=index.vectors.oversample,
        packed=index.packed,
    )


def rerank(
    hits: Sequence[Mapping[str, Any]],
    seeds: Sequence[Mapping[str, Any]],
    size: int,
    index: IndexState,
    settings: ExpandSettings | None = None,
) -> list[RankedHit]:
    """Grow and rank a set among the hits of a search, as an expansion does among a fetched pool.

    Args:
        hits: In any order; seeds among them are left out.
        seeds: The seeds' documents, in query order.
        size: How many results; fewer if there are no more hits.
        index: From `read_index`.
        settings: How to expand; None for the paper's.

    Raises:
        QueryError: A document lacks a field, or is of another index.
    """
    chosen = settings or ExpandSettings()
    places, pool = _pool([*seeds, *hits], space_of(chosen, index.facts))
    members = np.searchsorted(places, np.array([_place(seed) for seed in seeds], dtype=np.int64))
    found = rank_pool(pool, places, members, size, in_space(chosen))
    hit_at = {_place(hit): hit for hit in hits}
    columns = zip(found.positions.tolist(), found.scores.tolist(), found.similarities.tolist(), strict=True)
    return [RankedHit(hit_at[place], score, similarity) for place, score, similarity in columns]


def _pool(hits: Sequence[Mapping[str, Any]], space: Space) -> tuple[Int64, VectorPool]:
    """Return the places of hits, rising and each once, and their pool."""
    packed = {_place(hit): str(hit["_source"]["rows"]) for hit in hits}
    places = np.array(sorted(packed), dtype=np.int64)
    try:
        rows = unpack_rows([packed[place] for place in places.tolist()], space.facts.meta.dimension)
    except ValueError as problem:
        raise QueryError(f"The hits do not fit the index: {problem}.") from problem
    return places, space.pool(rows)


def _place(hit: Mapping[str, Any]) -> int:
    source = hit.get("_source", {})
    if any(name not in source for name in FIELDS):
        raise QueryError(f"A hit lacks one of {', '.join(FIELDS)}: ask for them in `_source`.")
    return int(source["place"])
