"""The optimiser's groups, its schedule, and its state under the parameters' names."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from entity_expand.errors import CheckpointError
from training.config import LoopSettings

_BACKBONES = ("text.", "vision.")


def optimizer_of(model: nn.Module, settings: LoopSettings) -> torch.optim.AdamW:
    """Make AdamW over what is trained: matrices decay, biases and norms do not.

    Each group has `scale`, its learning rate; `set_rate` multiplies it with the schedule.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            backbone = name.startswith(_BACKBONES) and settings.backbone_learning_rate is not None
            rate = settings.backbone_learning_rate if backbone else settings.learning_rate
            groups.setdefault((decay, rate or 0.0), []).append(parameter)
    described = [
        {"params": parameters, "weight_decay": decay, "lr": rate, "scale": rate}
        for (decay, rate), parameters in groups.items()
    ]
    on_gpu = any(each.is_cuda for parameters in groups.values() for each in parameters)
    return torch.optim.AdamW(described, betas=settings.betas, eps=settings.epsilon, fused=on_gpu)


def schedule(settings: LoopSettings, taken: int, step: int, steps: int) -> float:
    """Return the factor of the learning rate.

    Epochs differ in length where contrasts begin after the first. The warm-up counts steps as they are; to the cosine
    all epochs count alike, since their lengths are not known before.

    Args:
        settings: Warm-up and form.
        taken: Steps of the run before this one.
        step: Number of this one, from 0, as if all epochs had as many steps as its own.
        steps: Of the whole run, likewise.
    """
    if taken < settings.warmup_steps:
        return (taken + 1) / (settings.warmup_steps + 1)
    if settings.schedule == "constant":
        return 1.0
    share = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, share))))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` times its own."""
    for group in optimizer.param_groups:
        group["lr"] = group["scale"] * factor


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state as named tensors, "PARAMETER/QUANTITY"."""
    return {
        f"{name}/{quantity}": value.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        for quantity, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave.

    Raises:
        CheckpointError: A tensor belongs to no trained parameter.
    """
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    for key, value in tensors.items():
        name, _, quantity = key.rpartition("/")
        if name not in parameters:
            raise CheckpointError(f"The optimiser's state has {key!r}, but no such parameter is trained.")
        # AdamW keeps its step counters on the CPU, unless it is the fused one of a GPU.
        on_cpu = quantity == "step" and not optimizer.defaults.get("fused")
        moved = value if on_cpu else value.to(parameters[name].device)
        optimizer.state[parameters[name]][quantity] = moved.clone()
