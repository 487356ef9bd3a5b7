"""From what a query names to what it means: entities of the index, and seeds that are not in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.errors import AmbiguousSeedError, QueryError, UnknownSeedError
from entity_expand.query import ExpandQuery, NewSeed
from entity_expand.seeds import SeedSet, balanced
from entity_expand.seeds.encode import Encode, new_seeds
from entity_expand.stores.base import Describe, Lookup, Steps, Suggest, ask
from entity_expand.types import Int64

_MOST_READINGS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """What a query names.

    Attributes:
        seeds: In the order given.
        negatives: In the order given.
        excluded: (x,) positions of all that may not be results, rising: the negatives, too.
    """

    seeds: SeedSet
    negatives: SeedSet
    excluded: Int64


def resolved(query: ExpandQuery) -> Steps[Named]:
    """Look up what a query names, and have encoded what is not in the index.

    Raises:
        UnknownSeedError: A name stands for nothing; near spellings are suggested.
        AmbiguousSeedError: A name stands for several entities; they are listed.
        QueryError: A seed is given twice, or also a negative or excluded.
    """
    given = (*query.seeds, *query.negative, *query.exclude)
    found = iter((yield from _positions([text for text in given if isinstance(text, str)])))
    absent = iter(range(-1, -1 - len(given), -1))
    positions = [next(absent) if isinstance(each, NewSeed) else next(found) for each in given]
    seeds, others = positions[: len(query.seeds)], positions[len(query.seeds) :]
    negatives = list(dict.fromkeys(others[: len(query.negative)]))
    if len(set(seeds)) != len(seeds):
        raise QueryError(f"The seeds {_shown(query.seeds)} name the same entity more than once.")
    if set(others) & set(seeds):
        barred = _shown([*query.negative, *query.exclude])
        raise QueryError(f"Among the seeds {_shown(query.seeds)} are some of {barred}: negatives, or excluded.")
    unknown = new_seeds(query)
    if unknown and query.settings is not None and query.settings.search.compatible_seeds is not None:
        raise QueryError(
            "With `compatible_seeds` some seeds are results, which seeds that are not in the index can't be."
        )
    new = (yield from ask(Encode(unknown))) if unknown else None
    return Named(
        SeedSet(np.array(seeds, dtype=np.int64), balanced(query.weights), new),
        SeedSet(np.array(negatives, dtype=np.int64), (), new),
        np.array(sorted({position for position in others if position >= 0}), dtype=np.int64),
    )


def _positions(texts: Sequence[str]) -> Steps[list[int]]:
    """Return what each text stands for."""
    positions = []
    for text, readings in zip(texts, (yield from ask(Lookup(tuple(texts)))), strict=True):
        if not readings:
            raise UnknownSeedError(text, (yield from ask(Suggest(text, limit=3))))
        if len(readings) > 1:
            entities = [record.entity for record in (yield from ask(Describe(readings[:_MOST_READINGS])))]
            raise AmbiguousSeedError(text, tuple((entity.id, entity.name) for entity in entities))
        positions.append(readings[0])
    return positions


def _shown(given: Sequence[str | NewSeed]) -> list[str]:
    return [each.called if isinstance(each, NewSeed) else each for each in given]
