"""A service on 127.0.0.1 over a small index, and the index itself to compare with."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from entity_expand import Expander
from entity_expand.serve.app import create_app
from entity_expand.serve.keys import ApiKeys
from entity_expand.serve.settings import ServeSettings
from serve.worlds import make_world

KEY = "secret-of-20-letters"


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Expander]:
    folder: Path = tmp_path_factory.mktemp("remote")
    make_world(folder)
    with Expander.open(folder / "index") as opened:
        yield opened


def serving(expander: Expander, keys: ApiKeys | None, batch: int = 16) -> Iterator[str]:
    app = create_app(expander, ServeSettings(batch=batch), keys)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="session")
def url(local: Expander) -> Iterator[str]:
    yield from serving(local, None)


@pytest.fixture(scope="session")
def locked_url(local: Expander) -> Iterator[str]:
    yield from serving(local, ApiKeys({"test": KEY}))


@pytest.fixture(scope="session")
def small_url(local: Expander) -> Iterator[str]:
    yield from serving(local, None, batch=3)
