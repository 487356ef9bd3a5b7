"""What attributes entities have, for those who choose filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from entity_expand.stores.base import Request

FACETED = 20_000


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of one attribute.

    Attributes:
        key: Its name.
        counts: Value -> entities that have it, the most frequent first, then by value.
        distinct: How many values there are; `counts` may hold fewer.
    """

    key: str
    counts: Mapping[str, int]
    distinct: int


@dataclass(frozen=True, slots=True)
class Facets(Request[tuple[Facet, ...]]):
    """The attributes by name, as filters can use them, with at most `limit` values each.

    Only the entities at the first `FACETED` positions are looked at.
    """

    limit: int


def facets_of(attributes: Iterable[Mapping[str, str]], limit: int) -> tuple[Facet, ...]:
    """Return the answer to `Facets` for the attributes of entities."""
    counts: dict[str, Counter[str]] = {}
    for each in attributes:
        for key, value in each.items():
            counts.setdefault(key, Counter())[value] += 1
    return tuple(
        Facet(key, dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]), len(found))
        for key, found in sorted(counts.items())
    )
