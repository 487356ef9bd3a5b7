"""An untrained vision backbone's view of entities: the means of their pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from entity_expand.corpus import Corpus
from entity_expand.types import Float32, Float64, Int64
from training.backbones import image_config, load_vision
from training.baselines.vectors import means_of, unit
from training.cache import picture_cache
from training.cached import PictureCache
from training.config import VisionSettings
from training.vision import VisionTokens

_BATCH = 32


def picture_means(corpus: Corpus, samples: Int64, settings: VisionSettings, cache: Path) -> Float64:
    """Return the mean over the pictures of each of the corpus' n entities, (n, C); zeros for one without pictures.

    A picture is the mean of its tokens, at length 1; one that several samples of an entity share counts once. What is
    computed once is shared with the training runs that are given the same folder.

    Args:
        corpus: The corpus.
        samples: (N,) sample numbers.
        settings: The backbone.
        cache: Folder of all caches.
    """
    backbone = load_vision(settings).eval()
    pictures = picture_cache(cache, corpus, samples, image_config(settings), backbone)
    shown = np.flatnonzero(pictures.picture_of >= 0)
    owner = corpus.sample_entity[samples[shown]].astype(np.int64)
    pairs = np.unique(np.column_stack([owner, pictures.picture_of[shown]]), axis=0)  # (M, 2)
    return means_of(_pooled(pictures, backbone, settings)[pairs[:, 1]], pairs[:, 0], len(corpus.entities))


def _pooled(pictures: PictureCache, backbone: VisionTokens, settings: VisionSettings) -> Float64:
    """Return the mean token of each distinct picture at length 1, (M, C)."""
    config = image_config(settings)
    mean, std = (torch.tensor(value)[:, None, None] for value in (config.mean, config.std))
    found: list[Float32] = []
    for start in range(0, len(pictures.values), _BATCH):
        values = np.array(pictures.values[start : start + _BATCH])
        if values.ndim == 4:  # (B, 3, H, W) pixels of a backbone that is to be trained
            with torch.no_grad():
                values = backbone((torch.from_numpy(values) / 255.0 - mean) / std).numpy()
        found.append(values.astype(np.float32).mean(axis=1))  # (B, C)
    return unit(np.concatenate(found))
