"""Expansion by a part of an index: what its texts alone say, or its pictures alone.

A part holds the rows that an index of that modality would hold. So whatever makes a list makes it of a part, too, once
its requests are put to that part.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np

from entity_expand.errors import QueryError
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Describe, Facts, Nearest, Request, Rows, Steps, Together, ask
from entity_expand.types import Modality

T = TypeVar("T")


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


def all_present(part: Modality, seeds: SeedSet) -> Steps[None]:
    """See that a part has all seeds.

    Raises:
        QueryError: It lacks some; they are named.
    """
    if (seeds.positions < 0).any():
        raise QueryError("Seeds that are not in the index are compared by text and picture together; ask without one.")
    rows = yield from ask(Rows(seeds.stored, part))
    lacking = seeds.stored[np.asarray(rows.deviation) == 0].tolist()
    if lacking:
        records = yield from ask(Describe(tuple(lacking[:10])))
        names = ", ".join(record.entity.name for record in records)
        raise QueryError(f"The seeds {names} have no {part} in the index; ask without them, or by both.")


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
