"""A trained model with the samples it is asked about, as what features of entities are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entity_expand.corpus import Corpus
from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.types import Bool, Int64
from training.cache import picture_cache, text_cache
from training.cached import PictureCache, TextCache
from training.checkpoint import Checkpoint, load_checkpoint
from training.data import Batch
from training.experiments.describe import Way
from training.experiments.pictures import changed_pictures, missing_pictures, wrong_pictures
from training.features import EntityFeatures, Samples, entity_features, evaluating
from training.model import MultiExpan
from training.network import Network, picture_scale
from training.parts import device_of


@dataclass(frozen=True)
class Trained:
    """A model on its device with N samples; "rows" are positions among them.

    Attributes:
        network: The model, in evaluation mode.
        checkpoint: Where it is from.
        corpus: Where the samples are.
        numbers: (N,) int64 numbers of the samples in the corpus.
        owner: (N,) int64 entity of each: a head row, or whatever the caller counts entities by.
        texts, pictures: The caches of the samples, whose items are the rows.
        cache: Folder of the caches.
    """

    network: Network
    checkpoint: Checkpoint
    corpus: Corpus
    numbers: Int64
    owner: Int64
    texts: TextCache
    pictures: PictureCache
    cache: Path

    @classmethod
    def load(cls, run: Path, corpus: Corpus, samples: Int64, owner: Int64, cache: Path) -> Trained:
        """Load the best model of a run.

        Args:
            run: Folder of the run.
            corpus: The corpus that is asked about.
            samples: (M,) sample numbers; those of a training run share its caches.
            owner: (N,) entity of the first N of them, which are asked about.
            cache: Folder of the caches.

        Raises:
            TrainingError: The run is of a GPU and there is none.
        """
        checkpoint = load_checkpoint(run, "preferred")
        device = device_of(checkpoint.config.loop.device)
        model = checkpoint.build_model().to(device)
        tokenizer = MaskedTokenizer.from_file(checkpoint.tokenizer_path, checkpoint.text_config)
        parts: Any = model
        precision = checkpoint.config.loop.cache_precision
        texts = text_cache(cache, corpus, samples, checkpoint.tokenizer_path, tokenizer, parts.text, precision)
        pictures = picture_cache(cache, corpus, samples, checkpoint.image_config, parts.vision, precision)
        network = Network(model, picture_scale(checkpoint.image_config, device), checkpoint.config.loop)
        return cls(network, checkpoint, corpus, samples, owner, texts, pictures, cache)

    @property
    def model(self) -> MultiExpan:
        """The model."""
        return self.network.model

    def features(self, way: Way, seed: int = 0) -> EntityFeatures:
        """Return the mean features of the entities of which a way shows anything; `seed` is of what it draws."""
        count = len(self.owner)
        shown = changed_pictures(
            self.corpus, self.numbers, self.pictures, self.checkpoint.image_config, self._vision, way.pictures,
            self.cache,
        )  # fmt: skip
        whose = wrong_pictures(self.owner, way.wrong, seed)
        picture_of = np.where(missing_pictures(count, way.missing, seed), -1, shown.picture_of[whose])
        samples = Samples(self.owner, self.texts.has_text[:count], picture_of)

        def encode(rows: Int64, hide_picture: Bool, hide_text: Bool) -> Tensor:
            chosen = np.where(hide_picture, -1, picture_of[rows])
            return self.encode(rows, hide_text, PictureCache(chosen, shown.values), way)

        with evaluating(self.model):
            return entity_features(encode, samples, way.shown, picture_weight=way.picture_weight)

    @property
    def _vision(self) -> Any:
        return self.model.vision

    @property
    def projects(self) -> bool:
        """Whether the model has projections of texts and of pictures."""
        return self.model.image_text_head is not None

    def encode(self, rows: Int64, hide_text: Bool, pictures: PictureCache, way: Way) -> Tensor:
        """Return rows of the space that a way scores in: trunk features g (B, D), h (B, D), or projections (B, 128).

        Args:
            rows: (B,) int64.
            hide_text: (B,) bool.
            pictures: Its `picture_of` are the pictures (B,) that are shown; -1 for none.
            way: Its space; of projections, those of the text or of the picture, whichever it shows.
        """
        missing = len(self.texts.offsets) - 2
        text, mask, position = self.texts.padded(np.where(hide_text, missing, rows))
        present = pictures.picture_of >= 0
        arrays = (
            text, mask, position, pictures.gather(pictures.picture_of), present.astype(np.float32), self.owner[rows],
            present & ~hide_text,
        )  # fmt: skip
        batch = Batch(*map(torch.from_numpy, arrays)).map(lambda value: value.to(self.network.device))
        view = self.network.view(batch)
        if way.space == "projections":
            return self.network.projections(view, batch)[way.shown != "text"]
        return view.h if way.space == "hidden" else self.model.trunk(view.h)
