"""The plan of an expansion against a store: a generator without I/O, and its driver.

Scores are inner products (`scoring.py`), so candidates come from nearest-neighbour queries:

1. fetch a pool, the entities nearest to the set's query vector;
2. let entities of the pool join the set one after the other (`search.py`), which moves the query;
3. fetch again as soon as an entity outside the pool might be better than one inside.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from entity_expand.errors import ConfigError
from entity_expand.pools import Pool, VectorPool
from entity_expand.scoring import EntityRows, query_vector
from entity_expand.search import SearchSettings, SetSearch
from entity_expand.stores.base import Hits, Store
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
class Rows:
    """A request for the stored rows of entities, answered by `EntityRows` in this order."""

    positions: Int64


@dataclass(frozen=True, slots=True)
class Nearest:
    """A request for the entities nearest to a query vector, answered by `Hits`."""

    query: Float64
    size: int
    excluded: Int64


Request: TypeAlias = Rows | Nearest
Answer: TypeAlias = EntityRows | Hits


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
class StoreFacts:
    """What a plan must know of the store beforehand: V, n, and the largest norm of its vectors."""

    vocabulary: int
    entities: int
    largest_norm: float


def plan(
    seeds: Int64, size: int, settings: ExpandSettings, excluded: Int64, facts: StoreFacts
) -> Generator[Request, Answer, Ranking]:
    """Expand one set against a store that answers requests.

    Args:
        seeds: (S,) positions, in query order.
        size: How many results.
        settings: How to expand, in the space of the heads.
        excluded: (x,) positions that may not join; no seeds among them.
        facts: About the store.

    Returns:
        The ranking. It is exact if every candidate that was examined is provably the one a full scan would give.
    """
    weight = settings.both_directions
    target = min(len(seeds) + size, facts.entities - len(excluded))
    members, rows, fetches, exact = seeds, _rows((yield Rows(seeds))), 0, True
    while True:
        query, last = query_vector(rows, weight), fetches + 1 == settings.max_fetches
        wanted = max(settings.pool_size << fetches, target - len(members) if last else 0)
        hits = _hits((yield Nearest(query, wanted, np.union1d(members, excluded))))
        fetches += 1
        positions = np.union1d(members, hits.positions)
        pool = VectorPool(_rows((yield Rows(positions))), facts.vocabulary, weight)
        search = SetSearch(pool, np.searchsorted(positions, members), len(seeds), settings.search)
        reach = _Reach(pool, hits.floor, query, facts.largest_norm)
        exact = _grow(search, reach, target, trust=last) and exact
        members, rows = positions[search.members], pool.rows.take(search.members)
        if len(members) >= target:
            places, scores = search.ranking()
            return Ranking(positions[places], scores, search.similarities(places), exact, fetches)


def _grow(search: SetSearch, reach: _Reach, target: int, trust: bool) -> bool:
    """Let entities join until the set is full or the pool must be fetched again; return whether all was proved."""
    proved = True
    while len(search.members) < target:
        if not reach.certain(search):
            if not trust:
                break
            proved = False
        reach.move(search.step(search.window))
    return proved


class _Reach:
    """Tells whether an entity outside a fetched pool could be among the next candidates.

    Outside the pool every score was at most `floor` for the query q₀ that fetched it. For the query q of the grown
    set it is at most α floor + ‖q - α q₀‖ max‖x‖ for any α >= 0, here the α that makes q - α q₀ shortest.
    """

    def __init__(self, pool: VectorPool, floor: float, query: Float64, largest_norm: float) -> None:
        self._pool, self._floor, self._fetched, self._norm = pool, floor, query, largest_norm
        self._query = query
        self._length = float(np.linalg.norm(query))

    def certain(self, search: SetSearch) -> bool:
        """Return whether the next step's candidates are those of a full scan."""
        if self._floor == -np.inf:
            return True
        candidates = search.candidates(search.window)
        if len(candidates) < search.window or self._query is self._fetched:
            return len(candidates) == search.window
        alpha = max(0.0, float(self._query @ self._fetched) / float(self._fetched @ self._fetched))
        drift = float(np.linalg.norm(self._query - alpha * self._fetched))
        bound = alpha * self._floor + (drift + _ROUNDING * self._length) * self._norm
        return search.score(int(candidates[-1])) >= bound

    def move(self, joined: int) -> None:
        """Take note that the entity at a place of the pool has joined."""
        gain = query_vector(self._pool.rows.take(np.array([joined])), self._pool.both_directions)
        self._query = self._query + gain
        self._length += float(np.linalg.norm(gain))


def _rows(answer: Answer) -> EntityRows:
    if not isinstance(answer, EntityRows):
        raise TypeError(f"the store answered a request for rows with {type(answer).__name__}")
    return answer


def _hits(answer: Answer) -> Hits:
    if not isinstance(answer, Hits):
        raise TypeError(f"the store answered a request for neighbours with {type(answer).__name__}")
    return answer


def run(steps: Generator[Request, Answer, Ranking], store: Store) -> Ranking:
    """Drive a plan against a store."""
    try:
        request = next(steps)
        while True:
            if isinstance(request, Rows):
                request = steps.send(store.rows(request.positions))
            else:
                request = steps.send(store.nearest(request.query, request.size, request.excluded))
    except StopIteration as done:
        ranking: Ranking = done.value
        return ranking


def search_whole(pool: Pool, seeds: Int64, size: int, settings: SearchSettings, excluded: Int64) -> Ranking:
    """Expand one set inside a pool of all entities; arguments as for `plan`."""
    closed = np.zeros(pool.size, dtype=bool)
    closed[excluded] = True
    search = SetSearch(pool, seeds, len(seeds), settings, closed)
    while len(search.members) < min(len(seeds) + size, pool.size - len(excluded)):
        search.step(search.window)
    places, scores = search.ranking()
    return Ranking(places, scores, search.similarities(places), exact=True, fetches=0)
