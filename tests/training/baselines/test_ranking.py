from __future__ import annotations

import numpy as np
import pytest

from entity_expand.corpus import Query
from entity_expand.errors import QueryError
from training.baselines.ranking import _BLOCK, by_mean, by_scores, ranked, standardised
from training.baselines.vectors import VectorTable, unit

TABLE = VectorTable("x", tuple("abcdef"), np.random.default_rng(5).standard_normal((6, 3)))


def _naive():
    """Z[s, v] by the definition: the cosines of s with all others have mean 0 and deviation 1."""
    cosines = unit(TABLE.vectors) @ unit(TABLE.vectors).T
    found = np.empty((6, 6))
    for row in range(6):
        others = np.delete(cosines[row], row)
        found[row] = (cosines[row] - others.mean()) / others.std()
    return found


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.5])
def test_standardised_scores_by_their_definition(weight, monkeypatch):
    monkeypatch.setattr("training.baselines.ranking._BLOCK", 13)  # two rows at once
    table, seeds = _naive(), np.array([1, 4])
    expected = table[seeds].sum(axis=0) + weight * table[:, seeds].sum(axis=1)
    assert np.allclose(standardised(TABLE).score(seeds, weight), expected)
    assert _BLOCK > 13


def test_lists_leave_seeds_out_and_break_ties_by_place():
    table = VectorTable("x", tuple("abcd"), np.array([[1.0, 0], [1, 0], [0, 1], [1, 0]]))
    query = Query("c", 0, ("b", "unknown"))
    assert ranked(by_mean(table, "x"), [query])[query] == ["a", "d", "c"]
    assert ranked(by_mean(table, "x"), [query], size=1)[query] == ["a"]
    with pytest.raises(QueryError, match="none of the seeds unknown"):
        ranked(by_mean(table, "x"), [Query("c", 0, ("unknown",))])


def test_two_channels_add_up():
    other = VectorTable("y", TABLE.ids, np.random.default_rng(6).standard_normal((6, 2)))
    channels, seeds = [standardised(TABLE), standardised(other)], np.array([0, 3])
    both = by_scores(channels, [1.0, 0.5], "both", "late", 1.0)
    assert np.allclose(both.score(seeds), channels[0].score(seeds, 1.0) + 0.5 * channels[1].score(seeds, 1.0))


def test_an_entity_without_anything_is_not_preferred():
    table = VectorTable("x", tuple("abc"), np.array([[1.0, 0.1], [0.0, 0.0], [1.0, 0.0]]))
    score = standardised(table).score(np.array([0]), 1.0)
    assert score[2] > score[1]
