"""Pictures changed at inference: their centres, what surrounds these, noise, missing ones, and those of others."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from entity_expand.corpus import Corpus
from entity_expand.files import replacing
from entity_expand.inputs.image import ImageConfig, load_rgb, to_pixels
from entity_expand.types import AnyArray, Bool, Int64, UInt8
from training.arrays import read_array
from training.cache import frozen_key, in_half
from training.cached import PictureCache
from training.experiments.describe import Pictures
from training.vision import VisionTokens

_BATCH = 32
_GRAIN = 4
_MISSING, _WRONG, _NOISE = 31, 32, 33


def centre(path: Path, config: ImageConfig) -> UInt8:
    """Return the middle quarter of a picture as it would be seen alone, (H, W, 3) uint8."""
    twice = replace(config, size=2 * config.size, resize=None if config.resize is None else 2 * config.resize)
    rgb, edge = load_rgb(path, twice), config.size // 2
    return np.ascontiguousarray(rgb[edge : edge + config.size, edge : edge + config.size])


def surround(rgb: UInt8) -> UInt8:
    """Return a picture (H, H, 3) whose middle quarter is blurred to a few even patches."""
    found, size = rgb.copy(), len(rgb)
    inner = found[size // 4 : size // 4 + size // 2, size // 4 : size // 4 + size // 2]
    edges = np.linspace(0, len(inner), _GRAIN + 1).astype(int)
    for top, bottom in itertools.pairwise(edges):
        for left, right in itertools.pairwise(edges):
            patch = inner[top:bottom, left:right]
            if patch.size:
                patch[:] = patch.mean(axis=(0, 1)).round().astype(np.uint8)
    return found


def noisy(rgb: UInt8, share: float, picture: int) -> UInt8:
    """Return a picture (H, W, 3) of which a share is noise: each value is mixed with one drawn evenly from 0 to 255.

    Args:
        rgb: The picture.
        share: 0 leaves it as it is, at 1 nothing of it is left.
        picture: Its number, which alone decides the draw.
    """
    noise = np.random.default_rng((_NOISE, picture)).integers(0, 256, rgb.shape)
    return np.rint((1 - share) * rgb + share * noise).astype(np.uint8)


def changed_pictures(
    corpus: Corpus, samples: Int64, own: PictureCache, config: ImageConfig, backbone: VisionTokens,
    change: Pictures, cache: Path,
) -> PictureCache:  # fmt: skip
    """Return the cache of the same pictures, changed.

    Args:
        corpus: The corpus.
        samples: (N,) sample numbers.
        own: Their pictures as they are.
        config: How files become pixels.
        backbone: Run on every picture if it is frozen, on the device it is on.
        change: What is shown.
        cache: Folder for the result of a frozen backbone.

    Raises:
        TrainingError: What `cache` has of them is damaged.
    """
    if change == "own":
        return own
    rows, firsts = np.unique(own.picture_of, return_index=True)
    paths = {
        row: corpus.image_path(corpus.sample(int(samples[first])))
        for row, first in zip(rows.tolist(), firsts.tolist(), strict=True)
        if row >= 0
    }
    shape, dtype = own.values.shape, own.values.dtype
    if backbone.frozen:  # in half precision, beside a packed cache too
        shape, dtype = (len(own.values), backbone.count, backbone.width), np.dtype(np.float16)
    key = [change, corpus.content_hash, samples.tobytes().hex(), str(config), str(shape)]
    if backbone.frozen:
        key.append(str(frozen_key(backbone)))
    file = cache / f"{change}-{hashlib.sha256('/'.join(key).encode()).hexdigest()[:16]}.npy"
    if backbone.frozen and file.is_file():
        return PictureCache(own.picture_of, read_array(file, "r", alone=True))
    values: AnyArray = np.zeros(shape, dtype)
    device = next(backbone.parameters(), torch.zeros(0)).device
    here = [(row, path) for row, path in paths.items() if path is not None]
    for start in range(0, len(here), _BATCH):
        part = here[start : start + _BATCH]
        values[[row for row, _ in part]] = _values(part, config, backbone, change, device)
    if backbone.frozen:
        with replacing(file) as beside, beside.open("wb") as handle:
            np.save(handle, values, allow_pickle=False)
    return PictureCache(own.picture_of, values)


def _changed(row: int, path: Path, config: ImageConfig, change: Pictures) -> UInt8:
    if change == "centre":
        return centre(path, config)
    rgb = load_rgb(path, config)
    return surround(rgb) if change == "surround" else noisy(rgb, int(change.removeprefix("noise ")) / 100, row)


def _values(
    part: list[tuple[int, Path]], config: ImageConfig, backbone: VisionTokens, change: Pictures, device: torch.device
) -> AnyArray:
    rgb = [_changed(row, path, config, change) for row, path in part]
    if not backbone.frozen:
        return np.stack(rgb).transpose(0, 3, 1, 2)  # (B, 3, H, W)
    pixels = torch.from_numpy(np.stack([to_pixels(each, config) for each in rgb])).to(device)
    with torch.no_grad():
        return in_half(backbone(pixels))  # (B, P, C)


def missing_pictures(count: int, share: float, seed: int) -> Bool:
    """Draw which of the samples lose their picture, (count,) bool; a larger share takes those of a smaller one too."""
    return np.random.default_rng((seed, _MISSING)).random(count) < share


def wrong_pictures(owner: Int64, share: float, seed: int) -> Int64:
    """Draw whose picture each sample is shown: its own, or that of a sample of another entity.

    Args:
        owner: (N,) int64 entity of each sample.
        share: Of the samples that get another's; a larger share takes those of a smaller one too.
        seed: Of the draw.

    Returns:
        (N,) int64 rows.
    """
    generator = np.random.default_rng((seed, _WRONG))
    rows = np.arange(len(owner))
    draw, other = generator.random(len(owner)), generator.permutation(len(owner))
    if len(np.unique(owner)) > 1:
        while (owner[other] == owner).any():
            same = owner[other] == owner
            other[same] = generator.integers(0, len(owner), int(same.sum()))
    return np.where(draw < share, other, rows)
