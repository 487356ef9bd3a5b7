"""A set that grows over entities fetched from a store, and the proof that no other entity would have joined.

Two circles lie around the set. The outer one holds all entities that were fetched; the search itself runs in the inner
one, those of them that are nearest now. For both it is known how high the entities outside can score. So most of what
was fetched is never compared with anything but the query, and the store is asked again only when it must be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from entity_expand.search.frame import PairFrame
from entity_expand.search.pools import VectorPool
from entity_expand.search.reach import Aim, Reach
from entity_expand.search.scoring import EntityRows, feature_rows
from entity_expand.search.window import SearchSettings, SetSearch
from entity_expand.seeds import SeedSet
from entity_expand.stores.base import Facts, VectorField
from entity_expand.types import AnyArray, Float64, Int64

_NEAR = 128
_AHEAD = 0.3
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Ranking:
    """The outcome of a plan: positions and scores by falling score, (T,) each.

    `similarities` (T,) holds the mean over the seeds of what each adds to the score, `joined` (T,) the positions in the
    order that they had before they were ranked again, `between` the mean gain between two seeds, None for one alone.
    `fused` (T,) holds the scores of several channels together, None where the model alone speaks.
    """

    positions: Int64
    scores: Float64
    similarities: Float64
    joined: Int64
    between: float | None
    exact: bool
    fetches: int
    fused: Float64 | None = None

    @property
    def telling(self) -> Float64:
        """What says how sure each result is, (T,)."""
        return self.similarities if self.fused is None else self.fused


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

    @property
    def frame(self) -> PairFrame | None:
        """How the vectors are balanced among which `largest_norm` is the largest."""
        return self.facts.pair_frame if self.field == "pair" else None

    def rows(self, stored: EntityRows) -> EntityRows:
        """Return rows whose inner products are the scores of this space."""
        if self.field != "feature":
            return stored
        return feature_rows(stored, self.facts.mean_feature, self.facts.meta.vocabulary)

    def pool(self, stored: EntityRows) -> VectorPool:
        """Return a pool of entities."""
        return VectorPool(self.rows(stored), self.facts.meta.vocabulary, self.both_directions)


class Growth:
    """One set, from its seeds to its last member.

    Args:
        space: Where it grows.
        seeds: In query order.
        rows: Their stored rows.
        settings: How it grows and is ranked.
    """

    def __init__(self, space: Space, seeds: SeedSet, rows: EntityRows, settings: SearchSettings) -> None:
        self._space, self._settings = space, settings
        self._seeds, self._weights = len(seeds), seeds.weights
        self.members = seeds.positions
        order = np.argsort(self.members)
        self._inner, self._places = space.pool(rows.take(order)), self.members[order]
        self._search = SetSearch(self._inner, np.argsort(order), self._seeds, settings, None, self._weights)
        self._aim = Aim.of(self._inner.query(self._search.members, self._weights), space.frame)
        steps = zip(self._search.members.tolist(), self._weights or [1.0] * len(seeds), strict=True)
        self._path = sum(self._step(place, weight).length for place, weight in steps)
        self._blocks: list[tuple[Int64, EntityRows]] = []
        self._outer: list[Reach] = []
        self._stuck = True

    @property
    def available(self) -> int:
        """How many entities there are: the seeds, and all that were fetched."""
        return self._seeds + sum(len(positions) for positions, _ in self._blocks)

    @property
    def taken_in(self) -> Int64:
        """The positions of the seeds that the index holds, and of all that were fetched, rising."""
        stored = self._places[self._places >= 0]
        return np.union1d(stored, np.concatenate([np.empty(0, np.int64), *(known for known, _ in self._blocks)]))

    def aim(self, target: int) -> Aim:
        """Return what to fetch for next.

        It lies ahead on the way that the set will probably go, since a circle drawn there proves steps before and
        after; but at the set itself if the last circle let nobody join, so that some step is proved in the end.
        """
        weight = self._settings.member_weight
        count = 0 if self._stuck or not weight else int(_AHEAD * (target - len(self.members)))
        if not count:
            return self._aim
        ahead = sum(self._inner.vector(place) for place in self._search.candidates(count).tolist())
        return Aim.of(self._aim.query + weight * ahead, self._space.frame)

    def take_in(self, positions: Int64, rows: EntityRows, aim: Aim, floor: float) -> None:
        """Widen the outer circle by entities that were fetched.

        Args:
            positions: (m,) of those that were not taken in yet.
            rows: Their stored rows.
            aim: What they were fetched for.
            floor: Highest score for it of any entity that was never fetched.
        """
        self._blocks.append((positions, self._space.rows(rows)))
        self._outer.append(Reach(aim, floor, self._space.largest_norm))

    def grow(self, target: int, trust: bool) -> bool:
        """Let entities join until there are `target` members, or one outside the outer circle might be better.

        Args:
            target: Members wanted, seeds included.
            trust: Go on without proof then.

        Returns:
            Whether all who joined here were proved to be those of a full scan.
        """
        proved, begun = True, len(self.members)
        while len(self.members) < target:
            inner, search, joined = [self._draw(target)], self._search, len(self.members)
            while len(search.members) < target:
                candidates = search.candidates(search.window)
                if not self._certain(inner, candidates):
                    break
                if not self._certain(self._outer, candidates):
                    if not trust or not len(candidates):
                        break
                    proved = False
                self._join(candidates)
            self.members = self._places[search.members]
            if len(self.members) == joined:
                break
        self._stuck = len(self.members) == begun
        return proved

    def _certain(self, reaches: list[Reach], candidates: Int64) -> bool:
        """Return whether no entity outside the circles could be among the candidates of the next step."""
        bound = min(reach.bound(self._aim) for reach in reaches)
        if bound == -np.inf:
            return True
        if len(candidates) < self._search.window:
            return False
        if any(reach.centre is self._aim for reach in reaches):
            return True
        slack = _ROUNDING * self._path * self._space.largest_norm
        return self._search.score(int(candidates[-1])) >= bound + slack

    def _join(self, candidates: Int64) -> None:
        joined = self._search.choose(candidates)
        if self._settings.member_weight:
            step = self._step(joined, self._settings.member_weight)
            self._aim = self._aim.moved(step)
            self._path += step.length

    def _step(self, place: int, weight: float) -> Aim:
        """Return how one entity of a weight moves the query."""
        return Aim.of(weight * self._inner.vector(place), self._space.frame)

    def _draw(self, target: int) -> Reach:
        """Draw the inner circle around the present query, and begin a search in it."""
        near, floor = self._nearest(max(_NEAR, target, self._settings.widest))
        new = np.setdiff1d(near, self._places)
        places = np.union1d(self._places, new)
        if len(new):
            old = np.searchsorted(places, self._places)
            self._inner.extend(self._fetched(new), old, np.searchsorted(places, new))
            self._places = places
        members = np.searchsorted(places, self.members)
        self._search = SetSearch(self._inner, members, self._seeds, self._settings, None, self._weights)
        return Reach(self._aim, floor, self._space.largest_norm)

    def _nearest(self, size: int) -> tuple[Int64, float]:
        """Return the fetched entities nearest to the query that have not joined, and the highest score of the rest."""
        positions = np.concatenate([known for known, _ in self._blocks])
        scores = np.concatenate([self._scores(rows) for _, rows in self._blocks])
        scores[np.isin(positions, self.members)] = -np.inf
        if len(scores) <= size:
            return positions[scores > -np.inf], -np.inf
        order = np.argpartition(-scores, size)
        near = order[:size]
        return positions[near[scores[near] > -np.inf]], float(scores[order[size]])

    def _scores(self, rows: EntityRows) -> AnyArray:
        query = self._aim.query.astype(np.float32)
        if not self._space.both_directions:
            return rows.head @ query
        return rows.head @ query[: rows.head.shape[1]] + rows.scaled @ query[rows.head.shape[1] :]

    def _fetched(self, positions: Int64) -> EntityRows:
        """Return the rows of fetched entities, in this order."""
        known = np.concatenate([each for each, _ in self._blocks])
        order = np.argsort(known)
        found = order[np.searchsorted(known, positions, sorter=order)]
        starts = np.cumsum([0, *(len(each) for each, _ in self._blocks)])
        parts = np.searchsorted(starts, found, side="right") - 1
        width = self._blocks[0][1].head.shape[1]
        count = len(positions)
        rows = EntityRows(
            np.empty((count, width), np.float32), np.empty((count, width), np.float32), np.empty(count), np.empty(count)
        )
        for number, (_, block) in enumerate(self._blocks):
            here = parts == number
            taken = block.take(found[here] - starts[number])
            rows.head[here], rows.scaled[here] = taken.head, taken.scaled
            rows.deviation[here], rows.log_offset[here] = taken.deviation, taken.log_offset
        return rows

    def ranking(self, exact: bool, fetches: int) -> Ranking:
        """Return the members in their final order."""
        places, scores = self._search.ranking()
        similarities, joined = self._search.similarities(places), self._places[self._search.joined]
        between = self._search.between
        return Ranking(self._places[places], scores, similarities, joined, between, exact, fetches)
