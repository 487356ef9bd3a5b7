"""Look entities up and find them by how a name begins, without I/O."""

from __future__ import annotations

from entity_expand.config import is_whole, shown
from entity_expand.errors import QueryError
from entity_expand.stores.base import Describe, Find, Lookup, Record, Steps, ask
from entity_expand.types import Entity

MOST_READINGS, MOST_FOUND = 100, 10_000
LONGEST_NAME = 1_000


def lookup(text: str) -> Steps[list[Record]]:
    """Return the entity with this id, else those that are called so, by id; at most `MOST_READINGS`.

    Raises:
        QueryError: The text is none, or too long.
    """
    check_name(text)
    (positions,) = yield from ask(Lookup((text,)))
    return (yield from ask(Describe(positions[:MOST_READINGS])))


def find(prefix: str, limit: int) -> Steps[list[Record]]:
    """Return entities of which a name or an alias begins with `prefix`, in the order of `Find`.

    Raises:
        QueryError: The limit is no whole number of 1 to `MOST_FOUND`, or the prefix no text, or too long.
    """
    check_name(prefix)
    if not is_whole(limit, 1) or limit > MOST_FOUND:
        raise QueryError(
            f"The limit of entities to find is a whole number of 1 to {MOST_FOUND:,}, not {shown(limit, 40)}."
        )
    positions = yield from ask(Find(prefix, int(limit)))
    return (yield from ask(Describe(positions)))


def check_name(text: object) -> None:
    """See that something can be looked up.

    Raises:
        QueryError: It is no text, or too long.
    """
    if not isinstance(text, str) or len(text) > LONGEST_NAME:
        raise QueryError(f"What is looked up is a text of at most {LONGEST_NAME:,} characters, not {shown(text, 40)}.")


def named_so(steps: Steps[list[Record]]) -> Steps[list[Entity]]:
    """Return the entities of records."""
    return [record.entity for record in (yield from steps)]
