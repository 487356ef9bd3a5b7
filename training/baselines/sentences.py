"""An untrained text encoder's view of entities: their names, and the means of their masked sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from entity_expand.corpus import Corpus
from entity_expand.inputs.text import MaskedText, MaskedTokenizer, TextConfig
from entity_expand.types import Float32, Float64, Int64
from training.backbones import encoder_folder, load_encoder
from training.baselines.vectors import means_of, unit
from training.tokenizer import whole_ids
from training.vectors import mean_states

_BATCH = 64


@dataclass(frozen=True)
class SentenceMeans:
    """Means over an entity's masked sentences; zeros for an entity without any.

    Attributes:
        tokens: (n, D) of the mean over a sentence's tokens, at length 1.
        mask: (n, D) of the state at the target's mask, at length 1.
    """

    tokens: Float64
    mask: Float64


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder with its tokenizer; it masks as training does.

    Attributes:
        model: Of transformers, in evaluation mode.
        folder: Where it is from.
        max_length: Longest sequence in ids.
    """

    model: nn.Module
    folder: Path
    max_length: int = 128

    @classmethod
    def load(cls, choice: str, max_length: int = 128) -> Encoder:
        """Load an encoder: "minilm", or a folder.

        Raises:
            ConfigError: The folder holds no usable encoder.
            MissingExtraError: The package that holds the named encoder is not installed.
        """
        folder = encoder_folder(choice, "text.backbone")
        return cls(load_encoder(folder, "text.backbone").eval(), folder, max_length)

    def names(self, corpus: Corpus) -> Float32:
        """Return the mean state of the tokens of each entity's name, (n, D): an unmasked reference."""
        ids = whole_ids(self.folder / "tokenizer.json", [entity.name for entity in corpus.entities], self.max_length)
        found: Float32 = mean_states(self.model, ids).numpy()
        return found

    def means(self, corpus: Corpus, samples: Int64) -> SentenceMeans:
        """Encode masked sentences and average over those of each of the corpus' n entities.

        Args:
            corpus: The corpus.
            samples: (N,) sample numbers.
        """
        tokenizer = MaskedTokenizer.from_file(self.folder / "tokenizer.json", TextConfig(self.max_length))
        items: list[MaskedText] = []
        owner: list[int] = []
        for number in samples.tolist():
            sample = corpus.sample(number)
            if sample.text:
                items.append(tokenizer.encode(sample.text, sample.mentions))
                owner.append(sample.entity)
        width: int = self.model.config.hidden_size  # type: ignore[union-attr,assignment]
        rows = np.zeros((2, len(items), width), np.float32)
        by_length = np.argsort([len(item.ids) for item in items], kind="stable")
        starts = tqdm(range(0, len(items), _BATCH), desc="sentences", unit="batch", disable=None, leave=False)
        for start in starts:
            part = by_length[start : start + _BATCH]
            rows[:, part] = self._encoded(tokenizer, [items[number] for number in part.tolist()])
        owners = np.array(owner, np.int64)
        tokens, mask = (means_of(unit(each), owners, len(corpus.entities)) for each in rows)
        return SentenceMeans(tokens, mask)

    def _encoded(self, tokenizer: MaskedTokenizer, items: list[MaskedText]) -> Float32:
        batch = tokenizer.batch(items)
        ids, mask = torch.from_numpy(batch.ids), torch.from_numpy(batch.attention_mask)
        with torch.no_grad():
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, L, D)
        weight = mask[..., None].to(states.dtype)
        tokens = (states * weight).sum(1) / weight.sum(1)  # (B, D)
        at_mask = states[torch.arange(len(items)), torch.from_numpy(batch.mask_position)]  # (B, D)
        found: Float32 = torch.stack([tokens, at_mask]).float().numpy()  # (2, B, D)
        return found
