"""The metrics of a run: one JSON object per line, cut back to the checkpoint when a run goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entity_expand.files import write_text


class MetricsLog:
    """Appends to metrics.jsonl.

    Every record has `step`. What was written after the checkpoint from which a run goes on is dropped, because it
    is computed again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if _step(line) <= step] if step else []
        write_text(path, "".join(f"{line}\n" for line in kept))

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record."""
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(record) + "\n")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n") if path.is_file() else []


def _step(line: str) -> float:
    """Return a line's step; one that a crash has cut counts as after everything."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
