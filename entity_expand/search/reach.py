"""How high the entities outside a circle around a query can score for another query."""

from __future__ import annotations

import math
from dataclasses import dataclass

from entity_expand.search.frame import PairFrame
from entity_expand.types import Float64


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """A query as bounds see it.

    Attributes:
        query: (W,), (2 W,) or (D,), as entities are scored.
        framed: The same for balanced vectors, if the index has such; see `frame.py`.
        lacking: What scores are above the products of `framed`.
        length: ‖framed‖.
    """

    query: Float64
    framed: Float64
    lacking: float
    length: float

    @classmethod
    def of(cls, query: Float64, frame: PairFrame | None) -> Aim:
        """Return the aim of a query, for vectors that are balanced by `frame`, or as they are."""
        if frame is None:
            return cls(query, query, 0.0, length_of(query))
        framed = frame.query(query)
        return cls(query, framed, frame.lacking(query), length_of(framed))

    def moved(self, step: Aim) -> Aim:
        """Return the aim of the sum of both queries."""
        framed = self.framed + step.framed
        query = framed if self.framed is self.query else self.query + step.query
        return Aim(query, framed, self.lacking + step.lacking, length_of(framed))


class Reach:
    """How high the entities outside a circle can score.

    For the query q₀ that drew the circle every x outside had a score of at most `floor`: t = x·q₀/‖q₀‖ is at most
    τ = floor/‖q₀‖. A later query is q = α q₀ + d with d orthogonal to q₀, so x scores at most
    α ‖q₀‖ t + ‖d‖ √(M² - t²) with M the largest norm. This rises with t up to t* = M α ‖q₀‖ / ‖q‖; its largest value
    is therefore reached at τ, or at t* if that is smaller. All of this holds among balanced vectors too, whose products
    lack a part of the score that is the same for all entities.

    Args:
        centre: q₀.
        floor: Highest score outside; -inf if nothing is outside.
        largest_norm: M.
    """

    def __init__(self, centre: Aim, floor: float, largest_norm: float) -> None:
        self.centre, self.floor = centre, floor
        self._norm = largest_norm

    def bound(self, aim: Aim) -> float:
        """Return the highest score that an entity outside can have for another query."""
        centre, norm = self.centre, self._norm
        if self.floor == -math.inf or aim is centre:
            return self.floor
        if not centre.length or not aim.length:
            return norm * aim.length + aim.lacking
        along = float(aim.framed @ centre.framed) / centre.length
        across = math.sqrt(max(0.0, aim.length * aim.length - along * along))
        reach = min((self.floor - centre.lacking) / centre.length, norm * along / aim.length)
        return along * reach + across * math.sqrt(max(0.0, norm * norm - reach * reach)) + aim.lacking


def length_of(vector: Float64) -> float:
    """Return the Euclidean norm of a vector."""
    return math.sqrt(float(vector @ vector))
