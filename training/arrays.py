"""Large arrays on disk that are filled block by block, and go on where a killed process stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from entity_expand.errors import TrainingError
from entity_expand.files import locked, read_json, write_json
from entity_expand.types import AnyArray

_SAVE_SECONDS = 20.0
_PROGRESS_CAP = 1 << 16
_SPARE_BYTES = 64 << 20


def fill(
    path: Path, shape: tuple[int, ...], dtype: str, blocks: int, compute: Callable[[AnyArray, int], None], label: str
) -> None:
    """Fill an .npy file in blocks; call it again with the same arguments to go on after a crash.

    Args:
        path: The file; its progress is kept beside it as NAME.progress.
        shape: Of the array.
        dtype: Of the array.
        blocks: How many blocks there are.
        compute: Called with the memory-mapped array and the number of a block, which it writes.
        label: For the progress bar.

    Raises:
        TrainingError: The disk has too little room, or what is there is damaged.
    """
    progress = path.with_name(f"{path.name}.progress")
    done = 0
    if path.is_file() and progress.is_file():
        done = _done(progress)
        array = read_array(path, "r+")
    else:
        need = int(np.prod(shape)) * np.dtype(dtype).itemsize
        free = shutil.disk_usage(path.parent).free
        if need + _SPARE_BYTES > free:
            raise TrainingError(f"{path.parent} has {free:,} bytes free, but the cache needs {need:,}.")
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    saved = time.monotonic()
    for block in tqdm(range(done, blocks), desc=label, initial=done, total=blocks, disable=None, leave=False):
        compute(array, block)
        if time.monotonic() - saved > _SAVE_SECONDS or block + 1 == blocks:
            _flush(array)
            write_json(progress, {"done": block + 1})
            saved = time.monotonic()


def _done(progress: Path) -> int:
    try:
        return int(read_json(progress, _PROGRESS_CAP, TrainingError)["done"])
    except (KeyError, TypeError, ValueError) as problem:
        raise TrainingError(
            f"{progress} should hold a whole number as 'done'; delete {progress.parent}, and it is computed anew."
        ) from problem


def _flush(array: Any) -> None:
    array.flush()


def read_array(path: Path, mapped: Literal["r", "r+"] | None = None, *, alone: bool = False) -> AnyArray:
    """Read an .npy file, or map it into memory to read it or to write it too.

    Args:
        path: The file.
        mapped: How it is mapped; None reads it.
        alone: Whether it is computed anew once it is deleted; otherwise its whole folder must go.

    Raises:
        TrainingError: It is missing or damaged.
    """
    try:
        found: AnyArray = np.load(path, mmap_mode=mapped, allow_pickle=False)
    except (OSError, EOFError, ValueError) as problem:
        raise TrainingError(
            f"Cannot read {path}: {problem}; delete {path if alone else path.parent}, and it is computed anew."
        ) from problem
    return found


def finished(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder`, built first if it is not there; an unfinished one is kept beside it and gone on with.

    Args:
        folder: Where the finished arrays are.
        build: Fills the unfinished folder; must be able to go on.
    """
    with locked(folder.with_name(f".{folder.name}.lock")):
        if not folder.is_dir():
            unfinished = folder.with_name(f".{folder.name}.unfinished")
            unfinished.mkdir(parents=True, exist_ok=True)
            build(unfinished)
            unfinished.replace(folder)
    return folder
