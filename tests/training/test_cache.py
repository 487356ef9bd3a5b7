"""Caches that several corpora and backbones share one folder for, and damaged ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingError
from entity_expand.files import write_json
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import MaskedTokenizer, TextConfig
from training.arrays import fill
from training.backbones import describe_text, load_text, state_hash, text_like
from training.cache import picture_cache, text_cache
from training.config import TextSettings
from training.text import TextEncoder
from training.tokenizer import write_tokenizer
from training.vision import SmallNetwork, VisionTokens

TEXT = TextSettings(backbone="scratch", trained_layers=-1, width=16, heads=2, mlp=20, max_length=24, vocabulary=120)


@pytest.fixture
def other(corpus_folder, tmp_path):
    """The corpus with one word and one picture changed: all else is equal, down to the number of every sample."""
    folder = tmp_path / "other"
    shutil.copytree(corpus_folder, folder)
    sentences = folder / "sentences.jsonl"
    before = sentences.read_text()
    sentences.write_text(before.replace("is a red tree", "is a wet tree"))
    assert sentences.read_text() != before
    shutil.copyfile(folder / "images" / "1-0.png", folder / "images" / "0-0.png")
    with Corpus.open(folder) as opened:
        yield opened


def test_another_corpus_has_caches_of_its_own(corpus, other, tmp_path):
    path, cache = tmp_path / "tokenizer.json", tmp_path / "cache"
    samples = corpus.select("train")
    assert np.array_equal(samples, other.select("train"))
    assert np.array_equal(corpus.sample_entity, other.sample_entity)
    write_tokenizer(path, TEXT, corpus, samples)
    tokenizer = MaskedTokenizer.from_file(path, TextConfig(max_length=24))
    encoder = TextEncoder(load_text(TEXT, tokenizer.vocabulary).model, -1)
    backbone = VisionTokens(SmallNetwork((4,)), size=16, tokens="map", frozen=False)
    texts, pictures = [], []
    for one in (corpus, other, corpus):
        texts.append(text_cache(cache, one, samples, path, tokenizer, encoder))
        pictures.append(picture_cache(cache, one, samples, ImageConfig(16), backbone))
    assert len(list(cache.glob("text-*"))) == len(list(cache.glob("pictures-*"))) == 2
    changed = [_ids(texts[0], row) != _ids(texts[1], row) for row in range(len(samples))]
    assert sum(changed) == 1
    shown = [each.gather(each.picture_of[:1]) for each in pictures]
    assert not np.array_equal(shown[0], shown[1])
    assert np.array_equal(shown[0], shown[2])
    assert np.array_equal(texts[0].ids, texts[2].ids)


def _encoder(heads, act):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 20, "vocab_size": 120}
    torch.manual_seed(0)
    config = BertConfig(**sizes, num_attention_heads=heads, hidden_act=act, max_position_embeddings=24)
    return TextEncoder(BertModel(config).eval(), 1)


def test_equal_weights_of_another_text_architecture_have_a_cache_of_their_own(corpus, tmp_path):
    path, cache = tmp_path / "tokenizer.json", tmp_path / "cache"
    samples = corpus.select("train")
    write_tokenizer(path, TEXT, corpus, samples)
    tokenizer = MaskedTokenizer.from_file(path, TextConfig(max_length=24))
    one, other = _encoder(2, "gelu"), _encoder(4, "relu")
    assert state_hash(one.state_dict()) == state_hash(other.state_dict())
    settings = TextSettings(backbone="folder", trained_layers=1)
    again = text_like(settings, json.loads(json.dumps(describe_text(one))))  # as in a run that goes on
    again.load_state_dict(one.state_dict())
    states = [text_cache(cache, corpus, samples, path, tokenizer, each).states for each in (one, other, again)]
    assert not np.array_equal(states[0], states[1])
    assert np.array_equal(states[0], states[2])
    assert len(list(cache.glob("text-*"))) == 2


def test_equal_weights_of_another_vision_architecture_have_a_cache_of_their_own(corpus, tmp_path):
    samples, weight = corpus.select("train"), torch.randn(4, 3, 3, 3)
    values = []
    for padding in ("zeros", "reflect"):
        network = nn.Conv2d(3, 4, 3, padding=1, padding_mode=padding, bias=False)
        network.weight.data.copy_(weight)
        backbone = VisionTokens(network, size=16, tokens="map", pool=2)
        values.append(picture_cache(tmp_path, corpus, samples, ImageConfig(16), backbone).values)
    assert not np.array_equal(*values)
    assert len(list(tmp_path.glob("pictures-*"))) == 2


def test_which_pictures_are_broken_is_on_the_disk_before_the_progress_that_counts_them(corpus, tmp_path, monkeypatch):
    written, flush = [], np.memmap.flush

    def flushed(array):
        written.append(Path(array.filename).name)
        flush(array)

    def noted(path, content):
        written.append(path.name)
        write_json(path, content)

    monkeypatch.setattr(np.memmap, "flush", flushed)
    monkeypatch.setattr("training.arrays.write_json", noted)
    backbone = VisionTokens(SmallNetwork((4,)), size=16, tokens="map", frozen=False)
    picture_cache(tmp_path, corpus, corpus.select("train"), ImageConfig(16), backbone)
    assert "broken.npy" in written[: written.index("values.npy.progress")]


@pytest.mark.parametrize(("name", "content"), [("values", b""), ("picture_of", b"no array"), ("values", None)])
def test_a_damaged_cache_is_named(corpus, tmp_path, name, content):
    backbone = VisionTokens(SmallNetwork((4,)), size=16, tokens="map", frozen=False)
    given = (tmp_path, corpus, corpus.select("train"), ImageConfig(16), backbone)
    picture_cache(*given)
    (path,) = tmp_path.glob(f"pictures-*/{name}.npy")
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(TrainingError, match=rf"Cannot read .*{name}\.npy.*; delete .*pictures-"):
        picture_cache(*given)


@pytest.mark.parametrize("content", ["{}", '{"done": null}', '{"done": "x"}'])
def test_a_damaged_progress_is_named(tmp_path, content):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(4))
    path.with_name("a.npy.progress").write_text(content)
    with pytest.raises(TrainingError, match=r"a\.npy\.progress should hold a whole number as 'done'"):
        fill(path, (4,), "float64", 2, lambda array, block: None, "test")


def _ids(cache, row):
    return cache.ids[cache.offsets[row] : cache.offsets[row + 1]].tolist()
