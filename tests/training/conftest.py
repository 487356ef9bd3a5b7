"""A corpus of a few coloured squares with a word each, and settings small enough for a test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.types import Entity
from training.features import EntityFeatures
from training.table import EntityTable, entity_table

ENTITIES = 10
NAMES = ("ash", "beech", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine")
WORDS = ("red", "blue", "tall", "small", "wet", "dry", "old", "young", "dark", "bright")

SETTINGS = """
[text]
backbone = "scratch"
trained_layers = -1
max_length = 24
vocabulary = 120
width = 24
layers = 1
heads = 2
mlp = 32

[vision]
backbone = "scratch"
trained = true
size = 16
widths = [8, 16]
pool = 2

[model]
heads = 2
mlp = 32
visual_layers = 1
cross_layers = 1
clusters = 4

[data]
held_out = "test"

[loop]
epochs = {epochs}
batch_size = 8
learning_rate = 3e-3
warmup_steps = 5
checkpoint_steps = 3
log_steps = 1
device = "cpu"
"""


@pytest.fixture(autouse=True)
def one_thread():
    """Sums over one thread have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Clusters:
    """A table of entities in four classes of ten, whose scores tell the classes apart but for some noise."""

    table: EntityTable
    label: np.ndarray  # (V,) class of each entity
    head: tuple[torch.Tensor, torch.Tensor]
    means: np.ndarray  # (V, D)


@pytest.fixture(scope="session")
def clusters() -> Clusters:
    random = np.random.default_rng(3)
    label = random.permutation(np.repeat(np.arange(4), 10))
    centre = random.normal(size=(4, 8))
    weight = torch.from_numpy((centre[label] + 0.7 * random.normal(size=(40, 8))).astype(np.float32))
    means = (centre[label] + 0.7 * random.normal(size=(40, 8))).astype(np.float32)
    head = weight, torch.from_numpy((0.3 * random.normal(size=40)).astype(np.float32))
    return Clusters(entity_table(EntityFeatures(np.arange(40), means), head), label, head, means)


TEMPLATES = (
    "The {name} is a {word} tree.",
    "In a wood the {word} {name} grows well.",
    "A {word} look is what people like in the {name}.",
    "Leaves of the {name} are {word} in autumn.",
)


def _row(entity: int, template: str, image: str | None, split: str = "train") -> OwnRow:
    text = template.format(name=NAMES[entity], word=WORDS[entity])
    start = text.index(NAMES[entity])
    return OwnRow(text, ((str(entity), start, start + len(NAMES[entity])),), image, split)


def _rows(entity: int):
    # The third picture is broken, the fourth missing.
    images = (f"images/{entity}-0.png", f"images/{entity}-1.png", f"images/{entity}-broken.png", None)
    yield from (_row(entity, template, image) for template, image in zip(TEMPLATES, images, strict=True))
    yield OwnRow("", ((str(entity), 0, 0),), f"images/{entity}-0.png")
    yield _row(entity, "In autumn the {name} is a {word} tree.", f"images/{entity}-1.png", "test")


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "trees"
    generator = np.random.default_rng(5)
    rows = [row for entity in range(ENTITIES) for row in _rows(entity)]
    write_corpus(folder, [Entity(str(number), name) for number, name in enumerate(NAMES)], rows)
    (folder / "images").mkdir(exist_ok=True)
    for entity in range(ENTITIES):
        colour = generator.integers(0, 256, 3)
        for number in range(2):
            noise = generator.integers(-10, 11, (20, 20, 3))
            Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(
                folder / "images" / f"{entity}-{number}.png"
            )
        (folder / "images" / f"{entity}-broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return folder


@pytest.fixture
def corpus(corpus_folder):
    with Corpus.open(corpus_folder) as opened:
        yield opened


@pytest.fixture
def settings_file(tmp_path):
    def write(epochs: int = 3, extra: str = "", data: str = "") -> Path:
        path = tmp_path / "settings.toml"
        text = SETTINGS.replace("{epochs}", str(epochs)).replace("[data]\n", f"[data]\n{data}")
        path.write_text(text + extra)
        return path

    return write
