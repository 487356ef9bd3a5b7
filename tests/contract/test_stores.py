"""What every store must do, whatever it keeps its index in."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from contract.world import ALL, COUNT, LAST, entities, vectors
from entity_expand import (
    AmbiguousSeedError,
    Expander,
    ExpandQuery,
    ExpandSettings,
    Filter,
    QueryError,
    SearchSettings,
    UnknownSeedError,
)
from entity_expand.stores.base import VECTOR_FIELDS, Describe, Find, Lookup, Matching, Nearest, Rows, Suggest
from entity_expand.stores.facets import Facet, Facets

NONE = np.empty(0, dtype=np.int64)
SPACES = [
    ExpandSettings(),
    ExpandSettings(both_directions=1.0),
    ExpandSettings(both_directions=0.5, search=SearchSettings(window=3)),
    ExpandSettings(both_directions=1.0, search=SearchSettings(member_weight=0.2, rerank=False)),
    ExpandSettings(space="features"),
    ExpandSettings(search=SearchSettings(window_growth=0, member_weight=0.0, rerank=False)),
]


def named(settings: ExpandSettings) -> str:
    weight = settings.search.member_weight
    window = f"window {settings.search.window}, weight {weight:g}" if weight else "seeds only"
    return f"{settings.space}, {settings.both_directions}, {window}"


def small(settings: ExpandSettings, size: int) -> ExpandSettings:
    return ExpandSettings(settings.both_directions, settings.space, settings.search, size, settings.max_fetches)


def query_of(table, field: str, sign: float = 1.0) -> np.ndarray:
    """The vector of a set of three, cut to the width that is asked with."""
    width = {"head": 17, "pair": 34, "feature": 16}[field]
    return sign * vectors(table, field)[[0, 3, 6]].sum(axis=0)[:width]


def expected(table, field: str, query: np.ndarray, allowed: Sequence[int]) -> tuple[list[int], np.ndarray]:
    scores = vectors(table, field)[:, : len(query)] @ query
    return sorted(allowed, key=lambda n: (-scores[n], n)), scores


def test_facts_are_those_of_the_index(store, table) -> None:
    facts = store.begin().facts
    assert facts.meta == table.meta and facts.exact
    assert facts.largest_norms == pytest.approx(dict(table.facts.largest_norms))
    assert np.array_equal(facts.mean_feature, table.facts.mean_feature)
    assert facts.pair_frame is not None and table.facts.pair_frame is not None
    assert np.array_equal(facts.pair_frame.mean, table.facts.pair_frame.mean)
    assert facts.pair_frame.scale == table.facts.pair_frame.scale


def test_a_store_without_all_scores_says_so(store) -> None:
    assert store.begin().whole(0.0) is None


@pytest.mark.parametrize("positions", [[0], [5, 3, 60, 0], [7, 7, 2], list(range(ALL)), []])
def test_rows_come_exactly_and_in_order(store, table, positions: list[int]) -> None:
    reader, wanted = store.begin(), np.array(positions, dtype=np.int64)
    for _ in range(2):
        (found,) = reader.answer([Rows(wanted)])
        right = table.rows(wanted)
        assert len(found) == len(positions)
        for name in ("head", "scaled", "deviation", "log_offset"):
            assert np.array_equal(getattr(found, name), getattr(right, name)), name


def test_rows_of_several_requests_come_apart(store, table) -> None:
    asked = [np.array(each, dtype=np.int64) for each in ([1, 2], [2, 9, 4], [], [0])]
    reader = store.begin()
    reader.answer([Rows(asked[1])])
    for found, wanted in zip(reader.answer([Rows(each) for each in asked]), asked, strict=True):
        assert np.array_equal(found.head, table.rows(wanted).head)
        assert np.array_equal(found.log_offset, table.rows(wanted).log_offset)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("field", VECTOR_FIELDS)
def test_nearest_are_those_of_a_full_scan(store, table, field, sign: float) -> None:
    query = query_of(table, field, sign)
    right, scores = expected(table, field, query, range(ALL))
    (hits,) = store.begin().answer([Nearest(field, query, 20, NONE)])
    assert hits.positions.tolist() == right[:20]
    assert hits.floor == pytest.approx(scores[right[19]], rel=1e-5, abs=1e-5)


def test_excluded_entities_are_not_found(store, table) -> None:
    query = query_of(table, "head")
    excluded = np.array([0, 3, 6, 9, 40], dtype=np.int64)
    right, _ = expected(table, "head", query, sorted(set(range(ALL)) - set(excluded.tolist())))
    (hits,) = store.begin().answer([Nearest("head", query, 30, excluded)])
    assert hits.positions.tolist() == right[:30]
    (rest,) = store.begin().answer([Nearest("head", query, 30, np.arange(3, ALL))])
    assert sorted(rest.positions.tolist()) == [0, 1, 2] and rest.floor == -np.inf


def test_whoever_asks_for_more_than_there_is_gets_all(store, table) -> None:
    (hits,) = store.begin().answer([Nearest("head", query_of(table, "head"), 10 * ALL, NONE)])
    assert sorted(hits.positions.tolist()) == list(range(ALL)) and hits.floor == -np.inf


FILTERS = [
    (Filter(attributes={"kind": ["k1"]}), {n for n in range(COUNT) if n % 3 == 1}),
    (Filter(attributes={"kind": ["k0", "k2"], "half": ["low"]}), {n for n in range(30) if n % 3 != 1}),
    (Filter(attributes={"kind": ["\ud800", "k1"]}), {n for n in range(COUNT) if n % 3 == 1}),
    (Filter(attributes={"kind": []}), set()),
    (Filter(name_prefix="\ud800"), set()),
    (Filter(attributes={"description": ["none has this"]}), set()),
    (Filter(name_prefix="PLACE 1"), {1, *range(10, 20)}),
    (Filter(name_prefix="mork"), {62}),
    (Filter(name_prefix="the 2", attributes={"half": ["low"]}), {2, *range(20, 30)}),
    (Filter(), set(range(ALL))),
]


@pytest.mark.parametrize(("filtered", "passing"), FILTERS)
def test_filters_let_through(store, table, filtered: Filter, passing: set[int]) -> None:
    query = query_of(table, "head")
    reader = store.begin()
    (matching,) = reader.answer([Matching(filtered)])
    assert matching.dtype == np.int64 and matching.tolist() == sorted(passing)
    excluded = np.array([1, 2], dtype=np.int64)
    right, _ = expected(table, "head", query, sorted(passing - {1, 2}))
    (hits,) = reader.answer([Nearest("head", query, 8, excluded, filtered)])
    assert hits.positions.tolist() == right[:8]
    assert (hits.floor == -np.inf) == (len(right) < 8)


def test_without_a_filter_all_match(store) -> None:
    (matching,) = store.begin().answer([Matching(None)])
    assert matching.tolist() == list(range(ALL))


def test_texts_stand_for_ids_before_names(store) -> None:
    by_id = {"7": 7, "a": 60, "b": 61, "c": 62, "place 7": 63}
    by_name = {"place  8": (8,), "P-12": (12,), "the 3TH": (3,), "mercury": (60, 61), "are nord": (62,), "MORKO": (62,)}
    neither = {
        "": (),
        "\ud800": (),
        "Plac 8": (),
        "k1": (),
        "Place 7": (7,),
    }  # the last is an id but for its capital letter
    texts = (*by_id, *by_name, *neither, "7")
    found, again = store.begin().answer([Lookup(texts), Lookup(("mercury",))])
    assert found == (*((place,) for place in by_id.values()), *by_name.values(), *neither.values(), (7,))
    assert again == ((60, 61),)
    assert store.begin().answer([Lookup(())]) == [()]


def test_suggestions_are_spelled_alike(store) -> None:
    reader = store.begin()
    found, nothing, empty, one = reader.answer(
        [Suggest("Mercuri", 3), Suggest("wholly unlike them", 3), Suggest("  ", 3), Suggest("Plaec 5", 1)]
    )
    assert found == ("Mercury",) and nothing == () and empty == ()
    assert one == ("Place 5",)


@pytest.mark.parametrize(
    ("prefix", "limit", "found"),
    [
        ("PLACE 1", 4, [1, 10, 11, 12]),  # the one that is called just so comes first
        ("place 7", 5, [7]),  # an id is no name
        ("p-5", 3, [5, 50, 51]),
        ("åre", 5, [62]),
        ("mork", 5, [62]),
        ("mercury", 5, [60, 61]),
        ("", 2, [60, 61]),
        ("", 10_000, sorted(range(ALL), key=lambda n: entities()[n].name)),
        ("nothing like it", 5, []),
    ],
)
def test_entities_are_found_by_how_a_name_begins(store, prefix: str, limit: int, found: list[int]) -> None:
    assert store.begin().answer([Find(prefix, limit)]) == [tuple(found)]


def test_attributes_are_counted(store) -> None:
    (found,) = store.begin().answer([Facets(2)])
    assert found == (
        Facet("half", {"high": COUNT // 2, "low": COUNT // 2}, 2),
        Facet("kind", {"k0": COUNT // 3 + 1, "k1": COUNT // 3}, 3),
    )
    assert [list(facet.counts) for facet in found] == [["high", "low"], ["k0", "k1"]]


def test_entities_are_described_in_the_order_asked_for(store) -> None:
    order = (60, 2, 63, 2, 0)
    found, none = store.begin().answer([Describe(order), Describe(())])
    known = entities()
    assert [record.entity for record in found] == [known[n] for n in order] and none == []
    assert [record.samples for record in found] == [2] * len(order) and all(record.trained for record in found)
    first = found[1].evidence[0]
    assert first.text.startswith("Place 2 has sand") and tuple(first.mentions) == ((0, len("Place 2")),)
    assert first.image is None and len(found[1].evidence) == 2


def test_requests_of_all_kinds_go_together(store, table) -> None:
    query = query_of(table, "head")
    asked = [
        Describe((1,)),
        Nearest("head", query, 5, NONE),
        Rows(np.array([4])),
        Lookup(("P-4",)),
        Suggest("Mercuri", 1),
        Matching(Filter(name_prefix="Seven")),
        Nearest("feature", query[:16], 3, NONE),
    ]
    together, reader = store.begin().answer(asked), store.begin()
    apart = [reader.answer([request])[0] for request in asked]
    assert together[0] == apart[0] and together[3:5] == apart[3:5] == [((4,),), ("Mercury",)]
    assert np.array_equal(together[2].scaled, apart[2].scaled)
    assert together[5].tolist() == apart[5].tolist() == [63]
    for number, size in ((1, 5), (6, 3)):
        assert np.array_equal(together[number].positions, apart[number].positions)
        assert len(together[number].positions) == size
    assert store.begin().answer([]) == []


@pytest.mark.parametrize("settings", SPACES, ids=named)
@pytest.mark.parametrize("pool_size", [8, 400])
def test_expansions_are_those_of_the_whole_table(store, table, settings: ExpandSettings, pool_size: int) -> None:
    right, expander = Expander(table), Expander(store)
    for seed in (0, 4, 11):
        seeds = [str(seed), f"Place {seed + 3}", f"P-{seed + 30}"]
        wanted = right.expand(seeds, 25, settings=settings)
        found = expander.expand(seeds, 25, settings=small(settings, pool_size))
        assert found.ids == wanted.ids and found.exact and found.seeds == wanted.seeds
        assert [r.evidence for r in found.results] == [tuple(r.evidence) for r in wanted.results]
        scores = [[r.score for r in each.results] for each in (found, wanted)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-6)


@pytest.mark.parametrize("settings", SPACES[:4], ids=named)
def test_expansions_with_filters_and_exclusions(store, table, settings: ExpandSettings) -> None:
    for filtered in (Filter(attributes={"kind": ["k0"]}), Filter(name_prefix="place 1", attributes={"half": ["low"]})):
        asked = {"size": 40, "exclude": ["12", "P-14"], "filter": filtered}
        wanted = Expander(table).expand(["1", "a"], settings=settings, **asked)
        found = Expander(store).expand(["1", "a"], settings=small(settings, 4), **asked)
        assert found.ids == wanted.ids and found.ids and not {"12", "14"} & set(found.ids)
        assert found.exact


def test_many_excluded(store, table) -> None:
    excluded = [str(n) for n in range(COUNT) if n not in (5, 6, 7, 8)]
    wanted = Expander(table).expand(["5", "6"], 50, exclude=excluded)
    found = Expander(store).expand(["5", "6"], 50, exclude=excluded)
    assert found.ids == wanted.ids and len(found.ids) == 2 + len(LAST)


def test_a_list_is_as_long_as_the_index_allows(store) -> None:
    found = Expander(store).expand(["0", "3"], 10_000)
    assert len(found.ids) == len(set(found.ids)) == ALL - 2 and found.exact


def test_side_by_side_is_one_by_one(store) -> None:
    queries = [
        ExpandQuery(["0", "3"], 10),
        ExpandQuery(["1"], 50, settings=ExpandSettings(pool_size=6)),
        ExpandQuery(["Plaec 1"], 5),
        ExpandQuery(["2", "5"], 10, ["8"], Filter(attributes={"kind": ["k2"]}), ExpandSettings(space="features")),
        ExpandQuery(["mercury"], 5),
        ExpandQuery(["0", "3"], 10, settings=ExpandSettings(both_directions=1.0, pool_size=6)),
    ]
    expander = Expander(store)
    found = expander.expand_many(queries, return_errors=True)
    for query, each in zip(queries, found, strict=True):
        try:
            alone = expander.expand(
                query.seeds, query.size, exclude=query.exclude, filter=query.filter, settings=query.settings
            )
        except QueryError as problem:
            assert isinstance(each, type(problem)) and str(each) == str(problem)
        else:
            assert each == alone
    assert isinstance(found[2], UnknownSeedError) and found[2].suggestions
    assert isinstance(found[4], AmbiguousSeedError) and found[4].readings == (("a", "Mercury"), ("b", "Mercury"))
    with pytest.raises(QueryError):
        expander.expand_many(queries)


@pytest.mark.parametrize("query", [{"no_such_query": {}}, {"script": {"script": "true"}}])
def test_a_filter_that_is_refused_spoils_its_own_expansion_alone(store, query) -> None:
    good = ExpandQuery(["0", "3"], 10, settings=ExpandSettings(pool_size=6))
    bad = ExpandQuery(["0", "3"], 10, filter=Filter(query=query))
    expander = Expander(store)
    first, refused, second = expander.expand_many([good, bad, good], return_errors=True)
    assert first == second == expander.expand(["0", "3"], 10, settings=good.settings)
    assert isinstance(refused, QueryError)
    with pytest.raises(QueryError, match=re.escape(str(refused))):
        expander.expand_many([good, bad])


def test_what_is_no_request_is_refused(store) -> None:
    with pytest.raises(TypeError, match="int is no request"):
        store.begin().answer([7])
