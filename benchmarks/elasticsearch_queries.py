"""Queries with known answers, and readers that ask a server or the memory, for the Elasticsearch benchmarks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch_bench import Server
from elasticsearch_worlds import World

from entity_expand.drive import run
from entity_expand.elastic.bodies import MOST_HITS, inner_product, knn
from entity_expand.search.plan import ExpandSettings, plan
from entity_expand.search.pools import Pool
from entity_expand.search.scoring import query_vector
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Facts, Hits, Nearest, Request, Rows

QUERIES, EXPANSIONS, CLASS_AT_LEAST, LIST, POOL = 100, 30, 60, 100, 400


@dataclass(frozen=True)
class Effort:
    """How hard the server looks: k, num_candidates as a multiple of it, and the multiple that is scored again."""

    size: int = POOL
    candidates: float = 1.0
    rescore: float | None = None

    def key(self) -> dict[str, Any]:
        """Return its entries in a result."""
        return {"k": self.size, "candidates": self.candidates, "rescore": self.rescore}


@dataclass(frozen=True)
class Pair:
    """How [R ; G] is stored: [c R ; G - g]; a query [x ; y] becomes [x' ; y] with x' = x / c, and all lose y g.

    Attributes:
        factor: c.
        shift: g, (W,).
    """

    factor: float
    shift: np.ndarray

    @classmethod
    def of(cls, world: World, centred: bool = True, scaled: bool = True) -> Pair:
        """Return the form in which both halves have one mean length, and G no mean."""
        head, features = world.rows.head, world.rows.scaled
        shift = features.mean(axis=0, dtype=np.float64) * centred
        lengths = [float(np.linalg.norm(part, axis=1).mean()) for part in (features - shift.astype(np.float32), head)]
        return cls(lengths[0] / lengths[1] if scaled else 1.0, shift.astype(np.float32))

    def stored(self, world: World) -> np.ndarray:
        """Return what is stored, (n, 2 W)."""
        factor = np.float32(self.factor)
        return np.concatenate([factor * world.rows.head, world.rows.scaled - self.shift], axis=1)

    def asked(self, queries: np.ndarray) -> np.ndarray:
        """Return the queries (..., 2 W) for what is stored."""
        width = len(self.shift)
        return queries * np.concatenate([np.full(width, 1 / self.factor), np.ones(width)])

    def lost(self, query: np.ndarray) -> float:
        """Return what the inner products of a query (2 W,) lack."""
        return float(query[len(self.shift) :] @ self.shift)


@dataclass(frozen=True)
class Asked:
    """Queries of one kind: members (m,) and vector as it is sent of each, and the true nearest (Q, 400)."""

    kind: str
    field: str
    members: list[np.ndarray]
    vectors: np.ndarray
    truth: np.ndarray


def asked_of(world: World, queries: int = QUERIES, pairs: bool = True, changed: bool = True) -> list[Asked]:
    """Return queries of 3 and of 30 members of one class, for one direction and for both, with their true answers.

    Args:
        world: The world.
        queries: How many of each kind.
        pairs: Whether the pair field is asked too.
        changed: Whether that is asked as it is stored, see `Pair`.
    """
    rng = np.random.default_rng(7)
    classes = [world.members_of(rng, CLASS_AT_LEAST) for _ in range(queries)]
    found = []
    for count in (3, 30):
        members = [of_class[:count] for of_class in classes]
        heads = np.array([query_vector(world.rows.take(part), 0.0) for part in members])
        truth = nearest(world, heads, members)
        found.append(Asked(f"head {count}", "head", members, heads, truth))
        if pairs:
            pair = Pair.of(world)
            both = np.array([query_vector(world.rows.take(part), 1.0) for part in members])
            through = np.concatenate([heads, np.zeros_like(heads)], axis=1)
            sent = [pair.asked(vectors) if changed else vectors for vectors in (both, through)]
            found.append(Asked(f"pair {count}", "pair", members, sent[0], nearest(world, both, members)))
            found.append(Asked(f"pair for head {count}", "pair", members, sent[1], truth))
    return found


def nearest(world: World, queries: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the 400 best entities for each query by a scan in float64, ties by place: (Q, 400)."""
    width, scores = world.dimension + 1, np.empty((len(queries), len(world.rows)))
    for start in range(0, len(world.rows), 16_384):
        part = slice(start, start + 16_384)
        scores[:, part] = queries[:, :width] @ world.rows.head[part].astype(np.float64).T
        if queries.shape[1] > width:
            scores[:, part] += queries[:, width:] @ world.rows.scaled[part].astype(np.float64).T
    for row, own in zip(scores, members, strict=True):
        row[own] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :POOL]


def request_body(field: str, vector: np.ndarray, members: Sequence[int], effort: Effort, size: int) -> bytes:
    """Return the body of a bare search for `size` entities."""
    section = knn(
        field,  # type: ignore[arg-type]
        vector,
        size,
        excluded=members,
        candidates=round(effort.candidates * size),
        rescore=effort.rescore,
    )
    body = {"knn": section, "size": size, "_source": False, "stored_fields": "_none_", "docvalue_fields": ["place"]}
    return json.dumps(body).encode()


def hits_of(server: Server, index: str, body: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return places and inner products, by falling score."""
    hits = json.loads(server.raw("POST", f"/{index}/_search", body))["hits"]["hits"]
    places = np.array([hit["fields"]["place"][0] for hit in hits], dtype=np.int64)
    return places, np.array([inner_product(hit["_score"]) for hit in hits])


class LocalReader:
    """Rows from memory, nearest entities from a server, or from memory too where there is none."""

    def __init__(self, world: World, exact: bool, search: Callable[[Nearest], Hits] | None = None) -> None:
        self._world, self._facts, self._search = world, world.facts(exact), search or self._scan

    @property
    def facts(self) -> Facts:
        """About the index."""
        return self._facts

    def whole(self, both_directions: float) -> Pool | None:
        """Return nothing: there is no table of all pairs."""
        return None

    def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers."""
        return [
            self._world.rows.take(request.positions) if isinstance(request, Rows) else self._search(request)  # type: ignore[arg-type]
            for request in requests
        ]

    def _scan(self, request: Nearest) -> Hits:
        rows, width = self._world.rows, self._world.dimension + 1
        query = request.query.astype(np.float32)
        scores = rows.head @ query[:width]
        if request.field == "pair":
            scores += rows.scaled @ query[width:]
        scores[request.excluded] = -np.inf
        near = np.argpartition(-scores, min(request.size + 100, len(scores)) - 1)[: request.size + 100]
        near = near[scores[near] > -np.inf]
        parts = [rows.head[near], rows.scaled[near]] if request.field == "pair" else [rows.head[near]]
        exact = np.concatenate(parts, axis=1).astype(np.float64) @ request.query
        order = np.lexsort((near, -exact))[: request.size]
        return Hits(near[order], float(exact[order[-1]]) if len(order) == request.size else -np.inf)


def searching(server: Server, index: str, effort: Effort, pair: Pair) -> Callable[[Nearest], Hits]:
    """Return how a reader asks a server."""

    def search(request: Nearest) -> Hits:
        size, query, lost = min(request.size, MOST_HITS), request.query, 0.0
        if request.field == "pair":
            query, lost = pair.asked(query), pair.lost(query)
        body = request_body(request.field, query, request.excluded.tolist(), effort, size)
        places, products = hits_of(server, index, body)
        return Hits(places, float(products[-1]) + lost if len(places) == size else -np.inf)

    return search


def expanded(
    reader: LocalReader, seeds: np.ndarray, both: float, limit: int | None = None
) -> tuple[list[int], int, float]:
    """Return the list of an expansion by the defaults, its fetches, and its milliseconds."""
    begun = time.perf_counter()
    settings = ExpandSettings(both_directions=both, max_fetches=limit)
    found = run(plan(SeedSet(seeds), LIST, settings, np.empty(0, np.int64), reader.facts), reader)
    return found.positions.tolist(), found.fetches, 1e3 * (time.perf_counter() - begun)


def seeds_of(world: World, count: int = EXPANSIONS) -> list[np.ndarray]:
    """Return three seeds of one class for each of `count` expansions."""
    rng = np.random.default_rng(8)
    return [world.members_of(rng, CLASS_AT_LEAST)[:3] for _ in range(count)]


def exact_lists(folder: Path, world: World, label: str, both: float, count: int = EXPANSIONS) -> list[list[int]]:
    """Return the lists that exact searches give, from a file if they were made before."""
    path = folder / f"exact-{label}-{both:g}-{count}.json"
    if not path.exists():
        reader = LocalReader(world, exact=True)
        path.write_text(json.dumps([expanded(reader, seeds, both)[0] for seeds in seeds_of(world, count)]))
    lists: list[list[int]] = json.loads(path.read_text())
    return lists
