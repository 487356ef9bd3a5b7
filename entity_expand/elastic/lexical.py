"""The lexical channel of a server: its own BM25 over masked sentences, asked by `more_like_this`; no I/O."""

from __future__ import annotations

import numpy as np

from entity_expand.elastic.bodies import MOST_HITS, barring, filter_clauses
from entity_expand.elastic.hits import RANKED, Body, by_place, documents_at, only, ranked_in, value_of
from entity_expand.elastic.searches import Searches, View
from entity_expand.stores.lexical import QUERY_TERMS, LexicalNearest, LexicalQuery, LexicalScores, Scored
from entity_expand.types import Float64

_MOST_TERMS = 1_000  # in all; every server takes 1,024 clauses in one query


def lexical_nearest(asked: LexicalNearest, view: View, allow_scripts: bool) -> Searches[Scored]:
    """Find the entities that share most with the seeds."""
    alike = yield from _alike(asked.query, view)
    query: Body = {"should": alike, "minimum_should_match": 1}
    if len(asked.excluded):
        query["must_not"] = barring(asked.excluded)
    if clauses := filter_clauses(asked.filter, allow_scripts):
        query["filter"] = clauses
    (hits,) = yield [{"query": {"bool": query}, "size": min(asked.size, MOST_HITS), **RANKED}]
    found = ranked_in(hits)
    view.note(found.places.tolist(), found.revisions.tolist())
    return Scored(found.places, found.scores)


def lexical_scores(asked: LexicalScores, view: View) -> Searches[Float64]:
    """Find what certain entities score; those without a shared word are not among the hits."""
    scores = np.zeros(len(asked.positions))
    alike = yield from _alike(asked.query, view)
    for start in range(0, len(asked.positions), MOST_HITS):
        part = asked.positions[start : start + MOST_HITS]
        query = {"should": alike, "minimum_should_match": 1, "filter": [{"terms": {"place": part.tolist()}}]}
        (hits,) = yield [{"query": {"bool": query}, "size": len(part), **RANKED}]
        found = ranked_in(hits)
        scores[np.searchsorted(asked.positions, found.places)] = found.scores
    return scores


def _alike(query: LexicalQuery, view: View) -> Searches[list[Body]]:
    """Return one clause per seed; their scores are added up, so that the sum is the weighted mean over the seeds."""
    liked: list[object] = list(query.texts)
    if len(query.seeds):
        places = np.sort(query.seeds)
        (hits,) = yield [documents_at(places, only("place", "id"))]
        id_of = dict(zip(places.tolist(), value_of(by_place(hits, places), "id"), strict=True))
        known = [{"_index": view.state.physical, "_id": id_of[place]} for place in query.seeds.tolist()]
        liked = [*known, *liked]
    count = max(1, len(liked))
    return [
        {"more_like_this": _like(each, count, weight)}
        for each, weight in zip(liked, query.weights.tolist(), strict=True)
    ]


def _like(liked: object, count: int, weight: float) -> Body:
    return {
        "fields": ["text"],
        "like": [liked],
        "max_query_terms": max(1, min(QUERY_TERMS, _MOST_TERMS // count)),
        "min_term_freq": 1,
        "min_doc_freq": 2,
        "minimum_should_match": "1",
        "boost_terms": 1,
        "boost": weight / count,
    }
