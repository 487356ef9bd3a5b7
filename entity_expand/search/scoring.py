"""The scores of the paper as inner products of stored vectors.

The entity head ends in a linear layer: for a sentence with feature g, log p(v) = w_v·g + b_v - lse(g). An entity e
has the mean feature ḡ_e over its sentences, and Z_e[v] is its mean log-probability of v, standardised over the V
entities of the vocabulary (NOTES.md section 8). The log-partition cancels in the standardisation, so that with

    R[v] = [w_v, b_v] - mean over u of [w_u, b_u]        centred head rows      (V, W), W = D + 1
    σ_e² = [ḡ_e, 1]ᵀ Cov(R) [ḡ_e, 1]                      population covariance
    G[e] = [ḡ_e, 1] / σ_e                                 scaled features        (n, W)

the whole matrix factorises, Z = G Rᵀ, and the paper's score of a candidate v for a set S, Σ_{s in S} Z_s[v], is one
inner product: of R[v] with Σ_s G[s]. The KL divergences of the window search need in addition
a_e = mean_v log q_e[v] for q_e = softmax(W ḡ_e + b), because log q_e[v] = σ_e Z_e[v] + a_e.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entity_expand.types import AnyArray, Float32, Float64

LARGEST_EXACT_PARTITION = 32_768
_DRAWN = 4_096
_BLOCK = 1 << 22
_ROWS = 1 << 16
_SMALLEST_DEVIATION = 1e-12


@dataclass(frozen=True, slots=True)
class HeadStatistics:
    """What the standardisation needs of a head: frozen with the bundle, so that later entities change nothing.

    Attributes:
        mean_row: (W,) float64, mean of [w_v, b_v] over the vocabulary.
        covariance: (W, W) float64, population covariance of the rows.
    """

    mean_row: Float64
    covariance: Float64


def head_rows(weight: AnyArray, bias: AnyArray) -> Float64:
    """Return the rows [w_v, b_v], (V, W) float64, of a linear layer (V, D) and its bias (V,)."""
    rows: Float64 = np.column_stack([weight, bias]).astype(np.float64)
    return rows


def head_statistics(rows: Float64) -> HeadStatistics:
    """Return the mean and the population covariance of head rows (V, W)."""
    mean_row = rows.mean(axis=0)
    covariance = np.zeros((len(mean_row), len(mean_row)))
    for start in range(0, len(rows), _ROWS):
        centred = rows[start : start + _ROWS] - mean_row
        covariance += centred.T @ centred
    return HeadStatistics(mean_row, covariance / len(rows))


def with_one(features: AnyArray) -> Float64:
    """Return [ḡ, 1], (n, W) float64, for features (n, D)."""
    extended: Float64 = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
    return extended


def deviations(features: AnyArray, statistics: HeadStatistics) -> Float64:
    """Return σ, (n,) float64: the deviation over the vocabulary of each entity's mean log-probabilities.

    A feature that gives every entity the same probability has deviation 0; it is raised to a tiny positive
    number, so that such an entity scores 0 everywhere instead of being undefined.
    """
    extended = with_one(features)
    variance = np.einsum("nw,nw->n", extended @ statistics.covariance, extended)
    deviation: Float64 = np.sqrt(np.maximum(variance, _SMALLEST_DEVIATION**2))
    return deviation


def log_offsets(features: AnyArray, rows: Float64) -> Float64:
    """Return a, (n,) float64: the mean over the vocabulary of log softmax(W ḡ + b), for features (n, D).

    The logits are computed blockwise, so that memory stays bounded. Above `LARGEST_EXACT_PARTITION` entities the
    partition is estimated from a few thousand rows, drawn with a fixed seed: exact costs n V D, which no longer pays.
    """
    extended = with_one(features)
    mean_logit = extended @ rows.mean(axis=0)
    drawn = rows
    if len(rows) > LARGEST_EXACT_PARTITION:
        chosen = np.random.default_rng(0).choice(len(rows), min(_DRAWN, LARGEST_EXACT_PARTITION), replace=False)
        drawn = rows[np.sort(chosen)]
    partition = np.empty(len(extended))
    step = max(1, _BLOCK // len(drawn))
    for start in range(0, len(extended), step):
        logits = extended[start : start + step] @ drawn.T  # (step, V)
        largest = logits.max(axis=1, keepdims=True)
        partition[start : start + step] = largest[:, 0] + np.log(np.exp(logits - largest).sum(axis=1))
    offsets: Float64 = mean_logit - partition - np.log(len(rows) / len(drawn))
    return offsets


@dataclass(frozen=True, slots=True)
class EntityRows:
    """What is stored of entities for expansion.

    Attributes:
        head: (n, W) float32, centred head rows R, those of the bundle or predicted ones.
        scaled: (n, W) float32, scaled features G.
        deviation: (n,) float64, σ.
        log_offset: (n,) float64, a.
    """

    head: Float32
    scaled: Float32
    deviation: Float64
    log_offset: Float64

    def __len__(self) -> int:
        return len(self.deviation)

    def take(self, positions: AnyArray) -> EntityRows:
        """Return the rows at `positions`, in that order."""
        return EntityRows(
            self.head[positions], self.scaled[positions], self.deviation[positions], self.log_offset[positions]
        )


def stacked(parts: Sequence[EntityRows]) -> EntityRows:
    """Return the rows of all parts, one behind the other; at least one part."""
    return EntityRows(
        np.concatenate([part.head for part in parts]),
        np.concatenate([part.scaled for part in parts]),
        np.concatenate([part.deviation for part in parts]),
        np.concatenate([part.log_offset for part in parts]),
    )


def entity_rows(
    features: AnyArray, own_rows: Float64, vocabulary_rows: Float64, statistics: HeadStatistics
) -> EntityRows:
    """Return the stored form of entities.

    Args:
        features: (n, D) mean features ḡ.
        own_rows: (n, W) float64 head rows [w, b] of these entities, not centred; predicted where never trained.
        vocabulary_rows: (V, W) float64 head rows of the bundle's vocabulary.
        statistics: `head_statistics` of the vocabulary's rows.
    """
    deviation = deviations(features, statistics)
    return EntityRows(
        head=(own_rows - statistics.mean_row).astype(np.float32),
        scaled=(with_one(features) / deviation[:, None]).astype(np.float32),
        deviation=deviation,
        log_offset=log_offsets(features, vocabulary_rows),
    )


def predicted_rows(features: AnyArray, ridge: AnyArray) -> Float64:
    """Return head rows [w, b], (n, W) float64, predicted from features (n, D) by a ridge map (W, W)."""
    rows: Float64 = with_one(features) @ ridge.astype(np.float64)
    return rows


def scores_between(rows: EntityRows, targets: EntityRows) -> Float32:
    """Return Z_j[v] of each of m entities j for each of K entities v, (m, K) float32.

    The products are summed in float64 and rounded to float32 last: so the same pair gives the same number whatever
    it was computed together with, in a table or in a pool.
    """
    return (rows.scaled.astype(np.float64) @ targets.head.astype(np.float64).T).astype(np.float32)


def query_vector(rows: EntityRows, both_directions: float = 0.0) -> Float64:
    """Return the query of a set, Σ_s G[s] and behind it λ Σ_s R[s]: (W,) float64, or (2 W,) if λ is not 0.

    Its inner product with R[v], or with [R[v] ; G[v]], is the score of the candidate v for the whole set.
    """
    forward: Float64 = rows.scaled.sum(axis=0, dtype=np.float64)
    if not both_directions:
        return forward
    return np.concatenate([forward, both_directions * rows.head.sum(axis=0, dtype=np.float64)])


def unit_features(rows: EntityRows, mean_feature: Float64) -> Float32:
    """Return the features of entities less the mean feature (D,), at length 1: (n, D) float32."""
    features = rows.scaled[:, :-1].astype(np.float64) * rows.deviation[:, None]
    features -= mean_feature
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit: Float32 = (features / np.maximum(norms, _SMALLEST_DEVIATION)).astype(np.float32)
    return unit


def feature_rows(rows: EntityRows, mean_feature: Float64, vocabulary: int) -> EntityRows:
    """Return rows in feature space: the inner product of two of them is the cosine of their centred features.

    σ and a are those of a flat distribution over the V entities of the vocabulary.
    """
    unit = unit_features(rows, mean_feature)
    return EntityRows(unit, unit, np.ones(len(rows)), np.full(len(rows), -np.log(vocabulary)))
