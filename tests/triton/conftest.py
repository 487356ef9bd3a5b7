"""A real Triton server with the models of the demo's bundle, and a scorer of its entities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from entity_expand.bundle import Bundle
from entity_expand.demo import bundle_path
from entity_expand.scorer_folder import ScorerFolder
from entity_expand.scoring import EntityRows, entity_rows, head_rows, head_statistics
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.repository import encoder_models, scorer_content, write_repository
from export.scorer import write_scorer
from servers.triton_node import TritonNode


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return Bundle.open(bundle_path())


@pytest.fixture(scope="session")
def rows(bundle: Bundle) -> EntityRows:
    """Rows of the bundle's entities, as if their features were random."""
    vocabulary = head_rows(bundle.head_weight, bundle.head_bias)
    features = np.random.default_rng(1).standard_normal((bundle.vocabulary, bundle.dimension)).astype(np.float32)
    return entity_rows(features, vocabulary, vocabulary, head_statistics(vocabulary))


@pytest.fixture(scope="session")
def scorer_folder(bundle: Bundle, rows: EntityRows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scorer") / "scorer"
    ids = [entity.id for entity in bundle.entities]
    write_scorer(folder, rows, ids, bundle.fingerprint, inline=0)
    return folder


@pytest.fixture(scope="session")
def node(bundle: Bundle, scorer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonNode]:
    """A server that runs as long as the tests do; who wants to break one starts another."""
    folder = tmp_path_factory.mktemp("triton") / "models"
    settings = RepositorySettings(backend="python")
    models = [*encoder_models(bundle, settings), scorer_content(ScorerFolder(scorer_folder), settings)]
    write_repository(folder, models, settings)
    with TritonNode(folder) as running:
        yield running
