"""The plan of an expansion against a store: a generator of requests, without I/O.

Scores are inner products (`scoring.py`), so candidates come from nearest-neighbour queries:

1. fetch a pool, the entities nearest to the set's query vector;
2. let entities of the pool join the set one after the other (`window.py`), which moves the query;
3. fetch further entities, nearest to where the set is going, as soon as one outside the pool might be better than one
   inside.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from entity_expand.channels.fusion import ChannelWeights
from entity_expand.config import check, setting
from entity_expand.errors import QueryError
from entity_expand.search.growth import Growth, Ranking, Space
from entity_expand.search.pools import Pool
from entity_expand.search.window import SearchSettings, SetSearch
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Facts, Matching, Nearest, Rows, Steps, VectorField, ask
from entity_expand.stores.filters import Filter
from entity_expand.types import LARGEST_WEIGHT, Int64


@dataclass(frozen=True, slots=True)
class ExpandSettings:
    """How an expansion is computed; the defaults are the paper's.

    Attributes:
        both_directions: λ, the weight of how well the candidate's sentences predict the members, beside how well
            theirs predict the candidate, a million at most. 0 is the paper's score.
        space: "heads" scores by the entity head as in the paper; "features" by the cosine of centred features.
        search: How the set grows and is ranked.
        pool_size: K, entities of the first fetch; every further one doubles the pool.
        max_fetches: After so many fetches the pool is trusted, and the result marked as not exact. None: no limit.
        channels: How much each channel counts in the strategy "hybrid"; None for the defaults.
    """

    both_directions: float = setting(0.0, low=0, high=LARGEST_WEIGHT)
    space: Literal["heads", "features"] = "heads"
    search: SearchSettings = field(default_factory=SearchSettings)
    pool_size: int = setting(1000, low=1)
    max_fetches: int | None = setting(None, low=1)
    channels: ChannelWeights | None = None

    def __post_init__(self) -> None:
        check(self)


def space_of(settings: ExpandSettings, facts: Facts) -> Space:
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
    return Space(name, facts.largest_norms[name], weight, facts)


def ranking_steps(
    seeds: SeedSet, size: int, settings: ExpandSettings, excluded: Int64, facts: Facts, whole: Pool | None = None,
    filtered: Filter | None = None,
) -> Steps[Ranking]:  # fmt: skip
    """Expand one set by the way that fits: inside `whole`, all entities with their scores, or by a plan."""
    if whole is None or settings.space == "features" or seeds.new is not None:
        return (yield from plan(seeds, size, settings, excluded, facts, filtered))
    closed = yield from closed_in(whole, seeds, excluded, filtered)
    return search_whole(whole, seeds.positions, size, settings.search, closed, seeds.weights)


def closed_in(whole: Pool, seeds: SeedSet, excluded: Int64, filtered: Filter | None) -> Steps[Int64]:
    """Return the positions, rising, of all entities that may not be results; seeds need not be among them."""
    if filtered is None:
        return excluded
    passing = np.union1d((yield from ask(Matching(filtered))), seeds.positions)
    return np.union1d(excluded, np.setdiff1d(np.arange(whole.size), passing))


def plan(
    seeds: SeedSet, size: int, settings: ExpandSettings, excluded: Int64, facts: Facts, filtered: Filter | None = None
) -> Steps[Ranking]:
    """Expand one set against a store that answers requests.

    Args:
        seeds: In query order.
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
    space, searching = space_of(settings, facts), in_space(settings)
    target, limit = len(seeds) + size, settings.max_fetches if searching.member_weight else 1
    growing = Growth(space, seeds, (yield from seeds.rows()), searching)
    fetches, exact = 0, facts.exact
    while True:
        last = limit is not None and fetches + 1 >= limit
        to_come = target - len(growing.members) + searching.widest if last else 0
        wanted = max(pool_at(fetches, settings.pool_size), to_come)
        aim, barred = growing.aim(target), np.union1d(growing.taken_in, excluded)
        hits = yield from ask(Nearest(space.field, aim.query, wanted, barred, filtered))
        fetches += 1
        new = np.sort(hits.positions)
        growing.take_in(new, (yield from ask(Rows(new))), aim, hits.floor)
        if hits.floor == -np.inf:
            target = min(target, growing.available)
        exact = growing.grow(target, trust=last) and exact
        if len(growing.members) >= target:
            return growing.ranking(exact, fetches)


def pool_at(fetches: int, first: int) -> int:
    """Return how many further entities to ask for after so many fetches: so many that the pool doubles."""
    return first << max(0, fetches - 1)


def in_space(settings: ExpandSettings) -> SearchSettings:
    """Return how a set grows: as the settings say, in feature space by the seeds alone."""
    if settings.space == "heads":
        return settings.search
    return dataclasses.replace(settings.search, window=1, window_growth=0, member_weight=0.0, rerank=False)


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
    found, joined = positions[inside.positions], positions[inside.joined]
    return dataclasses.replace(inside, positions=found, joined=joined, exact=False)


def search_whole(
    pool: Pool, seeds: Int64, size: int, settings: SearchSettings, excluded: Int64, weights: tuple[float, ...] = ()
) -> Ranking:
    """Expand one set inside a pool of all entities; `seeds` are places in it, the rest is as for `plan`."""
    closed = np.zeros(pool.size, dtype=bool)
    closed[excluded] = True
    search = SetSearch(pool, seeds, len(seeds), settings, closed, weights)
    while len(search.members) < min(len(seeds) + size, pool.size - len(excluded)):
        search.step(search.window)
    places, scores = search.ranking()
    similarities, joined = search.similarities(places), search.joined.copy()
    return Ranking(places, scores, similarities, joined, search.between, exact=True, fetches=0)
