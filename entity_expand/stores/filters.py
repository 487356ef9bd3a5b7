"""Which entities may be results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entity_expand.config import is_list
from entity_expand.errors import QueryError

MOST_KEYS, MOST_VALUES = 100, 10_000
"""How much one filter holds: keys, and values of all keys together."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entities may be results. All that is given must hold; seeds are exempt.

    Attributes:
        attributes: Key -> values, one of which the entity has under that key.
        name_prefix: What a name or an alias begins with, without regard to case and accents.
        query: A query in the search server's own language; the embedded store refuses it.

    Raises:
        QueryError: Something is of another type, or there are more than `MOST_KEYS` keys or `MOST_VALUES` values.
    """

    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    name_prefix: str | None = None
    query: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for given in (self.attributes, {} if self.query is None else self.query):
            if not isinstance(given, Mapping):
                raise QueryError(f"The attributes and the query of a filter are tables, not {repr(given)[:40]}.")
        for key, values in self.attributes.items():
            if not is_list(values):
                raise QueryError(f"A filter takes a list of values for {key!r}, not {repr(values)[:40]}.")
            if not all(isinstance(each, str) for each in (key, *values)):
                raise QueryError(f"Keys and values of a filter are texts; some at {key!r} are not.")
        keys, count = len(self.attributes), sum(map(len, self.attributes.values()))
        if keys > MOST_KEYS or count > MOST_VALUES:
            raise QueryError(
                f"A filter has at most {MOST_KEYS:,} keys and {MOST_VALUES:,} values, not {keys:,} and {count:,}."
            )
        if self.name_prefix is not None and not isinstance(self.name_prefix, str):
            raise QueryError(f"The name prefix of a filter is a text, not {repr(self.name_prefix)[:40]}.")
