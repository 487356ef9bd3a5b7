from __future__ import annotations

import numpy as np
from PIL import Image

from entity_expand.inputs.image import ImageConfig
from training.experiments.pictures import centre, missing_pictures, surround, wrong_pictures


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
