"""Positives and hard negatives from the model's own expanded lists (NOTES.md section 7).

With seeds "entities" no class label is opened or used here, but under `oracle`. Queries tell members of their classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entity_expand.corpus import Query, read_queries, read_truth
from entity_expand.errors import TrainingError
from entity_expand.search.plan import ExpandSettings
from entity_expand.types import Entity, Int64
from training.config import MiningSettings
from training.pairs import EntityLists
from training.table import EntityTable


@dataclass(frozen=True)
class MiningSeeds:
    """What lists are grown from, and the truth that an oracle has; entities are rows of the head.

    Attributes:
        sets: One array (S,) int64 per query, its trained seeds; () where every entity has its own list.
        class_names: The class of each query.
        classes: Members of each class; None without an oracle.
    """

    sets: tuple[Int64, ...] = ()
    class_names: tuple[str, ...] = ()
    classes: Mapping[str, frozenset[int]] | None = None

    @property
    def longest(self) -> int:
        """Most seeds of a list."""
        return max(map(len, self.sets), default=1)


@dataclass(frozen=True)
class RankRange:
    """Ranks of the hard negatives, from 1, both included; none if `last` is below `first`."""

    first: int
    last: int

    def of(self, ranked: Int64) -> Int64:
        """Return the entities of a ranking (T,) at these ranks."""
        return ranked[self.first - 1 : max(self.first - 1, self.last)]


def mining_seeds(root: Path, entities: Sequence[Entity], settings: MiningSettings, truth: str = "gt") -> MiningSeeds:
    """Read what the lists are grown from.

    Args:
        root: Folder of the corpus.
        entities: The V entities of the head, in its order.
        settings: `seeds`, `queries` and `oracle`.
        truth: Folder with the members of the classes, relative to the corpus; opened for an oracle alone.

    Raises:
        CorpusError: A folder cannot be read.
        TrainingError: No query has a trained seed.
    """
    row_of = {entity.id: row for row, entity in enumerate(entities)}
    classes = None
    if settings.oracle:
        members = read_truth(root / truth)
        classes = {name: frozenset(row_of[each] for each in ids if each in row_of) for name, ids in members.items()}
    if settings.seeds == "entities":
        return MiningSeeds(classes=classes)
    queries = read_queries(root / settings.queries)
    rows = [np.array([row_of[seed] for seed in query.seeds if seed in row_of], dtype=np.int64) for query in queries]
    kept: list[tuple[Query, Int64]] = [pair for pair in zip(queries, rows, strict=True) if len(pair[1])]
    if not kept:
        raise TrainingError(f"No query of {root / settings.queries} has a trained seed; set mining.seeds = 'entities'.")
    return MiningSeeds(tuple(each for _, each in kept), tuple(query.class_name for query, _ in kept), classes)


def rank_range(settings: MiningSettings, clusters: int, vocabulary: int, ranked: int) -> RankRange:
    """Return the ranks of the hard negatives: multiples of the class size, behind the positives, inside the list.

    Ranks that would lie among the positives are moved behind them, all by as much; so a class that is guessed too
    small for the positives still has hard negatives.

    Args:
        settings: `class_size`, `positives`, `negatives_from` and `negatives_to`; 0 for the last means none.
        clusters: K; without a class size a class is guessed to have V / (K - 1) members.
        vocabulary: V.
        ranked: How many entities a list can have.

    Raises:
        TrainingError: The ranks lie beyond the end of the list.
    """
    size = settings.class_size or vocabulary / max(1, clusters - 1)
    first, last = (math.floor(multiple * size + 1e-9) for multiple in (settings.negatives_from, settings.negatives_to))
    moved = max(0, settings.positives + 1 - first)
    if settings.negatives_to == 0:
        return RankRange(first + moved, first + moved - 1)
    if first + moved > ranked:
        raise TrainingError(
            f"Hard negatives are to begin at rank {first + moved} of lists of {ranked} entities. Lower "
            "mining.negatives_from, mining.class_size or mining.positives; negatives_to = 0 trains without any."
        )
    return RankRange(first + moved, min(last + moved, ranked))


def mine(table: EntityTable, settings: MiningSettings, clusters: int, seeds: MiningSeeds | None = None) -> EntityLists:
    """Take positives and hard negatives from lists that the model expands.

    Of each list the seeds and the top `positives` are taken to be of one class, and `rank_range` are hard negatives; no
    entity is both in one list. With seeds "entities" each entity of the table has a list, all ranked at once by their
    score for it alone (`EntityTable.nearest`). With "queries" each query has one, by the paper's whole search, each
    on its own; the lists of one class are not united, for that two queries belong together is a label.

    An oracle keeps only positives that the truth confirms: those that share a class with the seed, or are of the
    query's class, by its exact name; and it unites the lists of a class, as the paper does.

    Args:
        table: The entities as the model has them now.
        settings: Which ranks.
        clusters: K of the model.
        seeds: Of `mining_seeds`; None where each entity has its own list and there is no oracle.

    Raises:
        TrainingError: The settings have an oracle or queries, and `seeds` have not; or the ranks of the hard negatives
            lie beyond the end of the lists.
    """
    given = seeds or MiningSeeds()
    if (settings.oracle and given.classes is None) or (settings.seeds == "queries" and not given.sets):
        raise TrainingError("These settings of mining need a truth or queries; read them by mining_seeds.")
    if settings.seeds == "entities":
        return _of_entities(table, settings, clusters, given.classes if settings.oracle else None)
    return _of_queries(table, settings, clusters, given)


def _of_entities(
    table: EntityTable, settings: MiningSettings, clusters: int, classes: Mapping[str, frozenset[int]] | None
) -> EntityLists:
    others = len(table.entities) - 1
    ranks = rank_range(settings, clusters, table.vocabulary, others)
    ranked = table.nearest(max(ranks.last, settings.positives), settings.both_directions)
    tops: list[Int64] = list(ranked[:, : settings.positives])
    if classes is not None:
        tops = [_sharing(int(seed), top, classes) for seed, top in zip(table.entities, tops, strict=True)]
    return EntityLists(
        tuple(np.append(seed, top) for seed, top in zip(table.entities, tops, strict=True)),
        tuple(ranks.of(line) for line in ranked),
    )


def _sharing(seed: int, top: Int64, classes: Mapping[str, frozenset[int]]) -> Int64:
    fellows = frozenset[int]().union(*(members for members in classes.values() if seed in members))
    return np.array([row for row in top.tolist() if row in fellows], dtype=np.int64)


def _of_queries(table: EntityTable, settings: MiningSettings, clusters: int, seeds: MiningSeeds) -> EntityLists:
    here = [each[table.places(each) >= 0] for each in seeds.sets]
    chosen = [(name, each) for name, each in zip(seeds.class_names, here, strict=True) if len(each)]
    ranked = len(table.entities) - max((len(each) for _, each in chosen), default=0)
    ranks = rank_range(settings, clusters, table.vocabulary, ranked)
    expanding = ExpandSettings(both_directions=settings.both_directions)
    lists = table.expanded([each for _, each in chosen], max(ranks.last, settings.positives), expanding)
    positives = [np.append(each, top[: settings.positives]) for (_, each), top in zip(chosen, lists, strict=True)]
    negatives = [ranks.of(ranked) for ranked in lists]
    if settings.oracle and seeds.classes is not None:
        return _confirmed(
            [name for name, _ in chosen], [each for _, each in chosen], positives, negatives, seeds.classes
        )
    return EntityLists(tuple(positives), tuple(negatives))


def _confirmed(
    names: Sequence[str], seeds: Sequence[Int64], positives: Sequence[Int64], negatives: Sequence[Int64],
    classes: Mapping[str, frozenset[int]],
) -> EntityLists:  # fmt: skip
    """Unite the lists of each class, without positives that the truth does not confirm; seeds always stay."""
    together: dict[str, tuple[dict[int, None], dict[int, None]]] = {}
    for name, own, top, hard in zip(names, seeds, positives, negatives, strict=True):
        kept, barred = together.setdefault(name, ({}, {}))
        members = classes.get(name, frozenset()) | set(own.tolist())
        kept.update((row, None) for row in top.tolist() if row in members)
        barred.update((row, None) for row in hard.tolist())
    return EntityLists(
        tuple(np.array(list(kept), dtype=np.int64) for kept, _ in together.values()),
        tuple(np.array([row for row in hard if row not in kept], np.int64) for kept, hard in together.values()),
    )
