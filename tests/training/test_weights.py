"""The named pretrained weights are loaded as they were trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.data import ImageNetInfo

from entity_expand.inputs.image import load_rgb, to_pixels
from training.backbones import _lite0_path, image_config, load_vision, read_weights
from training.config import VisionSettings

PHOTOS = 120


def _photos(folder: Path) -> list[tuple[Path, int]]:
    """Photos of entities whose name is one ImageNet class's."""
    info = ImageNetInfo()
    classes: dict[str, list[int]] = {}
    for index in range(1000):
        for name in info.index_to_description(index).lower().split(", "):
            classes.setdefault(name, []).append(index)
    lines = (folder / "entity2id.txt").read_text().splitlines()
    names = {int(identifier): name.lower() for name, identifier in (line.split("\t") for line in lines)}
    found: dict[Path, int] = {}
    with (folder / "sentences.json").open() as rows:
        for row in map(json.loads, rows):
            indices = classes.get(names[row["entityMentions"][0]["entityId"]], [])
            if len(indices) == 1 and row["image"].endswith("_0.jpg"):
                found[folder / row["image"]] = indices[0]
    chosen = np.random.default_rng(0).permutation(len(found))[:PHOTOS]
    return [list(found.items())[number] for number in chosen]


def _accuracy(photos, settings) -> float:
    weights = read_weights(Path(_lite0_path()))
    backbone, config = load_vision(settings).eval(), image_config(settings)
    hits = 0
    with torch.no_grad():
        for path, label in photos:
            tokens = backbone(torch.from_numpy(to_pixels(load_rgb(path, config), config))[None])  # (1, P, C)
            hits += int((tokens.mean(1) @ weights["_fc.weight"].T + weights["_fc.bias"]).argmax()) == label
    return hits / len(photos)


@pytest.mark.slow
@pytest.mark.shared
def test_lite0_recognises_photos(shared):
    photos = _photos(shared / "data" / "imagenet-cupl")
    right = _accuracy(photos, VisionSettings(resize=256))
    wrong = _accuracy(photos, VisionSettings(resize=256, normalise="imagenet"))
    assert right > 0.65
    assert right > wrong + 0.02
