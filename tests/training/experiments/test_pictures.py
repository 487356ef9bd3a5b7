from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from entity_expand.errors import TrainingError
from entity_expand.inputs.image import ImageConfig
from training.cache import picture_cache
from training.experiments.pictures import centre, changed_pictures, missing_pictures, noisy, surround, wrong_pictures
from training.vision import SmallNetwork, VisionTokens


def test_the_centre_is_the_middle_quarter(tmp_path):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[10:30, 10:30] = 200
    Image.fromarray(pixels).save(tmp_path / "square.png")
    assert (centre(tmp_path / "square.png", ImageConfig(20, interpolation="nearest")) == 200).all()


def test_the_surroundings_keep_all_but_the_middle():
    rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    found = surround(rgb)
    inside = np.zeros((16, 16), bool)
    inside[4:12, 4:12] = True
    assert (found[~inside] == rgb[~inside]).all()
    assert (found[4:6, 4:6] == rgb[4:6, 4:6].mean(axis=(0, 1)).round()).all()


def test_noise_takes_the_place_of_a_share_of_each_value():
    rgb = np.full((60, 60, 3), 90, np.uint8)
    assert (noisy(rgb, 0.0, 3) == rgb).all()
    assert (noisy(rgb, 0.5, 3) == noisy(rgb, 0.5, 3)).all() and (noisy(rgb, 0.5, 3) != noisy(rgb, 0.5, 4)).any()
    half = noisy(rgb, 0.5, 3).astype(float)
    assert half.min() == 45 and half.max() in (172, 173)  # half of 90, and half of 255 more
    assert abs(half.mean() - (45 + 127.5 / 2)) < 1
    assert (noisy(rgb, 1.0, 3) == noisy(255 - rgb, 1.0, 3)).all()


def test_larger_shares_take_those_of_smaller_ones():
    few, many = (missing_pictures(200, share, 3) for share in (0.25, 0.75))
    assert (many[few]).all() and 30 < few.sum() < 70
    assert missing_pictures(200, 1.0, 3).all() and not missing_pictures(200, 0.0, 3).any()


def test_wrong_pictures_are_of_other_entities():
    owner = np.repeat(np.arange(5), 8)
    assert (wrong_pictures(owner, 0.0, 1) == np.arange(40)).all()
    assert (owner[wrong_pictures(owner, 1.0, 1)] != owner).all()
    half = wrong_pictures(owner, 0.5, 1) != np.arange(40)
    assert 10 < half.sum() < 30


def test_what_half_precision_cannot_hold_is_refused_and_not_kept(corpus, tmp_path):
    samples, config = corpus.select("train")[:2], ImageConfig(16)
    backbone = VisionTokens(SmallNetwork((4,)), size=16, tokens="map", frozen=True).eval()
    own = picture_cache(tmp_path, corpus, samples, config, backbone)
    with torch.no_grad():
        next(backbone.parameters()).fill_(torch.nan)
    with pytest.raises(TrainingError, match="half precision cannot hold"):
        changed_pictures(corpus, samples, own, config, backbone, "surround", tmp_path)
    assert not list(tmp_path.glob("surround-*"))


def test_changed_pictures_that_are_damaged_say_what_to_delete(corpus, tmp_path):
    samples, config = corpus.select("train")[:2], ImageConfig(16)
    backbone = VisionTokens(SmallNetwork((4,)), size=16, tokens="map", frozen=True).eval()
    own = picture_cache(tmp_path, corpus, samples, config, backbone)

    def shown():
        return changed_pictures(corpus, samples, own, config, backbone, "surround", tmp_path)

    before = np.array(shown().values)
    (file,) = tmp_path.glob("surround-*.npy")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(TrainingError, match=rf"{file.name}: .* delete .*{file.name}, and it is computed anew"):
        shown()
    file.unlink()
    assert (shown().values == before).all()
