"""The seeds of a set: what they are in the index, how much each counts, and what those are that the index lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.search.scoring import EntityRows, stacked
from entity_expand.stores.base import Rows, Steps, ask
from entity_expand.types import Int64

# Divergences take the logarithm of weights.
_LEAST = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class SeedSet:
    """Entities that stand for a set, in the order given.

    Attributes:
        positions: (S,) int64 in the index; -1, -2, ... for those that are not in it.
        weights: How much each counts, S numbers of mean 1; () for all alike.
        new: The rows of those that are not in the index, that of -1 first; None if all are.
    """

    positions: Int64
    weights: tuple[float, ...] = ()
    new: EntityRows | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def stored(self) -> Int64:
        """The positions of those that are in the index, in the order given."""
        return self.positions[self.positions >= 0]

    def rows(self) -> Steps[EntityRows]:
        """Return the rows of all S, in the order given; what the index holds of them is asked for."""
        stored = yield from ask(Rows(self.stored))
        if self.new is None:
            return stored
        inside = self.positions >= 0
        return stacked([stored, self.new]).take(
            np.where(inside, np.cumsum(inside) - 1, len(stored) - 1 - self.positions)
        )


def balanced(weights: Sequence[float] | None) -> tuple[float, ...]:
    """Return weights with the same ratios and the mean 1; () for None. None is below a billionth of the largest."""
    if weights is None:
        return ()
    largest = float(max(weights))
    shares = [max(float(weight) / largest, _LEAST) for weight in weights]
    mean = sum(shares) / len(shares)
    return tuple(share / mean for share in shares)
