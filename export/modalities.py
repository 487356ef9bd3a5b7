"""What of a model is exported for texts or pictures alone: the same feature, without the work for what is missing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from entity_expand.bundle.specs import encoder_spec
from entity_expand.errors import ParityError
from entity_expand.inputs.text import MaskedTokenizer
from entity_expand.types import AnyArray, Modality
from export.to_onnx import FeatureModel
from training.model import MultiExpan


def feature_module(model: FeatureModel, modality: Modality, tokenizer: MaskedTokenizer, size: int) -> nn.Module:
    """Return a module whose forward pass takes the inputs of `encoder_spec` for a modality and gives the feature.

    Raises:
        ParityError: The model is of a kind that cannot be taken apart.
    """
    if modality == "both":
        return _Whole(model)
    if not isinstance(model, MultiExpan):
        raise ParityError(f"A {type(model).__name__} can only be exported for texts and pictures together.")
    with torch.no_grad():
        return _Text(model, size) if modality == "text" else _Picture(model, tokenizer)


def as_seen(feeds: Mapping[str, AnyArray], modality: Modality, tokenizer: MaskedTokenizer) -> dict[str, AnyArray]:
    """Return all five inputs with the modality that a graph does not see missing in every row."""
    seen = dict(feeds)
    if modality == "text":
        seen["image_present"] = 0 * feeds["image_present"]
    if modality == "picture":
        rows = [tokenizer.encode("", ())] * len(feeds["pixels"])
        tokens = tokenizer.batch(rows)
        seen |= {"input_ids": tokens.ids, "attention_mask": tokens.attention_mask}
        seen["mask_position"] = tokens.mask_position
    return seen


def taken(feeds: Mapping[str, AnyArray], modality: Modality) -> dict[str, AnyArray]:
    """Return the inputs that the graph of a modality takes."""
    return {tensor.name: feeds[tensor.name] for tensor in encoder_spec(1, 1, modality).inputs}


class _Whole(nn.Module):
    def __init__(self, model: FeatureModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        mask_position: Tensor,
        pixels: Tensor,
        image_present: Tensor,
    ) -> Tensor:
        return self.model.feature(input_ids, attention_mask, mask_position, pixels, image_present)


class _Text(nn.Module):
    """Holds what the vision part makes of no picture."""

    visual: Tensor

    def __init__(self, model: MultiExpan, size: int) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("visual", model.visual_rows(model.vision(torch.zeros(1, 3, size, size))))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, mask_position: Tensor) -> Tensor:
        states = self.model.text(input_ids, attention_mask)
        visual = self.visual.expand(input_ids.shape[0], -1, -1)
        h = self.model.h_of(states, attention_mask, visual, torch.zeros_like(states[:, 0, 0]), mask_position)
        return self.model.trunk(h)


class _Picture(nn.Module):
    """Holds what the text part makes of no sentence."""

    states: Tensor
    ones: Tensor
    position: Tensor

    def __init__(self, model: MultiExpan, tokenizer: MaskedTokenizer) -> None:
        super().__init__()
        self.model = model
        missing = tokenizer.encode("", ())
        ids = torch.tensor([missing.ids])
        self.register_buffer("states", model.text(ids, torch.ones_like(ids)))
        self.register_buffer("ones", torch.ones_like(ids))
        self.register_buffer("position", torch.tensor([missing.mask_position]))

    def forward(self, pixels: Tensor, image_present: Tensor) -> Tensor:
        rows = pixels.shape[0]
        visual = self.model.visual_rows(self.model.vision(pixels))
        states, ones = self.states.expand(rows, -1, -1), self.ones.expand(rows, -1)
        return self.model.trunk(self.model.h_of(states, ones, visual, image_present, self.position.expand(rows)))
