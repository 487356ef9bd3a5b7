"""Documents of an index, made from prepared entities and their rows a block at a time, and their JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand.corpus import Corpus
from entity_expand.elastic.documents import ROWS, Document, document, field_of, pack_rows, vector_text
from entity_expand.elastic.frame import vectors_by_field
from entity_expand.elastic.meta import ElasticMeta
from entity_expand.errors import CorpusError
from entity_expand.files import sha256_of
from entity_expand.stores.base import PARTS
from entity_expand.types import Int64, Sample
from indexer.elastic.bulk import Bulk
from indexer.elastic.items import Item
from indexer.elastic.layers import LayerRows, at
from indexer.prepare import Prepared, masked, record, samples_of

_BLOCK = 1024


def documents(
    prepared: Prepared, rows: LayerRows, meta: ElasticMeta, places: Int64, contents: Int64
) -> Iterator[Document]:
    """Yield the documents of entities, in order.

    Args:
        prepared: n entities.
        rows: Their stored rows; may be memory-mapped.
        meta: Of the index.
        places: (n,) their places.
        contents: (n,) what `contents_of` says of them.
    """
    for start in range(0, len(places), _BLOCK):
        block = at(rows, np.arange(start, min(len(places), start + _BLOCK)))
        for number, vectors in enumerate(vectors_by_field(block, meta.layers, meta.vectors.fields)):
            samples = samples_of(prepared, start + number)
            yield document(
                int(places[start + number]),
                record(prepared, start + number, samples),
                {
                    field_of(ROWS, part): pack_rows(own, number)
                    for part, own in block.items()
                    if own.deviation[number] > 0
                },
                masked(samples),
                vectors,
                int(contents[start + number]),
            )


def contents_of(prepared: Prepared) -> Int64:
    """Return (n,) numbers, 0 to 2^63 - 1, that change with whatever of the corpus or the settings an entity shows.

    They let a later run tell what has changed without encoding anything.
    """
    settings = prepared.settings
    made_of = [settings.modality, settings.late_fusion, settings.evidence, *(PARTS if settings.modalities else ())]
    digest = lru_cache(maxsize=1 << 16)(_picture)
    contents = np.empty(len(prepared.selection.entities), dtype=np.int64)
    for number, position in enumerate(prepared.selection.entities.tolist()):
        entity = prepared.corpus.entities[position]
        hashed = hashlib.sha256()
        shown = [made_of, entity.id, entity.name, entity.aliases, sorted(entity.attributes.items())]
        hashed.update(json.dumps(shown).encode())
        for sample in samples_of(prepared, number):
            picture = digest(prepared.corpus, sample.image) if sample.image else ""
            hashed.update(json.dumps([sample.text, sample.mentions, sample.image, picture]).encode())
        contents[number] = int.from_bytes(hashed.digest()[:8], "big") >> 1
    return contents


def _picture(corpus: Corpus, image: str) -> str:
    path = corpus.image_path(Sample(0, "", (), image, 0))
    try:
        return sha256_of(path or Path())
    except OSError as problem:
        return f"unreadable: {problem.errno}"
    except CorpusError:
        return "outside"


class Packing:
    """Turns documents into items; finds out whether the server takes vectors as base64, a third of the bytes.

    The first document is sent to find out. If the server takes it neither way, the next one decides.

    Attributes:
        packed: Whether it does; None while that is unknown.
    """

    def __init__(self, bulk: Bulk, packed: bool | None) -> None:
        self._bulk = bulk
        self.packed = packed

    def item(self, made: Document) -> Item:
        """Return a document as the server takes it."""
        if self.packed is None and made.vectors:
            if not self._bulk.write([to_item(made, packed=True)]):
                self.packed = True
            elif not self._bulk.write([to_item(made, packed=False)]):
                self.packed = False
        return to_item(made, self.packed is not False)


def to_item(made: Document, packed: bool, seen: tuple[int, int] | None = None) -> Item:
    """Return a document as an item of a bulk request, its vectors as base64 or as lists of numbers."""
    vectors: dict[str, Any] = {
        name: vector_text(array) if packed else array.tolist() for name, array in made.vectors.items()
    }
    content: dict[str, Any] = {**made.fields, **vectors}
    try:
        source = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 cannot say
        source = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return Item(made.id, source, seen)
