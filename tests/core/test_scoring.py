"""The factorised scores against the definition, computed the long way."""

import numpy as np
import pytest

from entity_expand.search import scoring
from entity_expand.search.paper import log_softmax


def standardised(world) -> np.ndarray:
    logs = log_softmax(world.features.astype(np.float64) @ world.weight.T.astype(np.float64) + world.bias)
    return (logs - logs.mean(axis=1, keepdims=True)) / logs.std(axis=1, keepdims=True)


def test_the_product_of_rows_is_the_standardised_log_probability(world) -> None:
    np.testing.assert_allclose(world.table, standardised(world), atol=2e-5)


def test_log_probabilities_follow_from_two_scalars(world) -> None:
    logs = log_softmax(world.features.astype(np.float64) @ world.weight.T.astype(np.float64) + world.bias)
    rows = world.rows
    rebuilt = rows.deviation[:, None] * world.table + rows.log_offset[:, None]
    np.testing.assert_allclose(rebuilt, logs, atol=1e-4)
    np.testing.assert_allclose(rows.log_offset, logs.mean(axis=1), atol=1e-12)


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.5])
def test_one_inner_product_scores_a_candidate_for_the_whole_set(world, weight: float) -> None:
    seeds = np.array([3, 14, 159])
    query = scoring.query_vector(world.rows.take(seeds), weight)
    stored = [world.rows.head, world.rows.scaled] if weight else [world.rows.head]
    scores = np.concatenate(stored, axis=1).astype(np.float64) @ query
    np.testing.assert_allclose(
        scores, world.table[seeds].sum(axis=0) + weight * world.table[:, seeds].sum(axis=1), atol=1e-4
    )


def test_a_feature_that_tells_nothing_scores_zero_everywhere() -> None:
    weight, bias = np.zeros((4, 2)), np.zeros(4)
    vocabulary = scoring.head_rows(weight, bias)
    statistics = scoring.head_statistics(vocabulary)
    rows = scoring.entity_rows(np.ones((1, 2)), vocabulary[:1], vocabulary, statistics)
    assert np.isfinite(rows.scaled).all()
    assert scoring.scores_between(rows, rows).tolist() == [[0.0]]
    assert rows.log_offset.tolist() == pytest.approx([-np.log(4)])


def test_log_offsets_do_not_overflow() -> None:
    rows = np.array([[1000.0, 0.0], [-1000.0, 0.0]])
    assert scoring.log_offsets(np.array([[1.0]]), rows).tolist() == [(0 - 2000) / 2]


def test_large_vocabularies_are_sampled(world, monkeypatch) -> None:
    vocabulary = scoring.head_rows(world.weight, world.bias)
    exact = scoring.log_offsets(world.features, vocabulary)
    monkeypatch.setattr(scoring, "LARGEST_EXACT_PARTITION", 200)
    sampled = scoring.log_offsets(world.features, vocabulary)
    assert 0 < np.median(np.abs(sampled - exact)) < 0.5  # a drawn third is missing; the largest logit may be in it
    np.testing.assert_array_equal(sampled, scoring.log_offsets(world.features, vocabulary))


def test_feature_rows_give_centred_cosines(world) -> None:
    rows = scoring.feature_rows(world.rows, world.features.astype(np.float64).mean(axis=0), 300)
    centred = world.features - world.features.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(scoring.scores_between(rows, rows), unit @ unit.T, atol=1e-5)


def test_predicted_rows_apply_the_ridge_map() -> None:
    ridge = np.array([[2.0, 0.0], [0.0, 5.0]])
    assert scoring.predicted_rows(np.array([[3.0]]), ridge).tolist() == [[3.0 * 2, 5.0]]
