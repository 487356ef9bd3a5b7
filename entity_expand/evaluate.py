"""Measure expansions against the truth, in the paper's joint protocol and one query at a time (NOTES.md section 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, TypeAlias

import numpy as np
from tqdm import tqdm

from entity_expand import metrics
from entity_expand.corpus.queries import Query
from entity_expand.drive import run
from entity_expand.errors import IndexChangedError, QueryError
from entity_expand.query import ExpandQuery, Strategy
from entity_expand.search.growth import Ranking
from entity_expand.search.paper import expand_jointly
from entity_expand.search.plan import ExpandSettings
from entity_expand.search.pools import Pool, VectorPool
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Describe, Facts, Lookup, Matching, Reader, Request, Rows, Store, ask
from entity_expand.strategies.choice import ranked, settings_of
from entity_expand.types import Int64, Modality

_BLOCK = 500
_SECONDS = 120.0

Protocol: TypeAlias = Literal["joint", "single"]


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the classes of each query number, then over the query numbers; fractions by cut K.

    Attributes:
        map: AP@K with the seeds taken out of the truth, divided by min(|truth|, K).
        precision: Hits / K.
        reference_map: AP@K as the original computes it: the seeds stay in the truth.
        reference_precision: What the original prints as P@K: hits / min(|truth|, K).
    """

    map: Mapping[int, float]
    precision: Mapping[int, float]
    reference_map: Mapping[int, float]
    reference_precision: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured, how, and the outcome.

    Attributes:
        protocol: "joint": the queries of one number compete for entities. "single": each on its own.
        seeds: Seeds per query.
        classes: How many classes.
        queries: How many queries in all.
        size: Results asked for per query; the joint protocol shortens it if the entities do not suffice.
        unreachable: Members of the classes that the index does not hold, counted as never found.
        overall: Over all classes.
        by_class: AP@10 with the seeds taken out, the mean over the queries of each class.
        rankings: (class, number of the query) -> ids, best first.
    """

    protocol: Protocol
    seeds: int
    classes: int
    queries: int
    size: int
    unreachable: int
    overall: Quality
    by_class: Mapping[str, float]
    rankings: Mapping[tuple[str, int], tuple[str, ...]]


def evaluate(
    store: Store,
    queries: Sequence[Query],
    truth: Mapping[str, frozenset[str]],
    *,
    protocol: Protocol = "joint",
    size: int = 100,
    settings: ExpandSettings | None = None,
    strategy: Strategy | None = None,
    rerank: bool | None = None,
    modality: Modality | None = None,
) -> Evaluation:
    """Expand every query and compare the lists with the truth.

    Args:
        store: An opened index.
        queries: All of the same number of seeds; for the joint protocol as many for each class.
        truth: Class -> ids of its members, seeds included.
        protocol: See `Evaluation`.
        size: Results per query.
        settings: How to expand; None for the paper's.
        strategy: As of `ExpandQuery`; the joint protocol takes none.
        rerank: Likewise.
        modality: Likewise; the joint protocol takes none.

    Raises:
        QueryError: There is no query, a class has no truth, a seed is not in the index, the classes differ in their
            number of queries or seeds, or the joint protocol is asked for a strategy or a modality.
    """
    asked = ExpandQuery(["any"], size, settings=settings, strategy=strategy, rerank=rerank, modality=modality)
    if protocol == "joint" and (strategy is not None or modality is not None):
        raise QueryError("The joint protocol is the paper's; use the single protocol for strategies and a modality.")
    counts = {len(query.seeds) for query in queries}
    if len(counts) != 1:
        raise QueryError(f"Queries of one number of seeds are needed; got {sorted(counts) or 'no query'}.")
    empty = sorted({query.class_name for query in queries if not truth.get(query.class_name)})
    if empty:
        raise QueryError(f"No members are given for the classes {', '.join(empty)}.")
    reader = Views(store)
    places = _places(reader, queries)
    if protocol == "joint":
        rankings, size = _jointly(reader, places, size, settings_of(asked))
    else:
        rankings = {
            query: _ranked(reader, seeds, asked).positions
            for query, seeds in tqdm(places.items(), desc="expand", unit="query", disable=None)
        }
    lists = {query: _ids(reader, ranking.tolist()) for query, ranking in rankings.items()}
    members = frozenset[str]().union(*(truth[query.class_name] for query in queries))
    return Evaluation(
        protocol=protocol,
        seeds=counts.pop(),
        classes=len({query.class_name for query in queries}),
        queries=len(queries),
        size=size,
        unreachable=len(members) - len(positions_of(reader, sorted(members))),
        overall=quality(lists, truth),
        by_class=_by_class(lists, truth),
        rankings={(query.class_name, query.number): tuple(ids) for query, ids in lists.items()},
    )


class Views:
    """A reader for a long run: each round of requests has a limit of time of its own.

    Raises:
        IndexChangedError: The index was replaced meanwhile; its lists would not be comparable.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._first = store.begin(_SECONDS)

    @property
    def facts(self) -> Facts:
        """What an expansion must know of the index."""
        return self._first.facts

    def whole(self, both_directions: float) -> Pool | None:
        """Return all entities as one pool if their scores are at hand, else None."""
        return self._first.whole(both_directions)

    def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests that do not depend on one another."""
        reader = self._store.begin(_SECONDS)
        if reader.facts.meta != self.facts.meta:
            raise IndexChangedError("The index was replaced while it was evaluated; evaluate it again.")
        return reader.answer(requests)


def _ranked(reader: Reader, seeds: Int64, asked: ExpandQuery) -> Ranking:
    nobody = np.empty(0, dtype=np.int64)
    whole = reader.whole(settings_of(asked).both_directions)
    return run(ranked(asked, SeedSet(seeds), asked.size, nobody, reader.facts, whole), reader)


def _places(reader: Reader, queries: Sequence[Query]) -> dict[Query, Int64]:
    """Return the positions of the seeds of each query; seeds are ids here, never names."""
    found = positions_of(reader, sorted({seed for query in queries for seed in query.seeds}))
    for query in queries:
        missing = [seed for seed in query.seeds if seed not in found]
        if missing:
            raise QueryError(f"The seeds {', '.join(missing)} of class {query.class_name!r} are not in the index.")
    return {query: np.array([found[seed] for seed in query.seeds], dtype=np.int64) for query in queries}


def positions_of(reader: Reader, identifiers: Sequence[str]) -> dict[str, int]:
    """Return the position of each id that the index holds, and of nothing that only goes by that name."""
    found: dict[str, int] = {}
    for start in range(0, len(identifiers), _BLOCK):
        part = tuple(identifiers[start : start + _BLOCK])
        readings = run(ask(Lookup(part)), reader)
        firsts = {text: reading[0] for text, reading in zip(part, readings, strict=True) if reading}
        names = _ids(reader, list(firsts.values()))
        found |= {text: place for (text, place), name in zip(firsts.items(), names, strict=True) if name == text}
    return found


def _ids(reader: Reader, positions: Sequence[int]) -> list[str]:
    return [record.entity.id for record in run(ask(Describe(tuple(positions))), reader)]


def _whole(reader: Reader, weight: float) -> tuple[Pool, Int64]:
    """Return all entities as one pool, and their positions."""
    positions = run(ask(Matching(None)), reader)
    pool = reader.whole(weight)
    if pool is None:
        pool = VectorPool(run(ask(Rows(positions)), reader), reader.facts.meta.vocabulary, weight)
    return pool, positions


def _jointly(
    reader: Reader, places: Mapping[Query, Int64], size: int, settings: ExpandSettings
) -> tuple[dict[Query, Int64], int]:
    """Expand the queries of each number together; return the rankings and the size that was possible."""
    if settings.space == "features":
        raise QueryError("The joint protocol expands by the heads; use the single protocol for space 'features'.")
    (pool, positions), rankings = _whole(reader, settings.both_directions), {}
    rounds = _rounds(places)
    if len({len(queries) for queries in rounds}) != 1:
        raise QueryError("The joint protocol needs as many queries for each class; use the single protocol.")
    classes, seeds = len(rounds[0]), len(next(iter(places.values())))
    target = min(size + seeds, pool.size // classes)
    for queries in tqdm(rounds, desc="expand", unit="round", disable=None):
        seed_sets = [np.searchsorted(positions, places[query]) for query in queries]
        searches = expand_jointly(pool, seed_sets, settings.search, target)
        found = zip(queries, searches, strict=True)
        rankings.update({query: positions[search.ranking()[0]] for query, search in found})
    return rankings, target - seeds


def _rounds(queries: Iterable[Query]) -> list[list[Query]]:
    """Return the queries of each number, by class."""
    ordered = sorted(queries, key=lambda query: (query.number, query.class_name))
    return [list(group) for _, group in groupby(ordered, key=lambda query: query.number)]


def quality(lists: Mapping[Query, Sequence[str]], truth: Mapping[str, frozenset[str]]) -> Quality:
    """Compare ranked ids with the members of each query's class, by every definition."""
    rounds = _rounds(lists)

    def mean(metric: metrics.Metric, cut: int, without_seeds: bool) -> float:
        return metrics.mean_over_classes_then_queries(
            [[metric(*_compared(lists[q], truth, q, without_seeds), cut) for q in group] for group in rounds]
        )

    return Quality(
        map={cut: mean(metrics.average_precision, cut, True) for cut in metrics.CUTS},
        precision={cut: mean(metrics.precision, cut, True) for cut in metrics.CUTS},
        reference_map={cut: mean(metrics.reference_average_precision, cut, False) for cut in metrics.CUTS},
        reference_precision={cut: mean(metrics.reference_precision, cut, False) for cut in metrics.CUTS},
    )


def _compared(
    ids: Sequence[str], truth: Mapping[str, frozenset[str]], query: Query, without_seeds: bool
) -> tuple[Sequence[str], frozenset[str]]:
    members = truth[query.class_name]
    if not without_seeds:
        return ids, members
    return [identifier for identifier in ids if identifier not in query.seeds], members - set(query.seeds)


def _by_class(lists: Mapping[Query, Sequence[str]], truth: Mapping[str, frozenset[str]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for query, ids in sorted(lists.items(), key=lambda item: (item[0].class_name, item[0].number)):
        ap = metrics.average_precision(*_compared(ids, truth, query, True), 10)
        values.setdefault(query.class_name, []).append(ap)
    return {name: sum(found) / len(found) for name, found in values.items()}
