"""A tiny corpus, a tiny model of the real kind, and a stand-in that can be told to misbehave."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from entity_expand.bundle.fakes import fake_tokenizer
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import MaskedTokenizer, TextConfig
from entity_expand.types import Entity
from export import Source
from training.backbones import load_text, load_vision
from training.config import ModelConfig, TextSettings, VisionSettings
from training.model import MultiExpan

ENTITIES = tuple(Entity(str(number), f"Entity{number}") for number in range(12))
TEXT, IMAGE = TextConfig(max_length=24), ImageConfig(16)
WIDTH = 16


class StandIn(nn.Module):
    """Sums the ids' rows and the mean colour; `bend` changes what it gives."""

    def __init__(self, vocabulary: int, bend: Callable[[Tensor], Tensor] = lambda feature: feature) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.rows = nn.Embedding(vocabulary, WIDTH)
        self.colours = nn.Linear(3, WIDTH)
        self.head = nn.Linear(WIDTH, len(ENTITIES))
        self.bend = bend

    def feature(
        self, input_ids: Tensor, attention_mask: Tensor, mask_position: Tensor, pixels: Tensor, image_present: Tensor
    ) -> Tensor:
        text = (self.rows(input_ids) * attention_mask[:, :, None]).sum(dim=1) + mask_position[:, None]
        picture = self.colours(pixels.mean(dim=(2, 3))) * image_present[:, None]
        return self.bend(text + picture)

    def head_rows(self) -> tuple[Tensor, Tensor]:
        return self.head.weight, self.head.bias


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over one thread have one order, and tiny models are fastest so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> MaskedTokenizer:
    return MaskedTokenizer.from_bytes(fake_tokenizer(), TEXT)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Twelve entities with three sentences each, two of them with a picture."""
    root = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    rows = []
    for entity in ENTITIES:
        for number in range(3):
            name = f"{entity.id}_{number}.png"
            Image.fromarray(random.integers(0, 255, (9, 11, 3), dtype=np.uint8)).save(root / name)
            before = " ".join(random.choice(["red", "old", "city", "of"], random.integers(1, 5)))
            span = (entity.id, len(before) + 1, len(before) + 1 + len(entity.name))
            rows.append(OwnRow(f"{before} {entity.name} was here.", (span,), name if number else None))
    write_corpus(root, ENTITIES, rows)
    return Corpus.open(root)


@pytest.fixture(scope="session")
def tiny_model(tokenizer: MaskedTokenizer) -> MultiExpan:
    torch.manual_seed(0)
    text = TextSettings(
        backbone="scratch", width=WIDTH, layers=2, heads=2, mlp=32, max_length=TEXT.max_length, trained_layers=-1
    )
    vision = VisionSettings(backbone="scratch", trained=True, size=IMAGE.size, widths=(8, 8))
    config = ModelConfig(heads=2, mlp=32, visual_layers=1, cross_layers=1, clusters=3)
    return MultiExpan(config, load_text(text, tokenizer.vocabulary), load_vision(vision), len(ENTITIES)).eval()


@pytest.fixture
def make_source(corpus: Corpus, tokenizer: MaskedTokenizer) -> Callable[..., Source]:
    def make(model: object = None, **changes: object) -> Source:
        values = {
            "model": model or StandIn(tokenizer.vocabulary).eval(),
            "entities": ENTITIES,
            "tokenizer": fake_tokenizer(),
            "text": TEXT,
            "image": IMAGE,
            "corpus_hash": corpus.content_hash,
        }
        return Source(**(values | changes))  # type: ignore[arg-type]

    return make
