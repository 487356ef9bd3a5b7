"""What a search brings of each hit, and how it is read; pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from entity_expand.elastic import documents
from entity_expand.errors import IndexChangedError, StoreError
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import Record
from entity_expand.types import Float64, Int64, Modality

Body: TypeAlias = dict[str, Any]
Found: TypeAlias = list[dict[str, Any]]
"""The hits of one search."""

# Values to sort by are the shortest form in which the server hands over numbers of many hits, half of any other.
RANKED: Body = {
    "_source": False,
    "stored_fields": "_none_",
    "sort": ["_score", "place", "revision"],
    "track_total_hits": False,
}
"""The part of a body that asks for score, place and revision of each hit, best first, to be read by `ranked_in`."""
RANKED_PATHS = ("took", "timed_out", "_shards", "hits.hits.sort", "error", "status")
"""What must be left of an answer to such searches alone."""
_ABSENT = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Ranked:
    """Hits by falling score, ties by place: scores, places and revisions, (k,) each."""

    scores: Float64
    places: Int64
    revisions: Int64


def ranked_in(hits: Found) -> Ranked:
    """Return what a search with `RANKED` found.

    Raises:
        StoreError: A document is none of ours.
    """
    if not hits:
        return Ranked(np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    scores, places, revisions = zip(*[hit["sort"] for hit in hits], strict=True)
    found = Ranked(np.array(scores, dtype=np.float64), np.array(places), np.array(revisions))
    for name, column in (("place", found.places), ("revision", found.revisions)):
        if column.max() == _ABSENT:
            raise StoreError(f"A document of the index is none of an entity: it has no {name!r}. Index it again.")
    return found


def only(*names: str) -> Body:
    """Return the part of a body that asks for these fields of each hit and for nothing else."""
    return {"_source": False, "stored_fields": "_none_", "docvalue_fields": list(names), "track_total_hits": False}


def documents_at(places: Int64, fields: Body) -> Body:
    """Return the body that brings parts of the documents at places, none of which repeats."""
    query = {"bool": {"filter": [{"terms": {"place": places.tolist()}}]}}
    return {"query": query, "size": len(places), "track_total_hits": False, **fields}


def by_place(hits: Found, places: Int64) -> Found:
    """Return the hits of rising places, one each.

    Raises:
        IndexChangedError: One is not there any more.
    """
    found = dict(zip(value_of(hits, "place"), hits, strict=True))
    lost = [place for place in places.tolist() if place not in found]
    if lost:
        raise IndexChangedError(
            f"{len(lost)} entities, the first at place {lost[0]}, were removed from the index while it was being read; "
            "ask again."
        )
    return [found[place] for place in places.tolist()]


def values_of(hits: Found, name: str) -> list[list[Any]]:
    """Return the values of a field, several per hit."""
    try:
        return [hit["fields"][name] for hit in hits]
    except KeyError:
        bad = next(hit for hit in hits if name not in hit.get("fields", {}))
        raise _foreign(bad, f"it has no {name!r}") from None


def value_of(hits: Found, name: str) -> list[Any]:
    """Return the value of a field, one per hit."""
    return [values[0] for values in values_of(hits, name)]


def record_in(hit: Mapping[str, Any]) -> Record:
    """Return what to show of the entity of a hit."""
    try:
        return documents.record_of(hit["_source"])
    except (KeyError, TypeError, ValueError) as problem:
        raise _foreign(hit, repr(problem)) from problem


def attributes_in(hit: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes of the entity of a hit."""
    try:
        return dict(hit["_source"]["attributes"])
    except (KeyError, TypeError, ValueError) as problem:
        raise _foreign(hit, repr(problem)) from problem


def rows_in(hits: Found, dimension: int, part: Modality | None = None) -> EntityRows:
    """Return the rows of the entities of hits, in their order; those of entities that are absent from a part are 0."""
    sources = [hit.get("_source", {}) for hit in hits]
    try:
        return documents.rows_in(sources, dimension, part)
    except (KeyError, TypeError, ValueError):
        for hit, source in zip(hits, sources, strict=True):
            try:
                documents.rows_in([source], dimension, part)
            except KeyError as problem:
                raise _foreign(hit, f"it has no {problem}") from problem
            except (TypeError, ValueError) as problem:
                raise _foreign(hit, str(problem)) from problem
        raise


def _foreign(hit: Mapping[str, Any], problem: str) -> StoreError:
    named = repr(hit["_id"]) if "_id" in hit else f"with the fields {hit.get('fields')}"
    return StoreError(f"The document {named} of {hit.get('_index')} is none of an entity: {problem}. Index it again.")
