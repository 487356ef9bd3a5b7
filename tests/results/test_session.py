"""Accept, reject, undo and more: what is asked next, and that pages never repeat anybody."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from contract.world import ALL, World
from entity_expand import AmbiguousSeedError, Expander, ExpandSettings, QueryError, SearchSettings
from entity_expand.results.session import following, next_query


def test_decisions_are_remembered_and_change_nothing_else(expander: Expander) -> None:
    found = expander.expand(["0", "3"], 10)
    first, second = found.ids[0], found.ids[1]
    decided = found.accept(first, second).reject(second)
    assert (decided.history.accepted, decided.history.rejected) == ((first,), (second,))
    assert decided.results == found.results and not found.history.decisions
    assert decided.undo() == found.accept(first, second) and decided.undo().undo() == found
    assert decided.accept(second).history.rejected == ()


def test_results_go_by_id_or_name(expander: Expander) -> None:
    found = expander.expand(["0"], ALL)
    assert found.accept("place  3", "6", "Place 6").history.accepted == ("3", "6")
    assert found.accept("are nord").history.accepted == ("c",)
    with pytest.raises(AmbiguousSeedError, match="Give the id"):
        found.accept("Mercury")


@pytest.mark.parametrize("named", [(), ("nobody",), ("0",), ("",), (7,)])
def test_who_was_not_shown_cannot_be_decided(expander: Expander, named) -> None:
    found = expander.expand(["0"], 5)
    for decide in (found.accept, found.reject):
        with pytest.raises(QueryError):
            decide(*named)


def test_a_misspelt_name_gets_suggestions(expander: Expander) -> None:
    with pytest.raises(QueryError, match="Did you mean 'Place 3"):
        expander.expand(["0"], 60).reject("Plaec 3")


def test_nothing_to_undo(expander: Expander) -> None:
    with pytest.raises(QueryError, match="nothing to undo"):
        expander.expand(["0"], 5).undo()


def test_what_is_asked_next(expander: Expander) -> None:
    found = expander.expand(["0", "3"], 6, exclude=["1"], weights=None)
    a, b, *others = found.ids
    asked = next_query(found.accept(a).reject(b), 9)
    assert asked.seeds == ("0", "3", a) and asked.negative == (b,) and asked.size == 9
    assert asked.exclude == ("1", *others)
    assert next_query(found).size == 6


def test_an_accepted_entity_weighs_what_a_seed_weighs_on_average(full) -> None:
    alone = dataclasses.replace(full, history=dataclasses.replace(full.history, decisions=()))
    asked = next_query(alone.accept("id1", "older"))
    assert asked.weights == (1.0, 2.0, (1.0 + 2.0) / 2, (1.0 + 2.0) / 2)
    assert asked.seeds[2:] == ("id1", "older") and asked.exclude == ("Mali", "old", "id2")
    assert asked.filter == full.query.filter and asked.strategy == "mean" and asked.rerank is False


def test_pages_never_repeat_anybody(expander: Expander) -> None:
    page, seen = expander.expand(["0", "3"], 9), list[str]()
    while page.results:
        assert not set(page.ids) & set(seen) and page.history.shown == tuple(seen)
        seen += page.ids
        page = page.accept(page.ids[0]).more()
    assert sorted(["0", "3", *seen]) == sorted({*map(str, range(60)), "a", "b", "c", "place 7"})
    assert list(page.query.seeds) == ["0", "3"] and page.seeds[2].id == seen[0]


def test_whose_acceptance_was_undone_does_not_come_back(expander: Expander) -> None:
    first = expander.expand(["0", "3"], 5)
    second = first.accept(first.ids[0]).more()
    third = second.undo().more(ALL)
    assert [seed.id for seed in third.seeds] == ["0", "3"]
    assert not {*first.ids, *second.ids} & set(third.ids)
    assert len(third.ids) == ALL - 2 - 5 - 5


def test_decisions_may_be_about_earlier_pages(expander: Expander) -> None:
    first = expander.expand(["0", "3"], 5)
    second = first.more()
    assert second.accept(first.ids[2]).history.accepted == (first.ids[2],)
    with pytest.raises(QueryError, match="earlier pages go by id"):
        second.accept(first.names[2])


def test_seeds_that_were_shown_do_not_come_again(expander: Expander) -> None:
    """The original leaves three seeds out of its results, whatever their number."""
    settings = ExpandSettings(search=SearchSettings(compatible_seeds=3))
    first = expander.expand(["0", "3", "6", "9", "12"], 10, settings=settings)
    assert {"9", "12"} <= set(first.ids)
    second = first.accept("9").more(ALL)
    assert not {*first.ids, "0"} & set(second.ids)


def test_the_next_page_keeps_the_first_question(full) -> None:
    page = following(full, dataclasses.replace(full, results=(), cutoff=None, fetches=7))
    assert page.query is full.query and page.history.shown == ("old", "older", "id1", "id2") and page.fetches == 7


def test_an_expander_that_is_gone_is_told_of(world: World) -> None:
    found = Expander.open(world.index).expand(["0"], 3)
    with pytest.raises(QueryError, match=r"call `expander\.more"):
        found.more()


def test_awaited_pages_are_the_same(world: World, expander: Expander, request: pytest.FixtureRequest) -> None:
    from entity_expand import AsyncExpander
    from entity_expand.stores.base import Reader

    class Awaited:
        """The embedded store, as one that is awaited."""

        def __init__(self, reader: Reader) -> None:
            self.reader, self.facts = reader, reader.facts

        async def begin(self, timeout: float | None = None) -> Awaited:
            return self

        async def answer(self, requests):
            return self.reader.answer(requests)

        async def close(self) -> None:
            pass

    async def pages():
        awaited = AsyncExpander(Awaited(expander.store.begin()))
        first = await awaited.expand(["0", "3"], 5)
        return first, await awaited.more(first.accept(first.ids[0]), 7)

    first, second = asyncio.run(pages())
    expected = expander.expand(["0", "3"], 5)
    assert first.ids == expected.ids
    assert second.ids == expected.accept(expected.ids[0]).more(7).ids
