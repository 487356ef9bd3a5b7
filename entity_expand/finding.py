"""Look entities up and find them by how a name begins, without I/O."""

from __future__ import annotations

from entity_expand.config import is_whole
from entity_expand.errors import QueryError
from entity_expand.stores.base import Describe, Find, Lookup, Record, Steps, ask
from entity_expand.types import Entity

MOST_READINGS = 100


def lookup(text: str) -> Steps[list[Record]]:
    """Return the entity with this id, else those that are called so, by id; at most `MOST_READINGS`."""
    (positions,) = yield from ask(Lookup((text,)))
    return (yield from ask(Describe(positions[:MOST_READINGS])))


def find(prefix: str, limit: int) -> Steps[list[Record]]:
    """Return entities of which a name or an alias begins with `prefix`, in the order of `Find`.

    Raises:
        QueryError: The limit is no whole number of at least 1.
    """
    if not is_whole(limit, 1):
        raise QueryError(f"The limit of entities to find is a whole number of at least 1, not {limit!r}.")
    positions = yield from ask(Find(prefix, limit))
    return (yield from ask(Describe(positions)))


def named_so(steps: Steps[list[Record]]) -> Steps[list[Entity]]:
    """Return the entities of records."""
    return [record.entity for record in (yield from steps)]
