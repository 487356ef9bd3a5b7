"""The entities that imported rows speak of: from a list, from rows with an id, and from rows with a name alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entity_expand.corpus.lines import clean, identifier_of
from entity_expand.corpus.report import Note, ignore
from entity_expand.types import Entity, id_order

_MAX_NAME = 500


@dataclass
class _Draft:
    """An entity while rows are read; names and attributes that come first stay."""

    name: str | None = None
    aliases: dict[str, None] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)

    def add(self, name: str | None, aliases: tuple[str, ...], attributes: Mapping[str, str]) -> None:
        self.name = self.name or name
        self.aliases.update(dict.fromkeys((*(() if name is None else (name,)), *aliases)))
        for key, value in attributes.items():
            self.attributes.setdefault(key, value)

    def entity(self, identifier: str) -> Entity:
        name = self.name or identifier
        return Entity(identifier, name, tuple(a for a in self.aliases if a != name), dict(self.attributes))


def name_of(value: object) -> str | None:
    """Return a name in composed Unicode with single blanks, or None for anything that is no short printable text."""
    if not isinstance(value, str) or not clean(value):
        return None
    name = " ".join(unicodedata.normalize("NFC", value).split())
    return name if 0 < len(name) <= _MAX_NAME and name.isprintable() else None


class Roster:
    """Collects entities from rows (`read`), then settles them (`settle`) and answers whom a row means (`find`)."""

    def __init__(self) -> None:
        self._by_id: dict[str, _Draft] = {}
        self._by_name: dict[str, _Draft] = {}
        self._listed: set[str] = set()
        self._listed_names: set[str] = set()
        self._id_of_name: dict[str, str] = {}
        self._known: dict[str, Entity] = {}
        self.entities: tuple[Entity, ...] = ()

    def read(self, record: Mapping[str, Any], note: Note, *, listed: bool, name_key: str, id_key: str) -> bool:
        """Take an entity from {name, id, aliases, attributes}; later rows add to it. Return whether there is one.

        Args:
            record: A row, or an entry of a list of entities.
            note: Receives aliases and attributes that cannot be used.
            listed: Whether it comes from a list, whose entities are also looked for in rows that name none.
            name_key: Key of the name.
            id_key: Key of the id.
        """
        identifier, name = identifier_of(record.get(id_key)), name_of(record.get(name_key))
        if identifier is None and name is None:
            return False
        aliases, attributes = _aliases(record, note), _attributes(record, note)
        if identifier is not None:
            self._by_id.setdefault(identifier, _Draft()).add(name, aliases, attributes)
            if listed:
                self._listed.add(identifier)
        elif name is not None:
            self._by_name.setdefault(name, _Draft()).add(name, aliases, attributes)
            if listed:
                self._listed_names.add(name)
        return True

    def settle(self) -> None:
        """Decide which entity each name without an id means.

        It is the only entity with an id that has this name; if none has, the only one that has it as an alias;
        if none has, a new one whose id is the name.
        """
        named, called = self._owners()
        for name, draft in self._by_name.items():
            owners = named.get(name) or called.get(name) or []
            if len(owners) > 1 or (not owners and name in self._by_id):
                continue
            identifier = owners[0] if owners else name
            self._by_id.setdefault(identifier, _Draft()).add(name, tuple(draft.aliases), draft.attributes)
            self._id_of_name[name] = identifier
            if name in self._listed_names:
                self._listed.add(identifier)
        self._known = {i: draft.entity(i) for i, draft in self._by_id.items() if draft.name is not None}
        self.entities = tuple(self._known[i] for i in sorted(self._known, key=id_order))
        self._listed &= self._known.keys()

    def _owners(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Return ids by name, and ids by alias."""
        named: dict[str, list[str]] = {}
        called: dict[str, list[str]] = {}
        for identifier, draft in self._by_id.items():
            for alias in draft.aliases:
                (named if alias == draft.name else called).setdefault(alias, []).append(identifier)
        return named, called

    def find(self, record: Mapping[str, Any], note: Note = ignore) -> str | None:
        """Return the id of the entity that a row is about; None, and note the row, if that cannot be told."""
        if record.get("entity_id") is not None:
            identifier = identifier_of(record["entity_id"])
            if identifier is None:
                note("row", "entity_id is neither a printable text nor a whole number", record["entity_id"])
            elif identifier in self._known:
                return identifier
            else:
                note("row", "entity_id has no name in any row or list", identifier)
            return None
        name = name_of(record.get("entity"))
        if name is None:
            note("row", f"entity is not a printable text of at most {_MAX_NAME} characters", record.get("entity"))
        elif name in self._id_of_name:
            return self._id_of_name[name]
        else:
            note("row", "the name is that of several entities; give entity_id", name)
        return None

    def is_listed(self, identifier: str) -> bool:
        """Return whether an entity comes from a list."""
        return identifier in self._listed


def _aliases(record: Mapping[str, Any], note: Note) -> tuple[str, ...]:
    given = record.get("aliases")
    if given is None:
        return ()
    listed = given if isinstance(given, list) else [given]
    names = [name_of(alias) for alias in listed]
    if None in names:
        note("entity", "an alias is not a short printable text", given)
    return tuple(name for name in names if name is not None)


def _attributes(record: Mapping[str, Any], note: Note) -> dict[str, str]:
    given = record.get("attributes")
    if given is None:
        return {}
    # Parquet gives a map as a list of pairs.
    pairs: list[Any] = given if isinstance(given, list) else [None]
    if isinstance(given, dict):
        pairs = list(given.items())
    kept = {}
    for pair in pairs:
        key, value = pair if isinstance(pair, tuple) and len(pair) == 2 else (None, given)
        if value is None:
            continue
        text = _attribute(value)
        if isinstance(key, str) and key and clean(key) and text is not None:
            kept[key] = text
        else:
            note("entity", "an attribute is not a text, a number or a truth value", value)
    return kept


def _attribute(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if clean(value) else None
    return str(value) if isinstance(value, float) else identifier_of(value)
