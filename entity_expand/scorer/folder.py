"""The folder of a scorer: what is in it, and reading it as a stranger's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand import files
from entity_expand.bundle.graph import read_spec
from entity_expand.bundle.manifest import MOST_ENTITIES, WIDEST
from entity_expand.bundle.specs import scorer_spec
from entity_expand.errors import BundleError
from entity_expand.types import Float32

SCORER_FORMAT = {"format": "entity-expand scorer", "version": 1}
SCORER_MANIFEST, SCORER_GRAPH, SCORER_DATA, SCORER_IDS = "scorer.json", "scorer.onnx", "scorer.data", "ids.json"
SCORER_FILES = (SCORER_GRAPH, SCORER_DATA, SCORER_IDS)
"""Files of a scorer's folder; the second is there if the rows were too many for the first."""
TABLES = ("head", "scaled")
"""Names of R and G in the graph, in the order in which the file beside it holds them."""

_MANIFEST_CAP, _GRAPH_CAP, _ID_CAP = 1 << 20, (2 << 30) - 1, 4 << 10


class ScorerFolder:
    """A scorer's folder, read and checked; graph and tables when they are first asked for.

    Attributes:
        path: The folder.
        ids: N ids.
        width: W.
        bundle: Fingerprint of the bundle that made the rows.
        fingerprint: SHA-256 that stands for the whole scorer.

    Raises:
        BundleError: The folder is missing, damaged or of another form, or points elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.path = files.settle(folder)
        if not folder.is_dir():
            raise BundleError(f"There is no scorer at {folder}; make one with `entity-expand index scorer`.")
        stated = files.read_json(files.confined(folder, SCORER_MANIFEST, BundleError), _MANIFEST_CAP, BundleError)
        if {key: stated.get(key) for key in SCORER_FORMAT} != SCORER_FORMAT:
            raise BundleError(f"{folder} is no scorer that this release reads; make it again.")
        self._files = stated.get("files")
        count, self.width = _count(stated, "entities", MOST_ENTITIES), _count(stated, "width", WIDEST + 1)
        self.bundle = str(stated.get("bundle"))
        self.fingerprint = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
        self.ids = self._ids(count)

    @cached_property
    def graph(self) -> bytes:
        """The ONNX file."""
        content = self._read(SCORER_GRAPH, _GRAPH_CAP)
        outside = TABLES if self._has_data else ()
        differences = scorer_spec(self.width).differences(read_spec(content, SCORER_DATA, outside))
        if differences:
            raise BundleError(f"{SCORER_GRAPH} is no scorer: {'; '.join(differences)}.")
        return content

    @cached_property
    def data(self) -> Path | None:
        """The file beside the graph that holds R and behind it G; None if the graph holds them."""
        if not self._has_data:
            return None
        path = self._checked(SCORER_DATA)
        if path.stat().st_size != len(TABLES) * len(self.ids) * self.width * 4:
            raise BundleError(
                f"{SCORER_DATA} does not hold {len(TABLES)} tables of {len(self.ids):,} rows of {self.width}."
            )
        return path

    @cached_property
    def tables(self) -> dict[str, Float32]:
        """R and G by their names in the graph, memory-mapped, if they lie beside it; else empty."""
        if self.data is None:
            return {}
        whole = np.memmap(self.data, "<f4", "r", shape=(len(TABLES), len(self.ids), self.width))
        return {name: np.asarray(whole[number]) for number, name in enumerate(TABLES)}

    @property
    def _has_data(self) -> bool:
        return isinstance(self._files, dict) and SCORER_DATA in self._files

    def _checked(self, name: str) -> Path:
        """Return the path of a file that is inside, whole and unchanged."""
        path = files.confined(self.path, name, BundleError)
        record = self._files.get(name) if isinstance(self._files, dict) else None
        if path.is_symlink() or not path.is_file() or not isinstance(record, dict):
            raise BundleError(f"{name} is missing from the scorer at {self.path}, or a link.")
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
        texts = isinstance(ids, list) and all(isinstance(each, str) for each in ids)
        if not texts or not len(ids) == len(set(ids)) == count:
            raise BundleError(f"{SCORER_IDS} must hold {count:,} different ids.")
        return tuple(ids)


def _count(stated: Mapping[str, Any], key: str, most: int) -> int:
    value = stated.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BundleError(f"{SCORER_MANIFEST} must state {key} as a number from 1 to {most:,}, not {value!r}.")
    return value
