"""Weights are fitted to lists whose members are known."""

from __future__ import annotations

import numpy as np
import pytest

from entity_expand.channels.fitting import ChannelList, average_precision, best_weights, quality


def listed(
    name: str, first: list[float], second: list[float], members: list[int], total: int | None = None
) -> ChannelList:
    held = np.isin(np.arange(len(first)), members)
    return ChannelList(name, np.array([first, second]), held, len(members) if total is None else total)


def test_average_precision_is_that_of_the_best_ten() -> None:
    found = listed("a", [3.0, 2.0, 1.0], [0.0, 0.0, 5.0], [0, 2])
    assert average_precision(found, np.array([1.0, 0.0])) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert average_precision(found, np.array([1.0, 1.0])) == pytest.approx((1 / 1 + 2 / 2) / 2)
    missing = listed("a", [3.0, 2.0], [0.0, 0.0], [0], total=4)
    assert average_precision(missing, np.array([1.0, 0.0])) == pytest.approx(1 / 4)
    many = listed("a", list(np.arange(30.0)), [0.0] * 30, list(range(20, 30)))
    assert average_precision(many, np.array([1.0, 0.0])) == pytest.approx(1.0)


def test_classes_count_alike() -> None:
    good, bad = listed("a", [2.0, 1.0], [0.0, 0.0], [0]), listed("b", [2.0, 1.0], [0.0, 0.0], [1])
    assert quality([good, good, good, bad], np.array([1.0, 0.0])) == pytest.approx((1.0 + 0.5) / 2)


def test_a_channel_that_helps_is_heard_and_one_that_does_not_is_left() -> None:
    helps = [listed("a", [3.0, 2.0, 1.0], [0.0, 0.0, 4.0], [2])]
    found = best_weights(helps, np.array([1.0, 0.0]))
    assert found[0] == 1.0 and average_precision(helps[0], found) == 1.0
    harms = [listed("a", [3.0, 2.0, 1.0], [0.0, 9.0, 0.0], [0])]
    assert best_weights(harms, np.array([1.0, 1.0])).tolist() == [1.0, 0.0]
    neither = [listed("a", [3.0, 2.0, 1.0], [0.0, 0.0, 0.0], [0])]
    assert best_weights(neither, np.array([1.0, 0.5])).tolist() == [1.0, 0.5]
