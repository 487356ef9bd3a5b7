"""Named tensors on disk, as safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from entity_expand.errors import CheckpointError
from entity_expand.files import replacing


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a whole file of tensors, or leave the old one as it was."""
    with replacing(path) as beside:
        mode = beside.stat().st_mode
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, beside)
        beside.chmod(mode)  # the library makes files unreadable for others


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as problem:
        raise CheckpointError(f"Cannot read {path}: {problem}") from problem
