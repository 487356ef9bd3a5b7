"""Measured differences, written as arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from entity_expand.errors import ParityError
from export.expansions import Agreement
from export.parity import BOUNDS, Bounds, Difference, check, difference


def test_differences_are_relative_to_the_features_scale() -> None:
    model = np.array([[3.0, 4.0], [0.0, 5.0]], np.float32)
    graph = np.array([[3.0, 4.5], [0.0, 5.0]], np.float32)
    found = difference(model, graph)
    scale = ((9 + 16 + 0 + 25) / 4) ** 0.5
    assert (found.rows, found.max_abs) == (2, 0.5)
    assert found.scale == pytest.approx(scale)
    assert found.max_rel == pytest.approx(0.5 / scale)
    assert found.min_cosine == pytest.approx((9 + 18) / (5 * (9 + 4.5**2) ** 0.5))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (np.zeros((2, 3), np.float32), r"\(2, 2\), the graph \(2, 3\)"),
        (np.array([[0, np.nan], [0, 0]], np.float32), "not finite"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(graph: np.ndarray, message: str) -> None:
    with pytest.raises(ParityError, match=message):
        difference(np.ones((2, 2), np.float32), graph)


def test_a_feature_of_nothing_has_no_direction() -> None:
    model = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    assert difference(model, model).min_cosine == pytest.approx(1.0)


BOUND = Bounds(relative=1e-4, cosine=0.999, overlap=0.999, map_loss=0.5)
AGREED = Agreement(expansions=3, queries=2, top_k=50, overlap=0.999, model_map=70.5, graph_map=70.0)


def test_bounds_are_inclusive_and_the_error_holds_the_numbers() -> None:
    good = Difference(rows=7, scale=2.0, max_abs=2e-4, max_rel=1e-4, min_cosine=0.999)
    check(good, AGREED, BOUND, "here")
    check(good, None, BOUND, "here")
    bad = Difference(rows=7, scale=2.0, max_abs=3e-4, max_rel=1.5e-4, min_cosine=1.0)
    with pytest.raises(ParityError, match=r"on here: by up to 0\.0003, which is 0\.00015 .* 1\.000000 .* 7 features"):
        check(bad, AGREED, BOUND, "here")
    with pytest.raises(ParityError, match=r"smallest cosine 0\.998000"):
        check(replace(good, min_cosine=0.998), AGREED, BOUND, "here")
    with pytest.raises(ParityError, match=r"on here: 3 expansions share 0\.9980 of their first 50"):
        check(good, replace(AGREED, overlap=0.998), BOUND, "here")
    with pytest.raises(
        ParityError, match=r"loses 0\.60 points of MAP on here .*: 69\.90 in place of 70\.50, 2 queries"
    ):
        check(good, replace(AGREED, graph_map=69.9), BOUND, "here")


def test_without_queries_nothing_is_lost() -> None:
    assert replace(AGREED, model_map=None, graph_map=None).map_loss == 0


def test_bars_are_those_that_were_asked_for() -> None:
    assert {name: bounds.overlap for name, bounds in BOUNDS.items()} == {"fp32": 0.999, "fp16": 0.99, "int8": 0.97}
    assert {bounds.map_loss for bounds in BOUNDS.values()} == {0.5}
