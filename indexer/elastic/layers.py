"""The rows of an index and of its parts, as they were encoded, and what its `_meta` says of their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from entity_expand.elastic.frame import Frame, Layer, frame_of
from entity_expand.encoder import Encoder
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import VectorField
from entity_expand.stores.writing import write_rows
from entity_expand.types import Int64, Modality
from indexer.features import GroupEncoder
from indexer.prepare import Prepared, features_of, part_blocks, row_blocks

LayerRows = Mapping[Modality | None, EntityRows]
"""The rows (n) of an index itself, under None, and of its parts; those of entities that are absent from one are 0."""


def encoded(prepared: Prepared, encoder: Encoder | GroupEncoder, work: Path) -> LayerRows:
    """Return the rows of all that is prepared, memory-mapped from files in the folder `work`; see `features_of`."""
    features = features_of(prepared, encoder, work)
    count, width = len(features), features.shape[1] + 1
    rows: dict[Modality | None, EntityRows] = {None: write_rows(work, count, width, row_blocks(prepared, features))}
    for part, blocks in part_blocks(prepared, encoder, work).items():
        rows[part] = write_rows(work, count, width, blocks, part)
    return rows


def at(rows: LayerRows, numbers: Int64) -> LayerRows:
    """Return the rows of some entities, in that order."""
    return {part: own.take(numbers) for part, own in rows.items()}


def present(rows: EntityRows) -> EntityRows:
    """Return the rows of the entities that are not absent."""
    there = rows.deviation > 0
    return rows if there.all() else rows.take(there)


def layers_of(rows: LayerRows, fields: Sequence[VectorField]) -> dict[Modality | None, Layer]:
    """Return what is known of the vectors of an index with these rows."""
    made = dict[Modality | None, Layer]()
    for part, own in rows.items():
        there = present(own)
        frame = frame_of(there)
        made[part] = Layer(frame, norms_of(there, frame, fields))
    return made


def norms_of(rows: EntityRows, frame: Frame, fields: Sequence[VectorField]) -> dict[VectorField, float]:
    """Return the largest Euclidean norm among the vectors of each field; none of the entities is absent."""
    heads = np.einsum("nw,nw->n", rows.head, rows.head, dtype=np.float64)
    found: dict[VectorField, float] = {"head": float(np.sqrt(heads.max(initial=0.0))), "feature": 1.0}
    if "pair" in fields:
        found["pair"] = frame.pair.largest_norm(rows)
    return {field: found[field] for field in fields}
