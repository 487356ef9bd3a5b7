"""What all losses do with their arguments first."""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor

from entity_expand.errors import ConfigError, TrainingError


def widened(x: Tensor) -> Tensor:
    """Return float16 and bfloat16 as float32, and all else as it is."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def full_precision(x: Tensor) -> torch.autocast:
    """Return a context in which autocast, if it is on, narrows no product on the device of `x`."""
    return torch.autocast(x.device.type, enabled=False)


def check_pair(name: str, first: Tensor, second: Tensor) -> None:
    """Require two matrices of one shape with at least one row.

    Raises:
        TrainingError: They are not.
    """
    if first.ndim != 2 or first.shape != second.shape or not len(first):
        raise TrainingError(
            f"{name} came with the shapes {tuple(first.shape)} and {tuple(second.shape)}: give two matrices of one "
            "shape, with a row per sample and at least one sample."
        )


def check_square(name: str, x: Tensor, size: int) -> None:
    """Require a (size, size) matrix.

    Raises:
        TrainingError: It is another one.
    """
    if x.shape != (size, size):
        raise TrainingError(f"{name} has the shape {tuple(x.shape)}, but {(size, size)} is needed for this batch.")


def check_choice(name: str, value: str, choices: Any) -> None:
    """Require one of the strings of a `Literal`.

    Raises:
        ConfigError: It is none of them.
    """
    if value not in get_args(choices):
        raise ConfigError(f"{name} = {value!r} is unknown: choose one of {', '.join(map(repr, get_args(choices)))}.")
