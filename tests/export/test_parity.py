"""Measured differences, written as arithmetic."""

import numpy as np
import pytest

from entity_expand.errors import ParityError
from export.parity import Bounds, Difference, check, difference, overlap


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


def naive_lists(features: np.ndarray, rows: np.ndarray, own: np.ndarray, top_k: int) -> list[set[int]]:
    """The lists by the definition: standardised mean log-softmax, itself left out."""
    logits = features @ rows[:, :-1].T + rows[:, -1]
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    z = (log_p - log_p.mean(axis=1, keepdims=True)) / log_p.std(axis=1, keepdims=True)
    lists = []
    for number, position in enumerate(own):
        order = [int(v) for v in np.argsort(-z[number]) if v != position]
        lists.append(set(order[:top_k]))
    return lists


def test_overlap_is_that_of_the_standardised_scores() -> None:
    random = np.random.default_rng(2)
    rows, model = random.standard_normal((30, 5)), random.standard_normal((8, 4))
    graph = model + 0.3 * random.standard_normal((8, 4))
    own = np.arange(0, 24, 3)
    wanted = [
        len(a & b) / 6 for a, b in zip(naive_lists(model, rows, own, 6), naive_lists(graph, rows, own, 6), strict=True)
    ]
    assert overlap(model, graph, rows, own, 6) == pytest.approx(np.mean(wanted))
    assert 0.2 < np.mean(wanted) < 1
    assert overlap(model, model, rows, own, 6) == 1


def test_bounds_are_inclusive_and_the_error_holds_the_numbers() -> None:
    good = Difference(rows=7, scale=2.0, max_abs=2e-4, max_rel=1e-4, min_cosine=1.0)
    check(good, 0.999, Bounds(), "here")
    check(good, None, Bounds(), "here")
    bad = Difference(rows=7, scale=2.0, max_abs=3e-4, max_rel=1.5e-4, min_cosine=0.5)
    with pytest.raises(ParityError, match=r"on here: by up to 0\.0003, which is 0\.00015 .* 0\.500000, 7 features"):
        check(bad, 1.0, Bounds(), "here")
    with pytest.raises(ParityError, match=r"on here: they share 0\.9980"):
        check(good, 0.998, Bounds(), "here")
