"""One entity as a document of an Elasticsearch index, and back.

A document holds what people are shown, what filters and lexical queries search, the vectors that nearest-neighbour
queries search, and once more, packed and exact, the rows that re-ranking computes with. Vectors are left out of what
the server returns; the packed rows are the smallest form in which it can hand them over.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import Evidence, Record, VectorField
from entity_expand.stores.names import fold
from entity_expand.types import AnyArray, Entity, Float32, Modality

ROWS = "rows"
LONGEST_ID = 512
"""Bytes that the server takes as a key."""
_LANES = 8


@dataclass(frozen=True, slots=True)
class Document:
    """An entity on its way into an index.

    Attributes:
        id: Key of the entity and of the document.
        fields: All fields but the vectors; made of JSON's own types.
        vectors: The searched vectors by field, (W',) float32 each.
    """

    id: str
    fields: Mapping[str, Any]
    vectors: Mapping[str, Float32]


def field_of(name: str, part: Modality | None) -> str:
    """Return the field that holds vectors, or `ROWS`, of a part; None for those of the index itself."""
    return f"{part}_{name}" if part else name


def padded_width(width: int) -> int:
    """Return the dimension of a vector field for vectors of `width` numbers: the next multiple of 8."""
    return -(-width // _LANES) * _LANES


def padded(vectors: AnyArray) -> Float32:
    """Return vectors (..., W) with zeros behind them, (..., W') float32; inner products stay as they were."""
    width = vectors.shape[-1]
    longer = np.zeros((*vectors.shape[:-1], padded_width(width)), dtype=np.float32)
    longer[..., :width] = vectors
    return longer


def field_widths(dimension: int) -> dict[VectorField, int]:
    """Return the dimension W' of each vector field for features of D numbers."""
    widths: dict[VectorField, int] = {"head": dimension + 1, "pair": 2 * (dimension + 1), "feature": dimension}
    return {name: padded_width(width) for name, width in widths.items()}


def pack_rows(rows: EntityRows, number: int) -> str:
    """Return the rows of one entity as base64 of little-endian σ, a (float64), R and G (float32, W each)."""
    scalars = np.array([rows.deviation[number], rows.log_offset[number]], dtype="<f8")
    vectors = np.concatenate([rows.head[number], rows.scaled[number]]).astype("<f4")
    return base64.b64encode(scalars.tobytes() + vectors.tobytes()).decode()


def unpack_rows(packed: Sequence[str], dimension: int) -> EntityRows:
    """Return the rows of entities, in the order given.

    Raises:
        ValueError: A text is no base64, or of another width.
    """
    width, head = dimension + 1, 2 * 8
    block = b"".join(binascii.a2b_base64(text, strict_mode=True) for text in packed)
    size = head + 2 * 4 * width
    if len(block) != size * len(packed):
        raise ValueError(f"{len(packed)} packed rows hold {len(block)} bytes, expected {size} each")
    table = np.frombuffer(block, dtype=np.dtype([("scalars", "<f8", 2), ("vectors", "<f4", 2 * width)]))
    vectors = table["vectors"].astype(np.float32)
    return EntityRows(vectors[:, :width], vectors[:, width:], table["scalars"][:, 0], table["scalars"][:, 1])


def rows_in(sources: Sequence[Mapping[str, Any]], dimension: int, part: Modality | None = None) -> EntityRows:
    """Return the rows that documents hold, in the order given; those of entities that are absent from a part are 0.

    Raises:
        KeyError, TypeError, ValueError: A document has none, or other ones.
    """
    name = field_of(ROWS, part)
    if part is None:
        return unpack_rows([source[name] for source in sources], dimension)
    absent = base64.b64encode(bytes(2 * 8 + 2 * 4 * (dimension + 1))).decode()
    return unpack_rows([source.get(name, absent) for source in sources], dimension)


def document(
    place: int,
    record: Record,
    rows: Mapping[str, str],
    text: str,
    vectors: Mapping[str, Float32],
    content: int = 0,
) -> Document:
    """Return the document of one entity.

    Args:
        place: Its position.
        record: What to show of it.
        rows: Its packed rows by field.
        text: Its masked sentences, for lexical queries.
        vectors: Its searched vectors by field, (W',) each.
        content: Hash of what it was made from, so that a later run sees without encoding whether that has changed.
    """
    entity = record.entity
    fields: dict[str, Any] = {
        "place": place,
        "content": content,
        "id": entity.id,
        "name": entity.name,
        "aliases": list(entity.aliases),
        "spellings": sorted({fold(name) for name in (entity.name, *entity.aliases)}),
        "attributes": dict(entity.attributes),
        "trained": record.trained,
        "samples": record.samples,
        "evidence": [[item.text, [list(span) for span in item.mentions], item.image] for item in record.evidence],
        "text": text,
        **rows,
    }
    return Document(entity.id, {**fields, "revision": revision(fields, vectors)}, vectors)


def revision(fields: Mapping[str, Any], vectors: Mapping[str, Float32]) -> int:
    """Return a number, 0 to 2^63 - 1, that changes with whatever the document holds, `revision` itself aside."""
    content = {name: value for name, value in fields.items() if name != "revision"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for name in sorted(vectors):
        digest.update(name.encode() + vectors[name].astype("<f4").tobytes())
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def record_of(source: Mapping[str, Any]) -> Record:
    """Return what to show of the entity of a document.

    Raises:
        KeyError, TypeError, ValueError: The document is not of this form.
    """
    entity = Entity(source["id"], source["name"], tuple(source["aliases"]), dict(source["attributes"]))
    evidence = tuple(
        Evidence(text, tuple((start, end) for start, end in spans), image) for text, spans, image in source["evidence"]
    )
    return Record(entity, source["trained"], source["samples"], evidence)


def vector_text(vector: Float32) -> str:
    """Return a vector (W',) as base64 of big-endian float32, the form in which the server takes vectors."""
    return base64.b64encode(vector.astype(">f4").tobytes()).decode()
