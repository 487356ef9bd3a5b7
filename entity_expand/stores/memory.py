"""The embedded store: memory-mapped arrays and a names file in a folder, exact, without a server.

An index NAME is a folder. NAME/versions/VERSION holds one whole index, NAME/CURRENT the name of the one in use. A new
version is filled first and named last, so that a reader never meets half of one.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand.calibration.fitted import read_fitted
from entity_expand.channels.fusion import Channel
from entity_expand.config import from_mapping
from entity_expand.errors import ConfigError, QueryError, StoreError
from entity_expand.files import confined, read_capped, read_json
from entity_expand.search.pools import Pool, TablePool
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import (
    PARTS,
    Describe,
    Facts,
    Find,
    Hits,
    IndexMeta,
    Lookup,
    Matching,
    Nearest,
    Record,
    Request,
    Rows,
    Suggest,
    part_meta,
)
from entity_expand.stores.facets import Facets
from entity_expand.stores.filters import Filter
from entity_expand.stores.lexical import LexicalNearest, LexicalScores
from entity_expand.stores.names import Names
from entity_expand.stores.vectors import SCALARS, Vectors, file_of, read_array
from entity_expand.stores.words import Words
from entity_expand.types import Int64, Modality

FORMAT = "entity-expand index"
VERSION = 1
CURRENT, VERSIONS = "CURRENT", "versions"
META, NAMES, WORDS, TABLE = "meta.json", "names.sqlite", "words.sqlite", "table.npy"
_META_CAP = 1 << 20


def current_version(root: Path) -> Path:
    """Return the folder of the version in use.

    Raises:
        StoreError: There is no index, it cannot be read, or it names a version that is not there.
    """
    try:
        if not (root / CURRENT).is_file():
            raise StoreError(f"{root} holds no index. Make one with `entity-expand index BUNDLE CORPUS --to {root}`.")
        name = read_capped(root / CURRENT, 256, StoreError).decode("utf-8", "replace").strip()
        version = confined(root / VERSIONS, name, StoreError)
        if not version.is_dir():
            raise StoreError(f"{root} names the version {name!r}, which is not there. Build the index again.")
    except OSError as problem:
        raise StoreError(f"Cannot read the index {root}: {problem.strerror}.") from problem
    return version


def read_meta(version: Path) -> IndexMeta:
    """Read and check what a version is made of.

    Raises:
        StoreError: The file is missing, of another format or version, or damaged.
    """
    content = read_json(version / META, _META_CAP, StoreError)
    if content.pop("format", None) != FORMAT:
        raise StoreError(f"{version / META} does not describe an {FORMAT}.")
    found = content.pop("version", None)
    if found != VERSION:
        raise StoreError(f"{version} has index version {found}; this release reads {VERSION}. Build the index again.")
    try:
        return from_mapping(IndexMeta, content)
    except ConfigError as problem:
        raise StoreError(f"{version / META} is damaged: {problem}") from problem


class MemoryStore:
    """An opened index folder, and its own reader. Arrays are memory-mapped; nothing is changed.

    Args:
        version: Folder of one version; `MemoryStore.open` finds the one in use.

    Raises:
        StoreError: The index is missing, incomplete or damaged.
    """

    def __init__(self, version: Path) -> None:
        self.version = version
        self.meta = read_meta(version)
        count, width = self.meta.entities, self.meta.dimension + 1
        self._vectors = Vectors(version, count, width)
        self._rows = self._vectors.rows
        kept = [part for part in PARTS if (version / file_of(SCALARS, part)).exists()]
        self._parts: dict[Modality, Vectors] = {part: Vectors(version, count, width, part) for part in kept}
        has_table = (version / TABLE).exists()
        self._table = read_array(version / TABLE, (count, count), np.float32) if has_table else None
        self._fitted = read_fitted(version, self.meta.bundle, StoreError)
        self._names = Names(version / NAMES, count)
        self._words = Words(version / WORDS, count) if (version / WORDS).exists() else None
        self._lock = threading.Lock()
        self._known: Facts | None = None
        self._pool: TablePool | None = None

    @classmethod
    def open(cls, path: Path | str) -> MemoryStore:
        """Open the version in use of the index folder NAME."""
        version = current_version(Path(path))
        try:
            return cls(version)
        except StoreError:
            # A new version may have taken its place after its name was read.
            if current_version(Path(path)) == version:
                raise
            return cls(current_version(Path(path)))

    def begin(self, timeout: float | None = None) -> MemoryStore:
        """Return the store itself; nothing here takes long enough for a limit."""
        return self

    @property
    def facts(self) -> Facts:
        """What an expansion must know beforehand; computed once, by one pass over all vectors."""
        known = self._known
        if known is None:
            meta, channels = self.meta, frozenset[Channel](self._channels())
            parts = {part: _facts(part_meta(meta, part), vectors) for part, vectors in self._parts.items()}
            own = _facts(meta, self._vectors)
            self._known = known = dataclasses.replace(own, channels=channels, parts=parts, fitted=self._fitted)
        return known

    def _channels(self) -> Iterator[Channel]:
        if self._words:
            yield "lexical"
        yield from (part for part in PARTS if part in self._parts)

    def whole(self, both_directions: float) -> Pool | None:
        """Return all entities as one pool if the index keeps the table of their scores, else None."""
        if self._table is None:
            return None
        with self._lock:
            if self._pool is None:
                self._pool = TablePool(self._table, self._rows, self.meta.vocabulary)
            return self._pool.weighed(both_directions)

    def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests, one after the other."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request[Any]) -> object:
        match request:
            case Rows(positions, part):
                return self._of(part).rows.take(positions)
            case Nearest():
                return self.nearest(request)
            case Lookup(texts):
                return tuple(self._names.lookup(text) for text in texts)
            case Suggest(text, limit):
                return self._names.suggestions(text, limit)
            case Find(prefix, limit):
                return self._names.beginning(prefix, limit)
            case Facets(limit):
                return self._names.facets(limit)
            case Describe(positions):
                return self.records(positions)
            case Matching(filtered):
                return self._matching(filtered)
            case LexicalNearest() if self._words:
                return self._words.nearest(request, self._matching(request.filter) if request.filter else None)
            case LexicalScores() if self._words:
                return self._words.scores(request)
        raise TypeError(f"{type(request).__name__} is no request of a store")

    def rows(self, positions: Int64) -> EntityRows:
        """Return the stored rows of entities, in the order asked for."""
        return self._rows.take(positions)

    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return what to show of entities, in the order asked for."""
        return self._names.records(positions)

    def nearest(self, asked: Nearest) -> Hits:
        """Return the entities with the largest inner product, by a full scan; ties by position."""
        scores = self._of(asked.part).scores(asked.field, asked.query)
        scores[asked.excluded] = -np.inf
        if asked.filter is not None:
            scores[np.setdiff1d(np.arange(len(scores)), self._matching(asked.filter))] = -np.inf
        size = min(asked.size, len(scores))
        found = np.argpartition(-scores, size - 1)[:size] if size else np.empty(0, dtype=np.int64)
        found = found[np.lexsort((found, -scores[found]))]
        found = found[scores[found] > -np.inf]
        return Hits(found, float(scores[found[-1]]) if 0 < len(found) == size < len(scores) else -np.inf)

    def _of(self, part: Modality | None) -> Vectors:
        return self._parts[part] if part else self._vectors

    def _matching(self, filtered: Filter | None) -> Int64:
        if filtered is None:
            return np.arange(self.meta.entities)
        if filtered.query is not None:
            raise QueryError("The embedded store takes no query of a search server; filter by attributes or names.")
        return self._names.matching(filtered)

    def close(self) -> None:
        """Close the files of names and words; memory maps go with the last reference to them."""
        self._names.close()
        if self._words:
            self._words.close()


def _facts(meta: IndexMeta, vectors: Vectors) -> Facts:
    """Return what is known of rows."""
    known = vectors.statistics()
    return Facts(meta, known.largest_norms, known.mean_feature, exact=True, pair_frame=known.pair_frame)
