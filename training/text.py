"""A BERT-like encoder that can be cut into frozen lower layers and trained upper ones."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from entity_expand.errors import ConfigError
from training.config import ALL_LAYERS


class _PassThrough(nn.Module):
    """Stands in for the embeddings of the upper part: hands its (B, L, D) input on."""

    def forward(self, *positional: Any, inputs_embeds: Tensor | None = None, **_: Any) -> Tensor:
        if inputs_embeds is None:
            inputs_embeds = next(value for value in positional if value is not None and value.ndim == 3)
        return inputs_embeds


class TextEncoder(nn.Module):
    """An encoder of transformers with its last layers trained.

    Args:
        model: A BERT-like model: `embeddings`, and one `nn.ModuleList` of layers.
        trained_layers: How many of the last layers are trained; -1 trains everything.

    Attributes:
        width: D.
        frozen_layers: How many layers are frozen (with the embeddings), or -1 if nothing is.

    Raises:
        ConfigError: The model has fewer layers, or cannot be cut between its layers.
    """

    def __init__(self, model: nn.Module, trained_layers: int) -> None:
        super().__init__()
        inner: Any = model
        if isinstance(getattr(inner, "pooler", None), nn.Module):
            inner.pooler = None
        self.model = inner
        self.width: int = inner.config.hidden_size
        path, layers = _find_layers(inner)
        if trained_layers > len(layers):
            raise ConfigError(f"text.trained_layers is {trained_layers}, but there are {len(layers)} layers.")
        self.frozen_layers = ALL_LAYERS if trained_layers == ALL_LAYERS else len(layers) - trained_layers
        # Views that share the layers; kept out of the module tree so that every weight has one name.
        self._lower: tuple[Any, ...] = ()
        self._upper: tuple[Any, ...] = ()
        if self.frozen_layers != ALL_LAYERS:
            inner.requires_grad_(False)
            for layer in layers[self.frozen_layers :]:
                layer.requires_grad_(True)
            self._lower = (_with_layers(inner, path, layers[: self.frozen_layers]),)
            self._upper = (_with_layers(inner, path, layers[self.frozen_layers :]),)
            self._upper[0]._modules["embeddings"] = _PassThrough()
            self._check_cut()

    @property
    def frozen(self) -> bool:
        """Whether the lower part is frozen, so that its output can be computed once."""
        return self.frozen_layers != ALL_LAYERS

    @property
    def words(self) -> Tensor:
        """The word embeddings (W, E)."""
        return cast(Tensor, self.model.get_input_embeddings().weight)

    def train(self, mode: bool = True) -> TextEncoder:
        """Set the training flags of the trained layers; frozen parts stay in evaluation mode."""
        super().train(mode and not self.frozen)
        if self.frozen:
            self.training = mode
            _, layers = _find_layers(self.model)
            for layer in layers[self.frozen_layers :]:
                layer.train(mode)
        return self

    def freeze_words(self) -> None:
        """Leave the word embeddings as they are: words that training never sees keep their place among the others."""
        self.model.get_input_embeddings().weight.requires_grad_(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Map (B, L) int64 ids and mask to (B, L, D) states."""
        states: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states

    def lower(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Run the frozen part alone: (B, L) ids -> (B, L, D)."""
        states: Tensor = self._lower[0](input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states

    def upper(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """Run the trained layers alone on the frozen part's output: (B, L, D) -> (B, L, D)."""
        out: Tensor = self._upper[0](inputs_embeds=states, attention_mask=attention_mask).last_hidden_state
        return out

    def _check_cut(self) -> None:
        """Compare both parts with the whole once, because some models do more than a chain of layers."""
        training = self.training
        self.eval()
        ids = torch.arange(5, 11).view(2, 3)
        mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
        with torch.no_grad():
            try:
                difference = (self.upper(self.lower(ids, mask), mask) - self(ids, mask))[mask.bool()].abs().max()
            except (TypeError, ValueError, RuntimeError, AttributeError, StopIteration) as problem:
                raise ConfigError(
                    f"The text backbone cannot be cut between layers ({problem}); set text.trained_layers = -1."
                ) from problem
        self.train(training)
        if not difference < 1e-4:
            raise ConfigError(
                f"The text backbone differs by {difference:.2g} when it is cut between layers; "
                "set text.trained_layers = -1."
            )


def _find_layers(model: nn.Module) -> tuple[list[str], nn.ModuleList]:
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    if not found or "embeddings" not in dict(model.named_children()):
        raise ConfigError("The text backbone is not BERT-like: it needs embeddings and a list of layers.")
    name, layers = found[0]
    return name.split("."), layers


def _with_layers(model: nn.Module, path: list[str], layers: nn.ModuleList) -> nn.Module:
    """Return a view of `model` with other layers at `path`; all weights are shared."""
    view = copy.copy(model)
    view._modules = dict(model._modules)
    if len(path) == 1:
        view._modules[path[0]] = layers
    else:
        child = model._modules[path[0]]
        if child is None:
            raise ConfigError(f"The text backbone has no part {path[0]!r}.")
        view._modules[path[0]] = _with_layers(child, path[1:], layers)
    return view
