"""Checks of an index on the server: what it holds, and that its searches find what a full scan finds."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from entity_expand.elastic.documents import ROWS, field_of, pack_rows
from entity_expand.elastic.meta import ElasticMeta
from entity_expand.errors import StoreError
from entity_expand.types import Int64, Modality
from indexer.elastic.layers import LayerRows, at
from indexer.elastic.pages import stored
from indexer.elastic.probe import judge, least, search
from indexer.elastic.session import Session

SAMPLE = 32
_BLOCK = 1024
ENTITIES = {"exists": {"field": "place"}}
"""Finds the documents that are entities, and not what somebody else wrote."""


def check_loaded(
    session: Session, physical: str, meta: ElasticMeta, expected: Int64, rows: LayerRows
) -> tuple[float, int]:
    """Check a freshly loaded and refreshed index against what was to be loaded.

    Args:
        session: The server.
        physical: The index.
        meta: What it must say of itself.
        expected: (n,) revision by place; -1 for an entity that was rejected.
        rows: The stored rows by place.

    Returns:
        The recall of its searches, the least of any part, and how many entities were looked at for that.

    Raises:
        StoreError: Something is not as it should be.
    """
    problems = _compare_revisions(session, physical, expected)
    there = np.flatnonzero(expected >= 0)
    counts = {part: int((own.deviation[there] > 0).sum()) for part, own in rows.items()}
    problems += count_problems(session, physical, meta, len(there), counts)
    places = draw(there, session.settings.seed)
    problems += _row_problems(session, physical, rows, places)
    if problems:
        raise StoreError(_text(physical, problems))
    found = search(session, physical, meta, _blocks(rows, there), at(rows, places))
    if problems := judge(meta, found):
        raise StoreError(_text(physical, problems))
    return least(found).recall, len(places)


def _text(physical: str, problems: list[str]) -> str:
    return f"{physical} was loaded but is not put into use: {'; '.join(problems)}. Run again to repair it."


def _blocks(rows: LayerRows, places: Int64) -> Iterable[tuple[Int64, LayerRows]]:
    for start in range(0, len(places), _BLOCK):
        here = places[start : start + _BLOCK]
        yield here, at(rows, here)


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


def count_problems(
    session: Session, physical: str, meta: ElasticMeta, documents: int, present: Mapping[Modality | None, int]
) -> list[str]:
    """Return what is wrong with the numbers of documents, and of those that have each vector.

    Args:
        session: The server.
        physical: The index.
        meta: Of the index.
        documents: How many there should be.
        present: How many entities each part should have, and the index itself.
    """
    problems = []
    wanted: list[tuple[str, dict[str, Any], int]] = [("documents", ENTITIES, documents)]
    for part in meta.layers:
        names = [field_of(field, part) for field in meta.vectors.fields]
        wanted += [(f"vectors {name!r}", {"exists": {"field": name}}, present[part]) for name in names]
    for what, query, expected in wanted:
        found = count(session, physical, query)
        if found != expected:
            problems.append(f"it has {found:,} {what}, expected {expected:,}")
    return problems


def count(session: Session, physical: str, query: Mapping[str, Any]) -> int:
    """Return how many documents match; only what was refreshed is seen."""
    return int(session.ask("POST", f"/{physical}/_count", {"query": query}).body["count"])


def _row_problems(session: Session, physical: str, rows: LayerRows, places: Int64) -> list[str]:
    found = sources_at(session, physical, places)
    wrong = 0
    for place in places.tolist():
        source = found.get(place, {})
        wanted = {p: pack_rows(own, place) if own.deviation[place] > 0 else None for p, own in rows.items()}
        wrong += any(source.get(field_of(ROWS, part)) != packed for part, packed in wanted.items())
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
