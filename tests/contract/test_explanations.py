"""Explanations say the same over every store."""

from __future__ import annotations

import asyncio
import json

import pytest

from contract.world import World
from entity_expand import AsyncExpander, Expander, ExpandSettings, QueryError

SETTINGS = [
    {},
    {"settings": ExpandSettings(both_directions=0.5)},
    {"settings": ExpandSettings(space="features")},
    {"strategy": "mean", "weights": [1.0, 2.0, 3.0]},
    {"negative": ["1"]},
]


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_shares_add_up_to_the_similarity(store, table, options) -> None:
    expander = Expander(store)
    found = expander.expand(["0", "Place 3", "P-7"], 9, **options)
    for result in found.results[::4]:
        why = expander.explain(found, result.id)
        assert why.result == result and {each.seed.id for each in why.contributions} == {"0", "3", "7"}
        assert sum(each.share for each in why.contributions) == pytest.approx(result.similarity, abs=1e-4)
        assert [each.share for each in why.contributions] == sorted(each.share for each in why.contributions)[::-1]
        assert why.nearest == why.contributions[0].seed
        assert [each.seed.id for each in why.against] == options.get("negative", [])
        assert sorted(item.text for item in why.evidence) == sorted(item.text for item in result.evidence)
        there = Expander(table)
        right = there.explain(there.expand(["0", "3", "7"], 9, **options), result.rank)
        assert json.loads(json.dumps(why.to_dict())) == json.loads(json.dumps(right.to_dict()))


def test_shared_words_come_from_sentences_of_both(store) -> None:
    expander = Expander(store)
    found = expander.expand(["0", "3"], 60)
    why = expander.explain(found, "6")
    assert {"salt", "wave", "tide", "harbour", "sail"} <= set(why.words) and not {"word6", "place"} & set(why.words)
    assert "has" not in why.words[:5], "everybody has that"


def test_what_holds_a_set_together(store, table) -> None:
    """Three kinds in turn: the entities 0, 3, 6, ... share their words, and so do their neighbours."""
    expander = Expander(store)
    found = expander.expand([str(n) for n in range(0, 30, 3)], 1, settings=ExpandSettings(space="features"))
    about = expander.explain_set(found)
    assert about.members == 11 and {word.text for word in about.words[:5]} <= {
        "salt",
        "wave",
        "tide",
        "harbour",
        "sail",
    }
    assert about.label and 0 < about.cohesion <= 1 and about.neighbours == ()
    there = Expander(table)
    assert about == there.explain_set(there.expand([str(n) for n in range(0, 30, 3)], 1, settings=found.query.settings))
    json.dumps(about.to_dict())


def test_rejected_results_do_not_count_and_accepted_ones_do(store) -> None:
    expander = Expander(store)
    found = expander.expand(["0"], 40)
    plain = expander.explain_set(found)
    decided = expander.explain_set(found.reject(found.ids[0]).accept(found.ids[30], found.ids[1]))
    assert (plain.members, decided.members) == (1 + 20, 1 + 20 - 1 + 1)


def test_later_pages_are_explained_by_their_own_seeds(store) -> None:
    expander = Expander(store)
    first = expander.expand(["0", "3"], 5, weights=[1.0, 3.0])
    second = first.accept(first.ids[1]).more()
    why = expander.explain(second.accept(second.ids[0]), 2)
    assert {each.seed.id for each in why.contributions} == {"0", "3", first.ids[1]}
    assert sum(each.share for each in why.contributions) == pytest.approx(why.result.similarity, abs=1e-4)


@pytest.mark.parametrize("which", ["nobody", "0", 0, 6, -1])
def test_who_is_not_there_is_not_explained(store, which) -> None:
    expander = Expander(store)
    with pytest.raises(QueryError):
        expander.explain(expander.expand(["0"], 5), which)


@pytest.mark.parametrize("kind", ["memory", "elastic"])
def test_awaited_explanations_are_the_same(kind: str, world: World, request: pytest.FixtureRequest, table) -> None:
    address = request.getfixturevalue("served") if kind == "elastic" else world.fetched

    async def both():
        async with await AsyncExpander.open(address) as expander:
            found = await expander.expand(["0", "3"], 5)
            with pytest.raises(QueryError):
                await expander.explain(found, "nobody")
            return await expander.explain(found, 1), await expander.explain_set(found)

    there = Expander(table)
    found = there.expand(["0", "3"], 5)
    why, about = asyncio.run(both())
    assert why == there.explain(found, 1) and about == there.explain_set(found)
