"""What was read and what was not: counts by reason, with the first line numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from entity_expand.types import Int64

Kind = Literal["entity", "row", "text", "mention", "picture"]
_KINDS: tuple[Kind, ...] = ("entity", "row", "text", "mention", "picture")
_SHOWN = 5
_EXAMPLE_LENGTH = 60


class Note(Protocol):
    """Receives one thing that is dropped: its kind, the reason (a fixed text), and the offending value."""

    def __call__(self, kind: Kind, reason: str, example: object = None) -> None:
        """Take one note."""


def ignore(kind: Kind, reason: str, example: object = None) -> None:
    """Receive a note and forget it (for rows whose problems were counted before)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason for which something was dropped.

    Attributes:
        file: Name of the file that holds it.
        kind: What was dropped: an entity, a whole row, a row's text, one mention, or one use of a picture.
        reason: A fixed text.
        count: How many times.
        lines: The first few line numbers, from 1, in rising order.
        examples: The offending values on those lines as printable ASCII; "" where there is none.
    """

    file: str
    kind: Kind
    reason: str
    count: int
    lines: tuple[int, ...]
    examples: tuple[str, ...]

    def __str__(self) -> str:
        pairs = zip(self.lines, self.examples, strict=True)
        where = ", ".join(f"{line} ({example})" if example else str(line) for line, example in pairs)
        more = ", ..." if self.count > len(self.lines) else ""
        return f"{self.file}: {self.count:,} x {self.kind} dropped: {self.reason}; line {where}{more}"


class Tally:
    """Counts problems while a corpus is read; `line` is the line being read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.line = 0
        self._counts: dict[tuple[str, Kind, str], int] = {}
        self._shown: dict[tuple[str, Kind, str], list[tuple[int, str]]] = {}

    def __call__(self, kind: Kind, reason: str, example: object = None) -> None:
        """Count one dropped thing on the current line of the current file."""
        self.add(kind, reason, self.line, 1, example)

    def add(self, kind: Kind, reason: str, line: int, count: int, example: object = None) -> None:
        """Count `count` dropped things whose first is on `line` of the current file."""
        key = (self.file, kind, reason)
        self._counts[key] = self._counts.get(key, 0) + count
        shown = self._shown.setdefault(key, [])
        if len(shown) < _SHOWN:
            shown.append((line, _printable(example)))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, by file, kind and reason."""
        keys = sorted(self._counts, key=lambda key: (key[0], _KINDS.index(key[1]), key[2]))
        return tuple(
            Problem(
                *key,
                count=self._counts[key],
                lines=tuple(line for line, _ in self._shown[key]),
                examples=tuple(example for _, example in self._shown[key]),
            )
            for key in keys
        )


def _printable(example: object) -> str:
    if example is None:
        return ""
    if isinstance(example, str):
        example = example[: _EXAMPLE_LENGTH + 1]
    elif isinstance(example, int) and not -(10**18) < example < 10**18:
        return "a huge number"
    elif not isinstance(example, int | float | bool):
        return f"a {type(example).__name__}"
    text = ascii(example)
    return text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 3] + "..."


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """What a corpus holds and what was dropped on the way.

    Attributes:
        layout: "mesed" or "own".
        rows: Non-blank lines of the sentence file.
        rows_kept: Rows that give at least one sample.
        samples: Number of samples.
        entities: Number of entities.
        entities_without_samples: How many of them no sample is about.
        samples_without_text: Pictures without a sentence.
        samples_without_picture: Sentences without a (usable) picture.
        pictures: Number of distinct usable pictures.
        splits: Samples by split, by name.
        samples_per_entity: (lowest, highest, entities) of each bucket of the histogram.
        problems: What was dropped, by reason.
    """

    layout: str
    rows: int
    rows_kept: int
    samples: int
    entities: int
    entities_without_samples: int
    samples_without_text: int
    samples_without_picture: int
    pictures: int
    splits: Mapping[str, int]
    samples_per_entity: tuple[tuple[int, int, int], ...]
    problems: tuple[Problem, ...]

    @property
    def dropped(self) -> int:
        """How many things were dropped, of all kinds."""
        return sum(problem.count for problem in self.problems)

    def dropped_of(self, kind: Kind) -> int:
        """Return how many things of one kind were dropped."""
        return sum(problem.count for problem in self.problems if problem.kind == kind)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        content["splits"] = dict(self.splits)
        content["samples_per_entity"] = [list(bucket) for bucket in self.samples_per_entity]
        content["problems"] = [
            {name: getattr(problem, name) for name in Problem.__dataclass_fields__} for problem in self.problems
        ]
        for problem in content["problems"]:
            problem["lines"], problem["examples"] = list(problem["lines"]), list(problem["examples"])
        return content

    def __str__(self) -> str:
        lines = [
            f"layout                    {self.layout}",
            f"entities                  {self.entities:,} ({self.entities_without_samples:,} without samples)",
            f"rows                      {self.rows:,} ({self.rows_kept:,} kept)",
            f"samples                   {self.samples:,}",
            f"  without a picture       {self.samples_without_picture:,}",
            f"  without a sentence      {self.samples_without_text:,}",
            f"distinct pictures         {self.pictures:,}",
        ]
        lines += [f"split {ascii(name)[1:-1]:<20}{count:,}" for name, count in self.splits.items()]
        lines.append("samples per entity:")
        lines += _bars(self.samples_per_entity)
        lines += [str(problem) for problem in self.problems] or ["nothing was dropped"]
        return "\n".join(lines)


def _bars(histogram: tuple[tuple[int, int, int], ...]) -> list[str]:
    most = max((count for _, _, count in histogram), default=1)
    rows = []
    for low, high, count in histogram:
        label = str(low) if low == high else f"{low}-{high}"
        rows.append(f"  {label:>15} {count:>9,} {'#' * -(-40 * count // most)}")
    return rows


def histogram(samples_per_entity: Int64) -> tuple[tuple[int, int, int], ...]:
    """Return (lowest, highest, entities) for the non-empty buckets 0, 1, 2-3, 4-7, 8-15, ...

    Args:
        samples_per_entity: (V,) int64 number of samples of each entity.
    """
    if not samples_per_entity.size:
        return ()
    buckets = np.frexp(samples_per_entity.astype(np.float64))[1]  # (V,): 0 -> 0, 1 -> 1, 2-3 -> 2, 4-7 -> 3
    numbers, counts = np.unique(buckets, return_counts=True)
    return tuple((2 ** (int(n) - 1) if n else 0, 2 ** int(n) - 1, int(c)) for n, c in zip(numbers, counts, strict=True))
