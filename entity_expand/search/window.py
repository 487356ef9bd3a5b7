"""The search of the paper: grow a set one entity at a time, then rank what was added (NOTES.md section 9)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from entity_expand.config import check, setting
from entity_expand.errors import QueryError
from entity_expand.search.pools import Pool
from entity_expand.seeds.gains import gain_between, mean_gain
from entity_expand.types import LARGEST_WEIGHT, AnyArray, Bool, Float64, Int64

# Weight of a member in the ideal distribution of its set, by its place in the order of joining: (first place, weight).
WINDOW_TIERS = ((0, 1000.0), (41, 500.0), (75, 300.0))
RANKING_TIERS = ((0, 1600.0), (20, 900.0), (35, 600.0), (70, 150.0))
_NEAR = 128
_AHEAD = 16
_LOWEST = -float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a set is grown and ranked; the defaults are the paper's.

    Attributes:
        window: w0, candidates examined per step while fewer than `window_step` have joined.
        window_growth: How the window widens afterwards.
        window_step: Members that join before the window widens, and per unit of widening.
        rerank: Whether the members are ranked again at the end.
        rank_weight: μ, the weight of the order of joining in that ranking, a million at most.
        member_weight: How much a member that joins counts from then on, beside 1 for a seed. 0 ranks by the seeds
            alone; small classes are found better with a fifth or so, since a wrong member leads less far astray.
        compatible_seeds: Number of leading seeds that are left out of the result, and of the count that widens
            the window, whatever the number of seeds. None: all of them. The original has 3 here, so that of
            five seeds the last two come back as results (NOTES.md section 9.2).
    """

    window: int = setting(1, low=1, high=1_000_000)
    window_growth: float = setting(2.5, low=0, high=LARGEST_WEIGHT)
    window_step: int = setting(20, low=1, high=1_000_000)
    rerank: bool = True
    rank_weight: float = setting(9.0, low=0, high=LARGEST_WEIGHT)
    member_weight: float = setting(1.0, low=0, high=1)
    compatible_seeds: int | None = setting(None, low=0)

    def __post_init__(self) -> None:
        check(self)

    def window_at(self, joined: int) -> int:
        """Return how many candidates are examined once `joined` entities have joined the seeds."""
        if joined < self.window_step:
            return self.window
        if joined >= 100:
            return 1
        slope = self.window_growth * (1.0 if joined < 50 else 1.25)
        return int(self.window + joined / self.window_step * slope)

    @property
    def widest(self) -> int:
        """The widest window there is."""
        return max(self.window_at(joined) for joined in range(101))

    def seeds_left_out(self, seeds: int) -> int:
        """Return how many leading members are not results, for a query of `seeds` seeds."""
        return seeds if self.compatible_seeds is None else self.compatible_seeds


@dataclass(frozen=True, slots=True)
class Tiers:
    """The weights of n members, and what every divergence from them needs.

    Attributes:
        weights: (n,) multiples t of the mean probability.
        excess: (n,) t - 1.
        total: Σ t.
        entropy: Σ t ln t.
    """

    weights: Float64
    excess: Float64
    total: float
    entropy: float


def tiers_of(weights: Float64) -> Tiers:
    """Return what a divergence needs of weights (n,)."""
    return Tiers(weights, weights - 1.0, float(weights.sum()), float(weights @ np.log(weights)))


@functools.lru_cache(maxsize=512)
def tiers_at(count: int, steps: tuple[tuple[int, float], ...], seed_weights: tuple[float, ...] = ()) -> Tiers:
    """Return the weights of `count` members by their places in the order of joining, times those of the seeds."""
    firsts = np.array([first for first, _ in steps])
    weights = np.array([weight for _, weight in steps])[np.searchsorted(firsts, np.arange(count), side="right") - 1]
    weights[: len(seed_weights)] *= seed_weights
    return tiers_of(weights)


def divergence(pool: Pool, places: Int64, members: Int64, tiers: Tiers, own: bool) -> Float64:
    """Return KL(set || candidate) for each candidate, (w,) float64 (NOTES.md sections 9 and 9.1).

    The set's distribution u is, before it is normalised, the candidate's mean probability m everywhere, its tier's
    weight times m at the members, and, if `own`, the candidate's own probability at the candidate itself. Only the
    candidate's probabilities at the members and its totals enter, so no (V,)-wide row is ever needed.

    Args:
        pool: Where the candidates' probabilities come from.
        places: (w,) candidates.
        members: (n,) members; if `own`, none of them is a candidate.
        tiers: Weights of the n members.
        own: Whether the candidate itself counts with its own probability.
    """
    # With u = m s, a = u / sum(u) and T = sum(u) / m the divergence is (Σ s ln u - Σ s ln q) / T - ln T + ln V.
    shares = pool.vocabulary - len(members) - own + tiers.total
    logs = tiers.entropy - pool.log_total[places]
    logs -= pool.weighted_logs(places, members, tiers.excess)
    log_mean = pool.log_mean[places]
    total: Float64 | float = shares
    if own:
        log_own = pool.log_own[places]
        logs += log_own
        total = shares + np.exp(log_own - log_mean)
    kl: Float64 = (shares * log_mean + logs) / total - np.log(total) + math.log(pool.vocabulary)
    return kl


class SetSearch:
    """One set that grows inside a pool.

    Args:
        pool: Entities in id order.
        members: (m,) places of those who are in the set already, in the order of joining, seeds first; not changed.
        seeds: S, how many of the members are seeds.
        settings: How to grow.
        closed: (K,) entities that may not join, beside the members. Not changed.
        weights: How much each seed counts, S numbers of mean 1; () for all alike.
    """

    def __init__(
        self, pool: Pool, members: Int64, seeds: int, settings: SearchSettings, closed: Bool | None = None,
        weights: tuple[float, ...] = (),
    ) -> None:  # fmt: skip
        self.pool = pool
        self._order = np.empty(pool.size, dtype=np.int64)
        self._count = 0
        self._settings = settings
        self._seeds = seeds
        self._weights = weights
        self._left_out = settings.seeds_left_out(seeds)
        self._scores = np.zeros(pool.size, pool.precision)
        self._near = np.empty(0, dtype=np.int64)
        if closed is not None:
            self._scores[closed] = -np.inf
        for member, gain in zip(members.tolist(), pool.gains(members), strict=True):
            self._join(member, gain)

    @property
    def members(self) -> Int64:
        """The places of the members in the order of joining, seeds first, (n,); a view, valid until the next step."""
        return self._order[: self._count]

    @property
    def joined(self) -> Int64:
        """The places of those who will be results, in the order of joining; a view, valid until the next step."""
        return self.members[self._left_out :]

    @property
    def window(self) -> int:
        """The number of candidates that the next step examines."""
        return self._settings.window_at(self._count - self._left_out)

    def close(self, place: int) -> None:
        """Bar an entity from joining."""
        self._scores[place] = -np.inf
        self._near = self._near[self._near != place]

    def score(self, place: int) -> float:
        """Return the score of an open entity; -inf for a closed one."""
        return float(self._scores[place])

    def candidates(self, window: int) -> Int64:
        """Return the best `window` open entities by falling score, ties by id: (at most window,)."""
        scores = self._scores
        if window == 1:
            best = int(scores.argmax())
            return np.array([best] if scores[best] > -np.inf else [], dtype=np.int64)
        found = (scores >= self._edge(window)).nonzero()[0]
        found = found[(-scores[found]).argsort(kind="stable")]
        self._near = found if len(found) <= _NEAR else found[:_NEAR]
        return found[:window]

    def _edge(self, window: int) -> float:
        """Return a score that at least `window` open entities reach, or all of them if there are fewer.

        The best of one step are among the best of the next, so the worst of those is a good and cheap edge.
        """
        if len(self._near) >= window:
            return float(self._scores[self._near].min())
        count = min(max(_NEAR, window), len(self._scores))
        return max(float(np.partition(self._scores, -count)[-count]), _LOWEST)

    def step(self, window: int) -> int:
        """Let the best of the best `window` open entities join; return its place.

        Raises:
            QueryError: No entity is left.
        """
        return self.choose(self.candidates(window))

    def choose(self, candidates: Int64) -> int:
        """Let the candidate (w,) that diverges least from the set join; return its place.

        Raises:
            QueryError: There is no candidate.
        """
        if not len(candidates):
            raise QueryError(f"No entity is left to join after {self._count} members.")
        if not self.pool.known(candidates):
            self.pool.expect(self.candidates(max(2 * len(candidates), _AHEAD)))
        chosen = int(candidates[0])
        if len(candidates) > 1:
            tiers = tiers_at(self._count, WINDOW_TIERS, self._weights)
            kl = divergence(self.pool, candidates, self.members, tiers, own=True)
            chosen = int(candidates[kl.argmin()])
        self._join(chosen, self.pool.gains(np.array([chosen]))[0])
        return chosen

    def _join(self, place: int, gain: AnyArray) -> None:
        weight = self._settings.member_weight
        if self._count < self._seeds:
            weight = self._weights[self._count] if self._weights else 1.0
        if weight:
            added = gain if weight == 1.0 else gain * self._scores.dtype.type(weight)
            np.add(self._scores, added, out=self._scores)
        self.close(place)
        self._order[self._count] = place
        self._count += 1

    def similarities(self, places: Int64) -> Float64:
        """Return the mean over the seeds of what each adds to the score of entities, (T,) for (T,) places."""
        return mean_gain(self.pool.gains(self.members[: self._seeds])[:, places], self._weights)

    @property
    def between(self) -> float | None:
        """The mean gain between two seeds; None for one seed alone."""
        seeds = self.members[: self._seeds]
        return gain_between(self.pool.gains(seeds)[:, seeds], self._weights)

    def ranking(self) -> tuple[Int64, Float64]:
        """Return the results in their final order, places and scores, (T,) each (NOTES.md section 9.1)."""
        return rank(self.pool, self.members, self._left_out, self._settings, self._weights)


def rank(
    pool: Pool, members: Int64, left_out: int, settings: SearchSettings, weights: tuple[float, ...] = ()
) -> tuple[Int64, Float64]:
    """Rank entities by the order in which they joined and by their divergence from the whole set.

    The score is μ / place + 1 / rank of the divergence, rounded to float32 as in the original; ties by id.

    Args:
        pool: Entities in id order.
        members: (n,) places in the order of joining, seeds first.
        left_out: Number of leading members that are not results.
        settings: `rerank` and `rank_weight`.
        weights: How much each seed counts, of mean 1; () for all alike.

    Returns:
        (n - left_out,) places and scores, by falling score. Without re-ranking the score is 1 / place.
    """
    joined = members[left_out:].copy()
    order_of_joining = np.arange(1, len(joined) + 1)
    if not settings.rerank or not len(joined):
        return joined, 1.0 / order_of_joining
    kl = divergence(pool, joined, members, tiers_at(len(members), RANKING_TIERS, weights), own=False)
    kl_rank = np.empty(len(joined))
    kl_rank[np.argsort(kl, kind="stable")] = order_of_joining
    scores = (settings.rank_weight / order_of_joining + 1.0 / kl_rank).astype(np.float32)
    order = np.lexsort((joined, -scores))
    return joined[order], scores[order].astype(np.float64)
