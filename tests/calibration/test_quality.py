"""The quality of cut-offs and confidences on classes left out."""

from __future__ import annotations

import numpy as np
import pytest

from entity_expand import QueryError
from entity_expand.calibration.curve import features
from entity_expand.calibration.quality import Judged, held_out


def lists(classes: int, hits: int, length: int = 20) -> list[Judged]:
    """Lists in which the similarity falls from 5 to 0 after the members."""
    made = []
    for number in range(classes):
        found = hits + number % 3
        members = np.arange(length) < found
        made.append(Judged(f"class {number}", features(np.where(members, 5.0, 0.0), 1.0), members, found))
    return made


def test_a_clear_edge_is_found_where_no_fixed_length_can() -> None:
    held = held_out(lists(9, 4))
    assert (held.lists, held.classes) == (9, 9)
    assert held.cut == pytest.approx(1.0) and held.perfect == pytest.approx(1.0)
    assert held.length == pytest.approx((4 + 5 + 6) / 3)
    five = (2 * 4 / (5 + 4) + 1 + 2 * 5 / (5 + 6)) / 3
    assert (held.best_length, held.best_fixed) == (5, pytest.approx(five)) and held.fixed <= held.best_fixed
    assert held.brier < 0.01 < held.constant_brier and held.error < 0.05
    assert sum(each.results for each in held.bins) == 9 * 20


def test_lists_of_other_lengths_compare() -> None:
    held = held_out([*lists(4, 4), *lists(4, 4, 6)])
    assert held.cut == pytest.approx(1.0)


def test_what_says_nothing_helps_nothing() -> None:
    random = np.random.default_rng(0)
    made = [Judged(f"{n}", features(np.zeros(50), 1.0)[:, :2], random.random(50) < 0.2, 10) for n in range(40)]
    held = held_out(made)
    assert held.brier == pytest.approx(held.constant_brier, abs=2e-3) and held.error < 0.02


@pytest.mark.parametrize("made", [[], lists(1, 4)])
def test_two_classes_are_needed(made) -> None:
    with pytest.raises(QueryError, match="two classes"):
        held_out(made)
