"""From rows to the vectors that a server searches, and from queries to those that it is sent.

The field `pair` holds balanced vectors (`search/frame.py`), without which a graph finds half of what it should
(docs/results/elasticsearch_recall.md); the others hold vectors as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.elastic.documents import field_of, padded
from entity_expand.search.frame import PairFrame, pair_frame_of
from entity_expand.search.scoring import EntityRows, unit_features
from entity_expand.stores.base import VectorField
from entity_expand.stores.vectors import centred_norms
from entity_expand.types import AnyArray, Float32, Float64, Modality


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


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What is known of the vectors of an index, or of those of one of its parts.

    Attributes:
        frame: What they are made with; it never changes.
        largest_norms: Largest Euclidean norm that any vector of a field has or had, as it is stored.
    """

    frame: Frame
    largest_norms: Mapping[VectorField, float]


def vectors_by_field(
    rows: Mapping[Modality | None, EntityRows], layers: Mapping[Modality | None, Layer], fields: Sequence[VectorField]
) -> list[dict[str, Float32]]:
    """Return the vectors of n entities, each by field of its document, (W',) float32.

    Args:
        rows: The rows (n) of the index itself, under None, and of its parts; an entity of which the deviation is 0 is
            absent there, and has no vectors.
        layers: At least of these.
        fields: Which vectors.
    """
    made: list[dict[str, Float32]] = [{} for _ in range(len(rows[None]))]
    for part, own in rows.items():
        for name, array in layers[part].frame.vectors(own, fields).items():
            for number in np.flatnonzero(own.deviation > 0).tolist():
                made[number][field_of(name, part)] = array[number]
    return made


def frame_of(rows: EntityRows) -> Frame:
    """Return the frame of an index with these rows (n), which may be memory-mapped."""
    mean_feature, _ = centred_norms(rows)
    return Frame(mean_feature, pair_frame_of(rows))
