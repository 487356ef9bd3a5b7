"""What the searches of an index find, compared with what a full scan finds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.elastic.bodies import knn
from entity_expand.elastic.meta import ElasticMeta
from entity_expand.search.scoring import EntityRows, query_vector, unit_features
from entity_expand.stores.base import VectorField
from entity_expand.types import AnyArray, Float64, Int64, Modality
from indexer.elastic.layers import LayerRows, present
from indexer.elastic.session import Session

LEAST_RECALL = 0.8
_NEAREST = 10
_CANDIDATES = 200
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


def judge(meta: ElasticMeta, found: Mapping[Modality | None, Found]) -> list[str]:
    """Return what is wrong with what searches found."""
    enough = 1.0 if meta.vectors.exact else LEAST_RECALL
    return [
        f"searches{f' by {part}' if part else ''} found {own.recall:.0%} of the true nearest entities, and "
        f"{own.own:.0%} of the entities by their own features; at least {enough:.0%} is expected of "
        f"{meta.vectors.method} ({meta.vectors.element_type})"
        for part, own in found.items()
        if own.recall < enough or own.own < enough
    ]


def least(found: Mapping[Modality | None, Found]) -> Found:
    """Return the lowest shares of the index itself and its parts."""
    return Found(min(own.recall for own in found.values()), min(own.own for own in found.values()))


def search(
    session: Session,
    physical: str,
    meta: ElasticMeta,
    blocks: Iterable[tuple[Int64, LayerRows]],
    sample: LayerRows,
) -> dict[Modality | None, Found]:
    """Ask the server for the nearest of some entities, in the index itself and each part, and compare with a scan.

    Args:
        session: The server.
        physical: The index.
        meta: Of the index.
        blocks: Places and rows of all entities.
        sample: The rows of those to ask with.
    """
    probes = {part: _Probe(session, physical, meta, part, present(own)) for part, own in sample.items()}
    for places, block in blocks:
        for part, probe in probes.items():
            there = block[part].deviation > 0
            probe.add(places[there], block[part].take(there))
    return {part: probe.found() for part, probe in probes.items()}


class _Probe:
    """What the server finds nearest to a sample of entities (m), in one part, and the scan that tells what is right."""

    def __init__(
        self, session: Session, physical: str, meta: ElasticMeta, part: Modality | None, rows: EntityRows
    ) -> None:
        self._mean, self._longest, self._count = meta.layers[part].frame.mean_feature, 0.0, 0
        queries = [query_vector(rows.take(np.array([number]))) for number in range(len(rows))]
        features = list(unit_features(rows, self._mean).astype(np.float64))
        by_feature = features if "feature" in meta.vectors.fields else []
        self._head = _Scan(queries, _ask(session, physical, meta, "head", part, queries, _NEAREST))
        self._feature = _Scan(by_feature, _ask(session, physical, meta, "feature", part, by_feature, 1))

    def add(self, places: Int64, rows: EntityRows) -> None:
        """Take in the rows of entities, none of which is absent, and their places (b,)."""
        self._count += len(rows)
        heads = np.einsum("nw,nw->n", rows.head, rows.head, dtype=np.float64)
        self._longest = max(self._longest, float(np.sqrt(heads.max(initial=0.0))))
        self._head.add(places, rows.head)
        self._feature.add(places, unit_features(rows, self._mean))

    def found(self) -> Found:
        """Return what was found."""
        recall = self._head.share(_TOLERANCE * self._longest, min(_NEAREST, self._count))
        return Found(recall, self._feature.share(_TOLERANCE, 1))


class _Scan:
    """The exact scores of m queries (W,) over all vectors, as far as they are needed: the best, and those found."""

    def __init__(self, queries: Sequence[Float64], found: list[list[int]]) -> None:
        self._queries, self._found = queries, found
        self._best = np.full((len(queries), _NEAREST), -np.inf)  # (m, 10), falling
        self._scores: dict[tuple[int, int], float] = {}
        self._wanted: dict[int, list[int]] = {}
        for number, places in enumerate(found):
            for place in places:
                self._wanted.setdefault(place, []).append(number)

    def add(self, places: Int64, vectors: AnyArray) -> None:
        """Take in a block of vectors (b, W) and their places (b,)."""
        if not self._queries:
            return
        scores = np.stack(self._queries) @ vectors.astype(np.float64).T  # (m, b)
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
    session: Session,
    physical: str,
    meta: ElasticMeta,
    field: VectorField,
    part: Modality | None,
    queries: Sequence[Float64],
    size: int,
) -> list[list[int]]:
    """Return the places that the server finds nearest to each query, best first."""
    if not queries:
        return []
    lines = []
    for query in queries:
        section = knn(
            field, query, size, candidates=_CANDIDATES, rescore=meta.vectors.oversample, packed=False, part=part
        )  # in the form that every server takes
        body = {"knn": section, "size": size, "_source": False, "docvalue_fields": ["place"]}
        lines += [b"{}", json.dumps(body).encode()]
    responses = session.ask("POST", f"/{physical}/_msearch", lines).body["responses"]
    return [[int(hit["fields"]["place"][0]) for hit in each["hits"]["hits"]] for each in responses]
