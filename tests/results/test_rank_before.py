"""The rank that a result had before the list was ranked again."""

from __future__ import annotations

import pytest

from contract.world import World
from entity_expand import Expander


@pytest.mark.parametrize("strategy", [None, "both", "mean", "rank-fusion"])
@pytest.mark.parametrize("table", [True, False])
def test_it_is_the_rank_without_ranking_again(world: World, table: bool, strategy) -> None:
    with Expander.open(world.index if table else world.fetched) as expander:
        again = expander.expand(["0", "3", "7"], 30, rerank=True, strategy=strategy)
        plain = expander.expand(["0", "3", "7"], 30, rerank=False, strategy=strategy)
    assert [result.rank_before for result in plain.results] == list(range(1, 31))
    assert {result.rank_before: result.id for result in again.results} == dict(enumerate(plain.ids, 1))
    assert again.ids != plain.ids
