"""Training runs: start one, or go on where it stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from entity_expand.config import to_mapping
from entity_expand.corpus import Corpus
from entity_expand.errors import CheckpointError, TrainingError
from entity_expand.files import locked, write_json
from training.checkpoint import load_checkpoint, newest
from training.config import TrainingConfig
from training.distributed import World, joined
from training.parts import device_of
from training.progress import Progress
from training.run.trackers import TensorBoardTracker, Tracker, Trackers
from training.stop import Stop
from training.summary import summarised
from training.trainer import Say, Trainer


def train(
    config: TrainingConfig,
    corpus: Corpus,
    run: Path,
    *,
    cache: Path | None = None,
    resume: bool = True,
    say: Say = lambda _: None,
    trackers: Sequence[Tracker] = (),
    reports: bool = False,
) -> Progress:
    """Train a model, or go on where an earlier call or process stopped.

    The generators of the caller's torch, that of the CPU and that of the GPU which trains, are left as they were. Under
    torchrun all its processes train together.

    Args:
        config: All settings; a run goes on only with the settings it began with, but for `loop.epochs`.
        corpus: Opened with `per_mention=config.data.per_mention`.
        run: Folder for checkpoints, metrics.jsonl and config.json.
        cache: Folder for what is computed once; `run`/cache by default.
        resume: Go on if `run` holds a checkpoint; otherwise that is an error.
        say: Receives one line per epoch.
        trackers: Receive the metrics; closed at the end.
        reports: Write TensorBoard's events into `run`/tensorboard, and, when the run ends, curves.png and a model card.

    Raises:
        CheckpointError: `run` holds a checkpoint of other settings or another corpus, or `resume` is false.
        ConfigError: Settings contradict each other or the corpus.
        TrainingError: The corpus has nothing to train on, or the loss is not finite.
        TrainingStopped: A signal asked the run to end; a checkpoint has been written.
    """
    run.mkdir(parents=True, exist_ok=True)
    stop = Stop()
    with (
        joined(config.loop.device) as world,
        _alone_in(run, world),
        torch.random.fork_rng(_gpus(device_of(config.loop.device, world))),
        _deterministic(config.loop.device),
        contextlib.ExitStack() as opened,
    ):
        folder = newest(run)
        if folder is not None and not resume:
            raise CheckpointError(f"{run} holds a checkpoint already; resume it, or choose another folder.")
        checkpoint = None if folder is None else load_checkpoint(folder)
        reports = reports and world.first
        events = [TensorBoardTracker(run / "tensorboard", checkpoint.step if checkpoint else 0)] if reports else []
        passing = opened.enter_context(Trackers((*trackers, *events) if world.first else ()))
        trainer = Trainer(
            config, corpus, run, cache or run / "cache", checkpoint, say, world=world, trackers=passing, stop=stop
        )
        if world.first:
            write_json(run / "config.json", to_mapping(config))
        with summarised(run, corpus, trainer.parts.source) if reports else contextlib.nullcontext(), stop.listening():
            return trainer.train()


@contextlib.contextmanager
def _alone_in(run: Path, world: World) -> Iterator[None]:
    """Hold the lock of a run and remove what a crash left, in the first process; the others wait for it."""
    busy = TrainingError(f"Another process is at work in {run}; wait for it or end it.")
    with locked(run / ".lock", busy) if world.first else contextlib.nullcontext():
        if world.first:
            for left in run.glob(".step-*.part"):
                shutil.rmtree(left)
        world.wait()
        yield


def _gpus(device: torch.device) -> list[int]:
    """Return the number of the GPU that a device is; none for the CPU."""
    if device.type == "cpu":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]


@contextlib.contextmanager
def _deterministic(choice: str) -> Iterator[None]:
    """Ask torch for the same bits every time, which on a GPU it gives only when asked."""
    if device_of(choice).type == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_deterministic_debug_mode()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before > 0, warn_only=before == 1)
