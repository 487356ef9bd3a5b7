"""`Expander`: how seeds are read, what comes back, and what is refused."""

import asyncio
import copy
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

import entity_expand
from entity_expand import (
    AmbiguousSeedError,
    AsyncExpander,
    Expander,
    ExpandQuery,
    ExpandSettings,
    QueryError,
    SearchSettings,
    StoreError,
    UnknownSeedError,
)
from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.results.show import page, table
from entity_expand.types import Entity
from indexer import IndexSettings, index_corpus

KINDS = ("salt wave tide harbour sail", "rock snow ridge goat pine", "sand dune camel palm well")
COUNT = 60


def build(folder: Path, table_bytes: int = 1 << 30) -> Path:
    entities = [Entity(str(n), f"Place {n}", (f"P-{n}",), {}) for n in range(COUNT)]
    entities += [Entity("a", "Mercury"), Entity("b", "Mercury"), Entity("c", "Åre <script>alert(1)</script>")]
    rows = [
        OwnRow(f"{e.name} has {KINDS[number % 3]} {turn}.", ((e.id, 0, len(e.name)),))
        for number, e in enumerate(entities)
        for turn in range(2)
    ]
    write_corpus(folder / "corpus", entities, rows)
    bundle: Bundle = fake_bundle(folder / "bundle", entities)
    with Corpus.open(folder / "corpus") as corpus:
        settings = IndexSettings(table_bytes=table_bytes)
        index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, folder / "index", settings)
    return folder / "index"


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("world"))


@pytest.fixture
def expander(index):
    with Expander.open(index) as opened:
        yield opened


def test_seeds_may_be_ids_names_or_aliases(expander) -> None:
    by_id = expander.expand(["0", "3", "6"], 10)
    assert by_id == expander.expand(["Place 0", "place  3", "p-6"], 10)
    assert [seed.name for seed in by_id.seeds] == ["Place 0", "Place 3", "Place 6"]
    assert len(by_id.results) == 10
    assert [result.rank for result in by_id.results] == list(range(1, 11))
    assert not set(by_id.ids) & {"0", "3", "6"}
    assert by_id.exact and by_id.results[0].evidence[0].text.startswith(by_id.names[0])


def test_features_find_the_kind(expander) -> None:
    settings = ExpandSettings(space="features")
    found = expander.expand(["0", "3", "6"], 15, settings=settings)
    assert all(int(identifier) % 3 == 0 for identifier in found.ids if identifier.isdigit())


def test_errors_of_seeds_come_back_from_other_processes(expander) -> None:
    for seed in ("Plaec 1", "mercury"):
        with pytest.raises(QueryError) as caught:
            expander.expand([seed])
        for copied in (pickle.loads(pickle.dumps(caught.value)), copy.deepcopy(caught.value)):
            assert type(copied) is type(caught.value) and str(copied) == str(caught.value)
            assert vars(copied) == vars(caught.value)


def test_an_unknown_seed_gets_suggestions(expander) -> None:
    with pytest.raises(UnknownSeedError, match="Did you mean 'Place 1") as caught:
        expander.expand(["Plaec 1"])
    assert caught.value.suggestions
    with pytest.raises(UnknownSeedError):
        expander.expand(["nothing like any of them"])


def test_an_ambiguous_seed_lists_its_readings(expander) -> None:
    with pytest.raises(AmbiguousSeedError) as caught:
        expander.expand(["mercury"])
    assert caught.value.readings == (("a", "Mercury"), ("b", "Mercury"))
    assert "Mercury" not in expander.expand(["a"], 5).names[:0]


@pytest.mark.parametrize(
    ("seeds", "size", "exclude"),
    [
        ([], 5, ()),
        ("Place 1", 5, ()),
        (["1", "Place 1"], 5, ()),
        (["1"], 0, ()),
        (["1"], 10_001, ()),
        (["1"], 5, ("1",)),
        (["x" * 2000], 5, ()),
        ([7], 5, ()),
        ([str(n) for n in range(1001)], 5, ()),
    ],
)
def test_what_cannot_be_answered_is_refused(expander, seeds, size, exclude) -> None:
    with pytest.raises(QueryError):
        expander.expand(seeds, size, exclude=exclude)


def test_the_weight_of_a_query_costs_no_memory(expander) -> None:
    one, other = expander.store.whole(0.25), expander.store.whole(0.5)
    assert one.log_own is other.log_own and one.log_mean is other.log_mean
    places = np.array([4])
    given, taken = expander.store.whole(0.0).gains(places), expander.store._table[:, places].T
    np.testing.assert_array_equal(one.gains(places), given + 0.25 * taken)
    np.testing.assert_array_equal(other.gains(places), given + 0.5 * taken)


def test_one_query_that_cannot_be_answered_leaves_the_others(expander, index) -> None:
    wrong = ExpandQuery(["1"], settings=ExpandSettings(space="features"), rerank=True)
    queries = [ExpandQuery(["0"], 5), wrong]

    async def awaited():
        async with await AsyncExpander.open(index) as opened:
            return await opened.expand_many(queries, return_errors=True)

    for found in (expander.expand_many(queries, return_errors=True), asyncio.run(awaited())):
        assert found[0] == expander.expand(["0"], 5) and isinstance(found[1], QueryError)
    with pytest.raises(QueryError, match="ranked again"):
        expander.expand_many(queries)


def test_a_closed_index_says_so(index) -> None:
    expander = Expander.open(index)
    expander.close()
    with pytest.raises(StoreError, match="was closed; open it again"):
        expander.expand(["0"])


@pytest.mark.parametrize("limit", [0, -1, 2.5, True])
def test_a_limit_is_a_whole_number(expander, limit) -> None:
    with pytest.raises(QueryError, match="whole number of 1 to"):
        expander.find("place", limit)


def test_excluded_entities_do_not_come_back(expander) -> None:
    first = expander.expand(["0", "3"], 5)
    without = expander.expand(["0", "3"], 60, exclude=first.ids)
    assert not set(first.ids) & set(without.ids)


def test_a_list_is_as_long_as_the_index_allows(expander) -> None:
    assert len(expander.expand(["0"], 1000).results) == COUNT + 3 - 1


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_fetched_pools_and_the_table_agree(index, tmp_path, weight: float) -> None:
    without_table = build(tmp_path, table_bytes=0)
    settings = ExpandSettings(both_directions=weight, pool_size=16)
    with Expander.open(index) as whole, Expander.open(without_table) as fetched:
        for seed in range(6):
            seeds = [str(seed), str(seed + 3), str(seed + 30)]
            expected, found = whole.expand(seeds, 30, settings=settings), fetched.expand(seeds, 30, settings=settings)
            assert [r.id for r in found.results] == expected.ids
            assert found.exact and found.fetches > 0 and expected.fetches == 0


def test_expand_leaves_its_arguments_alone(expander) -> None:
    seeds, exclude = ["0", "3"], ["5"]
    expander.expand(seeds, 5, exclude=exclude, settings=ExpandSettings(search=SearchSettings(rerank=False)))
    assert (seeds, exclude) == (["0", "3"], ["5"])


def test_many_threads_get_the_same(expander) -> None:
    expected = {seed: expander.expand([seed], 20) for seed in ("0", "1", "2")}
    wrong: list[str] = []

    def work(seed: str) -> None:
        wrong.extend(seed for _ in range(5) if expander.expand([seed], 20) != expected[seed])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in ("0", "1", "2") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_is_shown_is_escaped(expander) -> None:
    found = expander.expand(["0"], 100)
    assert "<script>alert" not in page(found, expander.picture)
    assert "&lt;script&gt;alert" in page(found, expander.picture)
    assert "Åre" in table(found)


def test_the_public_names() -> None:
    for name in entity_expand.__all__:
        assert hasattr(entity_expand, name)
    assert issubclass(UnknownSeedError, entity_expand.EntityExpandError)
