"""The plan of an expansion against a store: a generator of requests, without I/O.

Scores are inner products (`scoring.py`), so candidates come from nearest-neighbour queries:

1. fetch a pool, the entities nearest to the set's query vector;
2. let entities of the pool join the set one after the other (`search.py`), which moves the query;
3. fetch again as soon as an entity outside the pool might be better than one inside.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from entity_expand.errors import ConfigError, QueryError
from entity_expand.pools import Pool, VectorPool
from entity_expand.scoring import EntityRows, feature_rows
from entity_expand.search import SearchSettings, SetSearch
from entity_expand.stores.base import Facts, Filter, Matching, Nearest, Rows, Steps, VectorField, ask
from entity_expand.types import Float64, Int64

_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class ExpandSettings:
    """How an expansion is computed; the defaults are the paper's.

    Attributes:
        both_directions: λ, the weight of how well the candidate's sentences predict the members, beside how well
            theirs predict the candidate. 0 is the paper's score.
        space: "heads" scores by the entity head as in the paper; "features" by the cosine of centred features.
        search: How the set grows and is ranked.
        pool_size: K, entities per fetch; doubled at every further fetch.
        max_fetches: After so many fetches the pool is trusted, and the result marked as not exact. None: no limit.
    """

    both_directions: float = 0.0
    space: Literal["heads", "features"] = "heads"
    search: SearchSettings = field(default_factory=SearchSettings)
    pool_size: int = 400
    max_fetches: int | None = None

    def __post_init__(self) -> None:
        if self.space not in ("heads", "features"):
            raise ConfigError(f"space must be 'heads' or 'features', not {self.space!r}.")
        if not 0 <= self.both_directions < float("inf"):
            raise ConfigError(f"both_directions must be a number of at least 0, not {self.both_directions}.")
        if self.pool_size < 1 or (self.max_fetches is not None and self.max_fetches < 1):
            raise ConfigError(f"pool_size and max_fetches must be at least 1: {self.pool_size}, {self.max_fetches}.")


@dataclass(frozen=True, slots=True)
class Ranking:
    """The outcome of a plan: positions and scores by falling score, (T,) each.

    `similarities` (T,) holds the mean over the seeds of what each adds to the score.
    """

    positions: Int64
    scores: Float64
    similarities: Float64
    exact: bool
    fetches: int


@dataclass(frozen=True, slots=True)
class Space:
    """Where scores are inner products: which vectors are searched, and what stored rows look like there.

    Attributes:
        field: The vectors that are searched.
        largest_norm: The largest norm among them.
        both_directions: λ.
        facts: About the index.
    """

    field: VectorField
    largest_norm: float
    both_directions: float
    facts: Facts

    @classmethod
    def of(cls, settings: ExpandSettings, facts: Facts) -> Space:
        """Return the space of some settings.

        Raises:
            QueryError: The index does not hold the vectors that this needs.
        """
        weight = settings.both_directions if settings.space == "heads" else 0.0
        name: VectorField = "feature" if settings.space == "features" else "pair" if weight else "head"
        if name not in facts.largest_norms:
            raise QueryError(
                f"The index holds the vectors {', '.join(facts.largest_norms)}; space {settings.space!r} with "
                f"both_directions={settings.both_directions} needs {name!r}. Choose others, or index with them."
            )
        return cls(name, facts.largest_norms[name], weight, facts)

    def rows(self, stored: EntityRows) -> EntityRows:
        """Return rows whose inner products are the scores of this space."""
        if self.field != "feature":
            return stored
        return feature_rows(stored, self.facts.mean_feature, self.facts.meta.vocabulary)

    def pool(self, stored: EntityRows) -> VectorPool:
        """Return a pool of entities."""
        return VectorPool(self.rows(stored), self.facts.meta.vocabulary, self.both_directions)


def ranking_steps(
    seeds: Int64, size: int, settings: ExpandSettings, excluded: Int64, facts: Facts, whole: Pool | None = None,
    filtered: Filter | None = None,
) -> Steps[Ranking]:  # fmt: skip
    """Expand one set by the way that fits: inside `whole`, all entities with their scores, or by a plan."""
    if whole is None or settings.space == "features":
        return (yield from plan(seeds, size, settings, excluded, facts, filtered))
    if filtered is not None:
        passing = np.union1d((yield from ask(Matching(filtered))), seeds)
        excluded = np.union1d(excluded, np.setdiff1d(np.arange(whole.size), passing))
    return search_whole(whole, seeds, size, settings.search, excluded)


def plan(
    seeds: Int64, size: int, settings: ExpandSettings, excluded: Int64, facts: Facts, filtered: Filter | None = None
) -> Steps[Ranking]:
    """Expand one set against a store that answers requests.

    Args:
        seeds: (S,) positions, in query order.
        size: How many results; fewer come back if there are no more.
        settings: How to expand.
        excluded: (x,) positions that may not join; no seeds among them.
        facts: About the index.
        filtered: Which entities may join; None for all.

    Returns:
        The ranking. It is exact if every candidate that was examined is provably the one a full scan would give.

    Raises:
        QueryError: The index does not hold the vectors that the settings need.
    """
    space, searching = Space.of(settings, facts), in_space(settings)
    target, limit = len(seeds) + size, settings.max_fetches if searching.grow else 1
    positions, order = np.sort(seeds), np.argsort(seeds)
    pool = space.pool((yield from ask(Rows(positions))))
    members, fetches, exact = np.argsort(order), 0, facts.exact  # members: places in the pool, in order of joining
    while True:
        counting = members if searching.grow else members[: len(seeds)]
        query, last = pool.query(counting), limit is not None and fetches + 1 >= limit
        wanted = max(settings.pool_size << fetches, target - len(members) if last else 0)
        barred = np.union1d(positions[members], excluded)
        hits = yield from ask(Nearest(space.field, query, wanted, barred, filtered))
        fetches += 1
        new = np.setdiff1d(hits.positions, positions)
        merged = np.union1d(positions, new)
        if len(new):
            places = np.searchsorted(merged, positions)
            pool.extend(space.rows((yield from ask(Rows(new)))), places, np.searchsorted(merged, new))
            members = places[members]
        positions = merged
        if hits.floor == -np.inf:
            target = min(target, len(positions))
        search = SetSearch(pool, members, len(seeds), searching)
        exact = _grow(search, _Reach(pool, hits.floor, query, space.largest_norm), target, trust=last) and exact
        members = search.members.copy()
        if len(members) >= target:
            places, scores = search.ranking()
            return Ranking(positions[places], scores, search.similarities(places), exact, fetches)


def in_space(settings: ExpandSettings) -> SearchSettings:
    """Return how a set grows: as the settings say, in feature space by the seeds alone."""
    if settings.space == "heads":
        return settings.search
    return dataclasses.replace(settings.search, window=1, window_growth=0, grow=False, rerank=False)


def _grow(search: SetSearch, reach: _Reach, target: int, trust: bool) -> bool:
    """Let entities join until the set is full or the pool must be fetched again; return whether all was proved."""
    proved = True
    while len(search.members) < target:
        candidates = search.candidates(search.window)
        if not len(candidates):
            break
        if not reach.certain(search.window, len(candidates), search.score(int(candidates[-1]))):
            if not trust:
                break
            proved = False
        joined = search.choose(candidates)
        if search.grows:
            reach.move(joined)
    return proved


class _Reach:
    """Tells whether an entity outside a fetched pool could be among the next candidates.

    Outside the pool every x had a score of at most `floor` for the query q₀ that fetched it: t = x·q₀/‖q₀‖ is at most
    τ = floor/‖q₀‖. The query of the grown set is q = α q₀ + d with d orthogonal to q₀, so x scores at most
    α ‖q₀‖ t + ‖d‖ √(M² - t²) with M the largest norm. This rises with t up to t* = M α ‖q₀‖ / ‖q‖; its largest value
    is therefore reached at τ, or at t* if that is smaller.
    """

    def __init__(self, pool: VectorPool, floor: float, query: Float64, largest_norm: float) -> None:
        self._pool, self._floor, self._norm = pool, floor, largest_norm
        self._fetched = self._query = query
        self._first = self._path = _length(query)  # ‖q₀‖, and the length of the way that led to q

    def certain(self, window: int, found: int, lowest: float) -> bool:
        """Return whether the next step's candidates are those of a full scan.

        Args:
            window: How many candidates are wanted.
            found: How many the pool has.
            lowest: The score of the last of them.
        """
        if self._floor == -np.inf:
            return True
        if found < window or self._query is self._fetched:
            return found == window
        return lowest >= self.bound() + _ROUNDING * self._path * self._norm

    def bound(self) -> float:
        """Return the highest score that an entity outside can have for the query of the grown set."""
        along = float(self._query @ self._fetched) / self._first if self._first else 0.0
        length = _length(self._query)
        across = math.sqrt(max(0.0, length**2 - along**2))
        highest = self._norm * along / length if length else 0.0
        reach = min(self._floor / self._first, highest) if self._first else highest
        return along * reach + across * math.sqrt(max(0.0, self._norm**2 - reach**2))

    def move(self, joined: int) -> None:
        """Take note that the entity at a place of the pool has joined."""
        gain = self._pool.query(np.array([joined]))
        self._query = self._query + gain
        self._path += _length(gain)


def _length(vector: Float64) -> float:
    return math.sqrt(float(vector @ vector))


def rank_pool(pool: Pool, positions: Int64, seeds: Int64, size: int, settings: SearchSettings) -> Ranking:
    """Expand one set inside a pool that someone else has chosen.

    Args:
        pool: Entities in id order.
        positions: (K,) what the ranking calls them.
        seeds: (S,) places in the pool, in query order.
        size: How many results; fewer if the pool has no more.
        settings: How the set grows and is ranked.

    Returns:
        The ranking; it is not exact, since nothing is known of the entities outside.
    """
    inside = search_whole(pool, seeds, size, settings, np.empty(0, dtype=np.int64))
    return dataclasses.replace(inside, positions=positions[inside.positions], exact=False)


def search_whole(pool: Pool, seeds: Int64, size: int, settings: SearchSettings, excluded: Int64) -> Ranking:
    """Expand one set inside a pool of all entities; arguments as for `plan`."""
    closed = np.zeros(pool.size, dtype=bool)
    closed[excluded] = True
    search = SetSearch(pool, seeds, len(seeds), settings, closed)
    while len(search.members) < min(len(seeds) + size, pool.size - len(excluded)):
        search.step(search.window)
    places, scores = search.ranking()
    return Ranking(places, scores, search.similarities(places), exact=True, fetches=0)
