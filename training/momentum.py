"""The teacher of momentum distillation: a copy of the network that follows it slowly (NOTES.md sections 3 and 5.4)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from entity_expand.errors import CheckpointError
from training.config import LoopSettings
from training.data import Batch
from training.model import MultiExpan
from training.network import Network, View

_HEADS = ("projection_head", "cluster_head", "words_head", "matching_head", "image_text_head")


class Teacher:
    """The copy, which is never trained, drops nothing out and gives no gradient.

    What is frozen in the model is shared with it; the heads of tasks that it does not teach are left out.

    Args:
        model: Where it starts from.
        scale: As in `Network`.
        loop: As in `Network`.
        momentum: Share of the copy that stays in each step.
        projects: Whether it teaches the contrast of texts and pictures, too.
    """

    def __init__(
        self, model: MultiExpan, scale: tuple[Tensor, Tensor], loop: LoopSettings, momentum: float,
        projects: bool = False,
    ) -> None:  # fmt: skip
        shared: dict[int, object] = {id(each): each for each in model.parameters() if not each.requires_grad}
        shared |= {id(getattr(model, name)): None for name in _HEADS if not (projects and name == "image_text_head")}
        self.model = copy.deepcopy(model, shared).eval()
        self._momentum = momentum
        self._trained = {name: each for name, each in self.model.named_parameters() if each.requires_grad}
        self._buffers = dict(self.model.named_buffers())
        self.model.requires_grad_(False)
        self._network = Network(self.model, scale, loop)

    def view(self, batch: Batch) -> View:
        """Run a batch, on the device, through the copy."""
        with torch.no_grad(), self._network.precision():
            return self._network.view(batch)

    def log_probabilities(self, view: View) -> Tensor:
        """Return the prediction (B, V) for a batch that `view` has run."""
        with torch.no_grad(), self._network.precision():
            return self._network.log_probabilities(view.h)

    def projections(self, view: View, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what the contrast of texts and pictures compares, (B, 128) unit rows of both."""
        with torch.no_grad(), self._network.precision():
            return self._network.projections(view, batch)

    def follow(self, model: MultiExpan) -> None:
        """Take one step towards the model: m <- momentum m + (1 - momentum) s; buffers are copied."""
        theirs = dict(model.named_parameters())
        with torch.no_grad():
            own: list[Tensor] = list(self._trained.values())
            other: list[Tensor] = [theirs[name] for name in self._trained]
            torch._foreach_lerp_(own, other, 1.0 - self._momentum)
            for name, buffer in model.named_buffers():
                if name in self._buffers:
                    self._buffers[name].copy_(buffer)

    def tensors(self) -> dict[str, Tensor]:
        """Return what makes it: its own parameters and buffers, as "teacher.NAME"."""
        own = {**self._trained, **self._buffers}
        return {f"teacher.{name}": value.detach().cpu().contiguous() for name, value in own.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave.

        Raises:
            CheckpointError: Names or shapes are others.
        """
        own = {f"teacher.{name}": value for name, value in {**self._trained, **self._buffers}.items()}
        if own.keys() != tensors.keys() or any(own[key].shape != value.shape for key, value in tensors.items()):
            raise CheckpointError("The checkpoint's teacher is one of another model; choose another run folder.")
        with torch.no_grad():
            for key, value in tensors.items():
                own[key].copy_(value)
