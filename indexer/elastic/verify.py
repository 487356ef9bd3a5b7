"""Checks of an index on the server: what it holds, and that its searches find what a full scan finds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from entity_expand.elastic.bodies import knn
from entity_expand.elastic.documents import pack_rows
from entity_expand.elastic.meta import ElasticMeta
from entity_expand.errors import StoreError
from entity_expand.scoring import EntityRows, query_vector, unit_features
from entity_expand.types import Float64, Int64
from indexer.elastic.pages import stored
from indexer.elastic.session import Session

SAMPLE = 32
LEAST_RECALL = 0.8
_NEAREST = 10
_CANDIDATES = 200
_BLOCK = 1024
_TOLERANCE = 1e-5
"""Of the length of the query times that of the longest vector: what sums of float32 may differ by."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the searches of a sample found.

    Attributes:
        recall: Share of the true nearest entities by head rows.
        own: Share of the entities whose own feature finds them first, or one with an equal feature.
    """

    recall: float
    own: float


def check_loaded(
    session: Session, physical: str, meta: ElasticMeta, expected: Int64, rows: EntityRows
) -> tuple[float, int]:
    """Check a freshly loaded and refreshed index against what was to be loaded.

    Args:
        session: The server.
        physical: The index.
        meta: What it must say of itself.
        expected: (n,) revision by place; -1 for an entity that was rejected.
        rows: The stored rows by place.

    Returns:
        The recall of its searches, and how many entities were looked at for that.

    Raises:
        StoreError: Something is not as it should be.
    """
    problems = _compare_revisions(session, physical, expected)
    problems += count_problems(session, physical, meta, int((expected >= 0).sum()))
    places = draw(np.flatnonzero(expected >= 0), session.settings.seed)
    problems += _row_problems(session, physical, rows, places)
    if problems:
        raise StoreError(_text(physical, problems))
    blocks = ((np.arange(start, start + len(block)), block) for start, block in _blocks(rows))
    found = search(session, physical, meta, blocks, places, rows.take(places))
    if problem := judge(meta, found):
        raise StoreError(_text(physical, [problem]))
    return found.recall, len(places)


def _text(physical: str, problems: list[str]) -> str:
    return f"{physical} was loaded but is not put into use: {'; '.join(problems)}. Run again to repair it."


def _blocks(rows: EntityRows) -> Iterable[tuple[int, EntityRows]]:
    for start in range(0, len(rows), _BLOCK):
        yield start, rows.take(np.arange(start, min(len(rows), start + _BLOCK)))


def _compare_revisions(session: Session, physical: str, expected: Int64) -> list[str]:
    found = np.full(len(expected), -1, dtype=np.int64)
    surplus = 0
    for document in stored(session, physical):
        if not 0 <= document.place < len(found) or found[document.place] >= 0:
            surplus += 1
        else:
            found[document.place] = document.revision
    missing, other = int(((found < 0) & (expected >= 0)).sum()), int(((found >= 0) & (found != expected)).sum())
    texts = [(missing, "entities are missing"), (other, "have another content"), (surplus, "do not belong there")]
    return [f"{count:,} {text}" for count, text in texts if count]


def count_problems(session: Session, physical: str, meta: ElasticMeta, expected: int) -> list[str]:
    """Return what is wrong with the numbers of documents, and of those that have each vector."""
    problems = []
    queries: dict[str, dict[str, Any]] = {"documents": {"match_all": {}}}
    queries |= {f"vectors {field!r}": {"exists": {"field": field}} for field in meta.vectors.fields}
    for what, query in queries.items():
        count = session.ask("POST", f"/{physical}/_count", {"query": query}).body["count"]
        if count != expected:
            problems.append(f"it has {count:,} {what}, expected {expected:,}")
    return problems


def _row_problems(session: Session, physical: str, rows: EntityRows, places: Int64) -> list[str]:
    found = sources_at(session, physical, places)
    wrong = sum(found.get(place, {}).get("rows") != pack_rows(rows, place) for place in places.tolist())
    return [f"the rows of {wrong} of {len(places)} entities came back otherwise"] if wrong else []


def sources_at(session: Session, physical: str, places: Int64) -> dict[int, Mapping[str, Any]]:
    """Return the sources of documents by place."""
    body = {"query": {"terms": {"place": places.tolist()}}, "size": len(places), "track_total_hits": False}
    hits = session.ask("POST", f"/{physical}/_search", body).body["hits"]["hits"] if len(places) else []
    return {hit["_source"]["place"]: hit["_source"] for hit in hits}


def draw(places: Int64, seed: int) -> Int64:
    """Return up to 32 of the places, rising, always the same for the same seed."""
    listed = places.tolist()
    return np.array(sorted(random.Random(seed).sample(listed, min(SAMPLE, len(listed)))), dtype=np.int64)


def judge(meta: ElasticMeta, found: Found) -> str:
    """Return what is wrong with what searches found, or ""."""
    least = 1.0 if meta.vectors.exact else LEAST_RECALL
    if found.recall >= least and found.own >= least:
        return ""
    return (
        f"searches found {found.recall:.0%} of the true nearest entities, and {found.own:.0%} of the entities by their "
        f"own features; at least {least:.0%} is expected of {meta.vectors.method} ({meta.vectors.element_type})"
    )


def search(
    session: Session,
    physical: str,
    meta: ElasticMeta,
    blocks: Iterable[tuple[Int64, EntityRows]],
    places: Int64,
    rows: EntityRows,
) -> Found:
    """Ask the server for the nearest of some entities, and compare with a scan of all.

    Args:
        session: The server.
        physical: The index.
        meta: Of the index.
        blocks: Places and rows of all entities.
        places: (m,) those to ask with.
        rows: Their rows.
    """
    if not len(places):
        return Found(1.0, 1.0)
    queries = np.stack([query_vector(rows.take(np.array([number]))) for number in range(len(rows))])
    nearest = _ask(session, physical, meta, "head", queries, _NEAREST)
    features = unit_features(rows, meta.frame.mean_feature).astype(np.float64)
    first = _ask(session, physical, meta, "feature", features, 1) if "feature" in meta.vectors.fields else None
    head, feature = _Scan(queries, nearest), _Scan(features, first or [])
    longest, count = 0.0, 0
    for block_places, block in blocks:
        count += len(block)
        longest = max(longest, float(np.sqrt(np.einsum("nw,nw->n", block.head, block.head, dtype=np.float64).max())))
        head.add(block_places, block.head)
        if first is not None:
            feature.add(block_places, unit_features(block, meta.frame.mean_feature))
    recall = head.share(_TOLERANCE * longest, min(_NEAREST, count))
    return Found(recall, 1.0 if first is None else feature.share(_TOLERANCE, 1))


class _Scan:
    """The exact scores of queries (m, W) over all vectors, as far as they are needed: the best, and those found."""

    def __init__(self, queries: Float64, found: list[list[int]]) -> None:
        self._queries, self._found = queries, found
        self._best = np.full((len(queries), _NEAREST), -np.inf)  # (m, 10), falling
        self._scores: dict[tuple[int, int], float] = {}
        self._wanted: dict[int, list[int]] = {}
        for number, places in enumerate(found):
            for place in places:
                self._wanted.setdefault(place, []).append(number)

    def add(self, places: Int64, vectors: Any) -> None:
        """Take in a block of vectors (b, W) and their places (b,)."""
        scores = self._queries @ vectors.astype(np.float64).T  # (m, b)
        self._best = -np.sort(-np.concatenate([self._best, scores], axis=1), axis=1)[:, :_NEAREST]
        for column, place in enumerate(places.tolist()):
            for number in self._wanted.get(place, ()):
                self._scores[number, place] = float(scores[number, column])

    def share(self, tolerance: float, size: int) -> float:
        """Return the share of the true `size` nearest among those found; equal scores count as either."""
        good = 0
        for number, places in enumerate(self._found):
            floor = self._best[number, size - 1] - tolerance * max(1.0, float(np.linalg.norm(self._queries[number])))
            good += sum(self._scores.get((number, place), -np.inf) >= floor for place in set(places[:size]))
        return float(good / (size * len(self._found))) if self._found else 1.0


def _ask(
    session: Session, physical: str, meta: ElasticMeta, field: Any, queries: Float64, size: int
) -> list[list[int]]:
    """Return the places that the server finds nearest to each query, best first."""
    lines = []
    for query in queries:
        section = knn(
            field, query, size, candidates=_CANDIDATES, rescore=meta.vectors.oversample, packed=False
        )  # in the form that every server takes
        body = {"knn": section, "size": size, "_source": False, "docvalue_fields": ["place"]}
        lines += [b"{}", json.dumps(body).encode()]
    responses = session.ask("POST", f"/{physical}/_msearch", lines).body["responses"]
    return [[int(hit["fields"]["place"][0]) for hit in each["hits"]["hits"]] for each in responses]
