"""Queries and truth: the folders `query`, `query_seed=5` and `gt`, the same in both layouts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from entity_expand.corpus.lines import clean
from entity_expand.errors import ConfigError, CorpusError
from entity_expand.files import confined, read_capped, write_text

_CAP = 64 << 20
_END = "EXIT"


@dataclass(frozen=True, slots=True)
class Query:
    """The seeds of one query.

    Attributes:
        class_name: Its class: the file's name up to the first dot.
        number: Its number within the class, from 0.
        seeds: Entity ids in the order of the file.
    """

    class_name: str
    number: int
    seeds: tuple[str, ...]


def read_queries(folder: str | Path) -> tuple[Query, ...]:
    """Read a folder of queries, sorted by class name and number.

    One query a line: ids separated by blanks, or by tabs where the line holds a tab (ids of our own layout may
    hold blanks). A line `EXIT` ends a file; blank lines do not count.

    Raises:
        CorpusError: The folder or a file cannot be read.
    """
    queries = []
    for name, path in _classes(Path(folder)):
        number = 0
        for line in _lines(path):
            if line == _END:
                break
            parts = line.split("\t") if "\t" in line else line.split()
            seeds = tuple(part.strip() for part in parts if part.strip())
            if seeds:
                queries.append(Query(name, number, seeds))
                number += 1
    return tuple(queries)


def read_truth(folder: str | Path) -> Mapping[str, frozenset[str]]:
    """Read the members of each class: the ids of the lines whose third column is at least 1, by class name.

    Raises:
        CorpusError: The folder or a file cannot be read, or a line is not of the form id TAB name TAB number.
    """
    truth = {}
    for name, path in _classes(Path(folder)):
        members = set()
        for number, line in enumerate(_lines(path), start=1):
            if not line.strip():
                continue
            columns = line.split("\t")
            try:
                member = int(columns[2]) >= 1
            except (IndexError, ValueError) as problem:
                raise CorpusError(
                    f"{path} line {number} should be id TAB name TAB number, not {line[:60]!a}."
                ) from problem
            if member:
                members.add(columns[0].strip())
        truth[name] = frozenset(members)
    return truth


def validation_classes(names: Iterable[str], share: float) -> frozenset[str]:
    """Deal out classes: those that may choose settings and checkpoints; the others are for reports.

    They are the first `share` of all, rounded to the nearest number, by the SHA-256 of their names. So everyone who
    deals out the same classes gets the same parts.

    Args:
        names: All classes, in any order.
        share: Between 0 and 1.

    Raises:
        ConfigError: It is not.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"A share of the classes is a number of 0 to 1, not {share}.")
    dealt = sorted(set(names), key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
    return frozenset(dealt[: math.floor(share * len(dealt) + 0.5)])


def write_queries(folder: Path, queries: Iterable[Query]) -> None:
    """Write queries as `read_queries` reads them, one file per class, in the order given."""
    lines: dict[str, list[str]] = {}
    for query in queries:
        blank = any(" " in seed for seed in query.seeds)
        line = "\t".join((*query.seeds, "")) if blank else " ".join(query.seeds)
        lines.setdefault(query.class_name, []).append(line + "\n")
    for name, written in lines.items():
        write_text(confined(folder, f"{name}.txt", CorpusError), "".join(written))


def write_truth(folder: Path, truth: Mapping[str, Iterable[tuple[str, str]]]) -> None:
    """Write (id, name) of each class's members as `read_truth` reads them."""
    for name, members in truth.items():
        content = "".join(f"{identifier}\t{' '.join(label.split())}\t1\n" for identifier, label in members)
        write_text(confined(folder, f"{name}.txt", CorpusError), content)


def _classes(folder: Path) -> list[tuple[str, Path]]:
    """Return (class name, file) by class name; hidden files do not count."""
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as problem:
        raise CorpusError(f"Cannot read the folder {folder}: {problem.strerror}.") from problem
    found: dict[str, Path] = {}
    for file in names:
        name = file.split(".", 1)[0]
        path = confined(folder, file, CorpusError)
        if not path.is_file():
            continue
        if name in found:
            raise CorpusError(f"{found[name]} and {path} are both of the class {name!r}. Keep one of them.")
        found[name] = path
    return sorted(found.items())


def _lines(path: Path) -> list[str]:
    """Return the lines of a small UTF-8 file without their ends."""
    try:
        text = read_capped(path, _CAP, CorpusError).decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise CorpusError(f"{path} is not valid UTF-8 (byte {problem.start}).") from problem
    if not clean(text):
        raise CorpusError(f"{path} holds a NUL character.")
    return text.replace("\r\n", "\n").split("\n")
