"""The trained entities as an index in memory: expanded in the process, exactly, without files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from entity_expand.errors import TrainingError
from entity_expand.search.plan import ExpandSettings, in_space, search_whole
from entity_expand.search.pools import Pool, TablePool, VectorPool
from entity_expand.search.scoring import (
    EntityRows,
    entity_rows,
    feature_rows,
    head_rows,
    head_statistics,
    scores_between,
)
from entity_expand.stores.vectors import centred_norms
from entity_expand.stores.writing import TABLE_BYTES
from entity_expand.types import Int64
from training.features import EntityFeatures

_BLOCK = 1 << 24
_ROWS = 4096


@dataclass(frozen=True)
class EntityTable:
    """An index of the trained entities in memory: what stored rows of them would be.

    Attributes:
        entities: (n,) int64 head rows of those that have anything to show, rising; "places" are positions in it.
        vocabulary: V.
        rows: Their stored rows.
    """

    entities: Int64
    vocabulary: int
    rows: EntityRows

    def places(self, head_rows: Int64) -> Int64:
        """Return the place of each of some head rows (k,); -1 for an entity that is not here."""
        place = np.minimum(np.searchsorted(self.entities, head_rows), len(self.entities) - 1)
        return np.where(self.entities[place] == head_rows, place, -1)

    def pool(self, settings: ExpandSettings) -> Pool:
        """Return all entities as one pool, as an index has them; above a gibibyte of scores these come as needed."""
        rows, weight = self.rows, settings.both_directions
        if settings.space == "features":
            rows, weight = feature_rows(rows, centred_norms(rows)[0], self.vocabulary), 0.0
        if 4 * len(rows) ** 2 > TABLE_BYTES:
            return VectorPool(rows, self.vocabulary, weight)
        table = np.empty((len(rows), len(rows)), dtype=np.float32)
        for part in _blocks(len(rows)):
            table[part] = scores_between(rows.take(part), rows)
        return TablePool(table, rows, self.vocabulary, weight)

    def expanded(self, seed_sets: Sequence[Int64], size: int, settings: ExpandSettings) -> list[Int64]:
        """Expand sets, each on its own, by the project's whole search.

        Args:
            seed_sets: Head rows (S,) of the seeds, all of them here.
            size: Results of each; fewer where the entities do not suffice.
            settings: How.

        Returns:
            For each set the head rows (T,) of its results, best first, without the seeds.

        Raises:
            TrainingError: A seed is not in the table.
        """
        if any((self.places(seeds) < 0).any() for seeds in seed_sets):
            raise TrainingError("Some seeds have no samples that show anything, so they have no features to expand.")
        pool, searching, nobody = self.pool(settings), in_space(settings), np.empty(0, dtype=np.int64)
        sets = tqdm(seed_sets, desc="expand", unit="set", disable=None, leave=False)
        found = (search_whole(pool, self.places(seeds), size, searching, nobody) for seeds in sets)
        return [self.entities[ranking.positions] for ranking in found]

    def nearest(self, count: int, both_directions: float = 0.0) -> Int64:
        """Rank for each entity the others by their score for it alone: the search without growth and re-ranking.

        That is one product of matrices for all entities, where a search each would take a walk of its own.

        Args:
            count: How many of the others, at most all.
            both_directions: λ.

        Returns:
            (n, min(count, n - 1)) head rows by falling score, ties by place, one line per entity of the table.
        """
        size = len(self.entities)
        count = min(count, size - 1)
        found = np.empty((size, count), dtype=np.int64)
        for part in tqdm(list(_blocks(size)) if count else [], desc="rank", disable=None, leave=False):
            own = self.rows.take(part)
            scores = scores_between(own, self.rows)  # (b, n)
            if both_directions:
                scores = scores + both_directions * scores_between(self.rows, own).T
            scores[np.arange(len(part)), part] = -np.inf
            edges = np.partition(scores, size - count, axis=1)[:, size - count]
            for line, place in enumerate(part.tolist()):
                best = np.flatnonzero(scores[line] >= edges[line])
                found[place] = best[np.argsort(-scores[line, best], kind="stable")[:count]]
        return self.entities[found]


def entity_table(features: EntityFeatures, head: tuple[Tensor, Tensor]) -> EntityTable:
    """Return the table of entities under a head.

    Args:
        features: Their mean features.
        head: W (V, D) and b (V,), as of `MultiExpan.head_rows`.
    """
    weight, bias = (each.detach().float().cpu().numpy() for each in head)
    vocabulary = head_rows(weight, bias)
    statistics = head_statistics(vocabulary)
    parts = [slice(start, start + _ROWS) for start in range(0, len(features.entities), _ROWS)]
    blocks = [
        entity_rows(features.means[part], vocabulary[features.entities[part]], vocabulary, statistics) for part in parts
    ]
    rows = EntityRows(
        np.concatenate([block.head for block in blocks]),
        np.concatenate([block.scaled for block in blocks]),
        np.concatenate([block.deviation for block in blocks]),
        np.concatenate([block.log_offset for block in blocks]),
    )
    return EntityTable(features.entities, len(vocabulary), rows)


def cosine_table(features: EntityFeatures, vocabulary: int) -> EntityTable:
    """Return the table of entities that are compared by cosines alone, which need no head.

    Args:
        features: Their mean features, of any space.
        vocabulary: V.
    """
    # A head's rows would be of another width than these, and are not looked at; the features stand in for them.
    rows = torch.zeros(vocabulary, features.means.shape[1])
    rows[torch.from_numpy(features.entities)] = torch.from_numpy(features.means)
    return entity_table(features, (rows, torch.zeros(vocabulary)))


def _blocks(count: int) -> Iterator[Int64]:
    """Yield 0..count-1 in parts whose scores for all need little memory."""
    step = max(1, _BLOCK // max(1, count))
    for start in range(0, count, step):
        yield np.arange(start, min(count, start + step))
