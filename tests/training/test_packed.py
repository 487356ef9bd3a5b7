"""One byte per number: how far off it is, on the host, on a device and in the caches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from entity_expand.config import from_mapping, to_mapping
from entity_expand.errors import ConfigError
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import MaskedTokenizer, TextConfig
from training.backbones import load_text
from training.cache import picture_cache, text_cache
from training.config import LoopSettings, TextSettings, TrainingConfig
from training.data import Batch
from training.experiments.pictures import changed_pictures
from training.held import hold
from training.packed import SCALE_BYTES, pack, unpack, unpacked
from training.text import TextEncoder
from training.tokenizer import write_tokenizer
from training.vision import SmallNetwork, VisionTokens

TEXT = TextSettings(backbone="scratch", trained_layers=-1, width=16, heads=2, mlp=20, max_length=24, vocabulary=120)


def test_a_number_is_off_by_at_most_half_a_step_of_its_vector():
    rows = np.random.default_rng(0).standard_normal((50, 7, 33)) * np.logspace(-3, 4, 50)[:, None, None]
    half = rows.astype(np.float16)
    half[3, 2] = 0.0
    half[4, 1, :5] = [65504, -65504, 1, 0, 300]  # the largest of half precision
    packed = pack(half)
    assert packed.dtype == np.int8 and packed.shape == (50, 7, 33 + SCALE_BYTES)
    found = unpack(packed)
    assert found.dtype == np.float16 and np.isfinite(found).all()
    exact, largest = half.astype(np.float64), np.abs(half.astype(np.float64)).max(axis=-1, keepdims=True)
    rounding = np.abs(exact) / 2048 + 2**-24  # of half precision itself
    assert (np.abs(found - exact) <= largest / 254 * 1.0001 + rounding).all()
    assert np.abs(found - exact).max() > 0 and not found[3, 2].any()


@pytest.mark.parametrize("shape", [(6, 5), (1, 5), (2, 3, 5), (1, 1, 9)])
def test_a_tensor_unpacks_to_the_same(shape):
    packed = pack(np.random.default_rng(1).standard_normal(shape).astype(np.float16))
    assert torch.equal(unpacked(torch.from_numpy(packed)), torch.from_numpy(unpack(packed)))


def test_what_is_not_packed_stays():
    for rows in (np.ones((2, 3), np.float16), np.ones((2, 3), np.uint8), np.ones((2, 3), np.int64)):
        assert unpack(rows) is rows
        tensor = torch.from_numpy(rows)
        assert unpacked(tensor) is tensor


@pytest.fixture
def caches(corpus, tmp_path):
    """The text caches and the picture caches of one encoder and one backbone, in half precision and in int8."""
    path, samples = tmp_path / "tokenizer.json", corpus.select("train")
    write_tokenizer(path, TEXT, corpus, samples)
    tokenizer = MaskedTokenizer.from_file(path, TextConfig(max_length=24))
    encoder = TextEncoder(load_text(TEXT, tokenizer.vocabulary).model, 1)
    backbone = VisionTokens(SmallNetwork((4, 8)), size=16, tokens="map", frozen=True)
    choices = (None, "int8")
    texts = [text_cache(tmp_path, corpus, samples, path, tokenizer, encoder, each) for each in choices]
    pictures = [picture_cache(tmp_path, corpus, samples, ImageConfig(16), backbone, each) for each in choices]
    return texts, pictures, backbone


def test_caches_in_one_byte_hold_the_same(caches, tmp_path):
    texts, pictures, _ = caches
    assert len(list(tmp_path.glob("text-*"))) == len(list(tmp_path.glob("pictures-*"))) == 2
    assert texts[1].states.shape == (len(texts[0].states), 16 + SCALE_BYTES)
    items, rows = np.array([7, 2, len(texts[0].has_text)]), np.array([3, -1, 0])
    (half, mask, _), (whole, again, _) = (each.padded(items) for each in texts)
    assert half.dtype == whole.dtype == np.float16 and half.shape == whole.shape and (mask == again).all()
    assert 0 < np.abs(half - whole).max() < np.abs(half).max() / 200
    half, whole = (each.gather(rows) for each in pictures)
    assert half.dtype == whole.dtype == np.float16 and half.shape == whole.shape
    assert 0 < np.abs(half - whole).max() < np.abs(half).max() / 200
    assert not whole[1].any()


def test_what_is_held_on_a_device_is_what_is_gathered(caches):
    (_, texts), (_, pictures), _ = caches
    items, rows = np.array([7, 2, 5]), np.array([3, -1, 0])
    held = hold(torch.device("cpu"), "yes", texts.states, pictures.values)
    assert held.states.dtype == held.pictures.dtype == torch.int8
    places, mask, position = texts.places(items)
    given = (places, mask, position, rows, np.ones(3, np.float32), np.zeros(3, np.int64), np.ones(3, bool))
    batch = held.moved(Batch(*map(torch.from_numpy, given)))
    assert torch.equal(batch.text, torch.from_numpy(texts.padded(items)[0]))
    assert torch.equal(batch.pictures, torch.from_numpy(pictures.gather(rows)))


def test_changed_pictures_stand_beside_packed_ones(corpus, caches, tmp_path):
    _, (half, packed), backbone = caches
    samples, config = corpus.select("train"), ImageConfig(16)
    found = [
        changed_pictures(corpus, samples, own, config, backbone, "surround", tmp_path).values for own in (half, packed)
    ]
    assert len(list(tmp_path.glob("surround-*.npy"))) == 1  # computed once for both
    assert found[0].dtype == found[1].dtype == np.float16 and (found[0] == found[1]).all()


def test_runs_from_before_keep_their_names():
    assert "cache_precision" not in to_mapping(TrainingConfig())["loop"]
    packed = TrainingConfig(loop=LoopSettings(cache_precision="int8"))
    assert from_mapping(TrainingConfig, to_mapping(packed)) == packed
    with pytest.raises(ConfigError, match="cache_precision is 'int4'"):
        from_mapping(TrainingConfig, {"loop": {"cache_precision": "int4"}})
