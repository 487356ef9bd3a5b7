"""Training runs: start one, or go on where it stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from entity_expand.config import to_mapping
from entity_expand.corpus import Corpus
from entity_expand.errors import CheckpointError
from entity_expand.files import write_json
from training.arrays import exclusive
from training.checkpoint import Progress, load_checkpoint, newest
from training.config import TrainingConfig
from training.trainer import Say, Trainer, device_of


def train(
    config: TrainingConfig,
    corpus: Corpus,
    run: Path,
    *,
    cache: Path | None = None,
    resume: bool = True,
    say: Say = lambda _: None,
) -> Progress:
    """Train a model, or go on where an earlier call or process stopped.

    The generators of the caller's torch are left as they were.

    Args:
        config: All settings; a run goes on only with the settings it began with, but for `loop.epochs`.
        corpus: Opened with `per_mention=config.data.per_mention`.
        run: Folder for checkpoints, metrics.jsonl and config.json.
        cache: Folder for what is computed once; `run`/cache by default.
        resume: Go on if `run` holds a checkpoint; otherwise that is an error.
        say: Receives one line per epoch.

    Raises:
        CheckpointError: `run` holds a checkpoint of other settings or another corpus, or `resume` is false.
        TrainingError: The corpus has nothing to train on, or the loss is not finite.
    """
    run.mkdir(parents=True, exist_ok=True)
    with exclusive(run / ".lock", wait=False), torch.random.fork_rng(), _deterministic(config.loop.device):
        for left in run.glob(".step-*.part"):
            shutil.rmtree(left)
        folder = newest(run)
        if folder is not None and not resume:
            raise CheckpointError(f"{run} holds a checkpoint already; resume it, or choose another folder.")
        checkpoint = None if folder is None else load_checkpoint(folder)
        trainer = Trainer(config, corpus, run, cache or run / "cache", checkpoint, say)
        write_json(run / "config.json", to_mapping(config))
        return trainer.train()


@contextlib.contextmanager
def _deterministic(choice: str) -> Iterator[None]:
    """Ask torch for the same bits every time, which on a GPU it gives only when asked."""
    if device_of(choice).type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
