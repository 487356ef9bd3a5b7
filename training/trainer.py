"""One run: its model, optimiser, progress and place; one step, one epoch, one measurement."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from entity_expand.config import to_mapping
from entity_expand.corpus import Corpus
from entity_expand.errors import CheckpointError, TrainingError
from entity_expand.text import MaskedTokenizer
from training.backbones import image_config, load_text, load_vision
from training.batches import Source, fused, unit_pixels
from training.cache import picture_cache, text_cache
from training.checkpoint import (
    Checkpoint,
    Progress,
    random_states,
    save_checkpoint,
    set_random_states,
    text_config,
)
from training.config import TrainingConfig
from training.data import Batch, TrainingSet, training_set
from training.distort import distort, step_generator
from training.losses import masked_entity_loss
from training.model import MultiExpan
from training.optim import optimizer_of, optimizer_tensors, restore_optimizer, schedule, set_rate
from training.run.metrics import MetricsLog
from training.tokenizer import write_tokenizer
from training.vectors import start_words

Say = Callable[[str], None]


class Trainer:
    """One run: its model, optimiser and place.

    Args:
        config: All settings.
        corpus: The corpus.
        run: Folder of the run.
        cache: Folder of the caches.
        checkpoint: Where to go on from, or None to start.
        say: Receives one line per epoch.
    """

    def __init__(
        self,
        config: TrainingConfig,
        corpus: Corpus,
        run: Path,
        cache: Path,
        checkpoint: Checkpoint | None,
        say: Say,
    ) -> None:
        self.config, self.run_folder, self.say = config, run, say
        self.corpus_hash = corpus.content_hash
        self.device = device_of(config.loop.device)
        data = training_set(corpus, config.data)
        if checkpoint is None:
            write_tokenizer(run / "tokenizer.json", config.text, corpus, data.samples[: data.trained])
        tokenizer = MaskedTokenizer.from_file(run / "tokenizer.json", text_config(config))
        torch.manual_seed(config.loop.seed)
        if checkpoint is None:
            text, vision = load_text(config.text, tokenizer.vocabulary), load_vision(config.vision)
            if config.text.vectors is not None:
                start_words(text, config.text.vectors, run / "tokenizer.json")
            model = MultiExpan(config.model, text, vision, len(data.entities))
        else:
            _check_same(checkpoint, config, self.corpus_hash, data)
            model = checkpoint.build_model()
        self.model = model.to(self.device)
        image = image_config(config.vision)
        self.scale = tuple(torch.tensor(value, device=self.device)[:, None, None] for value in (image.mean, image.std))
        texts = text_cache(cache, corpus, data.samples, run / "tokenizer.json", tokenizer, model.text)  # type: ignore[arg-type]
        pictures = picture_cache(cache, corpus, data.samples, image, model.vision)  # type: ignore[arg-type]
        self.source = Source(config, data, texts, pictures)
        self.optimizer = optimizer_of(model, config.loop)
        self.progress = Progress()
        if checkpoint is not None:
            restore_optimizer(model, self.optimizer, checkpoint.optimizer_tensors())
            set_random_states(checkpoint.random_states(), self.device)
            self.progress = checkpoint.progress
        self.log = MetricsLog(run / "metrics.jsonl", self.progress.step)

    def train(self) -> Progress:
        """Train to the last epoch.

        Raises:
            TrainingError: A loss or gradient is not finite; the last checkpoint stays.
        """
        while self.progress.epoch < self.config.loop.epochs:
            self._epoch()
        return self.progress

    def _epoch(self) -> None:
        epoch, loop = self.progress.epoch, self.config.loop
        steps = self.source.steps()
        started, before = time.monotonic(), self.progress.pairs
        self.model.train()
        title = f"epoch {epoch + 1}/{loop.epochs}"
        with tqdm(desc=title, total=steps, initial=self.progress.batch, disable=None, unit="step", leave=False) as bar:
            for batch in self.source.epoch(epoch, self.progress.batch):
                self._step(batch, steps)
                rate = (self.progress.pairs - before) / max(1e-9, time.monotonic() - started)
                bar.update()
                bar.set_postfix_str(f"loss {self._mean_loss():.4f}, {rate:.0f} pairs/s", refresh=False)
                wanted = loop.checkpoint_steps and self.progress.step % loop.checkpoint_steps == 0
                if wanted and self.progress.batch < steps:
                    self._save()
        seconds = time.monotonic() - started
        record: dict[str, Any] = {
            "step": self.progress.step, "epoch": epoch + 1, "loss": self._mean_loss(),
            "accuracy": self.progress.hits / max(1, self.progress.pairs), "seconds": round(seconds, 3),
            "pairs_per_second": round((self.progress.pairs - before) / max(1e-9, seconds), 1),
        }  # fmt: skip
        record |= {"held_out": self.held_out()} if self.config.data.held_out else {}
        self.log.write(record)
        self.progress = Progress(step=self.progress.step, epoch=epoch + 1)
        self._save()
        self.say(_line(record, loop.epochs))

    def _mean_loss(self) -> float:
        return self.progress.loss / max(1, self.progress.pairs)

    def _step(self, batch: Batch, steps: int) -> None:
        loop = self.config.loop
        batch = self._distorted(self._moved(batch))
        factor = schedule(loop, self.progress.step, steps * loop.epochs)
        set_rate(self.optimizer, factor)
        log_probabilities = self._log_probabilities(batch)
        loss = masked_entity_loss(log_probabilities, batch.labels, loop.smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        norm = nn.utils.clip_grad_norm_(trained, math.inf if loop.clip is None else loop.clip)
        value = loss.item()
        if not (math.isfinite(value) and math.isfinite(norm.item())):
            raise TrainingError(
                f"Step {self.progress.step + 1} has the loss {value} and the gradient norm {norm.item()}. The last "
                "checkpoint is as it was; try a lower loop.learning_rate or loop.precision = 'float32'."
            )
        self.optimizer.step()
        count = len(batch.labels)
        self.progress = replace(
            self.progress,
            step=self.progress.step + 1,
            batch=self.progress.batch + 1,
            pairs=self.progress.pairs + count,
            loss=self.progress.loss + value * count,
            hits=self.progress.hits + _hits(log_probabilities, batch.labels),
        )
        if self.progress.step % loop.log_steps == 0:
            self.log.write({"step": self.progress.step, "batch_loss": value, "rate_factor": factor})

    def _log_probabilities(self, batch: Batch) -> Tensor:
        half = self.config.loop.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self.model.log_probabilities(fused(self.model, batch, (self.scale[0], self.scale[1])))

    def _moved(self, batch: Batch) -> Batch:
        return Batch(**{name: value.to(self.device, non_blocking=True) for name, value in vars(batch).items()})

    def _distorted(self, batch: Batch) -> Batch:
        strength, place = self.config.data.distort, (self.progress.epoch, self.progress.batch)
        if not strength:
            return batch
        generator = step_generator(self.device, self.config.loop.seed, *place)
        return replace(batch, pictures=distort(unit_pixels(batch.pictures), strength, generator))

    def held_out(self) -> dict[str, dict[str, float]]:
        """Measure loss and accuracy on the held-out samples with both parts, text alone, and the picture alone."""
        data, size = self.source.data, self.config.loop.batch_size
        rows = np.arange(data.trained, len(data.samples))
        self.model.eval()
        found = {}
        for name, picture, text in (("both", 0, 0), ("text", 1, 0), ("picture", 0, 1)):
            loss = hits = 0.0
            for first in range(0, len(rows), size):
                chosen = rows[first : first + size]
                flags = np.full(len(chosen), bool(picture)), np.full(len(chosen), bool(text))
                batch = self._moved(self.source.batch(chosen, *flags))
                with torch.no_grad():
                    predicted = self._log_probabilities(batch)
                loss += masked_entity_loss(predicted, batch.labels, 0.0).item() * len(chosen)
                hits += _hits(predicted, batch.labels)
            found[name] = {"loss": loss / max(1, len(rows)), "accuracy": hits / max(1, len(rows))}
        return found

    def _save(self) -> None:
        save_checkpoint(
            self.run_folder, self.model, self.config, self.source.data.entities, self.corpus_hash, self.progress,
            optimizer_tensors(self.model, self.optimizer), random_states(self.device),
            keep=self.config.loop.keep_checkpoints,
        )  # fmt: skip


def _check_same(checkpoint: Checkpoint, config: TrainingConfig, corpus_hash: str, data: TrainingSet) -> None:
    before, now = _flat(to_mapping(checkpoint.config)), _flat(to_mapping(config))
    for key in sorted(before.keys() | now.keys()):
        if key != "loop.epochs" and before.get(key) != now.get(key):
            raise CheckpointError(
                f"{checkpoint.path} was trained with {key} = {before.get(key)!r}, not {now.get(key)!r}; "
                "choose another run folder, or put the setting back."
            )
    same = [entity.id for entity in checkpoint.entities] == [entity.id for entity in data.entities]
    if checkpoint.corpus_hash != corpus_hash or not same:
        raise CheckpointError(f"{checkpoint.path} was trained on another corpus; choose another run folder.")


def _flat(mapping: dict[str, object], where: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in mapping.items():
        found |= _flat(value, f"{where}{key}.") if isinstance(value, dict) else {f"{where}{key}": value}
    return found


def _hits(log_probabilities: Tensor, labels: Tensor) -> int:
    return int((log_probabilities.detach().argmax(1) == labels).sum())


def _line(record: Mapping[str, Any], epochs: int) -> str:
    line = "epoch {epoch}/{epochs}: loss {loss:.4f}, accuracy {accuracy:.3f}, {pairs_per_second:.0f} pairs/s"
    text = line.format(epochs=epochs, **record)
    held = record.get("held_out")
    if isinstance(held, dict):
        text += "; held out " + ", ".join(f"{name} {value['accuracy']:.3f}" for name, value in held.items())
    return text


def device_of(choice: str) -> torch.device:
    """Return the device of a setting.

    Raises:
        TrainingError: A GPU is asked for and there is none.
    """
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    if choice == "cuda" and not torch.cuda.is_available():
        raise TrainingError("loop.device is 'cuda', but torch sees no GPU; use 'auto' or 'cpu'.")
    return torch.device(choice)
