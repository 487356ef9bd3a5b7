"""Checkpoints: folders `step-N` that appear whole, and a pointer to the newest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from entity_expand.config import from_mapping, to_mapping
from entity_expand.errors import CheckpointError, ConfigError
from entity_expand.files import confined, discard, new_folder, read_capped, read_json, write_json, write_text
from entity_expand.image import ImageConfig
from entity_expand.text import TextConfig
from entity_expand.types import Entity
from training.backbones import describe_text, image_config, load_vision, text_like
from training.config import TrainingConfig
from training.model import MultiExpan
from training.text import TextEncoder

FORMAT, VERSION = "entity-expand checkpoint", 1
_POINTER = "latest.json"
_JSON_CAP, _ENTITIES_CAP = 1 << 20, 4 << 30


@dataclass(frozen=True)
class Progress:
    """Where a run stands; the sampler needs no more than epoch and batch, its draws depend on the seed alone.

    Attributes:
        step: Steps done.
        epoch: The epoch that comes next or is under way, from 0.
        batch: Batches of that epoch that are done.
        pairs, loss, hits: Sums over that epoch's samples so far.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    pairs: int = 0
    loss: float = 0.0
    hits: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read.

    Attributes:
        path: Its folder.
        config: Settings of the run.
        entities: The V entities of the head, in the order of its rows.
        corpus_hash: Content hash of the corpus.
        progress: Where the run stood.
        text: Description of the text encoder's architecture.
        model_state: All weights by name, frozen ones too.
    """

    path: Path
    config: TrainingConfig
    entities: tuple[Entity, ...]
    corpus_hash: str
    progress: Progress
    text: Mapping[str, Any]
    model_state: Mapping[str, Tensor] = field(repr=False)

    @property
    def step(self) -> int:
        """Steps done."""
        return self.progress.step

    @property
    def tokenizer_path(self) -> Path:
        """File of the tokenizer."""
        return self.path / "tokenizer.json"

    @property
    def text_config(self) -> TextConfig:
        """How sentences become ids."""
        return text_config(self.config)

    @property
    def image_config(self) -> ImageConfig:
        """How pictures become pixels."""
        return image_config(self.config.vision)

    def build_model(self) -> MultiExpan:
        """Return the model with its weights, on the CPU and in evaluation mode.

        Raises:
            CheckpointError: The weights do not fit the settings.
        """
        try:
            text = text_like(self.config.text, dict(self.text))
            vision = load_vision(self.config.vision, pretrained=False)
            model = MultiExpan(self.config.model, text, vision, len(self.entities))
            model.load_state_dict(dict(self.model_state))
        except (RuntimeError, ConfigError, ValueError) as problem:
            raise CheckpointError(f"{self.path} does not hold the weights of its settings: {problem}") from problem
        return model.eval()

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """Read the optimiser's state."""
        return _tensors(self.path / "optimizer.safetensors")

    def random_states(self) -> dict[str, Tensor]:
        """Read the states of torch's generators by device type."""
        return _tensors(self.path / "rng.safetensors")


def text_config(config: TrainingConfig) -> TextConfig:
    """Return how sentences become ids."""
    return TextConfig(max_length=config.text.max_length, form=config.text.form)


def save_checkpoint(
    run: Path,
    model: MultiExpan,
    config: TrainingConfig,
    entities: tuple[Entity, ...],
    corpus_hash: str,
    progress: Progress,
    optimizer: dict[str, Tensor],
    random: dict[str, Tensor],
    *,
    keep: int,
) -> Path:
    """Write a checkpoint under `run`, point to it, and remove all but the `keep` newest.

    A crash at any moment leaves the pointer on a whole checkpoint.
    """
    name = f"step-{progress.step:08d}"
    folder = run / name
    with new_folder(folder) as beside:
        state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
        save_file(state, beside / "model.safetensors")
        save_file(optimizer, beside / "optimizer.safetensors")
        save_file(random, beside / "rng.safetensors")
        write_json(beside / "config.json", to_mapping(config))
        for weights in beside.glob("*.safetensors"):  # the library makes them unreadable for others
            weights.chmod((beside / "config.json").stat().st_mode)
        rows = (json.dumps({"id": entity.id, "name": entity.name}, ensure_ascii=False) for entity in entities)
        write_text(beside / "entities.jsonl", "".join(f"{row}\n" for row in rows))
        shutil.copyfile(run / "tokenizer.json", beside / "tokenizer.json")
        text = describe_text(model.text) if isinstance(model.text, TextEncoder) else {}
        about = {"format": FORMAT, "version": VERSION, "corpus_hash": corpus_hash, "text": text}
        write_json(beside / "state.json", {**about, "progress": vars(progress)})
    write_json(run / _POINTER, {"checkpoint": name})
    for old in sorted(run.glob("step-*"))[:-keep]:
        if old != folder:
            discard(old)
    return folder


def newest(run: Path) -> Path | None:
    """Return the folder of the newest checkpoint of a run, or None if it has none yet.

    Raises:
        CheckpointError: The pointer is damaged or points to nothing.
    """
    if not (run / _POINTER).is_file():
        return None
    name = read_json(run / _POINTER, _JSON_CAP, CheckpointError).get("checkpoint")
    if not isinstance(name, str):
        raise CheckpointError(f"{run / _POINTER} should name a checkpoint, not {name!r}.")
    folder = confined(run, name, CheckpointError)
    if not folder.is_dir():
        raise CheckpointError(f"{run / _POINTER} names {name}, which is missing.")
    return folder


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint: its own folder, or a run's, of which the newest is taken.

    Raises:
        CheckpointError: It is missing, damaged, or of another version.
    """
    folder = path if (path / "state.json").is_file() else newest(path)
    if folder is None:
        raise CheckpointError(f"{path} holds no checkpoint; give the folder that `entity-expand train` wrote.")
    state = read_json(folder / "state.json", _JSON_CAP, CheckpointError)
    if (state.get("format"), state.get("version")) != (FORMAT, VERSION):
        raise CheckpointError(
            f"{folder} is {state.get('format')!r} version {state.get('version')!r}, expected {FORMAT!r} {VERSION}."
        )
    try:
        config = from_mapping(TrainingConfig, read_json(folder / "config.json", _JSON_CAP, CheckpointError))
        progress = from_mapping(Progress, state["progress"])
        corpus_hash, text = str(state["corpus_hash"]), dict(state["text"])
        entities = _entities(folder / "entities.jsonl")
    except (ConfigError, KeyError, TypeError, ValueError) as problem:
        raise CheckpointError(f"{folder} is damaged: {problem}") from problem
    weights = _tensors(folder / "model.safetensors")
    return Checkpoint(folder, config, entities, corpus_hash, progress, text, weights)


def _entities(path: Path) -> tuple[Entity, ...]:
    lines = read_capped(path, _ENTITIES_CAP, CheckpointError).decode().split("\n")
    rows = [json.loads(line) for line in lines if line]
    return tuple(Entity(id=str(row["id"]), name=str(row["name"])) for row in rows)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as problem:
        raise CheckpointError(f"Cannot read {path}: {problem}") from problem


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's generators by device type."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what `random_states` gave."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
