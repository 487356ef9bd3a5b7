"""The folder of a scorer: what is in it, and reading it as a stranger's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand import files
from entity_expand.errors import BundleError
from entity_expand.graph import read_spec
from entity_expand.manifest import MOST_ENTITIES, WIDEST
from entity_expand.specs import scorer_spec
from entity_expand.types import Float32

SCORER_FORMAT = {"format": "entity-expand scorer", "version": 1}
SCORER_MANIFEST, SCORER_GRAPH, SCORER_DATA, SCORER_IDS = "scorer.json", "scorer.onnx", "scorer.data", "ids.json"
SCORER_FILES = (SCORER_GRAPH, SCORER_DATA, SCORER_IDS)
"""Files of a scorer's folder; the second is there if the rows were too many for the first."""
TABLES = ("head", "scaled")
"""Names of R and G in the graph, in the order in which the file beside it holds them."""

_MANIFEST_CAP, _GRAPH_CAP, _ID_CAP = 1 << 20, (2 << 30) - 1, 4 << 10


class ScorerFolder:
    """A scorer's folder, read and checked.

    Attributes:
        graph: The ONNX file.
        ids: N ids.
        width: W.
        bundle: Fingerprint of the bundle that made the rows.
        tables: R and G by their names in the graph, memory-mapped, if they lie beside it; else empty.

    Raises:
        BundleError: The folder is missing, damaged or of another form, or points elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = files.settle(folder)
        if not folder.is_dir():
            raise BundleError(f"There is no scorer at {folder}; make one with `entity-expand index scorer`.")
        stated = files.read_json(files.confined(folder, SCORER_MANIFEST, BundleError), _MANIFEST_CAP, BundleError)
        if {key: stated.get(key) for key in SCORER_FORMAT} != SCORER_FORMAT:
            raise BundleError(f"{folder} is no scorer that this release reads; make it again.")
        self._files = stated.get("files")
        count, self.width = _count(stated, "entities", MOST_ENTITIES), _count(stated, "width", WIDEST + 1)
        self.bundle = str(stated.get("bundle"))
        has_data = isinstance(self._files, dict) and SCORER_DATA in self._files
        self.graph = self._read(SCORER_GRAPH, _GRAPH_CAP)
        differences = scorer_spec(self.width).differences(
            read_spec(self.graph, SCORER_DATA, TABLES if has_data else ())
        )
        if differences:
            raise BundleError(f"{SCORER_GRAPH} is no scorer: {'; '.join(differences)}.")
        self.ids = self._ids(count)
        self.tables = self._tables(count, self.width) if has_data else {}

    def _checked(self, name: str) -> Path:
        """Return the path of a file that is inside, whole and unchanged."""
        path = files.confined(self._folder, name, BundleError)
        record = self._files.get(name) if isinstance(self._files, dict) else None
        if path.is_symlink() or not path.is_file() or not isinstance(record, dict):
            raise BundleError(f"{name} is missing from the scorer at {self._folder}, or a link.")
        if path.stat().st_size != record.get("bytes") or files.sha256_of(path) != record.get("sha256"):
            raise BundleError(f"{name} has been changed: size or SHA-256 is not the one that the scorer states.")
        return path

    def _read(self, name: str, cap: int) -> bytes:
        return files.read_capped(self._checked(name), cap, BundleError)

    def _ids(self, count: int) -> tuple[str, ...]:
        try:
            ids: Any = json.loads(self._read(SCORER_IDS, count * _ID_CAP))
        except (ValueError, RecursionError) as problem:
            raise BundleError(f"{SCORER_IDS} is not valid JSON: {problem}.") from problem
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids) or len(set(ids)) != count:
            raise BundleError(f"{SCORER_IDS} must hold {count:,} different ids.")
        return tuple(ids)

    def _tables(self, count: int, width: int) -> dict[str, Float32]:
        path = self._checked(SCORER_DATA)
        if path.stat().st_size != len(TABLES) * count * width * 4:
            raise BundleError(f"{SCORER_DATA} does not hold {len(TABLES)} tables of {count:,} rows of {width}.")
        whole = np.memmap(path, "<f4", "r", shape=(len(TABLES), count, width))
        return {name: np.asarray(whole[number]) for number, name in enumerate(TABLES)}


def _count(stated: Mapping[str, Any], key: str, most: int) -> int:
    value = stated.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BundleError(f"{SCORER_MANIFEST} must state {key} as a number from 1 to {most:,}, not {value!r}.")
    return value
