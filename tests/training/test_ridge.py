"""The map from features to head rows."""

import numpy as np
import pytest

from training.ridge import ALPHAS, _solved, fit_ridge


def test_the_solution_is_that_of_the_normal_equations() -> None:
    random = np.random.default_rng(0)
    x, rows, alpha = random.standard_normal((20, 4)) + 3, random.standard_normal((20, 5)), 0.7
    centred = x - x.mean(axis=0)
    unit = (centred**2).sum() / 20 / 4
    slope = np.linalg.solve(centred.T @ centred + alpha * unit * 20 * np.eye(4), centred.T @ (rows - rows.mean(axis=0)))
    (found,) = _solved(x, rows, (alpha,))
    np.testing.assert_allclose(found[:4], slope, atol=1e-12)
    np.testing.assert_allclose(found[4], rows.mean(axis=0) - x.mean(axis=0) @ slope, atol=1e-12)


def test_a_linear_relation_is_found() -> None:
    random = np.random.default_rng(1)
    features = random.standard_normal((60, 4))
    truth = random.standard_normal((5, 5))
    rows = np.column_stack([features, np.ones(60)]) @ truth
    fit = fit_ridge(features, rows, seed=0)
    np.testing.assert_allclose(fit.matrix, truth, atol=1e-4)
    assert fit.matrix.dtype == np.float32
    assert (fit.fitted, fit.held_out, fit.alpha) == (60 - 6, 6, ALPHAS[0])
    assert fit.held_out_error is not None and fit.held_out_error < 1e-4
    assert fit.held_out_cosine == pytest.approx(1, abs=1e-6)


def test_unrelated_rows_are_predicted_no_better_than_by_the_mean() -> None:
    random = np.random.default_rng(1)
    fit = fit_ridge(random.standard_normal((200, 8)), random.standard_normal((200, 9)), seed=0)
    assert fit.held_out_error == pytest.approx(1, abs=0.1)
    assert fit.alpha is not None and fit.alpha > 0.1


def test_noise_asks_for_more_regularisation() -> None:
    random = np.random.default_rng(4)
    features = random.standard_normal((80, 30))
    rows = np.column_stack([features @ random.standard_normal((30, 30)), np.zeros(80)])
    clean = fit_ridge(features, rows, seed=0).alpha
    noisy = fit_ridge(features, rows + 20 * random.standard_normal(rows.shape), seed=0).alpha
    assert clean is not None and noisy is not None and noisy > clean


@pytest.mark.parametrize("n", [1, 2])
def test_few_entities_get_the_mean_row(n: int) -> None:
    rows = np.arange(n * 3, dtype=float).reshape(n, 3)
    fit = fit_ridge(np.ones((n, 2)), rows, seed=0)
    np.testing.assert_allclose(np.array([5, 7, 1]) @ fit.matrix, rows.mean(axis=0), atol=1e-6)
    assert (fit.alpha, fit.held_out, fit.held_out_error) == (None, 0, None)


def test_equal_features_give_the_mean_row() -> None:
    rows = np.arange(12, dtype=float).reshape(4, 3)
    fit = fit_ridge(np.ones((4, 2)), rows, seed=0)
    np.testing.assert_allclose(np.array([5, 7, 1]) @ fit.matrix, rows.mean(axis=0), atol=1e-6)


def test_the_seed_decides_what_is_held_out() -> None:
    random = np.random.default_rng(1)
    features, rows = random.standard_normal((40, 3)), random.standard_normal((40, 4))
    assert fit_ridge(features, rows, 1).held_out_error == fit_ridge(features, rows, 1).held_out_error
    assert fit_ridge(features, rows, 1).held_out_error != fit_ridge(features, rows, 2).held_out_error
