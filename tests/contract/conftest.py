"""The stores that must behave alike."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.world import World, make_world, serve
from entity_expand import MemoryStore
from entity_expand.elastic.store import ElasticStore
from entity_expand.stores.base import Store
from servers.fixtures import delete_all


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def served(world: World, elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the same content on a server."""
    name = f"contract-{uuid.uuid4().hex[:12]}"
    try:
        serve(world, f"{elasticsearch_url}/{name}", tmp_path_factory.mktemp("work"))
        yield f"{elasticsearch_url}/{name}"
    finally:
        delete_all(elasticsearch_url, name)


@pytest.fixture(params=["memory", "elastic"])
def store(request: pytest.FixtureRequest, world: World) -> Iterator[Store]:
    address: Path | str = world.fetched if request.param == "memory" else request.getfixturevalue("served")
    opened: Store = MemoryStore.open(address) if isinstance(address, Path) else ElasticStore.open(address)
    yield opened
    opened.close()


@pytest.fixture
def table(world: World) -> Iterator[MemoryStore]:
    """The embedded index with the scores of all pairs: what is right."""
    opened = MemoryStore.open(world.index)
    yield opened
    opened.close()
