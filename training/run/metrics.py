"""The metrics of a run: one JSON object per line, cut back to the checkpoint when a run goes on.

Two kinds of records, both with `step`: of one step, and of a whole epoch. docs/training.md lists their keys. Other
modules read them with `read_metrics`, and count on no key but `step`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from entity_expand.files import write_text

Record: TypeAlias = Mapping[str, Any]
_OF_EPOCHS = frozenset({"aligned", "accuracy", "seconds", "pairs_per_second", "held_out", "validation"})


class MetricsLog:
    """Appends to metrics.jsonl.

    Every record has `step`. What was written after the checkpoint from which a run goes on is dropped, because it
    is computed again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if _step(line) <= step] if step else []
        write_text(path, "".join(f"{line}\n" for line in kept))

    def write(self, record: Record) -> None:
        """Append a record."""
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(record) + "\n")


def read_metrics(path: Path) -> tuple[dict[str, Any], ...]:
    """Return the records of metrics.jsonl in the order of the file; none if there is no file.

    Lines without a step, such as one that a crash has cut, are left out.
    """
    return tuple(json.loads(line) for line in _lines(path) if math.isfinite(_step(line)))


def is_of_epoch(record: Record) -> bool:
    """Return whether a record is of a whole epoch or of the alignment after all of them, not of one step."""
    return not _OF_EPOCHS.isdisjoint(record)


def number(value: object) -> float | None:
    """Return a finite number as a float, and None for all else, truth values too."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def at(record: Record, *keys: str) -> object:
    """Return what stands under nested keys, or None where one is missing."""
    found: object = record
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def keys(value: object) -> tuple[str, ...]:
    """Return the keys of a mapping; none if it is no mapping."""
    return tuple(value) if isinstance(value, Mapping) else ()


def numbers(value: object) -> dict[str, float]:
    """Return the finite numbers of a mapping by key; none if it is no mapping."""
    pairs: Iterable[tuple[Any, object]] = value.items() if isinstance(value, Mapping) else ()
    return {str(key): found for key, each in pairs if (found := number(each)) is not None}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []


def _step(line: str) -> float:
    """Return a line's step; one that a crash has cut counts as after everything."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
