"""Features and tables of a model under training: those that an index of the same samples has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from entity_expand import MemoryStore
from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import EncoderInput, FakeEncoder
from entity_expand.errors import TrainingError
from entity_expand.search.plan import ExpandSettings, search_whole
from entity_expand.search.scoring import scores_between
from entity_expand.search.window import SearchSettings
from indexer import IndexSettings, index_corpus
from training import table as module
from training.config import DataSettings
from training.data import training_set
from training.features import EntityFeatures, Samples, entity_features, evaluating
from training.table import EntityTable, entity_table

WIDTH = 16
NOBODY = np.empty(0, dtype=np.int64)


class Model:
    """The fake encoder as a model under training; it counts what it is shown."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.encoder = corpus, FakeEncoder(WIDTH)
        data = training_set(corpus, DataSettings())
        self.numbers = data.samples[: data.trained]
        shown = [corpus.sample(number) for number in self.numbers.tolist()]
        files = sorted({sample.image for sample in shown if sample.image is not None})
        picture_of = [-1 if sample.image is None else files.index(sample.image) for sample in shown]
        texts = np.array([bool(sample.text) for sample in shown])
        self.samples = Samples(data.labels[: data.trained], texts, np.array(picture_of))
        self.calls: list[int] = []

    def __call__(self, rows, hide_picture, hide_text) -> torch.Tensor:
        self.calls.append(len(rows))
        inputs = []
        for row, picture, text in zip(rows.tolist(), hide_picture.tolist(), hide_text.tolist(), strict=True):
            sample = self.corpus.sample(int(self.numbers[row]))
            said = ("", ()) if text else (sample.text, sample.mentions)
            inputs.append(EncoderInput(*said, None if picture else self.corpus.image_path(sample)))
        return torch.from_numpy(self.encoder.encode(inputs))


@pytest.fixture
def bundle(tmp_path: Path, corpus: Corpus) -> Bundle:
    return fake_bundle(tmp_path / "bundle", corpus.entities, WIDTH)


def table_of(model: Model, bundle: Bundle, shown: str, **settings: object) -> EntityTable:
    features = entity_features(model, model.samples, shown, **settings)  # type: ignore[arg-type]
    return entity_table(features, (torch.tensor(bundle.head_weight), torch.tensor(bundle.head_bias)))


@pytest.mark.parametrize(
    ("shown", "settings"),
    [
        ("both", IndexSettings()),
        ("text", IndexSettings(modality="text")),
        ("picture", IndexSettings(modality="picture")),
        ("apart", IndexSettings(late_fusion=0.25)),
    ],
)
def test_a_table_holds_what_an_index_holds(tmp_path: Path, corpus, bundle, shown, settings) -> None:
    settings = IndexSettings(modality=settings.modality, late_fusion=settings.late_fusion, split="train")
    index_corpus(bundle, FakeEncoder(WIDTH), corpus, tmp_path / "index", settings)
    store, table = MemoryStore.open(tmp_path / "index"), table_of(Model(corpus), bundle, shown, batch_size=7)
    stored = store.rows(np.arange(store.meta.entities))
    assert len(table.entities) == store.meta.entities
    assert table.vocabulary == store.meta.vocabulary
    for name in ("head", "scaled", "deviation", "log_offset"):
        np.testing.assert_allclose(getattr(table.rows, name), getattr(stored, name), rtol=2e-6, atol=2e-6)
    store.close()


def test_pictures_that_samples_share_are_encoded_once(corpus, bundle) -> None:
    """An entity has four pictured samples and three pictures, one of them broken: (2 a + b + 0) / 4."""
    model = Model(corpus)
    features = entity_features(model, model.samples, "picture", batch_size=4)
    assert sum(model.calls) == 3 * len(corpus.entities)
    fake = FakeEncoder(WIDTH)
    images = corpus.root / "images"
    alone = [EncoderInput("", (), images / f"0-{name}.png") for name in ("0", "1", "broken")]
    one, two, broken = fake.encode(alone).astype(np.float64)
    np.testing.assert_allclose(features.means[0], (2 * one + two + broken) / 4, rtol=1e-6)


def test_batches_change_nothing_but_rounding(corpus) -> None:
    model = Model(corpus)
    by_size = [entity_features(model, model.samples, "apart", batch_size=size).means for size in (1, 7, 1000)]
    for other in by_size[1:]:
        np.testing.assert_allclose(other, by_size[0], rtol=1e-6)
    assert max(model.calls) == 4 * len(corpus.entities)


def test_entities_with_nothing_to_show_are_not_there() -> None:
    labels, ones = np.array([0, 1, 1, 2]), np.ones(4, dtype=bool)
    samples = Samples(labels, np.array([True, False, False, True]), np.array([-1, 3, 4, -1]))

    def encode(rows, hide_picture, hide_text) -> torch.Tensor:
        return torch.from_numpy(np.column_stack([rows, hide_picture]).astype(np.float32))

    assert entity_features(encode, samples, "text").entities.tolist() == [0, 2]
    assert entity_features(encode, samples, "picture").entities.tolist() == [1]
    apart = entity_features(encode, samples, "apart", picture_weight=0.0)
    assert apart.entities.tolist() == [0, 1, 2]
    np.testing.assert_allclose(apart.means, [[0, 1], [1.5, 0], [3, 1]], rtol=1e-6)
    with pytest.raises(TrainingError, match="shows"):
        entity_features(encode, Samples(labels, ones, np.full(4, -1)), "picture")


def test_features_that_are_not_finite_are_refused() -> None:
    samples = Samples(np.array([0, 1]), np.ones(2, dtype=bool), np.full(2, -1))
    with pytest.raises(TrainingError, match="not finite"):
        entity_features(lambda rows, *_: torch.full((len(rows), 2), torch.nan), samples, "both")


def test_a_model_is_put_back_into_its_mode() -> None:
    model = nn.Sequential(nn.Dropout()).train()
    with evaluating(model):
        assert not model[0].training
        assert not torch.is_grad_enabled()
    assert model[0].training
    with pytest.raises(ValueError, match="stop"), evaluating(model.eval()):
        raise ValueError("stop")
    assert not model.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.3])
def test_ranks_are_those_of_a_search_without_growth(clusters, weight: float) -> None:
    table = clusters.table
    pool = table.pool(ExpandSettings(both_directions=weight))
    plain = SearchSettings(member_weight=0.0, rerank=False, window=1, window_growth=0)
    found = table.nearest(12, weight)
    for place in range(40):
        ranking = search_whole(pool, np.array([place]), 12, plain, NOBODY)
        assert found[place].tolist() == ranking.positions.tolist()


def test_ranks_by_a_naive_sum_with_ties_by_place(clusters) -> None:
    """Three entities with the same head row have the same score, for everyone."""
    weight, bias = (each.clone() for each in clusters.head)
    weight[[5, 17, 30]], bias[[5, 17, 30]] = weight[5].clone(), bias[5].clone()
    table = entity_table(EntityFeatures(np.arange(40), clusters.means), (weight, bias))
    scores = scores_between(table.rows, table.rows)
    found = table.nearest(100)
    assert found.shape == (40, 39)
    for place in range(40):
        others = [other for other in range(40) if other != place]
        assert found[place].tolist() == sorted(others, key=lambda other: (-scores[place, other], other))
        for count in (1, 2, 5):
            assert table.nearest(count)[place].tolist() == found[place, :count].tolist()


def test_blocks_change_nothing(clusters, monkeypatch) -> None:
    whole = clusters.table.nearest(9, 0.5)
    monkeypatch.setattr(module, "_BLOCK", 3 * 40)
    assert np.array_equal(clusters.table.nearest(9, 0.5), whole)


@pytest.mark.parametrize("settings", [ExpandSettings(both_directions=1.0), ExpandSettings(space="features")])
def test_large_tables_are_expanded_without_all_scores(clusters, monkeypatch, settings) -> None:
    seeds = [np.flatnonzero(clusters.label == label)[:3] for label in range(4)]
    whole = clusters.table.expanded(seeds, 20, settings)
    monkeypatch.setattr(module, "TABLE_BYTES", 0)
    assert [each.tolist() for each in clusters.table.expanded(seeds, 20, settings)] == [each.tolist() for each in whole]
    for label, found in enumerate(whole):
        assert (clusters.label[found[:7]] == label).mean() > 0.5


def test_only_some_entities_may_be_there(clusters) -> None:
    """Results are head rows, not places."""
    kept = np.arange(1, 40, 2)
    table = entity_table(EntityFeatures(kept, clusters.means[kept]), clusters.head)
    assert table.places(np.array([1, 39, 2, 3])).tolist() == [0, 19, -1, 1]
    assert set(table.nearest(19).ravel().tolist()) == set(kept.tolist())
    (found,) = table.expanded([np.array([1, 5])], 100, ExpandSettings())
    assert sorted(found.tolist()) == [row for row in kept.tolist() if row not in (1, 5)]
    with pytest.raises(TrainingError, match="no features"):
        table.expanded([np.array([2])], 5, ExpandSettings())


def test_nothing_is_written(clusters, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    clusters.table.expanded([np.array([1, 2])], 5, ExpandSettings())
    assert list(tmp_path.iterdir()) == []
