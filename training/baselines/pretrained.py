"""CLIP-like and BLIP-like checkpoints in a local folder: their view of names, sentences and pictures of entities.

ALBEF itself is not among the models of transformers; BLIP for retrieval is its successor, of the same build: two
encoders whose projections are contrasted, and a text encoder that attends to the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from entity_expand.corpus import Corpus
from entity_expand.errors import ConfigError, ImageError
from entity_expand.extras import imported
from entity_expand.inputs.image import open_picture
from entity_expand.types import Float64, Int64
from training.backbones import no_bar
from training.baselines.vectors import means_of, unit

_BATCH = 32
_PROMPT = "a photo of a {}"
MASKED = "it"
"""Stands for a mention: these models have no mask that was trained for it."""


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model of texts and pictures.

    Attributes:
        model: Of transformers, in evaluation mode.
        tokenizer, processor: Its own, of transformers.
        fuses: Whether its text encoder attends to pictures.
    """

    model: Any
    tokenizer: Any
    processor: Any
    fuses: bool

    @classmethod
    def load(cls, folder: Path) -> Pretrained:
        """Load a checkpoint with its tokenizer and the preprocessing of its pictures.

        Raises:
            ConfigError: The folder holds no such checkpoint, or one of another kind.
            MissingExtraError: transformers is not installed.
        """
        transformers = imported("transformers", "transformers", "train")
        local = {"local_files_only": True}
        try:
            kind = transformers.AutoConfig.from_pretrained(folder, **local).model_type
            fuses = kind == "blip"
            loader = transformers.BlipForImageTextRetrieval if fuses else transformers.AutoModel
            with no_bar():
                model = loader.from_pretrained(folder, weights_only=True, dtype=torch.float32, **local).eval()
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
            processor = transformers.AutoImageProcessor.from_pretrained(folder, **local)
        except (OSError, ValueError, RuntimeError) as problem:
            raise ConfigError(f"Cannot load a model of texts and pictures from {folder}: {problem}") from problem
        if not fuses and not (hasattr(model, "get_text_features") and hasattr(model, "get_image_features")):
            raise ConfigError(
                f"{folder} holds a model of the kind {kind!r}; a BLIP for retrieval, or one that gives features of "
                "texts and of pictures, such as a CLIP, was expected."
            )
        return cls(model, tokenizer, processor, fuses)

    def texts(self, texts: Sequence[str]) -> Float64:
        """Return the projections of texts at length 1, (N, d) float64."""
        return self._rows(texts, lambda part: self._text(**self._tokens(part)))

    def pictures(self, paths: Sequence[Path]) -> Float64:
        """Return the projections of pictures at length 1, (N, d) float64; zeros for broken ones."""
        return self._rows(paths, self._picture)

    def pairs(self, pairs: Sequence[tuple[str, Path]]) -> Float64:
        """Return the first state of the texts while they attend to their pictures, at length 1, (N, D) float64.

        Raises:
            ConfigError: The text encoder does not attend to pictures.
        """
        if not self.fuses:
            raise ConfigError("A model of two encoders has no fused states; take a BLIP for retrieval.")
        return self._rows(pairs, self._fused)

    def _rows(self, items: Sequence[Any], encode: Any) -> Float64:
        found = []
        for start in tqdm(range(0, len(items), _BATCH), desc="pretrained", unit="batch", disable=None, leave=False):
            with torch.no_grad():
                found.append(encode(items[start : start + _BATCH]).float().numpy())
        return unit(np.concatenate(found))

    def _tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        most = getattr(self.model.config.text_config, "max_position_embeddings", 77)
        batch = self.tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        return {name: batch[name] for name in ("input_ids", "attention_mask")}

    def _pixels(self, paths: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """Return pixels (B, 3, H, W), and which are of a whole picture, (B,)."""
        images, whole = [], []
        for path in paths:
            try:
                images.append(np.array(open_picture(path)))
                whole.append(1.0)
            except ImageError:
                images.append(np.zeros((32, 32, 3), np.uint8))
                whole.append(0.0)
        return self.processor(images=images, return_tensors="pt")["pixel_values"], torch.tensor(whole)

    def _text(self, **tokens: Tensor) -> Tensor:
        if not self.fuses:
            return _pooled(self.model.get_text_features(**tokens))
        states = self.model.text_encoder(**tokens).last_hidden_state
        projected: Tensor = self.model.text_proj(states[:, 0])
        return projected

    def _picture(self, paths: Sequence[Path]) -> Tensor:
        pixels, whole = self._pixels(paths)
        if self.fuses:
            features = self.model.vision_proj(self.model.vision_model(pixel_values=pixels).last_hidden_state[:, 0])
        else:
            features = _pooled(self.model.get_image_features(pixel_values=pixels))
        found: Tensor = features * whole[:, None]
        return found

    def _fused(self, pairs: Sequence[tuple[str, Path]]) -> Tensor:
        pixels, whole = self._pixels([path for _, path in pairs])
        shown = self.model.vision_model(pixel_values=pixels).last_hidden_state  # (B, P, C)
        seen = torch.ones(shown.shape[:2], dtype=torch.long)
        tokens = self._tokens([text for text, _ in pairs])
        states = self.model.text_encoder(**tokens, encoder_hidden_states=shown, encoder_attention_mask=seen)
        found: Tensor = states.last_hidden_state[:, 0] * whole[:, None]
        return found


def _pooled(output: Any) -> Tensor:
    """Return features from the outputs of old and new versions of transformers."""
    found: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return found


def entity_vectors(model: Pretrained, corpus: Corpus, samples: Int64) -> dict[str, Float64]:
    """Return vectors of the corpus' n entities by what they are of.

    Args:
        model: The model.
        corpus: The corpus.
        samples: (N,) sample numbers.

    Returns:
        (n, d) each: "names" in a prompt, an unmasked reference; "sentences" with "it" for each mention; "pictures";
        and "fused", sentences that attend to their pictures, if the model does that.
    """
    count = len(corpus.entities)
    texts, paths, pairs = (list(each) for each in _items(corpus, samples))
    found = {"names": model.texts([_PROMPT.format(entity.name) for entity in corpus.entities])}
    distinct = sorted({item for _, item in paths})
    parts: list[tuple[str, list[tuple[int, Any]], Any]] = [("sentences", texts, model.texts)]
    if distinct:
        rows, place = model.pictures(distinct), {path: number for number, path in enumerate(distinct)}
        parts.append(("pictures", sorted(set(paths)), lambda items: rows[[place[item] for item in items]]))
    if model.fuses and pairs:
        parts.append(("fused", pairs, model.pairs))
    for name, owned, encode in parts:
        if owned:
            owner = np.array([entity for entity, _ in owned], np.int64)
            found[name] = means_of(encode([item for _, item in owned]), owner, count)
    return found


def _items(corpus: Corpus, samples: Int64) -> Iterator[list[tuple[int, Any]]]:
    """Yield what there is of texts, of pictures and of both together, each with its entity."""
    texts: list[tuple[int, Any]] = []
    paths: list[tuple[int, Any]] = []
    pairs: list[tuple[int, Any]] = []
    for number in samples.tolist():
        sample = corpus.sample(number)
        text, path = sample.text, corpus.image_path(sample)
        for start, end in sorted(sample.mentions, reverse=True):
            text = text[:start] + MASKED + text[end:]
        if text:
            texts.append((sample.entity, text))
        if path is not None:
            paths.append((sample.entity, path))
        if text and path is not None:
            pairs.append((sample.entity, (text, path)))
    yield from (texts, paths, pairs)
