"""A real Triton server with the models of the demo's bundle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from entity_expand.bundle import Bundle
from entity_expand.demo import bundle_path
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.repository import encoder_models, write_repository
from servers.triton_node import TritonNode


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return Bundle.open(bundle_path())


@pytest.fixture(scope="session")
def node(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonNode]:
    """A server that runs as long as the tests do; who wants to break one starts another."""
    folder = tmp_path_factory.mktemp("triton") / "models"
    settings = RepositorySettings(backend="python")
    write_repository(folder, encoder_models(bundle, settings), settings)
    with TritonNode(folder) as running:
        yield running
