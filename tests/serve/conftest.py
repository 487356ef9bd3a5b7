"""A small index behind the service, asked without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from entity_expand import Expander
from entity_expand.serve.app import create_app
from entity_expand.serve.settings import ServeSettings
from serve.worlds import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `corpus` and `index`."""
    folder = tmp_path_factory.mktemp("served")
    make_world(folder)
    return folder


@pytest.fixture(scope="session")
def expander(world: Path) -> Iterator[Expander]:
    with Expander.open(world / "index") as opened:
        yield opened


@pytest.fixture
def client(expander: Expander) -> Iterator[TestClient]:
    settings = ServeSettings(title="places", seeds=5, size=20, batch=5, filter_values=4)
    with TestClient(create_app(expander, settings), base_url="http://127.0.0.1") as opened:
        yield opened
