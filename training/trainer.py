"""A run: epoch after epoch, what is measured between them, and what is saved."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from entity_expand.corpus import Corpus
from entity_expand.errors import TrainingStopped
from training.batches import StepInput
from training.checkpoint import Checkpoint
from training.config import TrainingConfig
from training.distributed import ALONE, World
from training.expanding import Expanding
from training.model import MultiExpan
from training.optim import optimizer_tensors, schedule, set_rate
from training.parts import put_together
from training.phases import epoch_phases
from training.progress import Progress
from training.run.metrics import MetricsLog
from training.run.progress import RunProgress
from training.run.trackers import Trackers
from training.saving import RunState, save_checkpoint
from training.step import Stepper, StepResult
from training.stop import Stop
from training.tasks import tasks_of

Say = Callable[[str], None]


class Trainer:
    """One run.

    Args:
        config: All settings.
        corpus: The corpus.
        run: Folder of the run.
        cache: Folder of the caches.
        checkpoint: Where to go on from, or None to start.
        say: Receives one line per epoch.
        world: This process among those that train together.
        trackers: Where metrics go besides the folder.
        stop: Says when to end before the last epoch.

    Raises:
        CheckpointError, TrainingError, ConfigError: See `training.loop.train`.
    """

    def __init__(
        self, config: TrainingConfig, corpus: Corpus, run: Path, cache: Path, checkpoint: Checkpoint | None, say: Say,
        *, world: World = ALONE, trackers: Trackers | None = None, stop: Stop | None = None,
    ) -> None:  # fmt: skip
        self.config, self.run_folder, self.say = config, run, say
        self.corpus_hash, self.world = corpus.content_hash, world
        self.trackers, self.stop = trackers or Trackers(), stop or Stop()
        tasks = tasks_of(config)
        self.parts = parts = put_together(config, corpus, run, cache, checkpoint, world)
        self.progress, self.lists = parts.progress, parts.lists
        self.expanding = Expanding(config, corpus, parts.network, parts.source)
        stepper = Stepper(config, parts.network, tasks, parts.optimizer, parts.teacher, parts.source, run)
        self.stepper, self.weights = stepper, tasks.weights
        self.log = MetricsLog(run / "metrics.jsonl", self.progress.step) if world.first else None
        self.pace = RunProgress(0, self.progress.step)

    @property
    def model(self) -> MultiExpan:
        """The model."""
        return self.parts.network.model

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or the last measurements brought nothing better."""
        patience = self.config.validation.patience
        waited = patience is not None and self.progress.waited >= patience
        return self.progress.epoch >= self.config.loop.epochs or waited

    def train(self) -> Progress:
        """Train until it is over.

        Raises:
            TrainingError: A loss or gradient is not finite; the last checkpoint stays.
            TrainingStopped: The run was asked to end; a checkpoint has been written.
        """
        while not self.over:
            self._epoch()
            self._end_if_asked()
        if self.config.align.wanted and not self.progress.aligned:
            self._align()
            self._end_if_asked()
        return self.progress

    def held_out(self) -> dict[str, dict[str, float]]:
        """Measure loss and accuracy on the held-out samples."""
        return self.expanding.held_out()

    def _epoch(self) -> None:
        epoch, loop = self.progress.epoch, self.config.loop
        if not self.progress.batch and self.expanding.due(epoch):
            self.lists = self.expanding.lists(self.progress.step)
            self._end_if_asked()
        phases = epoch_phases(self.config, self.parts.source.data, self.lists, epoch)
        steps = sum(phase.steps for phase in phases)
        started, before = time.monotonic(), self.progress.pairs
        self.pace.total = self.progress.step - self.progress.batch + steps * (loop.epochs - epoch)
        self.pace.begin_epoch()
        self.model.train()
        bar = tqdm(
            desc=f"epoch {epoch + 1}/{loop.epochs}", total=steps, initial=self.progress.batch, unit="step",
            disable=None if self.world.first else True, leave=False,
        )  # fmt: skip
        with bar:
            for given in self.parts.source.steps(phases, epoch, self.progress.batch):
                self._step(given, steps)
                bar.set_postfix_str(self.pace.postfix(self._mean_loss(), self.progress.losses()), refresh=False)
                bar.update()
        seconds = time.monotonic() - started
        self._end_if_asked()
        self._end_epoch(epoch, seconds, self.progress.pairs - before)

    def _step(self, given: StepInput, steps: int) -> None:
        loop, epoch = self.config.loop, self.progress.epoch
        factor = schedule(loop, self.progress.step, epoch * steps + given.number, loop.epochs * steps)
        set_rate(self.parts.optimizer, factor)
        result = self.stepper.take(given, epoch, self.progress.step + 1, self.stop.asked)
        self.progress = self.progress.after(result.losses, result.counts, result.hits, given.shown)
        self.pace.update(self.progress.step, given.shown)
        if self.progress.step % loop.log_steps == 0:
            self._write(self._step_record(given, result, factor))
        wanted = loop.checkpoint_steps and self.progress.step % loop.checkpoint_steps == 0
        if result.asked:
            raise self._stopped()
        if wanted and self.progress.batch < steps:
            self._save()

    def _end_if_asked(self) -> None:
        """End between two steps, if any process was asked to."""
        asked = torch.tensor(float(self.stop.asked), device=self.parts.network.device)
        if self.world.sum(asked) > 0:
            raise self._stopped()

    def _stopped(self) -> TrainingStopped:
        self._save()
        return TrainingStopped(
            f"Stopped after step {self.progress.step}, with {self.progress.epoch} of {self.config.loop.epochs} epochs "
            "done; the checkpoint is written. The same command goes on from there."
        )

    def _step_record(self, given: StepInput, result: StepResult, factor: float) -> dict[str, Any]:
        return {
            "step": self.progress.step, "epoch": self.progress.epoch + 1, "phase": given.phase.name,
            "losses": dict(result.losses), "loss": result.loss, "rate_factor": factor, "gradient_norm": result.norm,
        }  # fmt: skip

    def _end_epoch(self, epoch: int, seconds: float, pairs: int) -> None:
        record: dict[str, Any] = {
            "step": self.progress.step, "epoch": epoch + 1, "loss": self._mean_loss(), "losses": self.progress.losses(),
        }  # fmt: skip
        accuracy = self.progress.accuracy()
        record |= {} if accuracy is None else {"accuracy": accuracy}
        record |= {"seconds": round(seconds, 3), "pairs_per_second": round(pairs / max(1e-9, seconds), 1)}
        if self.world.first and self.config.data.held_out:
            record["held_out"] = self.held_out()
        self.progress = self.progress.next_epoch()
        if self.expanding.measures(epoch):
            self._validate(record)
        self._write(record)
        self._save()
        if self.world.first:
            self.say(self.pace.epoch_line(record, self.config.loop.epochs))

    def _align(self) -> None:
        self.expanding.align(self.progress.step)
        self.progress = self.progress.after_alignment()
        record: dict[str, Any] = {"step": self.progress.step, "aligned": True}
        if self.config.validation.queries is not None:
            self._validate(record)
        self._write(record)
        self._save()
        if self.world.first:
            quality = record.get("validation", {}).get("map@10")
            self.say("aligned" + ("" if quality is None else f": validation MAP@10 {100 * quality:.1f}"))

    def _validate(self, record: dict[str, Any]) -> None:
        found = self.expanding.validation(self.progress.step) if self.world.first else {}
        quality = self.world.agreed(found.get("map@10", 0.0), self.parts.network.device)
        self.progress = self.progress.measured(quality)
        record |= {"validation": found, "best": self.progress.best_step == self.progress.step}

    def _mean_loss(self) -> float:
        return sum(self.weights[name] * loss for name, loss in self.progress.losses().items())

    def _write(self, record: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.write(record)
            self.trackers.write(record)

    def _save(self) -> None:
        if self.world.first:
            parts = self.parts
            state = RunState(
                config=self.config, entities=parts.source.data.entities, corpus_hash=self.corpus_hash,
                progress=self.progress, optimizer=optimizer_tensors(self.model, parts.optimizer),
                teacher={} if parts.teacher is None else parts.teacher.tensors(), lists=self.lists,
            )  # fmt: skip
            save_checkpoint(self.run_folder, self.model, state, keep=self.config.loop.keep_checkpoints)
        self.world.wait()
