"""Word vectors that a small encoder starts from: those of a pretrained one, cut down to its width."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from entity_expand.errors import ConfigError
from training.backbones import encoder_folder, load_encoder
from training.text import TextEncoder
from training.tokenizer import whole_ids, word_pieces

_BATCH, _LENGTH = 256, 12


def start_words(encoder: TextEncoder, choice: str, tokenizer: Path) -> None:
    """Set the word embeddings of an encoder to vectors of a pretrained one; special tokens keep theirs, scaled alike.

    torch's generators are left as they were.

    Args:
        encoder: The encoder, of width D; changed in place.
        choice: The pretrained encoder: "minilm", or a folder.
        tokenizer: The tokenizer.json of `encoder`.

    Raises:
        ConfigError: The folder holds no usable encoder, it is narrower than D, or there are fewer than D pieces.
        MissingExtraError: The package that holds the named encoder is not installed.
    """
    folder = encoder_folder(choice, "text.vectors")
    pieces = word_pieces(tokenizer)
    with torch.random.fork_rng(devices=[]):
        pretrained = load_encoder(folder, "text.vectors").eval()
    spelled = [piece.removeprefix("##") for piece in pieces.values()]
    raw = mean_states(pretrained, whole_ids(folder / "tokenizer.json", spelled, _LENGTH))  # (V, C)
    vectors = principal(raw, encoder.width)  # (V, D)
    with torch.no_grad():
        weight: Tensor = encoder.model.get_input_embeddings().weight
        weight[torch.tensor(list(pieces))] = vectors.to(weight)
        # Special tokens keep their random rows, at the same scale: a smaller mask would be drowned by its position,
        # which tells sentences apart.
        special = sorted(set(range(len(weight))) - set(pieces))
        weight[special] /= weight[special].std()


def mean_states(model: nn.Module, ids: Sequence[Sequence[int]]) -> Tensor:
    """Return the mean of an encoder's last states over each sequence.

    Args:
        model: An encoder of transformers with states of width C, in evaluation mode.
        ids: N sequences; an empty one gives zeros.

    Returns:
        (N, C) float32.
    """
    found = []
    for first in range(0, len(ids), _BATCH):
        rows = [torch.tensor(row, dtype=torch.long) for row in ids[first : first + _BATCH]]
        lengths = torch.tensor([len(row) for row in rows])[:, None]  # (B, 1)
        padded = pad_sequence([*rows, torch.zeros(1, dtype=torch.long)], batch_first=True)[:-1]  # (B, L), L > 0
        mask = (torch.arange(padded.shape[1])[None, :] < lengths).long()  # (B, L)
        with torch.no_grad():
            states = model(input_ids=padded, attention_mask=mask).last_hidden_state  # (B, L, C)
        found.append((states * mask[..., None]).sum(1) / lengths.clamp(min=1))  # (B, C)
    return torch.cat(found)


def principal(raw: Tensor, width: int) -> Tensor:
    """Project vectors on the first principal directions of their set, and scale all by one number.

    A direction's largest entry in magnitude is positive, so that the result does not depend on the solver's signs.

    Args:
        raw: (N, C) vectors.
        width: D, how many directions are kept, from the one of largest variance on.

    Returns:
        (N, D) float64 with column means 0 and standard deviation 1 over all entries.

    Raises:
        ConfigError: D is larger than C or N, or all vectors are equal.
    """
    if width > min(raw.shape):
        raise ConfigError(
            f"text.width is {width}, but text.vectors gives {raw.shape[0]} vectors of width {raw.shape[1]}; "
            "choose a width that is not larger than both."
        )
    centred = raw.double() - raw.double().mean(0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:width]  # (D, C)
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))  # (D, 1)
    found = centred @ (directions * largest.sign()).T  # (N, D)
    deviation = found.std(correction=0)
    if not deviation > 0.0:
        raise ConfigError("text.vectors gives the same vector for every word; choose another encoder.")
    scaled: Tensor = found / deviation
    return scaled
