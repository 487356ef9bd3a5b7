"""Each kind of request as searches: their bodies, and what is made of the hits; no I/O.

A kind is a generator that yields the bodies of searches that may run together and is sent the hits of each.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from entity_expand.elastic.bodies import MOST_HITS, filter_clauses, inner_product, knn
from entity_expand.elastic.cache import ANY_REVISION, RecordCache, RowCache
from entity_expand.elastic.hits import (
    RANKED,
    Body,
    Found,
    attributes_in,
    by_place,
    documents_at,
    only,
    ranked_in,
    record_in,
    value_of,
    values_of,
)
from entity_expand.elastic.state import IndexState
from entity_expand.errors import ConfigError
from entity_expand.stores.base import (
    Describe,
    Find,
    Hits,
    Lookup,
    Matching,
    Nearest,
    Record,
    Suggest,
)
from entity_expand.stores.facets import FACETED, Facet, Facets, facets_of
from entity_expand.stores.names import fold
from entity_expand.types import Int64, Modality

T = TypeVar("T")
Searches: TypeAlias = Generator[list[Body], list[Found], T]

_DESCRIBED = 2_000
_LOOKED_UP = 10_000
_SIMILAR = 500
_SHOWN = ["id", "name", "aliases", "attributes", "trained", "samples", "evidence"]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How searches are made.

    Attributes:
        candidates: Entities that a graph looks at per search, at least those asked for; None for twice those.
        rescore: With a quantised index, times the size that is scored again; None for what the index says.
        allow_scripts: Whether callers' own queries may hold scripts.
    """

    candidates: int | None = None
    rescore: float | None = None
    allow_scripts: bool = False

    def __post_init__(self) -> None:
        candidates = 1 if self.candidates is None else self.candidates
        rescore = 1.0 if self.rescore is None else self.rescore
        if not (1 <= candidates <= MOST_HITS and rescore >= 1):
            raise ConfigError(
                f"candidates is 1 to {MOST_HITS:,} and rescore at least 1, if given; "
                f"got {self.candidates}, {self.rescore}."
            )


class View:
    """What one run sees of an index, and which revisions of its entities it has met.

    Args:
        state: The index.
        cache: Rows fetched before, by any run.
        records: What to show, likewise.
    """

    def __init__(self, state: IndexState, cache: RowCache, records: RecordCache) -> None:
        self.state = state
        self.cache = cache
        self.records = records
        self._revisions: dict[int, int] = {}

    def keys(self, places: Int64, part: Modality | None) -> Int64:
        """Return the keys under which the cache holds the rows of the entities at `places`, of the index or a part."""
        layers = list(self.state.frames)
        return places * len(layers) + layers.index(part)

    def note(self, places: Sequence[int], revisions: Sequence[int]) -> None:
        """Take note of the revisions that hits had."""
        self._revisions.update(zip(places, revisions, strict=True))

    def revisions(self, places: Int64) -> Int64:
        """Return the revisions that the entities at `places` had when last met, `ANY_REVISION` where never."""
        known = self._revisions
        return np.array([known.get(place, ANY_REVISION) for place in places.tolist()], dtype=np.int64)


def nearest(asked: Nearest, view: View, options: SearchOptions) -> Searches[Hits]:
    """Find the entities nearest to a query."""
    size, vectors = min(asked.size, MOST_HITS), view.state.vectors
    frame = view.state.frames[asked.part]
    section = knn(
        asked.field,
        frame.sent(asked.field, asked.query),
        size,
        excluded=asked.excluded,
        filtered=asked.filter,
        candidates=options.candidates or 2 * size,
        rescore=options.rescore or vectors.oversample if vectors.quantised else None,
        packed=view.state.packed,
        allow_scripts=options.allow_scripts,
        part=asked.part,
    )
    (hits,) = yield [{"knn": section, "size": size, **RANKED}]
    found = ranked_in(hits)
    view.note(found.places.tolist(), found.revisions.tolist())
    if not 0 < len(hits) == size:
        return Hits(found.places, -np.inf)
    lacking = frame.lacking(asked.field, asked.query)
    return Hits(found.places, inner_product(float(found.scores[-1])) + lacking)


def lookup(asked: Sequence[Lookup], view: View) -> Searches[list[tuple[tuple[int, ...], ...]]]:
    """Find what texts stand for: ids, else names or aliases."""
    texts = list(dict.fromkeys(text for request in asked for text in request.texts))
    by_id: dict[str, int] = {}
    by_name: dict[str, set[int]] = {}
    for start in range(0, len(texts), _LOOKED_UP):
        part = texts[start : start + _LOOKED_UP]
        either = [{"terms": {"id": part}}, {"terms": {"spellings": sorted({fold(text) for text in part})}}]
        query = {"bool": {"filter": [{"bool": {"should": either}}]}}
        columns = only("place", "revision", "id", "spellings")
        hits = yield from _pages(query, min(MOST_HITS, 4 * len(part) + 100), columns)
        places, spellings = value_of(hits, "place"), values_of(hits, "spellings")
        view.note(places, value_of(hits, "revision"))
        by_id.update(zip(value_of(hits, "id"), places, strict=True))
        for place, names in zip(places, spellings, strict=True):
            for name in names:
                by_name.setdefault(name, set()).add(place)
    return [
        tuple((by_id[text],) if text in by_id else tuple(sorted(by_name.get(fold(text), ()))) for text in request.texts)
        for request in asked
    ]


def suggest(asked: Suggest) -> Searches[tuple[str, ...]]:
    """Find names that are spelled much like a text."""
    folded = fold(asked.text)
    if not folded:
        return ()
    near = {"value": folded, "fuzziness": 2, "max_expansions": 200, "boost": 10}
    begins = {"value": folded[: (len(folded) + 1) // 2]}
    query = {"bool": {"should": [{"fuzzy": {"spellings": near}}, {"prefix": {"spellings": begins}}]}}
    (hits,) = yield [{"query": query, "size": _SIMILAR, **only("spellings", "name")}]
    slack = max(2, len(folded) // 2)
    names = {
        spelling: name
        for spellings, name in zip(values_of(hits, "spellings"), value_of(hits, "name"), strict=True)
        for spelling in spellings
        if abs(len(spelling) - len(folded)) <= slack
    }
    best = difflib.get_close_matches(folded, names, n=asked.limit, cutoff=0.6)
    return tuple(dict.fromkeys(names[spelling] for spelling in best))


def find(asked: Find) -> Searches[tuple[int, ...]]:
    """Find entities by what a name of theirs begins with."""
    folded = fold(asked.prefix)
    begins = {"constant_score": {"filter": {"prefix": {"spellings": {"value": folded}}}}}
    whole = {"constant_score": {"filter": {"term": {"spellings": {"value": folded}}}}}
    order = ["_score", {"name": "asc"}, {"place": "asc"}]
    query = {"bool": {"must": [begins], "should": [whole]}}
    (hits,) = yield [{"query": query, "size": min(asked.limit, MOST_HITS), "sort": order, **only("place")}]
    return tuple(value_of(hits, "place"))


def facets(asked: Facets) -> Searches[tuple[Facet, ...]]:
    """Count the values of attributes."""
    query = {"bool": {"filter": [{"range": {"place": {"lt": FACETED}}}, {"exists": {"field": "attributes"}}]}}
    hits = yield from _pages(query, MOST_HITS, {"_source": ["attributes"], "track_total_hits": False})
    return facets_of((attributes_in(hit) for hit in hits), asked.limit)


def describe(asked: Sequence[Describe], view: View) -> Searches[list[list[Record]]]:
    """Bring what to show of entities, those that the cache lacks from the server."""
    wanted = sorted({place for request in asked for place in request.positions})
    revisions = view.revisions(np.array(wanted, dtype=np.int64)).tolist()
    known = {place: view.records.get(place, revision) for place, revision in zip(wanted, revisions, strict=True)}
    found = {place: record for place, record in known.items() if record is not None}
    missing = np.array([place for place in wanted if place not in found], dtype=np.int64)
    for start in range(0, len(missing), _DESCRIBED):
        part = missing[start : start + _DESCRIBED]
        (hits,) = yield [documents_at(part, {"_source": _SHOWN, "docvalue_fields": ["place", "revision"]})]
        hits = by_place(hits, part)
        for place, revision, hit in zip(part.tolist(), value_of(hits, "revision"), hits, strict=True):
            found[place] = record_in(hit)
            view.records.put(place, revision, found[place])
    return [[found[place] for place in request.positions] for request in asked]


def matching(asked: Matching, allow_scripts: bool) -> Searches[Int64]:
    """Find all entities that a filter lets through."""
    query = {"bool": {"filter": filter_clauses(asked.filter, allow_scripts)}}
    hits = yield from _pages(query, MOST_HITS, only("place"))
    return np.array(value_of(hits, "place"), dtype=np.int64)


def _pages(query: Body, size: int, columns: Body) -> Searches[Found]:
    """Find all documents that match, by rising place."""
    body = {"query": query, "size": size, "sort": [{"place": "asc"}], **columns}
    (hits,) = yield [body]
    found, last = hits, hits
    while len(last) == size:
        (last,) = yield [{**body, "search_after": last[-1]["sort"]}]
        found = found + last
    return found
