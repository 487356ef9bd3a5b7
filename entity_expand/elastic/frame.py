"""From rows to the vectors that a server searches, and from queries to those that it is sent.

The field `pair` holds [R ; G]. As they are, G is many times as long as R, and most of it is a mean that all entities
share: a graph would connect entities by that. So [c R ; G - g] is stored, with g the mean of G and c such that both
halves are about equally long. A query [x ; y] is sent as [x / c ; y]; its products then lack y·g, the same for all
entities, which is added where a product is compared with others. No score changes
(docs/results/elasticsearch_recall.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.elastic.documents import padded
from entity_expand.scoring import EntityRows, unit_features
from entity_expand.stores.base import VectorField
from entity_expand.stores.memory import centred_norms
from entity_expand.types import AnyArray, Float32, Float64

_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What was fixed when an index was built, so that entities that come later change no others.

    Attributes:
        mean_feature: (D,) float64, the mean feature ḡ.
        pair_mean: (W,) float64, g.
        pair_scale: c.
    """

    mean_feature: Float64
    pair_mean: Float64
    pair_scale: float

    def vectors(self, rows: EntityRows, fields: Sequence[VectorField]) -> dict[VectorField, Float32]:
        """Return the vectors of n entities by field, (n, W') float32 each."""
        made: dict[VectorField, AnyArray] = {}
        for name in fields:
            if name == "head":
                made[name] = rows.head
            elif name == "pair":
                scaled = rows.scaled - self.pair_mean.astype(np.float32)
                made[name] = np.concatenate([np.float32(self.pair_scale) * rows.head, scaled], axis=1)
            else:
                made[name] = unit_features(rows, self.mean_feature)
        return {name: padded(array) for name, array in made.items()}

    def sent(self, field: VectorField, query: Float64) -> Float64:
        """Return the vector (W,), (2 W,) or (D,) to send for a query of that size."""
        if field != "pair":
            return query
        width = len(self.pair_mean)
        return np.concatenate([query[:width] / np.float32(self.pair_scale), query[width:]])

    def lacking(self, field: VectorField, query: Float64) -> float:
        """Return what the server's products lack of the scores for a query."""
        if field != "pair":
            return 0.0
        return float(query[len(self.pair_mean) :] @ self.pair_mean.astype(np.float32))


def frame_of(rows: EntityRows) -> Frame:
    """Return the frame of an index with these rows (n), which may be memory-mapped."""
    mean_feature, _ = centred_norms(rows)
    count = max(1, len(rows))
    starts = range(0, len(rows), _BLOCK)
    mean = np.zeros(rows.scaled.shape[1])
    for start in starts:
        mean += rows.scaled[start : start + _BLOCK].sum(axis=0, dtype=np.float64)
    mean /= count
    head, scaled = 0.0, 0.0
    for start in starts:
        part = slice(start, start + _BLOCK)
        head += float(np.linalg.norm(rows.head[part], axis=1).sum())
        scaled += float(np.linalg.norm(rows.scaled[part] - mean, axis=1).sum())
    return Frame(mean_feature, mean, scaled / head if head > 0 and scaled > 0 else 1.0)
