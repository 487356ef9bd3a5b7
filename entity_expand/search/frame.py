"""The vectors [R ; G] of entities, balanced: neither half is much longer, and no mean is shared by all.

As they are, G is many times as long as R, and most of it is a mean that all entities share. In [c R ; G - g], with g
the mean of G and c such that both halves are about equally long, a query [x ; y] becomes [x / c ; y]. Its products then
lack y·g, the same for all entities, so no entity changes its place. Two things gain: a graph over such vectors connects
entities by what tells them apart, and lengths say more of how high a score can be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entity_expand.search.scoring import EntityRows
from entity_expand.types import Float32, Float64

_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class PairFrame:
    """How [R ; G] is balanced.

    Attributes:
        mean: (W,) float64, g.
        scale: c.
    """

    mean: Float64
    scale: float

    def vectors(self, rows: EntityRows) -> Float32:
        """Return [c R ; G - g] of n entities, (n, 2 W)."""
        scaled = rows.scaled - self.mean.astype(np.float32)
        made: Float32 = np.concatenate([np.float32(self.scale) * rows.head, scaled], axis=1)
        return made

    def query(self, query: Float64) -> Float64:
        """Return the query (2 W,) for such vectors."""
        width = len(self.mean)
        return np.concatenate([query[:width] / np.float32(self.scale), query[width:]])

    def lacking(self, query: Float64) -> float:
        """Return what the products of that query lack of the scores for the given one (2 W,)."""
        return float(query[len(self.mean) :] @ self.mean.astype(np.float32))

    def largest_norm(self, rows: EntityRows) -> float:
        """Return the largest Euclidean norm among the vectors of n entities, 0 if there are none."""
        parts = np.array_split(np.arange(len(rows)), max(1, -(-len(rows) // _BLOCK)))
        found = (np.linalg.norm(self.vectors(rows.take(part)), axis=1) for part in parts if len(part))
        return max((float(norms.max()) for norms in found), default=0.0)


def pair_frame_of(rows: EntityRows) -> PairFrame:
    """Return the frame of an index with these rows (n), which may be memory-mapped."""
    starts = range(0, len(rows), _BLOCK)
    mean = np.zeros(rows.scaled.shape[1])
    for start in starts:
        mean += rows.scaled[start : start + _BLOCK].sum(axis=0, dtype=np.float64)
    mean /= max(1, len(rows))
    head, scaled = 0.0, 0.0
    for start in starts:
        part = slice(start, start + _BLOCK)
        head += float(np.linalg.norm(rows.head[part], axis=1).sum())
        scaled += float(np.linalg.norm(rows.scaled[part] - mean, axis=1).sum())
    return PairFrame(mean, scaled / head if head > 0 and scaled > 0 else 1.0)
