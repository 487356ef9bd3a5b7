"""A corpus of two kinds of entities, and a bundle without a model that was trained on it."""

from pathlib import Path

import pytest
from PIL import Image

from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.types import Entity
from indexer import IndexSettings, index_corpus

WORDS = {"sea": "salt wave tide harbour sail", "hill": "rock snow ridge goat pine"}
COUNT = 40


def make_corpus(folder: Path, salt: str = "") -> Path:
    """Write 40 entities, even ones of the sea and odd ones of the hill, three sentences each; the last has none."""
    entities = [
        Entity(str(number), f"Place {number}", (f"P{number}", "Twin" if number in (6, 8) else f"Q{number}"), {})
        for number in range(COUNT)
    ]
    rows = []
    for entity in entities[:-1]:
        kind = ("sea", "hill")[int(entity.id) % 2]
        for turn in range(3):
            text = f"{entity.name} has {WORDS[kind]} {salt}{turn}."
            image = f"images/{kind}.png" if turn == 0 else "images/broken.png" if entity.id == "3" else None
            rows.append(OwnRow(text, ((entity.id, 0, len(entity.name)),), image, "train" if turn < 2 else "test"))
    write_corpus(folder, entities, rows)
    (folder / "images").mkdir()
    Image.new("RGB", (4, 4), "blue").save(folder / "images" / "sea.png")
    Image.new("RGB", (4, 4), "brown").save(folder / "images" / "hill.png")
    return folder


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return fake_bundle(tmp_path / "bundle", [Entity(str(number), f"Place {number}") for number in range(COUNT - 2)])


@pytest.fixture
def encoder(bundle: Bundle) -> FakeEncoder:
    return FakeEncoder(bundle.dimension)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a corpus, a bundle, and the index i of both, with parts; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("built")
    made = fake_bundle(folder / "bundle", [Entity(str(number), f"Place {number}") for number in range(COUNT - 2)])
    with Corpus.open(make_corpus(folder / "corpus")) as corpus:
        index_corpus(made, FakeEncoder(made.dimension), corpus, folder / "i", IndexSettings(modalities=True))
    return folder
