"""From rows to the vectors that a server searches, and from queries to those that it is sent.

The field `pair` holds balanced vectors (`entity_expand.frame`), without which a graph finds half of what it should
(docs/results/elasticsearch_recall.md); the others hold vectors as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entity_expand.elastic.documents import padded
from entity_expand.frame import PairFrame, pair_frame_of
from entity_expand.scoring import EntityRows, unit_features
from entity_expand.stores.base import VectorField
from entity_expand.stores.vectors import centred_norms
from entity_expand.types import AnyArray, Float32, Float64


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What was fixed when an index was built, so that entities that come later change no others.

    Attributes:
        mean_feature: (D,) float64, the mean feature ḡ.
        pair: How the vectors of the field `pair` are balanced.
    """

    mean_feature: Float64
    pair: PairFrame

    def vectors(self, rows: EntityRows, fields: Sequence[VectorField]) -> dict[VectorField, Float32]:
        """Return the vectors of n entities by field, (n, W') float32 each."""
        made: dict[VectorField, AnyArray] = {}
        for name in fields:
            if name == "head":
                made[name] = rows.head
            elif name == "pair":
                made[name] = self.pair.vectors(rows)
            else:
                made[name] = unit_features(rows, self.mean_feature)
        return {name: padded(array) for name, array in made.items()}

    def sent(self, field: VectorField, query: Float64) -> Float64:
        """Return the vector (W,), (2 W,) or (D,) to send for a query of that size."""
        return self.pair.query(query) if field == "pair" else query

    def lacking(self, field: VectorField, query: Float64) -> float:
        """Return what the server's products lack of the scores for a query."""
        return self.pair.lacking(query) if field == "pair" else 0.0


def frame_of(rows: EntityRows) -> Frame:
    """Return the frame of an index with these rows (n), which may be memory-mapped."""
    mean_feature, _ = centred_norms(rows)
    return Frame(mean_feature, pair_frame_of(rows))
