"""Caches that several corpora share one folder for."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from entity_expand.corpus import Corpus
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import MaskedTokenizer, TextConfig
from training.backbones import load_text
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


def _ids(cache, row):
    return cache.ids[cache.offsets[row] : cache.offsets[row + 1]].tolist()
