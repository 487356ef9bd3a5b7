from __future__ import annotations

import math

import pytest

from entity_expand.corpus import Query
from entity_expand.errors import TrainingError
from training.experiments.statistics import (
    AtRank,
    by_class,
    difference,
    estimate,
    fitted_exponent,
    map_at,
    margin,
    of_classes,
    precision_by_rank,
)

TRUTH = {"a": frozenset("123456"), "b": frozenset("789")}
ONE, TWO = Query("a", 0, ("1", "2")), Query("b", 0, ("7",))
LISTS = {ONE: ["3", "9", "4", "8"], TWO: ["8", "1"]}


def test_the_interval_is_students():
    # Three values with deviation 1: 4.303 / sqrt(3).
    found = estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.count) == (2.0, 3)
    assert found.half == pytest.approx(4.303 * 1.0 / math.sqrt(3))
    assert estimate([0.5]).half is None and str(estimate([0.5])) == "50.0"
    assert str(estimate([0.5, 0.5])) == "50.0 ± 0.0"
    assert estimate([0.0, 1.0] * 40).half == pytest.approx(1.96 * math.sqrt(0.25 * 80 / 79) / math.sqrt(80))
    with pytest.raises(TrainingError):
        estimate([])


def test_differences_are_paired_by_seed():
    found = difference({0: 0.5, 1: 0.7, 2: 0.1}, {0: 0.4, 1: 0.6})
    assert found.mean == pytest.approx(0.1) and found.half == pytest.approx(0.0) and found.count == 2
    assert difference({0: 0.5, 1: 0.7}, 0.2).mean == pytest.approx(0.4)
    with pytest.raises(TrainingError):
        difference({0: 0.5}, {1: 0.5})


def test_quality_of_lists():
    # Of ONE four members are to be found, places 1 and 3; of TWO two, place 1.
    first, second = (1 / 1 + 2 / 3) / 4, (1 / 1) / 2
    assert map_at(LISTS, TRUTH, 10) == pytest.approx((first + second) / 2)
    assert by_class(LISTS, TRUTH) == {"a": pytest.approx(first), "b": pytest.approx(second)}
    assert list(of_classes(LISTS, frozenset("b"))) == [TWO]


def test_precision_stops_where_no_members_are_left():
    # Rank 1: both hit; rank 2: neither; ranks 3 and 4: ONE alone has members left, and hits at 3.
    found = precision_by_rank(LISTS, TRUTH)
    assert found == [AtRank(2 / 2, 2), AtRank(0 / 2, 2), AtRank(1 / 1, 1), AtRank(0 / 1, 1)]
    # A list that ends early misses what it does not reach, and its query counts all the same.
    assert precision_by_rank({ONE: ["3"]}, TRUTH)[1] == AtRank(0 / 1, 1)


def test_exponents():
    assert fitted_exponent([10, 100, 1000], [2 * n**1.5 for n in (10, 100, 1000)]) == pytest.approx(1.5)


def test_a_margin_is_paired_by_class_with_an_interval_over_classes():
    found = margin({"a": 0.5, "b": 0.7, "c": 0.9}, {"a": 0.4, "b": 0.8, "d": 0.1})
    assert (found.count, found.better) == (2, 1) and found.mean.mean == pytest.approx((0.1 - 0.1) / 2)
    assert found.mean.half == pytest.approx(12.706 * math.sqrt(2 * 0.1**2) / math.sqrt(2))
    same = margin({"a": 0.5, "b": 0.6}, {"a": 0.25, "b": 0.35})
    assert (same.mean.mean, same.mean.half) == (pytest.approx(0.25), pytest.approx(0.0))
    assert margin({"a": 0.5}, {"b": 0.5}) is None
