"""Names, attributes and evidence of an embedded index, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np

from entity_expand.errors import StoreError
from entity_expand.stores.base import Evidence, Record
from entity_expand.stores.facets import FACETED, Facet, facets_of
from entity_expand.stores.filters import Filter
from entity_expand.types import SURROGATES, Entity, Int64

T = TypeVar("T", list[Any], dict[str, Any])

_SCHEMA = """
CREATE TABLE entity (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, trained INTEGER NOT NULL,
    samples INTEGER NOT NULL, aliases TEXT NOT NULL, attributes TEXT NOT NULL, evidence TEXT NOT NULL);
CREATE TABLE spelling (folded TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (folded, position)) WITHOUT ROWID;
"""
_MOST_COMPARED = 20_000
_MOST_PER_QUERY = 500
_LAST_CHARACTER = chr(sys.maxunicode)
_PIECE = 128


def fold(text: str) -> str:
    """Return a spelling without case, accents and repeated spaces, under which names are looked up."""
    cased = text.casefold()
    # In pieces: sorting a run of combining marks takes the square of its length, and their order does not matter here.
    pieces = (unicodedata.normalize("NFKD", cased[start : start + _PIECE]) for start in range(0, len(cased), _PIECE))
    return " ".join("".join(c for piece in pieces for c in piece if not unicodedata.combining(c)).split())


def write_names(path: Path, records: Iterable[Record]) -> None:
    """Write a new names file; `records` come in position order."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        for position, record in enumerate(records):
            entity = record.entity
            evidence = json.dumps([[item.text, item.mentions, item.image] for item in record.evidence])
            about = (json.dumps(entity.aliases), json.dumps(dict(entity.attributes)), evidence)
            row = (position, entity.id, entity.name, record.trained, record.samples, *about)
            connection.execute("INSERT INTO entity VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            spellings = {fold(name) for name in (entity.name, *entity.aliases)}
            connection.executemany(
                "INSERT INTO spelling VALUES (?, ?)", [(text, position) for text in sorted(spellings)]
            )
        connection.commit()
    finally:
        connection.close()


class Names:
    """Read access to a names file, from any thread.

    The file stays open, so a reader keeps its names when the index gets a new version and this one is removed.

    Args:
        path: The file.
        entities: n of the index.

    Raises:
        StoreError: The file is missing, no names file, or of another number of entities.
    """

    def __init__(self, path: Path, entities: int) -> None:
        if not path.is_file():
            raise StoreError(f"{path} is missing: the index is incomplete. Build it again with `entity-expand index`.")
        self._path, self._entities = path, entities
        self._lock = threading.Lock()
        uri = path.absolute().as_uri() + "?mode=ro&immutable=1"
        try:
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        except sqlite3.Error as problem:
            raise _damaged(path, problem) from problem
        try:
            ((found,),) = self._all("SELECT count(*) FROM entity", ())
            if found != entities:
                raise _damaged(path, f"it names {found} entities, expected {entities}")
        except StoreError:
            self._connection.close()
            raise

    def _all(self, query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(query, tuple(map(_bound, parameters))).fetchall()
        except sqlite3.ProgrammingError as problem:
            raise StoreError(f"The index with {self._path} was closed; open it again.") from problem
        except (sqlite3.Error, UnicodeDecodeError) as problem:  # which a damaged schema makes of its own message
            raise _damaged(self._path, problem) from problem

    def _positions(self, query: str, parameters: Sequence[object]) -> tuple[int, ...]:
        found = tuple(row[0] for row in self._all(query, parameters))
        if not all(isinstance(position, int) and 0 <= position < self._entities for position in found):
            raise _damaged(self._path, "an entity that the index has not")
        return found

    def lookup(self, text: str) -> tuple[int, ...]:
        """Return the positions that an id, else an exact name, else a folded name or alias stands for."""
        for query, value in (
            ("SELECT position FROM entity WHERE id = ?", text),
            ("SELECT position FROM spelling WHERE folded = ? ORDER BY position", fold(text)),
        ):
            found = self._positions(query, (value,))
            if found:
                return found
        return ()

    def suggestions(self, text: str, limit: int) -> tuple[str, ...]:
        """Return up to `limit` names that are spelled much like `text`, best first."""
        import difflib

        folded = fold(text)
        query = (
            "SELECT folded, name FROM spelling JOIN entity USING (position) "
            "WHERE length(folded) BETWEEN ? AND ? ORDER BY substr(folded, 1, 1) != ? LIMIT ?"
        )
        slack = max(2, len(folded) // 2)
        rows = self._all(query, (len(folded) - slack, len(folded) + slack, folded[:1], _MOST_COMPARED))
        names = dict(rows)
        near = difflib.get_close_matches(folded, names, n=limit, cutoff=0.6)
        return tuple(dict.fromkeys(names[spelling] for spelling in near))

    def beginning(self, prefix: str, limit: int) -> tuple[int, ...]:
        """Return the positions of entities with a name that begins with `prefix`, in the order of `Find`."""
        folded = fold(prefix)
        query = (
            "SELECT position FROM spelling JOIN entity USING (position) WHERE folded >= ? AND folded < ? "
            "GROUP BY position ORDER BY max(folded = ?) DESC, name, position LIMIT ?"
        )
        return self._positions(query, (folded, folded + _LAST_CHARACTER, folded, limit))

    def facets(self, limit: int) -> tuple[Facet, ...]:
        """Return the attributes with at most `limit` values each."""
        rows = self._all("SELECT attributes FROM entity WHERE position < ?", (FACETED,))
        return facets_of((_decoded(row[0], dict, self._path) for row in rows), limit)

    def matching(self, filtered: Filter) -> Int64:
        """Return the positions of the entities that the attributes and the name prefix of a filter let through."""
        query, values = "SELECT position FROM entity WHERE 1", list[str]()
        for key, wanted in filtered.attributes.items():
            marks = ", ".join("?" * len(wanted))
            query += (
                f" AND EXISTS (SELECT 1 FROM json_each(attributes) AS pair WHERE key = ? AND pair.value IN ({marks}))"
            )
            values += [key, *wanted]
        if filtered.name_prefix is not None:
            query += " AND position IN (SELECT position FROM spelling WHERE substr(folded, 1, ?) = ?)"
            prefix = fold(filtered.name_prefix)
            values += [str(len(prefix)), prefix]
        return np.array(self._positions(query + " ORDER BY position", values), dtype=np.int64)

    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return the records at `positions`, in that order."""
        found: dict[int, Record] = {}
        for start in range(0, len(positions), _MOST_PER_QUERY):
            part = [int(position) for position in positions[start : start + _MOST_PER_QUERY]]
            marks = ", ".join("?" * len(part))
            rows = self._all(f"SELECT * FROM entity WHERE position IN ({marks})", part)
            found.update({row[0]: _record(row, self._path) for row in rows})
        try:
            return [found[int(position)] for position in positions]
        except KeyError as problem:
            raise _damaged(self._path, f"the entity at {problem} is missing") from problem

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _bound(value: object) -> object:
    """Return a parameter as SQLite takes it: a text that UTF-8 cannot hold as bytes, which equal no text."""
    if isinstance(value, str) and SURROGATES.search(value):
        return value.encode("utf-8", "surrogatepass")
    return value


class StoredEvidence(Sequence[Evidence]):
    """Evidence as it is stored, decoded when it is first looked at: most of a long list never is."""

    __slots__ = ("_decoded", "_path", "_stored")

    def __init__(self, stored: str, path: Path) -> None:
        self._stored, self._path = stored, path
        self._decoded: tuple[Evidence, ...] | None = None

    def _all(self) -> tuple[Evidence, ...]:
        if self._decoded is None:
            items = _decoded(self._stored, list, self._path)
            try:
                self._decoded = tuple(Evidence(text, tuple(map(tuple, spans)), image) for text, spans, image in items)
            except (TypeError, ValueError) as problem:
                raise _damaged(self._path, problem) from problem
        return self._decoded

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> Evidence: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Evidence, ...]: ...
    def __getitem__(self, index: int | slice) -> Evidence | tuple[Evidence, ...]:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


def _record(row: tuple[Any, ...], path: Path) -> Record:
    _, identifier, name, trained, samples, aliases, attributes, evidence = row
    if not (isinstance(identifier, str) and isinstance(name, str) and isinstance(samples, int)):
        raise _damaged(path, "an entity without id, name or number of samples")
    entity = Entity(identifier, name, tuple(_decoded(aliases, list, path)), _decoded(attributes, dict, path))
    return Record(entity, bool(trained), samples, StoredEvidence(evidence, path))


def _decoded(text: object, form: type[T], path: Path) -> T:
    """Return the list or the mapping that stands in the file as JSON."""
    if text in ("[]", "{}"):
        return form()
    try:
        found = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError) as problem:
        raise _damaged(path, problem) from problem
    if not isinstance(found, form):
        raise _damaged(path, f"{type(found).__name__} in place of {form.__name__}")
    return found


def _damaged(path: Path, problem: object) -> StoreError:
    return StoreError(f"{path} cannot be read: {problem}. Build the index again.")
