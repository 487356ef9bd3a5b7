from __future__ import annotations

import numpy as np

from training.cached import PictureCache, TextCache
from training.config import DataSettings, TrainingConfig
from training.data import TrainingSet
from training.draws import SAMPLES, Drawer


def test_a_wrong_picture_that_is_none_hides_nothing():
    """Half of the samples have no picture; no draw shows neither a text nor a picture."""
    count = 400
    data = DataSettings(wrong_picture=0.5, hide_text=0.5, hide_picture=0.5)
    has_picture = np.arange(count) % 2 == 0
    text = TextCache(
        np.arange(count + 2), np.ones(count + 1, np.int32), np.zeros(count + 1, np.int32), np.ones(count, np.bool_),
        None, 0, 1,
    )  # fmt: skip
    pictures = PictureCache(np.where(has_picture, np.arange(count), -1), np.zeros((count, 1, 1), np.float16))
    samples = TrainingSet((), np.arange(count), np.arange(count), count)
    drawer = Drawer(TrainingConfig(data=data), samples, text, pictures, np.zeros(0, np.int64))
    rows = np.arange(count)
    draw = drawer.training(rows, 0, 0, SAMPLES)
    hidden = draw.items == count
    assert hidden.any() and (draw.pictures[hidden] >= 0).all()
    swapped = (draw.pictures >= 0) & (draw.pictures != rows)
    assert swapped.sum() > count / 8  # others are shown all the same
