"""Expansion by a part of an index: what its texts alone say, or its pictures alone.

A part holds the rows that an index of that modality would hold. So whatever makes a list makes it of a part, too, once
its requests are put to that part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from entity_expand.errors import QueryError
from entity_expand.query import NewSeed
from entity_expand.search.scoring import EntityRows, stacked
from entity_expand.seeds import SeedSet
from entity_expand.seeds.encode import Encode, shows
from entity_expand.stores.base import Describe, Facts, Nearest, Request, Rows, Steps, Together, ask
from entity_expand.types import AnyArray, Modality

T = TypeVar("T")

_NAMED = 10


def part_asked(modality: Modality | None, facts: Facts) -> Modality | None:
    """Return which part of an index a modality asks for; None for the index itself.

    Raises:
        QueryError: The index does not hold it.
    """
    if modality is None or modality == facts.meta.modality:
        return None
    if modality not in facts.parts:
        has = ", ".join(map(repr, dict.fromkeys((facts.meta.modality, *facts.parts))))
        raise QueryError(
            f"The index knows the modality {has}, not {modality!r}. Index with `--modalities` for all of them."
        )
    return modality


def facts_in(part: Modality, facts: Facts) -> Facts:
    """Return what an expansion by a part must know."""
    return dataclasses.replace(facts.parts[part], channels=facts.channels & {"lexical"})


def heard_in(part: Modality, seeds: SeedSet, new: Sequence[NewSeed]) -> Steps[tuple[EntityRows, AnyArray]]:
    """Return the rows (s,) of the seeds that a part has, in their order, and which of the seeds (S,) these are.

    Args:
        part: Of the index.
        seeds: S of them.
        new: Those of them that are not in the index, in their order.
    """
    inside, present = seeds.positions >= 0, np.empty(len(seeds), dtype=bool)
    rows = yield from ask(Rows(seeds.stored, part))
    present[inside] = rows.deviation > 0
    present[~inside] = [shows(each, part) for each in new]
    rows = rows.take(rows.deviation > 0)
    if not present[~inside].any():
        return rows, present
    encoded = yield from ask(Encode(tuple(each for each in new if shows(each, part)), part))
    places = np.concatenate([np.flatnonzero(inside & present), np.flatnonzero(~inside & present)])
    return stacked([rows, encoded]).take(np.argsort(places)), present


def all_heard_in(part: Modality, seeds: SeedSet, new: Sequence[NewSeed]) -> Steps[SeedSet]:
    """Return the seeds as a part has them; arguments as of `heard_in`.

    Raises:
        QueryError: It lacks some; they are named.
    """
    rows, present = yield from heard_in(part, seeds, new)
    lacking = seeds.positions[~present][:_NAMED]
    if len(lacking):
        records = iter((yield from ask(Describe(tuple(lacking[lacking >= 0].tolist())))))
        called = [next(records).entity.name if place >= 0 else new[-1 - place].called for place in lacking.tolist()]
        names = ", ".join(name or "a picture" for name in called)
        raise QueryError(f"The seeds {names} have no {part}; ask without them, or by both.")
    return seeds if seeds.new is None else dataclasses.replace(seeds, new=rows.take(seeds.positions < 0))


def seen_in(part: Modality, steps: Steps[T]) -> Steps[T]:
    """Run steps with their requests put to a part."""
    try:
        request = next(steps)
        while True:
            request = steps.send((yield _put(part, request)))
    except StopIteration as end:
        found: T = end.value
        return found


def _put(part: Modality, request: Request[Any]) -> Request[Any]:
    if isinstance(request, Together):
        return Together(tuple(_put(part, each) for each in request.requests))
    if isinstance(request, (Rows, Nearest)):
        return dataclasses.replace(request, part=part)
    return request
