"""Pools: the entities among which a set is searched, and the numbers the search needs about them.

A pool answers two questions: what a member adds to each entity's score, and how probable an entity's
sentences hold the members. The search is the same over all of them:

- `DistributionPool` holds the paper's own matrices, every mean log-probability and mean probability (V, V).
- `TablePool` is a whole index with its scores computed ahead.
- `VectorPool` is part of an index: rows fetched for one query, scores computed as they are needed.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from entity_expand.scoring import EntityRows
from entity_expand.types import AnyArray, Float32, Float64, Int64

# Probabilities below this are floored: a zero would make a divergence infinite (NOTES.md section 9.4).
_SMALLEST_PROBABILITY = 1e-300


class Pool(Protocol):
    """K entities, ordered by id, addressed by their place 0..K-1 in the pool.

    Attributes:
        size: K.
        vocabulary: V, the number of entities that the distributions range over.
        precision: Type of the gains, in which they are also summed.
        log_total: (K,) float64, Σ_v log q_i[v] over the vocabulary.
        log_mean: (K,) float64, log of the mean of q_i over the vocabulary, -log V if it is normalised.
        log_own: (K,) float64, log q_i[i].
    """

    size: int
    vocabulary: int
    precision: type[np.floating[Any]]
    log_total: Float64
    log_mean: Float64
    log_own: Float64

    def known(self, places: Int64) -> bool:
        """Return whether the numbers of all `places` are at hand."""

    def expect(self, places: Int64) -> None:
        """Bring the numbers of `places` to hand, all at once: they are likely to be asked for."""

    def gains(self, place: int) -> AnyArray:
        """Return what the member at `place` adds to the score of each entity, (K,)."""

    def weighted_logs(self, places: Int64, members: Int64, weights: Float64) -> Float64:
        """Return Σ_j weights[j] log q_i[j] over the members j (m,), for each i of `places` (w,): (w,)."""


class DistributionPool:
    """The whole vocabulary with the paper's own features (NOTES.md section 8).

    Args:
        mean_log: (V, V), row i the mean over i's sentences of log p(. | sentence).
        mean: (V, V), row i the mean over i's sentences of p(. | sentence).
    """

    precision = np.float64

    def __init__(self, mean_log: AnyArray, mean: AnyArray) -> None:
        logs = mean_log.astype(np.float64)
        self._scores = (logs - logs.mean(axis=1, keepdims=True)) / logs.std(axis=1, keepdims=True)
        probabilities = np.maximum(mean.astype(np.float64), _SMALLEST_PROBABILITY)
        self._log = np.log(probabilities)
        self.size = self.vocabulary = len(logs)
        self.log_total: Float64 = self._log.sum(axis=1)
        self.log_mean: Float64 = np.log(probabilities.mean(axis=1))
        self.log_own: Float64 = self._log.diagonal().copy()

    def known(self, places: Int64) -> bool:
        """Return True: all numbers are at hand."""
        return True

    def expect(self, places: Int64) -> None:
        """Do nothing."""

    def gains(self, place: int) -> Float64:
        """Return Z_j, the standardised mean log-probabilities, (V,)."""
        row: Float64 = self._scores[place]
        return row

    def weighted_logs(self, places: Int64, members: Int64, weights: Float64) -> Float64:
        """Return the weighted sums of the logarithms of the mean probabilities, (w,)."""
        sums: Float64 = self._log[places[:, None], members] @ weights
        return sums


class _StoredPool:
    """What the two pools over stored rows share: log q_i[v] = σ_i Z_i[v] + a_i, and rows of Z that sum to 0."""

    precision = np.float32

    def __init__(self, rows: EntityRows, own_scores: AnyArray, vocabulary: int) -> None:
        self.size = len(rows)
        self.vocabulary = vocabulary
        self._deviation = rows.deviation
        self._log_offset = rows.log_offset
        self.log_total: Float64 = vocabulary * rows.log_offset
        self.log_mean: Float64 = np.full(self.size, -np.log(vocabulary))
        self.log_own: Float64 = rows.deviation * own_scores + rows.log_offset

    def _weighted(self, places: Int64, scores: AnyArray, weights: Float64) -> Float64:
        """Return Σ_j weights[j] (σ_i Z_i[j] + a_i) from scores Z (w, m), (w,)."""
        sums: Float64 = self._deviation[places] * (scores @ weights) + self._log_offset[places] * float(weights.sum())
        return sums


class TablePool(_StoredPool):
    """A whole index, with Z of every pair of its entities.

    Args:
        table: (n, n) float32, entry (j, v) = Z_j[v]; may be memory-mapped.
        rows: The stored rows of all n entities.
        vocabulary: V of the bundle.
        both_directions: λ.
    """

    def __init__(self, table: Float32, rows: EntityRows, vocabulary: int, both_directions: float = 0.0) -> None:
        super().__init__(rows, table.diagonal(), vocabulary)
        self._table = table
        self._both_directions = both_directions

    def known(self, places: Int64) -> bool:
        """Return True: all numbers are at hand."""
        return True

    def expect(self, places: Int64) -> None:
        """Do nothing."""

    def gains(self, place: int) -> AnyArray:
        """Return Z_j[v] + λ Z_v[j] for all v, (n,)."""
        row: AnyArray = self._table[place]
        return row + self._both_directions * self._table[:, place] if self._both_directions else row

    def weighted_logs(self, places: Int64, members: Int64, weights: Float64) -> Float64:
        """Return the weighted sums of σ_i Z_i[j] + a_i, (w,)."""
        return self._weighted(places, self._table[places[:, None], members], weights)


class VectorPool(_StoredPool):
    """Rows of some entities; their scores are computed when they are first needed, for many entities at once.

    The products are summed in float64 and rounded to float32, as in a table, so both give the same numbers.

    Args:
        rows: Of the K entities, in id order.
        vocabulary: V of the bundle.
        both_directions: λ.
    """

    def __init__(self, rows: EntityRows, vocabulary: int, both_directions: float = 0.0) -> None:
        super().__init__(rows, np.einsum("kw,kw->k", rows.scaled, rows.head, dtype=np.float64), vocabulary)
        self.rows = rows
        self.both_directions = both_directions
        self._head = rows.head.astype(np.float64)
        self._backward = rows.scaled.astype(np.float64) if both_directions else None
        self._scores = np.empty((self.size, self.size), dtype=np.float32)
        self._known = np.zeros(self.size, dtype=bool)
        self._columns: dict[int, Float32] = {}

    def known(self, places: Int64) -> bool:
        """Return whether the scores that `places` give to all others are computed."""
        return bool(self._known[places].all())

    def expect(self, places: Int64) -> None:
        """Compute the scores that `places` give to all others, in one matrix product."""
        missing = places[~self._known[places]]
        if len(missing):
            self._scores[missing] = self.rows.scaled[missing].astype(np.float64) @ self._head.T
            self._known[missing] = True

    def gains(self, place: int) -> AnyArray:
        """Return Z_j[v] + λ Z_v[j] for all v of the pool, (K,)."""
        self.expect(np.array([place]))
        row: AnyArray = self._scores[place]
        return row if self._backward is None else row + self.both_directions * self._toward(place, self._backward)

    def _toward(self, member: int, backward: Float64) -> Float32:
        """Return Z_i[member] for every entity i of the pool, (K,)."""
        if member not in self._columns:
            self._columns[member] = (backward @ self._head[member]).astype(np.float32)
        return self._columns[member]

    def weighted_logs(self, places: Int64, members: Int64, weights: Float64) -> Float64:
        """Return the weighted sums of σ_i Z_i[j] + a_i, (w,)."""
        self.expect(places)
        return self._weighted(places, self._scores[places[:, None], members], weights)
