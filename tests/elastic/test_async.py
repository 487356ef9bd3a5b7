"""`AsyncElasticStore` does what `ElasticStore` does, for many runs at once on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from contract.world import World, make_world, serve
from entity_expand import (
    AsyncExpander,
    Expander,
    ExpandQuery,
    ExpandSettings,
    Filter,
    IndexChangedError,
    IndexMismatchError,
    IndexMissingError,
    QueryError,
    StoreError,
    UnknownSeedError,
)
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.elastic.store import AsyncElasticStore, ElasticStore
from entity_expand.errors import DeadlineError
from entity_expand.stores.base import Lookup, Nearest, Rows
from entity_expand.types import Entity
from servers.elasticsearch_node import ask

T = TypeVar("T")
QUERIES = [
    ExpandQuery(["0", "3"], 10),
    ExpandQuery(["Place 1", "P-4"], 30, settings=ExpandSettings(both_directions=1.0, pool_size=8)),
    ExpandQuery(["2", "5"], 10, ["8"], Filter(attributes={"kind": ["k2"]}), ExpandSettings(space="features")),
    ExpandQuery(["Plaec 1"], 5),
    ExpandQuery(["1"], 5, filter=Filter(query={"no_such_query": {}})),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def url(world: World, elasticsearch_url: str, index_name: str, tmp_path: Path) -> str:
    serve(world, f"{elasticsearch_url}/{index_name}", tmp_path)
    return f"{elasticsearch_url}/{index_name}"


@pytest.fixture
def waiting(url: str) -> Iterator[Expander]:
    with Expander(ElasticStore.open(url)) as expander:
        yield expander


def awaited(url: str, work: Callable[[AsyncElasticStore], Awaitable[T]], **options: float) -> T:
    """Run something with an open store."""

    async def run() -> T:
        store = await AsyncElasticStore.open(url, **options)  # type: ignore[arg-type]
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def test_awaiting_gives_what_waiting_gives(url: str, waiting: Expander) -> None:
    async def work(store: AsyncElasticStore) -> None:
        expander = AsyncExpander(store)
        found = await expander.expand_many(QUERIES, return_errors=True)
        right = waiting.expand_many(QUERIES, return_errors=True)
        assert found[:3] == right[:3] and list(map(str, found[3:])) == list(map(str, right[3:]))
        assert isinstance(found[4], QueryError)
        for query, expected in zip(QUERIES[:3], right, strict=False):
            arguments = {"exclude": query.exclude, "filter": query.filter, "settings": query.settings}
            assert await expander.expand(query.seeds, query.size, **arguments) == expected
        with pytest.raises(UnknownSeedError, match="Did you mean 'Place 1'"):
            await expander.expand(["Plaec 1"])

    awaited(url, work)


def test_answers_of_both_readers_are_the_same(url: str) -> None:
    requests = [Lookup(("7", "mercury")), Nearest("head", np.ones(17), 9, np.array([3])), Rows(np.array([5, 1]))]

    async def work(store: AsyncElasticStore) -> None:
        opened = ElasticStore.open(url)
        reader, other = await store.begin(), opened.begin()
        assert reader.facts.meta == other.facts.meta
        for found, right in zip(await reader.answer(requests), other.answer(requests), strict=True):
            assert repr(found) == repr(right)
        opened.close()

    awaited(url, work)


def test_many_runs_at_once(url: str, waiting: Expander) -> None:
    expected = [waiting.expand([str(n)], 20) for n in range(6)]

    async def work(store: AsyncElasticStore) -> None:
        expander = AsyncExpander(store)
        for _ in range(2):
            found = await asyncio.gather(*(expander.expand([str(n % 6)], 20) for n in range(24)))
            assert found == [expected[n % 6] for n in range(24)]

    awaited(url, work, cache_bytes=20 * 200, recheck=0.0)


def test_a_new_version_is_taken_over(url: str, world: World, tmp_path: Path) -> None:
    async def work(store: AsyncElasticStore) -> None:
        expander, stale = AsyncExpander(store), await store.begin()
        before = await expander.expand(["0"], 10)
        ((old, _),) = ask("GET", f"{url}/_mapping")[1].items()
        version = await asyncio.to_thread(serve, world, url, tmp_path / "new", seed=1, shards=2)
        assert version != old
        ask("DELETE", f"{url.rpartition('/')[0]}/{old}")
        with pytest.raises(IndexChangedError):
            await stale.answer([Lookup(("1",))])
        assert await expander.expand(["0"], 10) == before

    awaited(url, work, recheck=3600.0)


def test_cancelling_a_look_leaves_the_store_usable(url: str, waiting: Expander) -> None:
    async def work(store: AsyncElasticStore) -> None:
        task = asyncio.create_task(AsyncExpander(store).expand(["0"], 10))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await AsyncExpander(store).expand(["0"], 10) == waiting.expand(["0"], 10)

    awaited(url, work, recheck=0.0)


def test_what_cannot_be_opened(url: str, elasticsearch_url: str, index_name: str, tmp_path: Path) -> None:
    async def nothing(store: AsyncElasticStore) -> None:
        pytest.fail("it was opened")

    with pytest.raises(IndexMissingError):
        awaited(f"{elasticsearch_url}/{index_name}-none", nothing)
    bundle = fake_bundle(tmp_path / "other", [Entity("x", "X")])
    with pytest.raises(IndexMismatchError):
        awaited(url, nothing, bundle=bundle)  # type: ignore[arg-type]


def test_limits_of_time_and_closing(url: str) -> None:
    async def work(store: AsyncElasticStore) -> None:
        with pytest.raises(DeadlineError):
            await AsyncExpander(store).expand(["0"], timeout=1e-6)
        reader = await store.begin()
        await store.close()
        with pytest.raises(StoreError, match="closed"):
            await reader.answer([Lookup(("1",))])

    awaited(url, work, recheck=3600.0)
