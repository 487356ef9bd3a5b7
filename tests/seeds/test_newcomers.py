"""New seeds are encoded as the entities of the index were."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from entity_expand import (
    ConfigError,
    Entity,
    Expander,
    IndexMismatchError,
    MemoryStore,
    NewSeed,
    QueryError,
)
from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.seeds.newcomers import SeedEncoder
from indexer import IndexSettings, index_corpus

WAYS = {
    "both": IndexSettings(),
    "text": IndexSettings(modality="text"),
    "picture": IndexSettings(modality="picture"),
    "apart": IndexSettings(late_fusion=0.25),
    "texts alone count": IndexSettings(late_fusion=0.0),
}
SENTENCE = "has salt and wave."


def picture(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), (number * 20 % 256, 40, 90)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Twelve entities of the vocabulary, and one, "new", that the bundle has not seen."""
    folder = tmp_path_factory.mktemp("corpus")
    entities = [*(Entity(f"{n:02}", f"Place {n}") for n in range(12)), Entity("new", "Okapi")]
    (folder / "corpus" / "images").mkdir(parents=True)
    rows = []
    for number, entity in enumerate(entities):
        (folder / "corpus" / "images" / f"{number}.png").write_bytes(picture(number))
        text = f"{entity.name} {SENTENCE if entity.id == 'new' else f'is word{number}.'}"
        rows.append(OwnRow(text, ((entity.id, 0, len(entity.name)),), f"images/{number}.png"))
    write_corpus(folder / "corpus", entities, rows)
    return folder / "corpus"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    return fake_bundle(tmp_path_factory.mktemp("bundle") / "b", [Entity(f"{n:02}", f"Place {n}") for n in range(12)])


def indexed(corpus: Path, bundle: Bundle, settings: IndexSettings, folder: Path) -> MemoryStore:
    with Corpus.open(corpus) as opened:
        index_corpus(bundle, FakeEncoder(bundle.dimension), opened, folder, settings)
    return MemoryStore.open(folder)


@pytest.mark.parametrize("way", WAYS)
def test_a_new_seed_has_the_rows_that_an_index_would_hold(corpus, bundle, tmp_path, way: str) -> None:
    store = indexed(corpus, bundle, WAYS[way], tmp_path / "index")
    encoder = SeedEncoder(bundle, FakeEncoder(bundle.dimension))
    seed = NewSeed(f"[[Okapi]] {SENTENCE}", picture(12))
    found, right = encoder.rows([NewSeed("[[x]] y", picture(1)), seed], store.meta), store.rows(np.array([12]))
    np.testing.assert_allclose(found.head[1:], right.head, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.scaled[1:], right.scaled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.deviation[1:], right.deviation, rtol=1e-6)
    np.testing.assert_allclose(found.log_offset[1:], right.log_offset, rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_what_the_index_does_not_compare_is_not_enough(corpus, bundle, tmp_path, way: str) -> None:
    store = indexed(corpus, bundle, WAYS[way], tmp_path / "index")
    encoder = SeedEncoder(bundle, FakeEncoder(bundle.dimension))
    for seed, missing in ((NewSeed("[[Okapi]] runs."), "picture"), (NewSeed(image=picture(3), name="Okapi"), "text")):
        if way == missing:
            with pytest.raises(QueryError, match=f"compares {missing}s, and the new seed 'Okapi' has none"):
                encoder.rows([seed], store.meta)
        else:
            assert np.isfinite(encoder.rows([seed], store.meta).scaled).all()


def test_a_broken_picture_is_refused(corpus, bundle, tmp_path) -> None:
    store = indexed(corpus, bundle, IndexSettings(), tmp_path / "index")
    encoder = SeedEncoder(bundle, FakeEncoder(bundle.dimension))
    for image in (b"\x89PNG but no more", tmp_path / "nowhere.png", picture(1)[:40]):
        with pytest.raises(QueryError, match="picture of the new seed 'Okapi' cannot be used"):
            encoder.rows([NewSeed("[[Okapi]] runs.", image)], store.meta)


def test_bundle_and_encoder_must_fit(corpus, bundle, tmp_path) -> None:
    indexed(corpus, bundle, IndexSettings(), tmp_path / "index").close()
    fake = FakeEncoder(bundle.dimension)
    other = fake_bundle(tmp_path / "other", bundle.entities, seed=1)
    with pytest.raises(IndexMismatchError, match="made with the bundle"):
        Expander.open(tmp_path / "index", bundle=other.path, encoder=fake)
    with pytest.raises(ConfigError, match="bundle"):
        Expander.open(tmp_path / "index", encoder=fake)
    with pytest.raises(ConfigError, match="yields 7 numbers"):
        Expander.open(tmp_path / "index", bundle=bundle.path, encoder=FakeEncoder(7))
    with Expander.open(tmp_path / "index", bundle=bundle.path, encoder=fake) as expander:
        assert expander.expand([NewSeed(f"[[Okapi]] {SENTENCE}", picture(12))], 1, strategy="both").results
