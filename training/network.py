"""The network as the tasks see it: batches in, rows out, under autocast and compiled where the settings ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from entity_expand.inputs.image import ImageConfig
from training.config import LoopSettings
from training.data import Batch
from training.model import MultiExpan, TextPart
from training.transformer import at

Through = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class View:
    """What the network makes of a batch.

    Attributes:
        states: (B, L, D) output of the text encoder.
        visual: (B, P, D) rows of the visual transformer; (B, P, C) tokens of the vision backbone of "pooled" models.
        h: (B, D) rows of the cross transformer at the masks; (B, 2D) text and picture side by side of "experts",
            (B, 2D + C) of "pooled".
    """

    states: Tensor
    visual: Tensor
    h: Tensor


class Network:
    """A model with what its inputs and its arithmetic need.

    Args:
        model: The model, on its device.
        scale: Mean and deviation of the pictures' channels, (3, 1, 1) each.
        loop: `precision`, `compile` and `compile_mode`.

    Attributes:
        model: The model.
    """

    def __init__(self, model: MultiExpan, scale: tuple[Tensor, Tensor], loop: LoopSettings) -> None:
        self.model, self._scale = model, scale
        self._half = loop.precision == "bfloat16"
        # Trained batches alone are compiled: measuring would need a second compilation for each shape.
        mode = loop.compile_mode
        self._compiled: Through | None = torch.compile(self._through, mode=mode) if loop.compile else None
        self._compiled_head = torch.compile(model.log_probabilities, mode=mode) if loop.compile else None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._scale[0].device

    def precision(self) -> torch.autocast:
        """Return the context in which the network is run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._half)

    def view(self, batch: Batch) -> View:
        """Run a batch, on the device, through the network."""
        if batch.text.ndim == 3:
            states = cast(TextPart, self.model.text).upper(batch.text.float(), batch.attention_mask)
        else:
            states = cast(TextPart, self.model.text)(batch.text, batch.attention_mask)
        through = self._compiled if self._compiled is not None and self.model.training else self._through
        visual, h = through(
            states, batch.attention_mask, batch.mask_position, self._tokens(batch.pictures), batch.image_present
        )
        return View(states, visual, h)

    def projections(self, view: View, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return unit rows (B, 128) of texts, from the mask, and of pictures, from the mean of their rows.

        Nothing of the other is in either: experts give the text's half of h, others the text encoder's row.

        Raises:
            ValueError: The model has no head for them.
        """
        if self.model.image_text_head is None:
            raise ValueError("Texts and pictures are compared by a head that this model does not have.")
        apart = self.model.config.fusion == "experts"
        told = view.h[:, : self.model.width] if apart else at(view.states, batch.mask_position)  # (B, D)
        text, picture = self.model.image_text_head(told, view.visual.mean(1))
        return text, picture

    def log_probabilities(self, h: Tensor) -> Tensor:
        """Map h (B, D) to log-probabilities over the entities (B, V), float32."""
        compiled = self._compiled_head if self.model.training else None
        return self.model.log_probabilities(h) if compiled is None else compiled(h)

    def _through(
        self, states: Tensor, mask: Tensor, position: Tensor, tokens: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor]:
        visual = self.model.visual_rows(tokens)
        return visual, self.model.h_of(states, mask, visual, present, position)

    def _tokens(self, pictures: Tensor) -> Tensor:
        if pictures.ndim == 3:
            return pictures.float()
        return cast(Tensor, self.model.vision((unit_pixels(pictures) - self._scale[0]) / self._scale[1]))


def picture_scale(image: ImageConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the pictures' channels, (3, 1, 1) each."""
    mean, std = torch.tensor(image.mean, device=device), torch.tensor(image.std, device=device)
    return mean[:, None, None], std[:, None, None]


def unit_pixels(pixels: Tensor) -> Tensor:
    """Return pixels, uint8 or float32 in [0, 1], as float32 in [0, 1]."""
    return pixels / 255.0 if pixels.dtype == torch.uint8 else pixels
