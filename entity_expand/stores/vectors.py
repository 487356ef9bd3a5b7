"""The rows of all entities as an embedded index holds them: once as they were indexed, and once per part if asked for.

A part is what the texts alone say, or the pictures alone: the rows that an index of that modality would have. An entity
without a text, or without a picture, is absent from that part; its rows there are 0, and so is its σ.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entity_expand.errors import StoreError
from entity_expand.search.frame import PairFrame, pair_frame_of
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import VectorField
from entity_expand.types import AnyArray, Float64, Modality

HEAD, SCALED, SCALARS = "head.npy", "scaled.npy", "scalars.npy"
_SCAN_BYTES, _MEAN_BYTES = 1 << 28, 1 << 25
_SMALLEST_NORM = 1e-12


def file_of(name: str, part: Modality | None) -> str:
    """Return the name of a file of rows; None for the rows as they were indexed."""
    return f"{part}-{name}" if part else name


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What is known of rows by one pass over all of them.

    Attributes:
        mean_feature: (D,) of those that are present.
        norms: (n,) of the features less that mean.
        pair_frame: How [R ; G] is balanced.
        largest_norms: By field; of "pair" among the balanced ones.
    """

    mean_feature: Float64
    norms: Float64
    pair_frame: PairFrame
    largest_norms: dict[VectorField, float]


class Vectors:
    """Rows in a folder, memory-mapped.

    Args:
        folder: Of one version of an index.
        count: n.
        width: W.
        part: Which; None for the rows as they were indexed.

    Raises:
        StoreError: A file is missing, damaged, or of another size.
    """

    def __init__(self, folder: Path, count: int, width: int, part: Modality | None = None) -> None:
        self._folder, self._part = folder, part
        scalars = read_array(folder / file_of(SCALARS, part), (count, 2), np.float64)
        self.rows = EntityRows(
            head=read_array(folder / file_of(HEAD, part), (count, width), np.float32),
            scaled=read_array(folder / file_of(SCALED, part), (count, width), np.float32),
            deviation=np.ascontiguousarray(scalars[:, 0]),
            log_offset=np.ascontiguousarray(scalars[:, 1]),
        )
        self._absent = np.flatnonzero(self.rows.deviation == 0)
        self._lock = threading.Lock()
        self._statistics: Statistics | None = None

    def statistics(self) -> Statistics:
        """Return what is known of the rows; computed once.

        Raises:
            StoreError: They hold numbers that are not finite.
        """
        with self._lock:
            if self._statistics is None:
                with np.errstate(over="ignore", invalid="ignore"):
                    self._statistics = self._checked(self._computed())
            return self._statistics

    def _checked(self, known: Statistics) -> Statistics:
        """Return what is known if all numbers that it was computed from are finite, and those of `rows` beside."""
        frame, largest = known.pair_frame, [*known.largest_norms.values()]
        numbers = (known.mean_feature, known.norms, frame.mean, frame.scale, largest, self.rows.log_offset)
        if not all(np.isfinite(each).all() for each in numbers):
            names = ", ".join(file_of(name, self._part) for name in (HEAD, SCALED, SCALARS))
            raise StoreError(f"{self._folder} has numbers in {names} that are not finite. Build the index again.")
        return known

    def _computed(self) -> Statistics:
        present = np.delete(np.arange(len(self.rows)), self._absent)
        rows, norms = self.rows.take(present) if len(self._absent) else self.rows, np.ones(len(self.rows))
        heads = np.einsum("nw,nw->n", rows.head, rows.head, dtype=np.float64)
        mean, norms[present] = centred_norms(rows)
        frame = pair_frame_of(rows)
        largest: dict[VectorField, float] = {
            "head": float(np.sqrt(heads.max(initial=0.0))),
            "pair": frame.largest_norm(rows),
            "feature": 1.0,
        }
        return Statistics(mean, norms, frame, largest)

    def scores(self, field: VectorField, query: Float64) -> AnyArray:
        """Return the inner products of all vectors of a field with a query, (n,); -inf for those that are absent."""
        width = self.rows.head.shape[1]
        if field == "head":
            scores = _scan(self.rows.head, query)
        elif field == "pair":
            scores = _scan(self.rows.head, query[:width]) + _scan(self.rows.scaled, query[width:])
        else:
            known = self.statistics()
            products = self.rows.deviation * _scan(self.rows.scaled, np.append(query, 0.0))
            scores = (products - known.mean_feature @ query) / known.norms
        scores[self._absent] = -np.inf
        return scores


def read_array(path: Path, shape: tuple[int, ...], dtype: type) -> AnyArray:
    """Return an array, memory-mapped.

    Raises:
        StoreError: It is missing, damaged, or of another shape or type.
    """
    try:
        array: AnyArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise StoreError(f"{path} cannot be read: {problem}. Build the index again.") from problem
    if array.shape != shape or array.dtype != dtype:
        raise StoreError(f"{path} holds {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}.")
    return array.view(np.ndarray)


def _scan(vectors: AnyArray, query: Float64) -> AnyArray:
    """Return the inner products of vectors (n, W) with a query (W,), (n,) float32."""
    narrow = query.astype(np.float32)
    step = max(1, _SCAN_BYTES // (4 * vectors.shape[1]))
    return np.concatenate([vectors[i : i + step] @ narrow for i in range(0, len(vectors), step)] or [narrow[:0]])


def centred_norms(rows: EntityRows) -> tuple[Float64, Float64]:
    """Return the mean (D,) of the features of all entities, and the norms (n,) of the features less that mean."""
    step = max(1, _MEAN_BYTES // (8 * rows.scaled.shape[1]))
    starts = range(0, len(rows), step)
    mean = np.zeros(rows.scaled.shape[1] - 1)
    for start in starts:
        part = slice(start, start + step)
        mean += (rows.scaled[part, :-1] * rows.deviation[part, None]).sum(axis=0, dtype=np.float64)
    mean /= max(1, len(rows))
    norms = np.empty(len(rows))
    for start in starts:
        part = slice(start, start + step)
        norms[part] = np.linalg.norm(rows.scaled[part, :-1] * rows.deviation[part, None] - mean, axis=1)
    return mean, np.maximum(norms, _SMALLEST_NORM)
