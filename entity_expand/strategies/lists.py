"""The strategies in which no set grows: each seed ranks the entities, and the seeds' lists become one.

`mean` is one nearest-neighbour query. For the others the head of each seed's own list is fetched. What was not fetched
scores at most what the floors of the lists combine to, since a combination rises with each of its gains; when the last
result scores more, the list is that of a full scan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.errors import QueryError
from entity_expand.search.growth import Ranking, Space
from entity_expand.search.plan import ExpandSettings, closed_in, space_of
from entity_expand.search.pools import Pool
from entity_expand.search.reach import Aim
from entity_expand.search.scoring import EntityRows, stacked
from entity_expand.search.window import rank
from entity_expand.seeds import SeedSet
from entity_expand.seeds.gains import gain_between, mean_gain
from entity_expand.stores.base import Facts, Hits, Nearest, Request, Rows, Steps, Together, ask
from entity_expand.stores.filters import Filter
from entity_expand.strategies.combine import COMBINATIONS, ListStrategy, Voices, leading
from entity_expand.types import Float64, Int64

_SPARE = 16
_MOST_FETCHES = 10
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What one list is made from.

    Attributes:
        strategy: How the seeds' lists become one.
        seeds: In query order.
        size: How many results.
        settings: Space and λ; of the search its `rerank`, which ranks the list again by divergence from the whole.
        excluded: (x,) positions that may not be results, rising; no seeds among them.
        filter: Which entities may be results; None for all.
    """

    strategy: ListStrategy
    seeds: SeedSet
    size: int
    settings: ExpandSettings
    excluded: Int64
    filter: Filter | None


def list_steps(asked: Asked, facts: Facts, whole: Pool | None) -> Steps[Ranking]:
    """Rank the entities by what the seeds say of each.

    Raises:
        QueryError: The strategy or the re-ranking needs probabilities, which the space has not, or the index does not
            hold the vectors that the settings need.
    """
    settings, probable = asked.settings, asked.strategy == "sum" or asked.settings.search.rerank
    if probable and settings.space == "features":
        raise QueryError("Probabilities are summed, and lists ranked again by them, in the space 'heads' alone.")
    if asked.strategy == "sum" and settings.both_directions:
        raise QueryError("The strategy 'sum' adds probabilities, which have no second direction; leave it at 0.")
    if whole is None or settings.space == "features" or asked.seeds.new is not None:
        return (yield from _fetched(asked, space_of(settings, facts)))
    closed = yield from closed_in(whole, asked.seeds, asked.excluded, asked.filter)
    return _within(whole, asked, (yield from asked.seeds.rows()), closed)


def _within(whole: Pool, asked: Asked, rows: EntityRows, closed: Int64) -> Ranking:
    """Rank all entities, whose scores are at hand."""
    seeds = asked.seeds.positions
    gains = whole.gains(seeds).astype(np.float64)
    gains[:, closed] = gains[:, seeds] = -np.inf
    values = COMBINATIONS[asked.strategy](gains, Voices.of(rows, asked.seeds.weights, asked.size))
    values[closed] = values[seeds] = -np.inf
    return ranking_of(whole, asked, seeds, leading(values, asked.size), values, exact=True, fetches=0)


def _fetched(asked: Asked, space: Space) -> Steps[Ranking]:
    """Rank the entities at the head of the seeds' lists, and fetch more of them until they suffice."""
    listed = _Lists(asked, space, (yield from asked.seeds.rows()))
    limit = asked.settings.max_fetches or _MOST_FETCHES
    while listed.fetches < limit and not listed.proved():
        hits = yield from ask(Together(listed.requests()))
        new = np.unique(np.concatenate([each.positions for each in hits]))
        listed.take_in(new, (yield from ask(Rows(new))), hits)
    return listed.ranking()


class _Lists:
    """The heads of the seeds' lists, as far as they were fetched.

    Args:
        asked: What the list is made from.
        space: Where gains are inner products.
        seed_rows: (S,) the stored rows of the seeds.
    """

    def __init__(self, asked: Asked, space: Space, seed_rows: EntityRows) -> None:
        self._asked, self._space, self._seed_rows = asked, space, seed_rows
        self._voices = Voices.of(seed_rows, asked.seeds.weights, asked.size)
        self._combine = COMBINATIONS[asked.strategy]
        pool, places = space.pool(seed_rows), np.arange(len(seed_rows))
        one = [pool.query(places, asked.seeds.weights)]
        queries = one if asked.strategy == "mean" else [pool.vector(place) for place in places.tolist()]
        self._aims = [Aim.of(query, space.frame) for query in queries]
        self._floors = np.full(len(queries), np.inf)
        self.fetches = 0
        self.positions = np.empty(0, dtype=np.int64)
        self._rows = seed_rows.take(self.positions)
        self._pool, self._values = pool, np.empty(0)

    def requests(self) -> tuple[Request[Hits], ...]:
        """Return what to fetch next: of each list as much as there is already, and at least what is wanted."""
        wanted = self._voices.depth if self._asked.strategy == "rank-fusion" else self._asked.size
        size = max(wanted + _SPARE, len(self.positions))
        barred = np.unique(np.concatenate([self.positions, self._asked.excluded, self._asked.seeds.stored]))
        return tuple(Nearest(self._space.field, aim.query, size, barred, self._asked.filter) for aim in self._aims)

    def take_in(self, positions: Int64, rows: EntityRows, hits: Sequence[Hits]) -> None:
        """Add entities (m,) that were not here, with their stored rows, and what the lists' floors are now."""
        both = np.concatenate([self.positions, positions])
        order = np.argsort(both)
        self.positions, self._rows = both[order], stacked([self._rows, rows]).take(order)
        rounding = _ROUNDING * self._space.largest_norm
        self._floors = np.array([h.floor + rounding * aim.length for h, aim in zip(hits, self._aims, strict=True)])
        self._pool = self._space.pool(stacked([self._rows, self._seed_rows]))
        gains = self._pool.gains(np.arange(len(order), self._pool.size))[:, : len(order)]
        self._values = self._combine(gains, self._voices)
        self.fetches += 1

    def proved(self) -> bool:
        """Return whether no entity that was not fetched could be among the results."""
        if not self.fetches:
            return False
        if self._asked.strategy == "rank-fusion" or (self._floors == -np.inf).all():
            return True
        size = self._asked.size
        return len(self._values) >= size and bool(np.partition(self._values, -size)[-size] >= self._bound())

    def _bound(self) -> float:
        """Return the highest score of any entity that was not fetched."""
        if self._asked.strategy == "mean":
            return float(self._floors[0]) / len(self._seed_rows)
        return float(self._combine(self._floors[:, None], self._voices)[0])

    def ranking(self) -> Ranking:
        """Return the best of the entities."""
        seeds, exact = np.arange(len(self.positions), self._pool.size), self._space.facts.exact and self.proved()
        places = leading(self._values, self._asked.size)
        found = ranking_of(self._pool, self._asked, seeds, places, self._values, exact, self.fetches)
        positions, joined = self.positions[found.positions], self.positions[found.joined]
        return dataclasses.replace(found, positions=positions, joined=joined)


def ranking_of(
    pool: Pool, asked: Asked, seeds: Int64, places: Int64, values: Float64, exact: bool, fetches: int
) -> Ranking:
    """Return entities at `places` (T,) of a pool with their scores, ranked again if that is asked for."""
    scores, joined = values[places], places
    if asked.settings.search.rerank:
        members = np.concatenate([seeds, places])
        places, scores = rank(pool, members, len(seeds), asked.settings.search, asked.seeds.weights)
    gains, weights = pool.gains(seeds), asked.seeds.weights
    similarities, between = mean_gain(gains[:, places], weights), gain_between(gains[:, seeds], weights)
    return Ranking(places, scores, similarities, joined, between, exact, fetches)
