"""From what each seed says of an entity to what all say: pure functions of arrays.

A seed s adds a gain to every entity v: its standardised log-probability Z_s[v] (`search/scoring.py`). The logarithm of
the probability itself is log q_s[v] = σ_s Z_s[v] + a_s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from entity_expand.search.scoring import EntityRows
from entity_expand.types import AnyArray, Float64

ListStrategy: TypeAlias = Literal["mean", "best", "sum", "rank-fusion"]
RANKED = 200
"""How many entities of a seed's own list have a rank in rank fusion at least; all others get nothing from it."""
_SMOOTHING = 60


@dataclass(frozen=True, slots=True, eq=False)
class Voices:
    """How S seeds are heard.

    Attributes:
        weights: (S,) how much each counts, of mean 1.
        deviation: (S,) σ.
        log_offset: (S,) a.
        depth: How many entities of each one's own list have a rank.
    """

    weights: Float64
    deviation: Float64
    log_offset: Float64
    depth: int

    @classmethod
    def of(cls, rows: EntityRows, weights: tuple[float, ...], size: int) -> Voices:
        """Return the voices of seeds with these rows (S), for lists of a size; () weighs all alike."""
        heard = np.array(weights) if weights else np.ones(len(rows))
        return cls(heard, rows.deviation, rows.log_offset, max(RANKED, size))


def mean(gains: AnyArray, voices: Voices) -> Float64:
    """Return Σ w_s Z_s[v] / S of K entities, (K,), for gains (S, K)."""
    shared: Float64 = voices.weights @ gains.astype(np.float64) / len(gains)
    return shared


def best(gains: AnyArray, voices: Voices) -> Float64:
    """Return max over the seeds of w_s Z_s[v], (K,), for gains (S, K)."""
    highest: Float64 = (voices.weights[:, None] * gains).max(axis=0)
    return highest


def probability_sum(gains: AnyArray, voices: Voices) -> Float64:
    """Return Σ w_s q_s[v], (K,), for gains (S, K)."""
    logs = voices.deviation[:, None] * gains + voices.log_offset[:, None]
    total: Float64 = voices.weights @ np.exp(logs)
    return total


def rank_fusion(gains: AnyArray, voices: Voices) -> Float64:
    """Return Σ w_s / (60 + rank of v in the list of s), (K,), for gains (S, K); ties by place.

    Only the first `voices.depth` entities of a list have a rank there, and none whose gain is -inf.

    The constant is that of Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual
    Rank Learning Methods" (SIGIR 2009).
    """
    fused = np.zeros(gains.shape[1])
    for own, weight in zip(gains, voices.weights.tolist(), strict=True):
        order = leading(own, voices.depth)
        fused[order] += weight / (_SMOOTHING + 1 + np.arange(len(order)))
    return fused


Combination: TypeAlias = Callable[[AnyArray, Voices], Float64]
COMBINATIONS: dict[ListStrategy, Combination] = {
    "mean": mean,
    "best": best,
    "sum": probability_sum,
    "rank-fusion": rank_fusion,
}


def leading(values: Float64, size: int) -> AnyArray:
    """Return the places of the `size` highest values (K,), by falling value, ties by place; never one at -inf."""
    count = min(size, len(values))
    if not count:
        return np.empty(0, dtype=np.int64)
    edge = np.partition(values, -count)[-count]
    found = np.flatnonzero((values >= edge) & (values > -np.inf))
    return found[np.argsort(-values[found], kind="stable")][:count]
