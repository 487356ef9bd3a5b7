"""Vectors of entities, and what is done to them before they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.errors import ConfigError
from entity_expand.types import AnyArray, Float64, Int64

_SMALLEST = 1e-12


@dataclass(frozen=True)
class VectorTable:
    """One vector for each of n entities.

    Attributes:
        name: What the vectors are, as tables show it.
        ids: n ids of entities.
        vectors: (n, d) floating; a row of zeros for an entity that has nothing to show.
    """

    name: str
    ids: tuple[str, ...]
    vectors: AnyArray

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.ids):
            raise ConfigError(
                f"The vectors of {self.name!r} have the shape {self.vectors.shape}; one row for each of "
                f"{len(self.ids)} entities was expected."
            )

    def renamed(self, name: str, vectors: AnyArray) -> VectorTable:
        """Return other vectors of the same entities."""
        return VectorTable(name, self.ids, vectors)


def unit(vectors: AnyArray) -> Float64:
    """Return rows (n, d) of length 1; rows of zeros stay."""
    rows = vectors.astype(np.float64)
    found: Float64 = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _SMALLEST)
    return found


def centred(vectors: AnyArray) -> Float64:
    """Return rows (n, d) less the mean of those that are not all zeros; these stay."""
    present = vectors.any(axis=1)
    found = vectors.astype(np.float64)
    found[present] -= found[present].mean(axis=0) if present.any() else 0.0
    return found


def whitened(vectors: AnyArray, shrinkage: float = 0.1) -> Float64:
    """Return centred rows whose directions have about equal variance.

    Args:
        vectors: (n, d); rows of zeros stay.
        shrinkage: Share of the mean variance that is added to that of each direction, so that directions in which
            almost nothing happens are not blown up; there are many with fewer rows than columns.

    Returns:
        (n, min(n, d)).
    """
    rows = centred(vectors)
    present = rows.any(axis=1)
    if not present.any():
        return rows
    _, values, directions = np.linalg.svd(rows[present], full_matrices=False)
    variance = values**2 / present.sum()  # (r,)
    total = variance.sum() / rows.shape[1]
    found: Float64 = rows @ (directions.T / np.sqrt(variance + shrinkage * total + _SMALLEST))
    return found


def joined(tables: Sequence[VectorTable], weights: Sequence[float], name: str) -> VectorTable:
    """Return vectors whose inner product is the weighted sum of the tables' cosines.

    An entity that lacks one of the parts is compared by the others: the ranking goes by cosine, and its row is shorter.

    Args:
        tables: Of the same entities.
        weights: One for each table, at least 0.
        name: Of the result.

    Raises:
        ConfigError: The tables are of different entities, or a weight is negative.
    """
    if any(table.ids != tables[0].ids for table in tables):
        raise ConfigError(f"{name!r} joins tables of different entities; make them of one list of entities.")
    if len(weights) != len(tables) or min(weights) < 0:
        raise ConfigError(f"{name!r} has {len(tables)} tables, but the weights {list(weights)}.")
    parts = [np.sqrt(weight) * unit(table.vectors) for table, weight in zip(tables, weights, strict=True)]
    return VectorTable(name, tables[0].ids, np.concatenate(parts, axis=1))


def means_of(rows: AnyArray, owner: Int64, count: int) -> Float64:
    """Return the mean (count, d) of the rows (N, d) of each owner (N,); zeros for one without rows."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, owner, rows.astype(np.float64))
    found: Float64 = sums / np.maximum(np.bincount(owner, minlength=count), 1)[:, None]
    return found
