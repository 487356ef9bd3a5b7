"""Whole expansions from the features of a model and of its graph: how much of the lists both agree on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from entity_expand.corpus import Query, read_queries, read_truth
from entity_expand.metrics import average_precision
from entity_expand.search.plan import search_whole
from entity_expand.search.pools import TablePool
from entity_expand.search.scoring import entity_rows, head_statistics, scores_between
from entity_expand.search.window import SearchSettings
from entity_expand.types import AnyArray, Entity, Float64, Int64

_CUTS = (10, 20, 50)
_MADE_UP = 100


@dataclass(frozen=True, slots=True, eq=False)
class SeedSets:
    """What is expanded, among n entities.

    Attributes:
        queries: Of the corpus, those whose seeds are all there.
        seeds: Q times (S,) places of seeds: of the queries first, of made-up ones behind them.
        truth: Members of each class by id, without those that are not there.
        ids: n ids.
    """

    queries: tuple[Query, ...]
    seeds: tuple[Int64, ...]
    truth: Mapping[str, frozenset[str]]
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the expansions of a graph are from those of its model.

    Attributes:
        expansions: How many were compared.
        queries: How many of them are queries of the corpus; the others are made up.
        top_k: Length of the lists.
        overlap: Mean share of a list that both agree on.
        model_map: MAP in percent of the queries by the model, the mean of MAP@10, @20 and @50; None without queries.
        graph_map: The same by the graph.
    """

    expansions: int
    queries: int
    top_k: int
    overlap: float
    model_map: float | None
    graph_map: float | None

    @property
    def map_loss(self) -> float:
        """How many points of MAP the graph loses; 0 without queries."""
        return 0.0 if self.model_map is None or self.graph_map is None else self.model_map - self.graph_map


def seed_sets(folder: Path, entities: Sequence[Entity], features: AnyArray, rows: Float64, own: Int64) -> SeedSets:
    """Return the queries of a corpus, and made-up ones: an entity with the two that the model finds nearest.

    Args:
        folder: Of the corpus; its queries lie in "query", their truth in "gt", if there are any.
        entities: n entities.
        features: (n, D) their mean features by the model.
        rows: (V, W) float64 head rows [w, b].
        own: (n,) position of each entity among the V.
    """
    places = {entity.id: place for place, entity in enumerate(entities)}
    known: tuple[Query, ...] = ()
    truth: dict[str, frozenset[str]] = {}
    if (folder / "query").is_dir() and (folder / "gt").is_dir():
        truth = {name: ids & places.keys() for name, ids in read_truth(folder / "gt").items()}
        known = tuple(
            query
            for query in read_queries(folder / "query")
            if places.keys() >= set(query.seeds) and truth.get(query.class_name, frozenset()) - set(query.seeds)
        )
    seeds = [np.array([places[seed] for seed in query.seeds], np.int64) for query in known]
    scores = _table(features, rows, own)[0].copy()
    np.fill_diagonal(scores, -np.inf)
    for place in np.unique(np.linspace(0, len(entities) - 1, min(_MADE_UP, len(entities))).astype(np.int64)):
        nearest = np.argsort(-scores[place], kind="stable")[: min(2, len(entities) - 2)]
        seeds.append(np.array([place, *nearest], np.int64))
    return SeedSets(known, tuple(seeds), truth, tuple(entity.id for entity in entities))


def agreement(sets: SeedSets, model: AnyArray, graph: AnyArray, rows: Float64, own: Int64, top_k: int) -> Agreement:
    """Expand all sets with the features of the model and of the graph, by the paper's search with re-ranking.

    Args:
        sets: What is expanded.
        model: (n, D) mean features of the entities by the model.
        graph: (n, D) the same by the graph.
        rows: (V, W) float64 head rows [w, b].
        own: (n,) position of each entity among the V.
        top_k: Length of the lists.
    """
    by_model, by_graph = (_lists(sets, features, rows, own, top_k) for features in (model, graph))
    shared = [len(np.intersect1d(first, second)) / len(first) for first, second in zip(by_model, by_graph, strict=True)]
    maps = [_mean_precision(sets, lists) if sets.queries else None for lists in (by_model, by_graph)]
    return Agreement(len(sets.seeds), len(sets.queries), top_k, fmean(shared), *maps)


def _lists(sets: SeedSets, features: AnyArray, rows: Float64, own: Int64, top_k: int) -> list[Int64]:
    pool = _table(features, rows, own)[1]
    none = np.empty(0, np.int64)
    return [search_whole(pool, seeds, top_k, SearchSettings(), none).positions for seeds in sets.seeds]


def _table(features: AnyArray, rows: Float64, own: Int64) -> tuple[AnyArray, TablePool]:
    stored = entity_rows(features, rows[own], rows, head_statistics(rows))
    table = scores_between(stored, stored)
    return table, TablePool(table, stored, len(rows))


def _mean_precision(sets: SeedSets, lists: Sequence[Int64]) -> float:
    values = []
    for query, places in zip(sets.queries, lists, strict=False):
        members = sets.truth[query.class_name] - set(query.seeds)
        ids = [sets.ids[place] for place in places]
        values.append(fmean(average_precision(ids, members, cut) for cut in _CUTS))
    return 100 * fmean(values)
