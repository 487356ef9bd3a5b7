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


def test_hidden_words_leave_a_sample_without_a_picture_some():
    """Sentences have one word between the mention and the end; without a picture it is the only thing that is seen."""
    count, start, mask, word, end = 400, 2, 1, 7, 3
    text = TextCache(
        4 * np.arange(count + 2), np.tile(np.array([start, mask, word, end], np.int32), count + 1),
        np.ones(count + 1, np.int32), np.ones(count, np.bool_), None, 0, mask,
    )  # fmt: skip
    has_picture = np.arange(count) % 2 == 0
    pictures = PictureCache(np.where(has_picture, np.arange(count), -1), np.zeros((count, 1, 1), np.float16))
    samples, rows = TrainingSet((), np.arange(count), np.arange(count), count), np.arange(count)
    config = TrainingConfig(data=DataSettings(hide_words=0.5, hide_picture=0.5))
    draw = Drawer(config, samples, text, pictures, np.zeros(0, np.int64)).training(rows, 0, 0, SAMPLES)
    assert draw.hidden is not None and draw.hidden.shape == (count, 4) and draw.hidden[:, [0, 1, 3]].sum() == 0
    seen = draw.pictures >= 0
    assert not draw.hidden[~seen].any() and (~seen).sum() > count / 2
    assert 0.3 < draw.hidden[seen, 2].mean() < 0.7
