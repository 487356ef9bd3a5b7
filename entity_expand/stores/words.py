"""The lexical channel of an embedded index: TF-IDF vectors of masked sentences, in one SQLite file.

An entity weighs a term with (1 + ln tf) ln(n / df), tf times in its sentences and in those of df of n entities; its
vector has length 1. A term of one entity alone joins it with no other, and one of all tells nothing: neither is kept.
The file holds the list of entities of each term and the heaviest terms of each entity; only those of a query are read.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand.channels.terms import terms_of
from entity_expand.errors import StoreError
from entity_expand.stores.lexical import QUERY_TERMS, LexicalNearest, LexicalQuery, LexicalScores, Scored
from entity_expand.types import AnyArray, Float64, Int64

_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
CREATE TABLE term (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, rarity REAL NOT NULL, entities BLOB NOT NULL);
CREATE TABLE entity (position INTEGER PRIMARY KEY, terms BLOB NOT NULL);
"""
_ENTRY = np.dtype([("number", "<i4"), ("weight", "<f4")])
_MOST_TERMS = 4_096
_MOST_PER_QUERY = 500


def write_words(path: Path, texts: Iterable[str]) -> None:
    """Write a new file of words; the masked sentences of entities come in position order."""
    numbers: dict[str, int] = {}
    owned, counted = list[AnyArray](), list[AnyArray]()
    for text in texts:
        own = Counter(terms_of(text))
        owned.append(np.array([numbers.setdefault(term, len(numbers)) for term in own], dtype=np.int32))
        counted.append(np.array(list(own.values()), dtype=np.float32))
    owner = np.repeat(np.arange(len(owned), dtype=np.int32), [len(own) for own in owned])
    term = np.concatenate([np.empty(0, np.int32), *owned])
    weight, rarity = _weights(owner, term, np.concatenate([np.empty(0, np.float32), *counted]), len(owned))
    kept = weight > 0
    owner, term, weight = owner[kept], term[kept], weight[kept]
    connection = sqlite3.connect(path)
    try:
        connection.executescript(_SCHEMA)
        names = list(numbers)
        lists = ((number, names[number], float(rarity[number]), blob) for number, blob in _lists(term, owner, weight))
        connection.executemany("INSERT INTO term VALUES (?, ?, ?, ?)", lists)
        connection.executemany("INSERT INTO entity VALUES (?, ?)", _lists(owner, term, weight, QUERY_TERMS))
        connection.commit()
    finally:
        connection.close()


def _weights(owner: AnyArray, term: AnyArray, count: AnyArray, entities: int) -> tuple[AnyArray, Float64]:
    """Return the weight of each entry in its entity's vector, 0 where a term is not kept, and ln(n / df) of terms."""
    found = np.bincount(term, minlength=1)
    rarity = np.where(found > 1, np.log(max(1, entities) / np.maximum(found, 1)), 0.0)
    weight = (1 + np.log(count)) * rarity[term]
    length = np.sqrt(np.bincount(owner, weight * weight, minlength=entities))
    return (weight / np.maximum(length[owner], 1e-12)).astype(np.float32), rarity


def _lists(key: AnyArray, other: AnyArray, weight: AnyArray, most: int | None = None) -> Iterable[tuple[int, bytes]]:
    """Yield the entries of each key, at most `most` of the heaviest, as they are stored."""
    order = np.lexsort((other, -weight, key))
    keys, starts, sizes = np.unique(key[order], return_index=True, return_counts=True)
    for number, start, size in zip(keys.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        chosen = order[start : start + size][:most]
        entries = np.empty(len(chosen), dtype=_ENTRY)
        entries["number"], entries["weight"] = other[chosen], weight[chosen]
        yield number, entries.tobytes()


class Words:
    """Read access to a file of words, from any thread.

    Args:
        path: The file.
        entities: n of the index.

    Raises:
        StoreError: It cannot be read.
    """

    def __init__(self, path: Path, entities: int) -> None:
        self._path, self._entities = path, entities
        self._lock = threading.Lock()
        uri = path.absolute().as_uri() + "?mode=ro&immutable=1"
        try:
            self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        except sqlite3.Error as problem:
            raise self._damaged(problem) from problem
        try:
            self._rows("SELECT number FROM term WHERE number IN", [0])
        except StoreError:
            self._connection.close()
            raise

    def nearest(self, asked: LexicalNearest, passing: Int64 | None) -> Scored:
        """Return the entities that share most; `passing` are the positions that the filter lets through."""
        scores = self._scores(asked.query)
        scores[asked.excluded] = 0.0
        if passing is not None:
            scores[np.setdiff1d(np.arange(len(scores)), passing)] = 0.0
        found = np.flatnonzero(scores)
        found = found[np.argsort(-scores[found], kind="stable")][: asked.size]
        return Scored(found, scores[found])

    def scores(self, asked: LexicalScores) -> Float64:
        """Return the scores of certain entities."""
        return self._scores(asked.query)[asked.positions]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _scores(self, query: LexicalQuery) -> Float64:
        """Return the weighted mean over the seeds of the cosines with every entity, (n,)."""
        wanted = self._query(query)
        heaviest = sorted(wanted, key=lambda number: (-wanted[number], number))[:_MOST_TERMS]
        scores = np.zeros(self._entities)
        for number, blob in self._rows("SELECT number, entities FROM term WHERE number IN", heaviest):
            entries = self._entries(blob, self._entities)
            scores[entries["number"]] += wanted[number] * entries["weight"]
        return scores

    def _query(self, query: LexicalQuery) -> dict[int, float]:
        """Return what each term weighs in the query."""
        seeds, weights = query.seeds.tolist(), (query.weights / max(1, len(query.weights))).tolist()
        stored = dict(self._rows("SELECT position, terms FROM entity WHERE position IN", seeds))
        wanted: dict[int, float] = {}
        for position, weight in zip(seeds, weights[: len(seeds)], strict=True):
            for number, own in self._entries(stored.get(position, b""), None).tolist():
                wanted[number] = wanted.get(number, 0.0) + weight * own
        for text, weight in zip(query.texts, weights[len(seeds) :], strict=True):
            for number, own in self._of_text(text).items():
                wanted[number] = wanted.get(number, 0.0) + weight * own
        return wanted

    def _of_text(self, text: str) -> dict[int, float]:
        """Return the heaviest terms of a text as if it were an entity's."""
        counts = Counter(terms_of(text))
        query = "SELECT text, number, rarity FROM term WHERE text IN"
        found = [(number, (1 + np.log(counts[term])) * rarity) for term, number, rarity in self._rows(query, [*counts])]
        length = max(1e-12, float(np.sqrt(sum(weight * weight for _, weight in found))))
        heaviest = sorted(found, key=lambda pair: (-pair[1], pair[0]))[:QUERY_TERMS]
        return {number: float(weight / length) for number, weight in heaviest}

    def _entries(self, blob: bytes, limit: int | None) -> AnyArray:
        try:
            entries = np.frombuffer(blob, dtype=_ENTRY)
        except (TypeError, ValueError) as problem:
            raise self._damaged(problem) from problem
        if not np.isfinite(entries["weight"]).all():
            raise self._damaged("a weight that is no finite number")
        if limit is not None and len(entries) and not 0 <= entries["number"].min() <= entries["number"].max() < limit:
            raise self._damaged("an entity that the index has not")
        return entries

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        found = list[tuple[Any, ...]]()
        try:
            with self._lock:
                for start in range(0, len(values), _MOST_PER_QUERY):
                    part = values[start : start + _MOST_PER_QUERY]
                    marks = ", ".join("?" * len(part))
                    found += self._connection.execute(f"{query} ({marks})", tuple(part)).fetchall()
        except sqlite3.ProgrammingError as problem:
            raise StoreError(f"The index with {self._path} was closed; open it again.") from problem
        except (sqlite3.Error, UnicodeDecodeError) as problem:  # which a damaged schema makes of its own message
            raise self._damaged(problem) from problem
        return found

    def _damaged(self, problem: object) -> StoreError:
        return StoreError(f"{self._path} cannot be read: {problem}. Build the index again.")
