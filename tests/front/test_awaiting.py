"""`AsyncExpander` over an embedded index and with new seeds: as `Expander`, and the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from contract.world import World, make_world
from entity_expand import (
    AsyncExpander,
    Expander,
    ExpandQuery,
    IndexMismatchError,
    NewSeed,
    StoreError,
    UnknownSeedError,
)
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.encoder import FakeEncoder
from entity_expand.seeds.newcomers import SeedEncoder

NEW = NewSeed("The [[okapi]] has salt wave tide.")
QUERIES = [
    ExpandQuery(["0", "3"], 10, weights=[2.0, 1.0], negative=["50"]),
    ExpandQuery([NEW, "4"], 12, strategy="rank-fusion"),
    ExpandQuery(["Plaec 1"], 5),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("name", ["index", "fetched"])
def test_an_embedded_index_is_awaited(world: World, name: str) -> None:
    index: Path = getattr(world, name)
    fake = FakeEncoder(world.bundle.dimension)
    expander = Expander.open(index, bundle=world.bundle.path, encoder=fake)

    async def pages():
        async with await AsyncExpander.open(index, bundle=world.bundle.path, encoder=fake) as awaited:
            found = await awaited.expand_many(QUERIES, return_errors=True)
            first = await awaited.expand(["0", NEW], 5, strategy="both")
            return found, await awaited.more(first.reject(first.ids[0])), await awaited.picture(())

    found, second, picture = asyncio.run(pages())
    assert found[:2] == expander.expand_many(QUERIES, return_errors=True)[:2]
    assert isinstance(found[2], UnknownSeedError) and picture is None
    first = expander.expand(["0", NEW], 5, strategy="both")
    assert second == first.reject(first.ids[0]).more()


def test_the_loop_goes_on_while_seeds_are_encoded(world: World) -> None:
    class Slow(FakeEncoder):
        def encode(self, inputs):
            begun.set()
            assert go_on.wait(20)
            return super().encode(inputs)

    import threading

    begun, go_on = threading.Event(), threading.Event()

    async def both():
        encoder = Slow(world.bundle.dimension)
        async with await AsyncExpander.open(world.index, bundle=world.bundle.path, encoder=encoder) as awaited:
            waiting = asyncio.create_task(awaited.expand([NEW], 3))
            while not begun.is_set():
                await asyncio.sleep(0.01)
            other = await awaited.expand(["0"], 3)
            go_on.set()
            return other, await waiting

    other, found = asyncio.run(both())
    assert len(other.ids) == len(found.ids) == 3


def test_what_cannot_be_opened(world: World, tmp_path: Path) -> None:
    other = fake_bundle(tmp_path / "other", world.bundle.entities, seed=1)
    fake = FakeEncoder(other.dimension)
    with pytest.raises(IndexMismatchError):
        asyncio.run(AsyncExpander.open(world.index, bundle=other.path, encoder=fake))
    with pytest.raises(StoreError):
        asyncio.run(AsyncExpander.open(tmp_path / "nowhere"))


def test_a_server_is_awaited_while_seeds_are_encoded_in_a_thread(world: World) -> None:
    from entity_expand import MemoryStore

    class Awaited:
        """The embedded store, as one that is awaited."""

        def __init__(self, store: MemoryStore) -> None:
            self.store, self.facts = store, store.facts

        async def begin(self, timeout: float | None = None) -> Awaited:
            return self

        async def answer(self, requests):
            return self.store.answer(requests)

        async def close(self) -> None:
            self.store.close()

    store = MemoryStore.open(world.fetched)
    encoder = SeedEncoder(world.bundle, FakeEncoder(world.bundle.dimension))
    found = asyncio.run(AsyncExpander(Awaited(store), encoder=encoder).expand_many(QUERIES[:2]))
    assert found == Expander(store, encoder=encoder).expand_many(QUERIES[:2])
