"""Writing an embedded index: a version is filled aside, checked, and only then named as the one in use."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from entity_expand.calibration.fitted import FILE as FITTED
from entity_expand.errors import StoreError
from entity_expand.files import read_json, sha256_of, sync, write_json, write_text
from entity_expand.renaming import put
from entity_expand.search.scoring import EntityRows, scores_between
from entity_expand.stores.base import IndexMeta, Record
from entity_expand.stores.memory import (
    CURRENT,
    FORMAT,
    META,
    NAMES,
    TABLE,
    VERSION,
    VERSIONS,
    WORDS,
    MemoryStore,
)
from entity_expand.stores.names import write_names
from entity_expand.stores.vectors import HEAD, SCALARS, SCALED, file_of
from entity_expand.stores.words import write_words
from entity_expand.types import Modality

TABLE_BYTES = 1 << 30
FILES = "files.json"
_FILES_CAP = 1 << 20
_BLOCK = 1024


def write_version(
    folder: Path,
    meta: IndexMeta,
    blocks: Iterable[EntityRows],
    records: Iterable[Record],
    table_bytes: int = TABLE_BYTES,
    texts: Iterable[str] | None = None,
    parts: Mapping[Modality, Iterable[EntityRows]] | None = None,
) -> None:
    """Fill the folder of a new version and check it.

    Args:
        folder: An empty folder.
        meta: What the index is made of.
        blocks: The rows of its n entities in id order, in blocks of any length.
        records: What to show of them, in the same order.
        table_bytes: The scores of all pairs are kept as well if they need no more than this, 4 n² bytes.
        texts: Their masked sentences, in the same order, for the lexical channel; None for an index without it.
        parts: The rows of its parts, as `blocks`; those of entities that are absent are 0.

    Raises:
        StoreError: The rows and records are not n each, or hold numbers that are not finite.
    """
    count = meta.entities
    rows = write_rows(folder, count, meta.dimension + 1, blocks)
    if 4 * count * count <= table_bytes:
        _write_table(folder / TABLE, rows)
    for part, own in (parts or {}).items():
        write_rows(folder, count, meta.dimension + 1, own, part)
    write_names(folder / NAMES, records)
    if texts is not None:
        write_words(folder / WORDS, texts)
    write_json(folder / META, {"format": FORMAT, "version": VERSION, **dataclasses.asdict(meta)})
    write_json(folder / FILES, _listed(folder))
    _verify(folder, count)


def write_rows(
    folder: Path, count: int, width: int, blocks: Iterable[EntityRows], part: Modality | None = None
) -> EntityRows:
    """Write the rows of `count` entities, W = `width`, to files in a folder and return them memory-mapped.

    Raises:
        StoreError: Other than `count` rows came, or numbers that are not finite.
    """
    head = open_memmap(folder / file_of(HEAD, part), "w+", np.float32, (count, width))
    scaled = open_memmap(folder / file_of(SCALED, part), "w+", np.float32, (count, width))
    scalars = open_memmap(folder / file_of(SCALARS, part), "w+", np.float64, (count, 2))
    filled = 0
    for block in blocks:
        here = slice(filled, filled + len(block))
        head[here], scaled[here] = block.head, block.scaled
        scalars[here] = np.column_stack([block.deviation, block.log_offset])
        if not all(np.isfinite(array[here]).all() for array in (head, scaled, scalars)):
            raise StoreError(f"Entities {here.start} to {here.stop} have vectors that are not finite numbers.")
        filled += len(block)
    if filled != count:
        raise StoreError(f"The index should hold {count} entities; rows of {filled} came.")
    for array in (head, scaled, scalars):
        array.flush()
    return EntityRows(head, scaled, scalars[:, 0], scalars[:, 1])


def _write_table(path: Path, rows: EntityRows) -> None:
    count = len(rows)
    table = open_memmap(path, "w+", np.float32, (count, count))
    for start in range(0, count, _BLOCK):
        table[start : start + _BLOCK] = scores_between(rows.take(np.arange(start, min(count, start + _BLOCK))), rows)
    table.flush()


def _verify(folder: Path, count: int) -> None:
    """Open the version as a reader does, and see that the last entity has a name."""
    store = MemoryStore(folder)
    try:
        if count:
            store.records([0, count - 1])
    finally:
        store.close()


def is_whole(folder: Path) -> bool:
    """Return whether a version has the files that were written, byte for byte; one of an older release lists none.

    Raises:
        OSError: A file cannot be read.
        StoreError: Their list cannot be read.
    """
    return read_json(folder / FILES, _FILES_CAP, StoreError) == _listed(folder)


def _listed(folder: Path) -> dict[str, dict[str, int | str]]:
    """Return size and SHA-256 of the files of a version, without what is fitted later and what writers leave."""
    files = (file for file in folder.iterdir() if file.name not in (FILES, FITTED) and file.name[0] != ".")
    return {file.name: {"bytes": file.stat().st_size, "sha256": sha256_of(file)} for file in files}


def use_version(root: Path, folder: Path, name: str) -> None:
    """Move a filled version into the index folder, and name it as the one in use; its files are on the disk before."""
    for file in folder.iterdir():
        sync(file)
    target = root / VERSIONS / name
    target.parent.mkdir(parents=True, exist_ok=True)
    put(folder, target)
    shutil.rmtree(folder, ignore_errors=True)  # a damaged version of this name, if there was one
    write_text(root / CURRENT, name + "\n")


def remove_others(root: Path, name: str) -> None:
    """Remove all versions but the one in use; a process may have been killed before it had done so."""
    for other in (root / VERSIONS).iterdir():
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)
