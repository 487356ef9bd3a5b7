from __future__ import annotations

import numpy as np
import pytest

from entity_expand.errors import ConfigError
from training.baselines.vectors import VectorTable, centred, joined, means_of, unit, whitened

RNG = np.random.default_rng(3)


def test_rows_without_anything_stay_zero():
    rows = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 6.0]])
    assert np.allclose(centred(rows), [[1 - 2, 2 - 4], [0, 0], [3 - 2, 6 - 4]])
    assert np.allclose(unit(rows)[1], 0.0)
    assert np.allclose(whitened(rows)[1], 0.0)


def test_whitening_gives_all_directions_one_variance():
    rows = RNG.standard_normal((500, 4)) * [1, 10, 100, 1000] + 5
    found = whitened(rows, shrinkage=0.0)
    assert np.allclose(found.T @ found / 500, np.eye(4), atol=1e-9)


def test_joined_vectors_add_weighted_cosines():
    one, two = (VectorTable("x", tuple("abc"), RNG.standard_normal((3, size))) for size in (4, 7))
    found = joined([one, two], [1.0, 0.25], "both").vectors
    cosines = [unit(table.vectors) @ unit(table.vectors).T for table in (one, two)]
    assert np.allclose(found @ found.T, cosines[0] + 0.25 * cosines[1])


def test_tables_must_fit():
    one = VectorTable("x", ("a", "b"), np.ones((2, 3)))
    with pytest.raises(ConfigError, match="different entities"):
        joined([one, VectorTable("y", ("a", "c"), np.ones((2, 3)))], [1.0, 1.0], "both")
    with pytest.raises(ConfigError, match="weights"):
        joined([one, one], [1.0, -1.0], "both")
    with pytest.raises(ConfigError, match="one row for each of 1"):
        VectorTable("z", ("a",), np.ones((2, 3)))


def test_means_by_owner():
    rows = np.array([[1.0], [3.0], [7.0]])
    assert means_of(rows, np.array([2, 2, 0]), 3)[:, 0].tolist() == [7.0, 0.0, (1.0 + 3.0) / 2]
