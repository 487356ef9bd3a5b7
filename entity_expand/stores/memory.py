"""The embedded store: memory-mapped arrays and a names file in a folder, exact, without a server.

An index NAME is a folder. NAME/versions/VERSION holds one whole index, NAME/CURRENT the name of the one in use. A new
version is filled first and named last, so that a reader never meets half of one.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from entity_expand.errors import StoreError
from entity_expand.files import confined, read_capped, read_json
from entity_expand.pools import Pool, TablePool, VectorPool
from entity_expand.scoring import EntityRows, feature_rows
from entity_expand.stores.base import Hits, IndexMeta, Record
from entity_expand.stores.names import Names
from entity_expand.types import AnyArray, Float64, Int64

FORMAT = "entity-expand index"
VERSION = 1
CURRENT, VERSIONS = "CURRENT", "versions"
META, NAMES, HEAD, SCALED, SCALARS, TABLE = (
    "meta.json",
    "names.sqlite",
    "head.npy",
    "scaled.npy",
    "scalars.npy",
    "table.npy",
)
_META_CAP = 1 << 20
_SCAN_BYTES = 1 << 28


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
    """An opened index folder. Arrays are memory-mapped; nothing is changed.

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
        self._names = Names(version / NAMES)
        self._lock = threading.Lock()
        self._norms: dict[bool, float] = {}
        self._pools: dict[float | str, Pool] = {}

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

    def rows(self, positions: Int64) -> EntityRows:
        """Return the stored rows of entities, in the order asked for."""
        return self._rows.take(positions)

    def nearest(self, query: Float64, size: int, excluded: Int64) -> Hits:
        """Return the `size` entities with the largest inner product, by a full scan; ties by position."""
        width = self._rows.head.shape[1]
        scores = self._scan(self._rows.head, query[:width])
        if len(query) > width:
            scores += self._scan(self._rows.scaled, query[width:])
        scores[excluded] = -np.inf
        size = min(size, len(scores))
        found = np.argpartition(-scores, size - 1)[:size] if size else np.empty(0, dtype=np.int64)
        found = found[np.lexsort((found, -scores[found]))]
        found = found[scores[found] > -np.inf]
        return Hits(found, float(scores[found[-1]]) if 0 < len(found) == size < len(scores) else -np.inf)

    @staticmethod
    def _scan(vectors: AnyArray, query: Float64) -> AnyArray:
        narrow = query.astype(np.float32)
        step = max(1, _SCAN_BYTES // (4 * vectors.shape[1]))
        return np.concatenate([vectors[i : i + step] @ narrow for i in range(0, len(vectors), step)] or [narrow[:0]])

    def largest_norm(self, both_directions: bool) -> float:
        """Return the largest norm of R, or of [R ; G]; computed once."""
        with self._lock:
            if both_directions not in self._norms:
                squares = np.einsum("nw,nw->n", self._rows.head, self._rows.head, dtype=np.float64)
                if both_directions:
                    squares += np.einsum("nw,nw->n", self._rows.scaled, self._rows.scaled, dtype=np.float64)
                self._norms[both_directions] = float(np.sqrt(squares.max()))
            return self._norms[both_directions]

    def whole(self, both_directions: float) -> Pool | None:
        """Return all entities as one pool if the index keeps the table of their scores, else None."""
        if self._table is None:
            return None
        with self._lock:
            if both_directions not in self._pools:
                pool = TablePool(self._table, self._rows, self.meta.vocabulary, both_directions)
                self._pools[both_directions] = pool
            return self._pools[both_directions]

    def features(self) -> Pool:
        """Return all entities as one pool in feature space; made once."""
        with self._lock:
            if "features" not in self._pools:
                self._pools["features"] = VectorPool(feature_rows(self._rows), self.meta.entities)
            return self._pools["features"]

    def lookup(self, text: str) -> tuple[int, ...]:
        """Return the positions that an id, else a name or an alias, stands for."""
        return self._names.lookup(text)

    def suggestions(self, text: str, limit: int) -> tuple[str, ...]:
        """Return names that are spelled much like `text`, best first."""
        return self._names.suggestions(text, limit)

    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return what to show of entities, in the order asked for."""
        return self._names.records(positions)

    def close(self) -> None:
        """Close the names file; memory maps go with the last reference to them."""
        self._names.close()
