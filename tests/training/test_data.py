from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from entity_expand.errors import TrainingError
from entity_expand.inputs.image import ImageConfig, load_rgb, to_pixels
from entity_expand.inputs.text import MaskedTokenizer, TextConfig
from training.arrays import fill
from training.backbones import load_text
from training.batches import Source
from training.cache import picture_cache, text_cache
from training.cached import PictureCache
from training.config import DataSettings, LoopSettings, TextSettings, TrainingConfig
from training.data import Album, epoch_rows, hidden_parts, hidden_words, picture_rows, training_set
from training.phases import epoch_phases
from training.text import TextEncoder
from training.tokenizer import train_wordpiece, write_tokenizer
from training.vision import SmallNetwork, VisionTokens

LABELS = np.repeat(np.arange(4), [1, 3, 8, 12])


def test_entities_and_samples(corpus):
    found = training_set(corpus, DataSettings(held_out="test"))
    assert [entity.id for entity in found.entities] == [str(number) for number in range(10)]
    assert (found.trained, len(found.samples)) == (10 * 5, 10 * 6)
    assert corpus.sample_entity[found.samples].tolist() == found.labels.tolist()
    assert np.bincount(found.labels[found.trained :]).tolist() == [1] * 10
    assert training_set(corpus, DataSettings(split="*")).trained == 10 * 6
    with pytest.raises(TrainingError, match="min_samples"):
        training_set(corpus, DataSettings(min_samples=6))
    with pytest.raises(TrainingError, match="no split 'dev'"):
        training_set(corpus, DataSettings(split="dev"))


def test_a_split_of_other_entities_cannot_be_held_out():
    rows = {"train": np.array([0, 1]), "test": np.array([2])}
    corpus = SimpleNamespace(entities="abc", sample_entity=np.arange(3), splits=tuple(rows), select=rows.__getitem__)
    with pytest.raises(TrainingError, match=r"'test' has no sample of an entity that is trained.*data\.held_out"):
        training_set(corpus, DataSettings(held_out="test"))


def test_an_epoch_takes_every_row_once():
    first = epoch_rows(LABELS, None, 0, 0)
    assert sorted(first.tolist()) == list(range(len(LABELS)))
    assert first.tolist() == epoch_rows(LABELS, None, 0, 0).tolist()
    assert first.tolist() != epoch_rows(LABELS, None, 0, 1).tolist()
    assert first.tolist() != epoch_rows(LABELS, None, 1, 0).tolist()


def test_an_epoch_draws_the_same_number_of_every_entity():
    rows = epoch_rows(LABELS, 8, 0, 0)
    assert np.bincount(LABELS[rows]).tolist() == [8] * 4
    assert sorted(rows[LABELS[rows] == 2].tolist()) == list(range(4, 12))
    assert len(set(rows[LABELS[rows] == 3].tolist())) == 8


def test_never_both_parts_are_hidden():
    generator = np.random.default_rng(0)
    has_text, has_picture = generator.random((2, 20_000)) < 0.8
    picture, text = hidden_parts(has_text, has_picture, (0.4, 0.1), 3, 0, 0)
    both = has_text & has_picture
    assert not (picture & text).any()
    assert not ((picture | text) & ~both).any()
    assert abs(picture[both].mean() - 0.4) < 0.02
    assert abs(text[both].mean() - 0.1) < 0.02
    again = hidden_parts(has_text, has_picture, (0.4, 0.1), 3, 0, 0)
    assert (again[0] == picture).all()
    assert not (hidden_parts(has_text, has_picture, (0.4, 0.1), 3, 0, 1)[0] == picture).all()


def test_a_share_of_the_samples_is_shown_another_picture():
    rows = np.arange(10_000) % 500
    shown = picture_rows(rows, 500, 0.3, 3, 1, 2)
    assert abs((shown != rows).mean() - 0.3 * 499 / 500) < 0.02
    assert 0 <= shown.min() <= shown.max() < 500
    assert (picture_rows(rows, 500, 0.3, 3, 1, 2) == shown).all()
    assert not (picture_rows(rows, 500, 0.3, 3, 1, 3) == shown).all()
    assert (picture_rows(rows, 500, 0.0, 3, 1, 2) == rows).all()


def test_a_share_of_the_samples_is_shown_any_picture_of_its_entity():
    labels = np.arange(600) % 20
    has_picture = (np.arange(600) % 3 > 0) & (labels != 7)
    album = Album.of(labels, has_picture)
    rows = np.arange(12_000) % 600
    shown = album.others(rows, labels[rows], 0.4, 3, 1, 2)
    assert (labels[shown] == labels[rows]).all()
    assert (shown[labels[rows] == 7] == rows[labels[rows] == 7]).all()  # nothing to draw from
    moved = shown != rows
    assert has_picture[shown[moved]].all()
    assert abs(moved[labels[rows] != 7].mean() - 0.4) < 0.03
    assert set(shown[(labels[rows] == 4) & moved]) == set(np.flatnonzero(has_picture & (labels == 4)))  # each of them
    assert (album.others(rows, labels[rows], 0.4, 3, 1, 2) == shown).all()
    assert not (album.others(rows, labels[rows], 0.4, 3, 1, 3) == shown).all()
    assert (Album.of(labels, labels < 0).others(rows, labels[rows], 1.0, 3, 1, 2) == rows).all()


def test_words_are_hidden_each_on_its_own():
    context = np.random.default_rng(0).random((200, 100)) < 0.7
    hidden = hidden_words(context, 0.3, 3, 1, 2)
    assert not (hidden & ~context).any()
    assert abs(hidden[context].mean() - 0.3) < 0.02
    assert (hidden_words(context, 0.3, 3, 1, 2) == hidden).all()
    for other in ((4, 1, 2), (3, 2, 2), (3, 1, 3)):
        assert not (hidden_words(context, 0.3, *other) == hidden).all()
    assert (hidden_words(context, 1.0, 3, 1, 2) == context).all()
    assert not hidden_words(context, 0.0, 3, 1, 2).any()


def test_word_pieces_are_learned_without_the_names(corpus, tmp_path):
    path = tmp_path / "tokenizer.json"
    settings = TextSettings(backbone="scratch", trained_layers=-1, vocabulary=200)
    write_tokenizer(path, settings, corpus, corpus.select("train"))
    first = path.read_bytes()
    write_tokenizer(path, settings, corpus, corpus.select("train"))
    assert path.read_bytes() == first
    tokenizer = MaskedTokenizer.from_file(path, TextConfig())
    assert tokenizer.padding_id == 0
    assert b'"grows"' in first
    assert b'"haz' not in first
    assert train_wordpiece(["a b"], 40) == train_wordpiece(["a b"], 40)


@pytest.fixture
def tokenizer(corpus, tmp_path):
    path = tmp_path / "tokenizer.json"
    settings = TextSettings(backbone="scratch", trained_layers=-1, vocabulary=120)
    write_tokenizer(path, settings, corpus, corpus.select("train"))
    return path, MaskedTokenizer.from_file(path, TextConfig(max_length=24))


def _encoder(vocabulary, trained):
    torch.manual_seed(0)
    settings = TextSettings(backbone="scratch", trained_layers=-1, width=16, heads=2, mlp=20, max_length=24)
    return TextEncoder(load_text(settings, vocabulary).model, trained)


def test_cached_ids_are_the_tokenizers(corpus, tokenizer, tmp_path):
    samples = training_set(corpus, DataSettings()).samples
    cache = text_cache(tmp_path, corpus, samples, *tokenizer, _encoder(tokenizer[1].vocabulary, -1))
    items = np.array([3, 4, 0, len(samples)])
    texts = [corpus.sample(number) for number in samples[items[:3]].tolist()]
    encoded = [tokenizer[1].encode(text.text, text.mentions) for text in texts]
    expected = tokenizer[1].batch([*encoded, tokenizer[1].encode("", ())])
    ids, mask, position = cache.padded(items)
    assert (ids == expected.ids).all()
    assert (mask == expected.attention_mask).all()
    assert (position == expected.mask_position).all()
    assert cache.has_text.sum() == 10 * 4
    special = [tokenizer[1].mask_id, tokenizer[1].padding_id, ids[0, 0], ids[3, 2]]
    assert (cache.context(items) == ~np.isin(ids, special)).all()
    assert not cache.context(items)[3].any()


@pytest.mark.parametrize("trained", [-1, 1])
def test_hidden_words_of_batches(corpus, tokenizer, tmp_path, trained):
    config = TrainingConfig(data=DataSettings(hide_words=0.5, hide_text=0.0), loop=LoopSettings(batch_size=16))
    data = training_set(corpus, config.data)
    text = text_cache(tmp_path, corpus, data.samples, *tokenizer, _encoder(tokenizer[1].vocabulary, trained))
    pictures = PictureCache(np.full(len(data.samples), -1), np.zeros((1, 4, 2), np.float16))
    source = Source(config, data, text, pictures)
    order = epoch_rows(data.labels, None, 0, 1)
    phases = epoch_phases(config, data, None, 1)
    batches = [step.samples[0].batch for step in source.steps(phases, 1, 0)]
    for number, batch in enumerate(batches):
        rows = order[16 * number : 16 * number + 16]
        context = text.context(rows)
        hidden = hidden_words(context, 0.5, 0, 1, number)
        assert hidden.any()
        hidden[~(context & ~hidden).any(1)] = False  # none of them has a picture
        plain = source.batch(rows, *np.zeros((2, len(rows)), bool))
        assert torch.equal(batch.attention_mask, plain.attention_mask * ~torch.from_numpy(hidden))
        assert torch.equal(batch.text, plain.text)
        assert batch.attention_mask[torch.arange(len(rows)), batch.mask_position].all()
    third = next(iter(source.steps(phases, 1, 2)))
    assert torch.equal(third.samples[0].batch.attention_mask, batches[2].attention_mask)


def test_cached_states_are_the_frozen_layers(corpus, tokenizer, tmp_path):
    samples = training_set(corpus, DataSettings()).samples
    encoder = _encoder(tokenizer[1].vocabulary, 1)
    cache = text_cache(tmp_path / "cache", corpus, samples, *tokenizer, encoder)
    plain = text_cache(tmp_path / "plain", corpus, samples, *tokenizer, _encoder(tokenizer[1].vocabulary, -1))
    items = np.array([7, 2, len(samples)])
    states, mask, _ = cache.padded(items)
    ids, _, _ = plain.padded(items)
    with torch.no_grad():
        expected = encoder.lower(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    assert states.dtype == np.float16
    assert np.abs(states - expected)[mask == 1].max() < 2e-3
    folders = sorted((tmp_path / "cache").glob("text-*"))
    before = (folders[0] / "states.npy").stat().st_mtime_ns
    text_cache(tmp_path / "cache", corpus, samples, *tokenizer, encoder)
    assert (folders[0] / "states.npy").stat().st_mtime_ns == before
    torch.nn.init.ones_(next(encoder.parameters()))
    text_cache(tmp_path / "cache", corpus, samples, *tokenizer, encoder)
    assert len(list((tmp_path / "cache").glob("text-*"))) == 2


@pytest.mark.parametrize("frozen", [True, False])
def test_cached_pictures(corpus, tmp_path, frozen, caplog):
    samples = training_set(corpus, DataSettings()).samples
    config = ImageConfig(16, mean=(0.5, 0.5, 0.5))
    backbone = VisionTokens(SmallNetwork((4, 8)), size=16, tokens="map", frozen=frozen)
    cache = picture_cache(tmp_path, corpus, samples, config, backbone)
    shown = [corpus.sample(number).image for number in samples.tolist()]
    usable = [image is not None and "broken" not in image for image in shown]
    assert (cache.picture_of >= 0).tolist() == usable
    assert len(set(cache.picture_of[usable].tolist())) == 10 * 2
    assert "broken picture" in caplog.text or not any("broken" in (image or "") for image in shown)
    row = usable.index(True)
    rgb = load_rgb(corpus.root / shown[row], config)
    found = cache.gather(np.array([cache.picture_of[row], -1, cache.picture_of[row]]))
    if frozen:
        with torch.no_grad():
            expected = backbone.eval()(torch.from_numpy(to_pixels(rgb, config))[None])[0].numpy()
        assert np.abs(found[0] - expected).max() < 2e-3
    else:
        assert (found[0] == rgb.transpose(2, 0, 1)).all()
    assert (found[0] == found[2]).all()
    assert not found[1].any()


def test_filling_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("training.arrays._SAVE_SECONDS", 0.0)
    seen = []

    def compute(array, block):
        if len(seen) == 3:
            seen.append(None)
            raise KeyboardInterrupt
        seen.append(block)
        array[2 * block : 2 * block + 2] = block

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "a.npy", (10,), "int32", 5, compute, "test")
    fill(tmp_path / "a.npy", (10,), "int32", 5, compute, "test")
    assert seen == [0, 1, 2, None, 3, 4]
    assert np.load(tmp_path / "a.npy").tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    with pytest.raises(TrainingError, match="bytes free"):
        fill(tmp_path / "b.npy", (1 << 60,), "uint8", 1, compute, "test")
