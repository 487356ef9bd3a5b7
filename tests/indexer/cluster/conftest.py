"""A corpus of several groups, and one Ray with two workers for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import OwnRow, write_corpus
from entity_expand.types import Entity
from indexer.cluster.session import joined

COUNT = 290
"""Entities: nine whole groups of 32, and two more entities."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of one to three sentences for each entity, the first with a picture; two pictures are broken."""
    folder = tmp_path_factory.mktemp("many") / "corpus"
    entities = [Entity(str(number), f"Place {number}") for number in range(COUNT)]
    rows = []
    for number, entity in enumerate(entities):
        for turn in range(1 + number % 3):
            image = None if turn else f"images/{('sea', 'hill', 'cut')[0 if number % 90 else 2]}.png"
            rows.append(OwnRow(f"{entity.name} has word{number} {turn}.", ((entity.id, 0, len(entity.name)),), image))
    write_corpus(folder, entities, rows)
    (folder / "images").mkdir()
    Image.new("RGB", (4, 4), "blue").save(folder / "images" / "sea.png")
    (folder / "images" / "cut.png").write_bytes((folder / "images" / "sea.png").read_bytes()[:60])
    return folder


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    known = [Entity(str(number), f"Place {number}") for number in range(COUNT - 30)]
    return fake_bundle(tmp_path_factory.mktemp("bundle") / "b", known)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    with joined("local", 2, 60.0):
        yield
