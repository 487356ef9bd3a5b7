"""`ElasticStore` on a real server: how much it asks, and what it does when the index changes or is not as it should."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.world import ALL, World, make_world, serve
from entity_expand import (
    ConfigError,
    Expander,
    ExpandQuery,
    ExpandSettings,
    Filter,
    IndexChangedError,
    IndexMismatchError,
    IndexMissingError,
    MemoryStore,
    QueryError,
    ServerError,
    StoreError,
    UnknownSeedError,
)
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.elastic.address import parse_address
from entity_expand.elastic.bodies import VectorOptions
from entity_expand.elastic.connection import Answer, Call, Connection, Deadline
from entity_expand.elastic.documents import pack_rows
from entity_expand.elastic.source import Source, StoreOptions
from entity_expand.elastic.store import CACHE_BYTES, ElasticStore
from entity_expand.errors import DeadlineError
from entity_expand.stores.base import Describe, Lookup, Nearest, Rows, Suggest
from entity_expand.types import Entity
from servers.elasticsearch_node import ask
from servers.fixtures import delete_all

NONE = np.empty(0, dtype=np.int64)
SEEDS = ["0", "3", "36"]
NEVER = 3600.0


class Listening(Connection):
    """A connection that tells what it sends before it does."""

    def __init__(self, url: str) -> None:
        super().__init__(parse_address(url))
        self.calls: list[str] = []
        self.before: Callable[[Call], None] = lambda call: None

    def send(self, call: Call, deadline: Deadline) -> Answer:
        self.calls.append(call.path.rpartition("/")[2])
        self.before(call)
        return super().send(call, deadline)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def table(world: World) -> Iterator[MemoryStore]:
    opened = MemoryStore.open(world.index)
    yield opened
    opened.close()


@pytest.fixture
def url(elasticsearch_url: str, index_name: str) -> str:
    return f"{elasticsearch_url}/{index_name}"


@pytest.fixture
def physical(world: World, url: str, tmp_path: Path) -> str:
    """The address of the physical index."""
    return f"{url.rpartition('/')[0]}/{serve(world, url, tmp_path)}"


@pytest.fixture(scope="module")
def shared_url(world: World, elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an index that no test changes."""
    name = f"store-{uuid.uuid4().hex[:12]}"
    try:
        serve(world, f"{elasticsearch_url}/{name}", tmp_path_factory.mktemp("work"))
        yield f"{elasticsearch_url}/{name}"
    finally:
        delete_all(elasticsearch_url, name)


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """Where the stores are: an index of the test's own if it asks for `physical`, else the shared one."""
    own = "physical" in request.fixturenames
    found: str = request.getfixturevalue("url" if own else "shared_url")
    return found


@pytest.fixture
def listening(address: str) -> Iterator[tuple[Listening, ElasticStore]]:
    connection = Listening(address)
    options = StoreOptions(10.0, CACHE_BYTES, NEVER)
    store = ElasticStore(Source(connection.address, options), connection)
    yield connection, store
    store.close()


@pytest.fixture
def opened(address: str) -> Iterator[Callable[..., ElasticStore]]:
    stores: list[ElasticStore] = []

    def make(**options: Any) -> ElasticStore:
        stores.append(ElasticStore.open(address, **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def change(method: str, url: str, body: object = None) -> None:
    status, answer = ask(method, f"{url}{'&' if '?' in url else '?'}refresh=true", body)
    assert status in (200, 201), answer


def mappings_of(url: str) -> dict[str, Any]:
    _, found = ask("GET", f"{url}/_mapping")
    ((_, described),) = found.items()
    mappings: dict[str, Any] = described["mappings"]
    return mappings


def create(url: str, mappings: dict[str, Any]) -> None:
    status, answer = ask("PUT", url, {"mappings": mappings})
    assert status == 200, answer


def set_meta(physical: str, **changed: object) -> None:
    own = mappings_of(physical)["_meta"]["entity_expand"]
    status, answer = ask("PUT", f"{physical}/_mapping", {"_meta": {"entity_expand": own | changed}})
    assert status == 200, answer


def test_an_expansion_asks_five_times_at_first_and_twice_after(listening) -> None:
    connection, store = listening
    first = Expander(store).expand(SEEDS, 20)
    # texts, rows of the seeds, neighbours, their rows, what to show
    assert connection.calls == ["_mapping", *["_search"] * 5] and first.fetches == 1
    connection.calls.clear()
    assert Expander(store).expand(SEEDS, 20) == first
    assert connection.calls == ["_search"] * 2  # rows and what to show are cached
    connection.calls.clear()
    Expander(store).expand_many([ExpandQuery([str(n)], 20) for n in range(10)])
    assert connection.calls[:2] == ["_search", "_msearch"] and len(connection.calls) <= 4


def test_rows_are_fetched_once_and_only_those_that_are_missing(listening) -> None:
    connection, store = listening
    asked: list[Any] = []
    connection.before = lambda call: asked.append(call.body)
    store.begin().answer([Rows(np.array([4, 9]))])
    store.begin().answer([Rows(np.array([4, 9, 9])), Rows(np.array([9, 2, 4]))])
    places = [body["query"]["bool"]["filter"][0]["terms"]["place"] for body in asked[1:]]
    assert places == [[4, 9], [2]]


def test_without_a_cache_all_is_fetched_each_time(opened, table) -> None:
    wanted = Expander(table).expand(SEEDS, 30)
    for size in (0, 20 * 200):
        store = opened(cache_bytes=size)
        settings = ExpandSettings(pool_size=12)
        assert Expander(store).expand(SEEDS, 30, settings=settings).ids == wanted.ids


def test_many_names_alike_are_all_found(listening, physical) -> None:
    connection, store = listening
    one = ask("GET", f"{physical}/_doc/0")[1]["_source"]
    for place in range(100, 240):
        document = one | {"place": place, "id": f"twin {place}", "name": "Twin", "spellings": ["twin"]}
        status, _ = ask("PUT", f"{physical}/_doc/{document['id'].replace(' ', '%20')}", document)
        assert status == 201
    ask("POST", f"{physical}/_refresh")
    found = store.begin().answer([Lookup(("TWIN", *(str(n) for n in range(40))))])
    assert found == [(tuple(range(100, 240)), *((n,) for n in range(40)))]
    assert connection.calls == ["_mapping", "_search"]
    found = store.begin().answer([Lookup(("Twin",))])  # 104 at a time
    assert found == [(tuple(range(100, 240)),)] and connection.calls[2:] == ["_search"] * 2


def test_a_removed_entity_is_noticed_while_reading(opened, physical) -> None:
    reader = opened().begin()
    (hits,) = reader.answer([Nearest("head", np.ones(17), 10, NONE)])
    gone = int(hits.positions[4])
    change("DELETE", f"{physical}/_doc/{'abc'[gone - 60] if gone >= 60 else gone}")
    for request in (Rows(hits.positions), Describe(tuple(hits.positions.tolist()))):
        with pytest.raises(IndexChangedError, match=f"place {gone}"):
            reader.answer([request])


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_an_expansion_goes_well_whenever_an_entity_is_removed(listening, table, physical, number: int) -> None:
    connection, store = listening
    gone = Expander(table).expand(SEEDS, 5).ids[2]

    def remove(call: Call) -> None:
        if len(connection.calls) == 1 + number:
            change("DELETE", f"{physical}/_doc/{gone}")

    connection.before = remove
    found = Expander(store).expand(SEEDS, 20)
    with_it, without = (Expander(table).expand(SEEDS, 20, exclude=each) for each in ((), (gone,)))
    assert found.ids == without.ids or (number == 5 and found.ids == with_it.ids)
    assert Expander(store).expand(SEEDS, 20).ids == without.ids


def test_a_changed_entity_is_read_anew(opened, table, physical) -> None:
    store, other = opened(recheck=NEVER), table.rows(np.array([20]))
    before = store.begin().answer([Rows(np.array([3, 20]))])[0]
    body = {"doc": {"rows": pack_rows(other, 0), "revision": 1}}
    change("POST", f"{physical}/_update/3", body)
    reader = store.begin()
    assert np.array_equal(reader.answer([Rows(np.array([3]))])[0].head[0], before.head[0])  # not met again so far
    assert reader.answer([Lookup(("3",))]) == [((3,),)]
    assert np.array_equal(reader.answer([Rows(np.array([3]))])[0].head[0], other.head[0])


def test_a_new_version_is_taken_over(opened, world, url, tmp_path, physical) -> None:
    soon, late = opened(recheck=0.0), opened(recheck=NEVER)
    old, stale = soon.begin(), late.begin()
    old.answer([Rows(np.array([1]))])
    version = serve(world, url, tmp_path / "new", vectors=VectorOptions(fields=("head",)))
    assert not physical.endswith(version)
    assert set(soon.begin().facts.largest_norms) == {"head"}
    assert set(late.begin().facts.largest_norms) == set(stale.facts.largest_norms) == {"head", "pair", "feature"}
    assert soon.begin().answer([Rows(np.array([1]))])[0].head.shape == (1, 17)
    ask("DELETE", physical)
    with pytest.raises(IndexChangedError, match="ask again"):
        stale.answer([Nearest("pair", np.ones(34), 3, NONE)])
    assert set(late.begin().facts.largest_norms) == {"head"}


def test_an_expansion_outlives_the_removal_of_its_version(listening, world, url, tmp_path, physical) -> None:
    connection, store = listening
    wanted = Expander(store).expand(SEEDS, 20)
    count = len(connection.calls)

    def replace(call: Call) -> None:
        if len(connection.calls) == count + 2:
            serve(world, url, tmp_path / "new", vectors=VectorOptions(fields=("head",)))
            ask("DELETE", physical)

    connection.before = replace
    assert Expander(store).expand(SEEDS, 20) == wanted
    assert "_mapping" in connection.calls[count:]


def test_changed_facts_are_taken_over_and_rows_are_kept(url, physical) -> None:
    connection = Listening(url)
    store = ElasticStore(Source(connection.address, StoreOptions(10.0, CACHE_BYTES, 0.0)), connection)
    reader = store.begin()
    reader.answer([Rows(np.array([1, 2]))])
    norms = dict(reader.facts.largest_norms)
    set_meta(physical, largest_norms=norms | {"head": 99.0}, changes=1)
    later = store.begin()
    assert later.facts.largest_norms["head"] == 99.0 and reader.facts.largest_norms == norms
    count = len(connection.calls)
    later.answer([Rows(np.array([1, 2]))])
    assert len(connection.calls) == count
    store.close()


def test_after_a_failed_look_every_run_looks_again(opened, physical) -> None:
    store = opened(recheck=0.5)
    set_meta(physical, state="loading")
    time.sleep(0.6)
    for _ in range(3):
        with pytest.raises(IndexMismatchError, match="'loading'"):
            store.begin()
    set_meta(physical, state="verified")
    assert store.begin().facts.meta.entities == ALL


def test_a_missing_index(elasticsearch_url, index_name) -> None:
    with pytest.raises(IndexMissingError, match=f"entity-expand index BUNDLE CORPUS --to .*{index_name}"):
        ElasticStore.open(f"{elasticsearch_url}/{index_name}")


def test_an_index_of_others(elasticsearch_url, index_name) -> None:
    url = f"{elasticsearch_url}/{index_name}"
    ask("PUT", url, {"mappings": {"properties": {"place": {"type": "long"}}}})
    with pytest.raises(IndexMismatchError, match="is not an entity-expand index"):
        ElasticStore.open(url)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": 1}, "index version 1; this release reads 2"),
        ({"state": "loading"}, "'loading'"),
        ({"mean_feature": "AAAA"}, "cannot be read"),
        ({"largest_norms": {}}, "cannot be read"),
        ({"vectors": {"method": "hnsw", "fields": ["head"]}}, "head.index_options is 'flat', expected 'hnsw'"),
        ({"vectors": {"method": "flat", "element_type": "bfloat16", "fields": ["head"]}}, "expected 'bfloat16'"),
        ({"index": {"bundle": "b"}}, "missing"),
    ],
)
def test_an_index_that_is_not_as_it_says(url, shared_url, changed: dict[str, object], said: str) -> None:
    mappings = mappings_of(shared_url)
    mappings["_meta"]["entity_expand"] |= changed
    create(url, mappings)
    with pytest.raises(IndexMismatchError, match=said):
        ElasticStore.open(url)


@pytest.mark.parametrize(
    ("field", "described", "said"),
    [
        ("head", {"similarity": "dot_product"}, "head.similarity is 'dot_product', expected 'max_inner_product'"),
        ("head", {"dims": 32}, "head.dims is 32, expected 24"),
        ("place", {"type": "keyword"}, "place.type is 'keyword', expected 'long'"),
        ("rows", None, "rows is missing"),
    ],
)
def test_another_mapping(url, shared_url, field: str, described: dict[str, object] | None, said: str) -> None:
    mappings = mappings_of(shared_url)
    live = mappings["properties"].pop(field)
    if described is not None:
        mappings["properties"][field] = (live if "type" not in described else {}) | described
    create(url, mappings)
    with pytest.raises(IndexMismatchError, match=said):
        ElasticStore.open(url)


def test_fields_of_others_do_no_harm(url, shared_url) -> None:
    mappings = mappings_of(shared_url)
    mappings["properties"]["price"] = {"type": "double"}
    create(url, mappings)
    ElasticStore.open(url).close()


def test_a_name_for_two_indices(url, shared_url, index_name) -> None:
    for other in (f"{url}-one", f"{url}-two"):
        create(other, mappings_of(shared_url))
        ask("PUT", f"{other}/_alias/{index_name}")
    with pytest.raises(IndexMismatchError, match=r"stands for the indices .*-one, .*-two; expected one"):
        ElasticStore.open(url)


def test_the_bundle_must_be_the_one_that_was_indexed_with(opened, world, tmp_path) -> None:
    assert opened(bundle=world.bundle).begin().facts.meta.bundle == world.bundle.fingerprint
    other = fake_bundle(tmp_path / "other", [Entity("x", "X")])
    with pytest.raises(IndexMismatchError, match=f"not with {other.fingerprint}"):
        opened(bundle=other)


def test_a_query_of_the_caller(opened, table) -> None:
    store = opened()
    query = {"bool": {"should": [{"term": {"attributes.kind": "k1"}}, {"match": {"name": "Place 3"}}]}}
    found = Expander(store).expand(["1", "4"], 50, filter=Filter(query=query))
    assert set(found.ids) == {"3", *(str(n) for n in range(60) if n % 3 == 1)} - {"1", "4"}
    for wrong in ({"no_such_query": {}}, {"term": {"place": "no number"}}):
        with pytest.raises(QueryError, match=r"The server refused the query of a filter: \w+"):
            Expander(store).expand(["1"], 5, filter=Filter(query=wrong))
    with pytest.raises(ServerError) as caught:
        store.begin().answer([Nearest("head", np.ones(99), 5, NONE)])
    assert caught.value.status == 400


def test_scripts_reach_the_server_only_where_they_are_allowed(opened) -> None:
    broken = Filter(query={"script": {"script": {"lang": "painless", "source": "no script ("}}})
    with pytest.raises(QueryError, match="not allowed here"):
        Expander(opened()).expand(["1"], 5, filter=broken)
    with pytest.raises(QueryError, match="The server refused"):
        Expander(opened(allow_scripts=True)).expand(["1"], 5, filter=broken)


def test_a_server_that_forbids_expensive_queries_suggests_nothing(listening) -> None:
    connection, store = listening

    def refuse(call: Call) -> None:
        if "fuzzy" in str(call.body):
            reason = "[fuzzy] queries cannot be executed when 'search.allow_expensive_queries' is set to false."
            raise ServerError("refused", 400, reason)

    connection.before = refuse
    assert store.begin().answer([Suggest("Plaec 1", 3), Lookup(("1",))]) == [(), ((1,),)]
    with pytest.raises(UnknownSeedError) as caught:
        Expander(store).expand(["Plaec 1"])
    assert caught.value.suggestions == ()


def test_documents_of_others(opened, physical) -> None:
    one = ask("GET", f"{physical}/_doc/5")[1]["_source"]
    change("PUT", f"{physical}/_doc/broken", one | {"place": 70, "id": "broken", "rows": "AAAA"})
    with pytest.raises(StoreError, match="document 'broken'"):
        opened().begin().answer([Rows(np.array([70]))])
    change("PUT", f"{physical}/_doc/empty", {"id": "empty"})
    with pytest.raises(StoreError, match="has no 'place'"):
        opened().begin().answer([Lookup(("empty",))])


def test_a_graph_is_not_exact(world, url, tmp_path, table) -> None:
    serve(world, url, tmp_path, vectors=VectorOptions("hnsw"))
    store = ElasticStore.open(url, candidates=50)
    try:
        found = Expander(store).expand(SEEDS, 20, settings=ExpandSettings(pool_size=30))
        assert not found.exact and found.ids == Expander(table).expand(SEEDS, 20).ids
    finally:
        store.close()


def test_limits_of_time(opened) -> None:
    store = opened()
    with pytest.raises(DeadlineError):
        Expander(store).expand(SEEDS, 5, timeout=1e-6)
    reader = store.begin(timeout=1e-6)
    with pytest.raises(DeadlineError):
        reader.answer([Lookup(("1",))])


def test_many_threads_with_little_memory_get_the_same(opened) -> None:
    store = opened(cache_bytes=30 * 200, recheck=0.01)
    expander, settings = Expander(store), ExpandSettings(pool_size=10)
    expected = {seed: expander.expand([seed], 20, settings=settings) for seed in ("0", "1", "2")}
    wrong: list[str] = []

    def work(seed: str) -> None:
        wrong.extend(seed for _ in range(4) if expander.expand([seed], 20, settings=settings) != expected[seed])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in ("0", "1", "2") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_closed_store(opened) -> None:
    store = opened(recheck=NEVER)
    reader = store.begin()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        reader.answer([Lookup(("1",))])


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout": 0.0},
        {"timeout": float("inf")},
        {"cache_bytes": -1},
        {"recheck": float("nan")},
        {"candidates": 0},
        {"candidates": 10_001},
        {"rescore": 0.5},
    ],
)
def test_options_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"got .*{next(iter(wrong.values()))}"):
        ElasticStore.open("http://127.0.0.1:1/never-asked", **wrong)
