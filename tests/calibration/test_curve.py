"""From similarities to probabilities and to the end of a list; the fit behind them."""

from __future__ import annotations

import numpy as np
import pytest

from entity_expand.calibration.curve import features, likely, probabilities
from entity_expand.calibration.fitting import logistic
from entity_expand.seeds.gains import gain_between


def test_a_single_seed_has_no_gain_between() -> None:
    assert features(np.array([2.0, 1.0]), 3.0).tolist() == [[1, 2, 3, 0, 0, 0], [1, 1, 3, 0, 0, np.log(2)]]
    assert features(np.array([2.0]), None).tolist() == [[1, 2, 0, 1, 2, 0]]
    assert features(np.array([2.0, 5.0]), 3.0, first=11)[:, 5].tolist() == [np.log(11), np.log(12)]
    assert features(np.array([]), 1.0).shape == (0, 6)


def test_the_gain_between_seeds_is_the_mean_of_all_pairs() -> None:
    gains = np.array([[9.0, 1.0, 2.0], [3.0, 9.0, 4.0], [5.0, 6.0, 9.0]])
    assert gain_between(gains, ()) == pytest.approx((1 + 2 + 3 + 4 + 5 + 6) / 6)
    weighed = (1.5 * (1 + 3) + 0.75 * (2 + 5) + 0.5 * (4 + 6)) / (2 * (1.5 + 0.75 + 0.5))
    assert gain_between(gains, (1.5, 1.0, 0.5)) == pytest.approx(weighed)
    assert gain_between(gains[:1, :1], ()) is None


def test_probabilities_are_logistic_and_never_certain() -> None:
    judged = np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 1e9], [1.0, -1e9]])
    found = probabilities(judged, (0.5, 1.0))
    assert found[:2] == pytest.approx([1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(-2.5))])
    assert 0 < found[3] < 1e-12 and 1 - 1e-12 < found[2] < 1


@pytest.mark.parametrize(
    ("chances", "expected"),
    [
        ([], 0),
        ([0.9], 1),
        ([0.9, 0.8, 0.1, 0.1], 2),  # 2 * 1.7 / (2 + 1.9) > 2 * 1.8 / (3 + 1.9) and 2 * 0.9 / (1 + 1.9)
        ([0.9] * 10, 10),
        ([0.1, 0.9, 0.0], 2),
    ],
)
def test_the_list_ends_where_f1_is_highest(chances: list[float], expected: int) -> None:
    assert likely(np.array(chances)) == expected


def test_the_fit_finds_the_coefficients_that_made_the_data() -> None:
    random = np.random.default_rng(0)
    judged = np.column_stack([np.ones(40_000), random.normal(3, 2, 40_000), random.normal(-1, 0.5, 40_000)])
    members = random.random(40_000) < probabilities(judged, (-2.0, 0.7, 1.5))
    assert logistic(judged, members) == pytest.approx([-2.0, 0.7, 1.5], abs=0.1)


def test_what_separates_all_too_well_stays_finite() -> None:
    judged = np.column_stack([np.ones(20), np.arange(20.0), np.full(20, 7.0)])
    found = logistic(judged, np.arange(20) >= 10)
    assert np.isfinite(found).all() and found[1] > 0
    assert np.isfinite(logistic(judged, np.ones(20))).all()
