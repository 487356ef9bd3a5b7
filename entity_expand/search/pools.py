"""Pools: the entities among which a set is searched, and the numbers the search needs about them.

A pool answers two questions: what a member adds to each entity's score, and how probable an entity's
sentences hold the members. The search is the same over all of them:

- `DistributionPool` holds the paper's own matrices, every mean log-probability and mean probability (V, V).
- `TablePool` is a whole index with its scores computed ahead.
- `VectorPool` is part of an index: rows fetched for one query, scores computed as they are needed.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol

import numpy as np

from entity_expand.search.scoring import EntityRows
from entity_expand.types import AnyArray, Float32, Float64, Int64

# Probabilities below this are floored: a zero would make a divergence infinite (NOTES.md section 9.4).
_SMALLEST_PROBABILITY = 1e-300
_ROOM = 512


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

    def gains(self, places: Int64) -> AnyArray:
        """Return what each of the members at `places` (m,) adds to the score of each entity, (m, K)."""

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

    def gains(self, places: Int64) -> Float64:
        """Return Z_j, the standardised mean log-probabilities, (m, V)."""
        rows: Float64 = self._scores[places]
        return rows

    def weighted_logs(self, places: Int64, members: Int64, weights: Float64) -> Float64:
        """Return the weighted sums of the logarithms of the mean probabilities, (w,)."""
        sums: Float64 = self._log[places[:, None], members] @ weights
        return sums


class _StoredPool:
    """What the two pools over stored rows share: log q_i[v] = σ_i Z_i[v] + a_i, and rows of Z that sum to 0."""

    precision = np.float32

    def _describe(self, deviation: Float64, log_offset: Float64, own_scores: AnyArray, vocabulary: int) -> None:
        self.size = len(deviation)
        self.vocabulary = vocabulary
        self._deviation = deviation
        self._log_offset = log_offset
        self.log_total: Float64 = vocabulary * log_offset
        self.log_mean: Float64 = np.full(self.size, -np.log(vocabulary))
        self.log_own: Float64 = deviation * own_scores + log_offset

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
        self._describe(rows.deviation, rows.log_offset, table.diagonal(), vocabulary)
        self._table = table
        self._both_directions = both_directions

    def weighed(self, both_directions: float) -> TablePool:
        """Return the same entities with another λ; what does not depend on it is shared."""
        other = copy.copy(self)
        other._both_directions = both_directions
        return other

    def known(self, places: Int64) -> bool:
        """Return True: all numbers are at hand."""
        return True

    def expect(self, places: Int64) -> None:
        """Do nothing."""

    def gains(self, places: Int64) -> AnyArray:
        """Return Z_j[v] + λ Z_v[j] for all v, (m, n)."""
        # One row is the usual case, and is not copied.
        which = slice(places[0], places[0] + 1) if len(places) == 1 else places
        rows: AnyArray = self._table[which]
        return rows + self._both_directions * self._table[:, which].T if self._both_directions else rows

    def weighted_logs(self, places: Int64, members: Int64, weights: Float64) -> Float64:
        """Return the weighted sums of σ_i Z_i[j] + a_i, (w,)."""
        return self._weighted(places, self._table[places[:, None], members], weights)


class VectorPool(_StoredPool):
    """Rows of some entities, to which further ones may come; scores are computed when they are first needed.

    The products are summed in float64 and rounded to float32, as in a table, so both give the same numbers. Entities
    keep the slot in which they came, so that nothing is moved when others come; places are slots in the order of ids.

    Args:
        rows: Of the K entities, in id order.
        vocabulary: V of the bundle.
        both_directions: λ.
    """

    def __init__(self, rows: EntityRows, vocabulary: int, both_directions: float = 0.0) -> None:
        self.both_directions = both_directions
        self.vocabulary = vocabulary
        self._slots = np.empty(0, dtype=np.int64)  # of each place
        self._own = self._sigma = self._offset = np.empty(0)  # by slot
        self._head = self._scaled = np.empty((0, rows.head.shape[1]))  # by slot, with room for more
        self._given = _Scores()  # row j holds Z_j[v] for all v
        self._taken = _Scores()  # row j holds Z_v[j] for all v
        self.extend(rows, self._slots, np.arange(len(rows)))

    def extend(self, rows: EntityRows, old: Int64, new: Int64) -> None:
        """Take in further entities.

        Args:
            rows: Of the further entities.
            old: (K,) places from now on of the entities that are here.
            new: Places of the further ones.
        """
        here, count = len(self._slots), len(self._slots) + len(rows)
        slots = np.empty(count, dtype=np.int64)
        slots[old], slots[new] = self._slots, np.arange(here, count)
        self._slots = slots
        if count > len(self._head):
            room = max(_ROOM, 2 * count)
            self._head, self._scaled = _larger(self._head, room), _larger(self._scaled, room)
        self._head[here:count], self._scaled[here:count] = rows.head, rows.scaled
        own = np.einsum("kw,kw->k", self._scaled[here:count], self._head[here:count]).astype(np.float32)
        self._own = np.append(self._own, own)
        self._sigma = np.append(self._sigma, rows.deviation)
        self._offset = np.append(self._offset, rows.log_offset)
        self._describe(self._sigma[slots], self._offset[slots], self._own[slots], self.vocabulary)

    def known(self, places: Int64) -> bool:
        """Return whether the numbers of all `places` are at hand."""
        slots = self._slots[places]
        given = self._given.complete(slots, self.size)
        return given and (not self.both_directions or self._taken.complete(slots, self.size))

    def expect(self, places: Int64) -> None:
        """Compute the scores that `places` give to all others, and with λ those that they get, all at once."""
        slots, head, scaled = self._slots[places], self._head[: self.size], self._scaled[: self.size]
        self._given.fill(slots, scaled, head)
        if self.both_directions:
            self._taken.fill(slots, head, scaled)

    def query(self, places: Int64, weights: tuple[float, ...] = ()) -> Float64:
        """Return the query of a set, (W,), or (2 W,) with λ; see `scoring.query_vector`. () weighs all alike."""
        if weights:
            weighed: Float64 = np.array(weights) @ np.array([self.vector(place) for place in places.tolist()])
            return weighed
        slots = self._slots[places]
        forward: Float64 = self._scaled[slots].sum(axis=0)
        if not self.both_directions:
            return forward
        return np.concatenate([forward, self.both_directions * self._head[slots].sum(axis=0)])

    def vector(self, place: int) -> Float64:
        """Return what one entity adds to the query of a set, (W,), or (2 W,) with λ."""
        slot = self._slots[place]
        forward: Float64 = self._scaled[slot]
        if not self.both_directions:
            return forward
        return np.concatenate([forward, self.both_directions * self._head[slot]])

    def gains(self, places: Int64) -> AnyArray:
        """Return Z_j[v] + λ Z_v[j] for all v of the pool, (m, K)."""
        self.expect(places)
        slots = self._slots[places]
        given: AnyArray = self._given.table[slots[:, None], self._slots]
        if not self.both_directions:
            return given
        taken: AnyArray = self._taken.table[slots[:, None], self._slots]
        return given + self.both_directions * taken

    def weighted_logs(self, places: Int64, members: Int64, weights: Float64) -> Float64:
        """Return the weighted sums of σ_i Z_i[j] + a_i, (w,)."""
        slots = self._slots[places]
        self._given.fill(slots, self._scaled[: self.size], self._head[: self.size])
        return self._weighted(places, self._given.table[slots[:, None], self._slots[members]], weights)


class _Scores:
    """Inner products between slots; a row is computed when it is asked for, and goes on when slots come."""

    def __init__(self) -> None:
        self.table = np.empty((0, 0), dtype=np.float32)
        self._filled = np.empty(0, dtype=np.int64)  # of each row, how many columns are computed

    def complete(self, slots: Int64, size: int) -> bool:
        """Return whether the rows of `slots` reach `size` columns."""
        return bool(len(self._filled) >= size and (self._filled[slots] >= size).all())

    def fill(self, slots: Int64, left: Float64, right: Float64) -> None:
        """Compute the products of the rows `slots` of `left` (K, W) with all of `right` (K, W)."""
        size = len(right)
        if size > len(self.table):
            room = max(_ROOM, 2 * size)
            self.table = _larger(self.table, room, room)
            self._filled = np.append(self._filled, np.zeros(room - len(self._filled), dtype=np.int64))
        reached = self._filled[slots]
        if (reached >= size).all():
            return
        for start in {int(each) for each in reached} - {size}:
            part = slots[reached == start]
            self.table[part, start:size] = left[part] @ right[start:].T
            self._filled[part] = size


def _larger(array: AnyArray, rows: int, columns: int | None = None) -> AnyArray:
    """Return the array with room for more; pages of it that nobody touches cost nothing."""
    roomy = np.zeros((rows, array.shape[1] if columns is None else columns), dtype=array.dtype)
    roomy[: array.shape[0], : array.shape[1]] = array
    return roomy
