"""What the training benchmark trains on: a made corpus, and backbones of the paper's sizes with random weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from entity_expand.corpus import OwnRow, write_corpus
from entity_expand.types import Entity
from training.backbones import encoder_folder
from training.config import TextSettings, TrainingConfig, VisionSettings

_WORDS = 20
_SYLLABLES = ("ba", "den", "fo", "gri", "hal", "ko", "lum", "mer", "nis", "or", "pel", "ra", "sto", "tu", "ven", "wy")
_EDGE = 256


def write_made_corpus(folder: Path, entities: int, sentences: int = 2) -> None:
    """Write a corpus of entities with some sentences of 20 made words each, and a photo-sized picture per sentence."""
    chance = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for number in range(entities * sentences):
        coarse = chance.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((_EDGE, _EDGE), Image.Resampling.BICUBIC)
        picture.save(folder / "images" / f"{number}.jpg", quality=90)
    named = [Entity(str(number), f"Entity {number}") for number in range(entities)]
    write_corpus(folder, named, _rows(named, sentences, chance))


def _rows(entities: list[Entity], sentences: int, chance: np.random.Generator) -> Iterator[OwnRow]:
    for place, entity in enumerate(entities):
        for number in range(sentences):
            words = ["".join(chance.choice(_SYLLABLES, 2)) for _ in range(_WORDS)]
            text = f"{entity.name} {' '.join(words)}."
            yield OwnRow(text, ((entity.id, 0, len(entity.name)),), f"images/{place * sentences + number}.jpg")


def full_size(config: TrainingConfig, folder: Path) -> TrainingConfig:
    """Return settings with backbones like BERT-base and ResNet-50, and layers as the paper has them above.

    Args:
        config: All other settings.
        folder: Where the encoder is written; its word pieces are those of "minilm".
    """
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(folder)
    shutil.copyfile(encoder_folder("minilm", "text.backbone") / "tokenizer.json", folder / "tokenizer.json")
    text = TextSettings(backbone=str(folder), max_length=152, trained_layers=1)
    vision = VisionSettings(
        backbone="resnet50", random_weights=True, size=192, normalise="imagenet", tokens="patches", patch=32
    )
    model = replace(config.model, heads=12, mlp=3072, visual_layers=3, cross_layers=3)
    return replace(config, text=text, vision=vision, model=model)
