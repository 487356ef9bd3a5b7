"""The embedded store: memory-mapped arrays and a names file in a folder, exact, without a server.

An index NAME is a folder. NAME/versions/VERSION holds one whole index, NAME/CURRENT the name of the one in use. A new
version is filled first and named last, so that a reader never meets half of one.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand.calibration.fitted import read_fitted
from entity_expand.channels.fusion import Channel
from entity_expand.errors import QueryError, StoreError
from entity_expand.files import confined, read_capped, read_json
from entity_expand.frame import pair_frame_of
from entity_expand.pools import Pool, TablePool
from entity_expand.scoring import EntityRows
from entity_expand.stores.base import (
    Describe,
    Facts,
    Filter,
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
    VectorField,
)
from entity_expand.stores.facets import Facets
from entity_expand.stores.lexical import LexicalNearest, LexicalScores
from entity_expand.stores.names import Names
from entity_expand.stores.words import Words
from entity_expand.types import AnyArray, Float64, Int64

FORMAT = "entity-expand index"
VERSION = 1
CURRENT, VERSIONS = "CURRENT", "versions"
META, NAMES, WORDS, HEAD, SCALED, SCALARS, TABLE = (
    "meta.json",
    "names.sqlite",
    "words.sqlite",
    "head.npy",
    "scaled.npy",
    "scalars.npy",
    "table.npy",
)
_META_CAP = 1 << 20
_SCAN_BYTES, _MEAN_BYTES = 1 << 28, 1 << 25
_SMALLEST_NORM = 1e-12


def current_version(root: Path) -> Path:
    """Return the folder of the version in use.

    Raises:
        StoreError: There is no index, or it names a version that is not there.
    """
    if not (root / CURRENT).is_file():
        raise StoreError(f"{root} holds no index. Make one with `entity-expand index BUNDLE CORPUS --to {root}`.")
    name = read_capped(root / CURRENT, 256, StoreError).decode("utf-8", "replace").strip()
    version = confined(root / VERSIONS, name, StoreError)
    if not version.is_dir():
        raise StoreError(f"{root} names the version {name!r}, which is not there. Build the index again.")
    return version


def read_meta(version: Path) -> IndexMeta:
    """Read and check what a version is made of.

    Raises:
        StoreError: The file is missing, of another format or version, or has other fields.
    """
    content = read_json(version / META, _META_CAP, StoreError)
    if content.pop("format", None) != FORMAT:
        raise StoreError(f"{version / META} does not describe an {FORMAT}.")
    found = content.pop("version", None)
    if found != VERSION:
        raise StoreError(f"{version} has index version {found}; this release reads {VERSION}. Build the index again.")
    expected = {field.name for field in dataclasses.fields(IndexMeta)}
    if set(content) != expected:
        raise StoreError(f"{version / META} has the fields {sorted(content)}, expected {sorted(expected)}.")
    return IndexMeta(**content)


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
        scalars = self._array(version / SCALARS, (count, 2), np.float64)
        self._rows = EntityRows(
            head=self._array(version / HEAD, (count, width), np.float32),
            scaled=self._array(version / SCALED, (count, width), np.float32),
            deviation=np.ascontiguousarray(scalars[:, 0]),
            log_offset=np.ascontiguousarray(scalars[:, 1]),
        )
        has_table = (version / TABLE).exists()
        self._table = self._array(version / TABLE, (count, count), np.float32) if has_table else None
        self._fitted = read_fitted(version, self.meta.bundle, StoreError)
        self._names = Names(version / NAMES)
        self._words = Words(version / WORDS, count) if (version / WORDS).exists() else None
        self._lock = threading.Lock()
        self._statistics: tuple[Facts, Float64] | None = None
        self._pools: dict[float, Pool] = {}

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

    @staticmethod
    def _array(path: Path, shape: tuple[int, ...], dtype: type) -> AnyArray:
        try:
            array: AnyArray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as problem:
            raise StoreError(f"{path} cannot be read: {problem}. Build the index again.") from problem
        if array.shape != shape or array.dtype != dtype:
            raise StoreError(f"{path} holds {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}.")
        return array.view(np.ndarray)

    def begin(self, timeout: float | None = None) -> MemoryStore:
        """Return the store itself; nothing here takes long enough for a limit."""
        return self

    @property
    def facts(self) -> Facts:
        """What an expansion must know beforehand; computed once, by one pass over all vectors."""
        return self._facts()[0]

    def _facts(self) -> tuple[Facts, Float64]:
        """Return the facts, and the norms (n,) of the features less their mean."""
        with self._lock:
            if self._statistics is None:
                facts, norms = _statistics(self.meta, self._rows, self._words is not None)
                self._statistics = dataclasses.replace(facts, fitted=self._fitted), norms
            return self._statistics

    def whole(self, both_directions: float) -> Pool | None:
        """Return all entities as one pool if the index keeps the table of their scores, else None."""
        if self._table is None:
            return None
        with self._lock:
            if both_directions not in self._pools:
                pool = TablePool(self._table, self._rows, self.meta.vocabulary, both_directions)
                self._pools[both_directions] = pool
            return self._pools[both_directions]

    def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests, one after the other."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request[Any]) -> object:
        match request:
            case Rows(positions):
                return self.rows(positions)
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
        scores = self._scores(asked.field, asked.query)
        scores[asked.excluded] = -np.inf
        if asked.filter is not None:
            scores[np.setdiff1d(np.arange(len(scores)), self._matching(asked.filter))] = -np.inf
        size = min(asked.size, len(scores))
        found = np.argpartition(-scores, size - 1)[:size] if size else np.empty(0, dtype=np.int64)
        found = found[np.lexsort((found, -scores[found]))]
        found = found[scores[found] > -np.inf]
        return Hits(found, float(scores[found[-1]]) if 0 < len(found) == size < len(scores) else -np.inf)

    def _scores(self, field: VectorField, query: Float64) -> AnyArray:
        """Return the inner products of all vectors of a field with a query, (n,)."""
        width = self._rows.head.shape[1]
        if field == "head":
            return _scan(self._rows.head, query)
        if field == "pair":
            return _scan(self._rows.head, query[:width]) + _scan(self._rows.scaled, query[width:])
        facts, norms = self._facts()
        products = self._rows.deviation * _scan(self._rows.scaled, np.append(query, 0.0))
        return (products - facts.mean_feature @ query) / norms

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


def _scan(vectors: AnyArray, query: Float64) -> AnyArray:
    """Return the inner products of vectors (n, W) with a query (W,), (n,) float32."""
    narrow = query.astype(np.float32)
    step = max(1, _SCAN_BYTES // (4 * vectors.shape[1]))
    return np.concatenate([vectors[i : i + step] @ narrow for i in range(0, len(vectors), step)] or [narrow[:0]])


def _statistics(meta: IndexMeta, rows: EntityRows, has_words: bool) -> tuple[Facts, Float64]:
    """Return what is known of an index beforehand, and the norms (n,) of its features less their mean."""
    heads = np.einsum("nw,nw->n", rows.head, rows.head, dtype=np.float64)
    mean, norms = centred_norms(rows)
    frame = pair_frame_of(rows)
    largest: dict[VectorField, float] = {
        "head": float(np.sqrt(heads.max(initial=0.0))),
        "pair": frame.largest_norm(rows),
        "feature": 1.0,
    }
    channels = frozenset[Channel]({"lexical"} if has_words else ())
    return Facts(meta, largest, mean, exact=True, pair_frame=frame, channels=channels), norms


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
