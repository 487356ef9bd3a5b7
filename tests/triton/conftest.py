"""A real Triton server with the models of the demo's bundle, and a scorer of its entities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from entity_expand.bundle import Bundle
from entity_expand.corpus import OwnRow, write_corpus
from entity_expand.demo import bundle_path
from entity_expand.scorer.folder import ScorerFolder
from entity_expand.search.scoring import EntityRows, entity_rows, head_rows, head_statistics
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.repository import encoder_models, scorer_content, write_repository
from export.scorer import write_scorer
from servers.triton_node import TritonNode

COLOURS = ("red", "green", "blue", "gold")


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


@pytest.fixture(scope="session")
def corpus(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences for each entity of the bundle, the second with a picture."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    rows = []
    for number, entity in enumerate(bundle.entities):
        colour = COLOURS[number % 4]
        for turn, rest in enumerate((f"has a {colour} flag.", f"lies by the sea, number {number}.")):
            span = (entity.id, 0, len(entity.name))
            rows.append(OwnRow(f"{entity.name} {rest}", (span,), f"{colour}.png" if turn else None))
    write_corpus(folder, bundle.entities, rows)
    for colour in COLOURS:
        Image.new("RGB", (40, 30), colour).save(folder / f"{colour}.png")
    return folder
