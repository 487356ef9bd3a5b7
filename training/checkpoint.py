"""Checkpoints: folders `step-N`, and pointers to the newest and to the best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

from torch import Tensor

from entity_expand.config import from_mapping
from entity_expand.errors import CheckpointError, ConfigError
from entity_expand.files import confined, read_capped, read_json, settle
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import TextConfig
from entity_expand.types import Entity
from training.backbones import image_config, load_vision, text_like
from training.config import TrainingConfig
from training.model import MultiExpan
from training.pairs import EntityLists
from training.progress import Progress
from training.tensors import read_tensors

FORMAT, VERSION = "entity-expand checkpoint", 1
LATEST, BEST, FROZEN = "latest.json", "best.json", "model-frozen.safetensors"
Which: TypeAlias = Literal["latest", "best", "preferred"]
JSON_CAP, _ENTITIES_CAP = 1 << 20, 4 << 30


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
            model = MultiExpan(self.config.model, text, vision, len(self.entities), self.config.tasks)
            model.load_state_dict(dict(self.model_state))
        except (RuntimeError, ConfigError, ValueError) as problem:
            raise CheckpointError(f"{self.path} does not hold the weights of its settings: {problem}") from problem
        return model.eval()

    def optimizer_tensors(self) -> dict[str, Tensor]:
        """Read the optimiser's state."""
        return read_tensors(self.path / "optimizer.safetensors")

    def teacher_tensors(self) -> dict[str, Tensor]:
        """Read the weights of the momentum copy.

        Raises:
            CheckpointError: There are none.
        """
        return read_tensors(self.path / "teacher.safetensors")

    def lists(self) -> EntityLists | None:
        """Read the lists that pairs come from; None if there were none yet.

        Raises:
            CheckpointError: They are damaged.
        """
        path = self.path / "lists.safetensors"
        if not path.is_file():
            return None
        try:
            return EntityLists.unpacked({name: value.numpy() for name, value in read_tensors(path).items()})
        except (KeyError, TypeError, ValueError) as problem:
            raise CheckpointError(f"{path} is damaged: {problem}; put it back, or train anew.") from problem


def text_config(config: TrainingConfig) -> TextConfig:
    """Return how sentences become ids."""
    return TextConfig(max_length=config.text.max_length, form=config.text.form)


def newest(run: Path) -> Path | None:
    """Return the folder of the newest checkpoint of a run, or None if it has none yet.

    Raises:
        CheckpointError: The pointer is damaged or points to nothing.
    """
    return _pointed(run, LATEST)


def best(run: Path) -> Path | None:
    """Return the folder of the checkpoint that was best on the validation queries, or None if none was measured.

    Raises:
        CheckpointError: The pointer is damaged or points to nothing.
    """
    return _pointed(run, BEST)


def _pointed(run: Path, pointer: str) -> Path | None:
    if not (run / pointer).is_file():
        return None
    name = read_json(run / pointer, JSON_CAP, CheckpointError).get("checkpoint")
    if not isinstance(name, str):
        raise CheckpointError(f"{run / pointer} should name a checkpoint, not {name!r}.")
    folder = settle(confined(run, name, CheckpointError))
    if not folder.is_dir():
        raise CheckpointError(
            f"{run / pointer} names {name}, which is missing: put it back, or delete {run} to train it anew."
        )
    return folder


def load_checkpoint(path: Path, which: Which = "latest") -> Checkpoint:
    """Read a checkpoint: its own folder, or a run's.

    Args:
        path: The folder.
        which: Which one of a run: the "latest", the "best", or the best if there is one and else the latest.

    Raises:
        CheckpointError: It is missing, damaged, or of another version.
    """
    folder = path if (path / "state.json").is_file() else _of_run(path, which)
    state = read_json(folder / "state.json", JSON_CAP, CheckpointError)
    if (state.get("format"), state.get("version")) != (FORMAT, VERSION):
        raise CheckpointError(
            f"{folder} is {state.get('format')!r} version {state.get('version')!r}, expected {FORMAT!r} {VERSION}."
        )
    try:
        config = from_mapping(TrainingConfig, read_json(folder / "config.json", JSON_CAP, CheckpointError))
        known = {each.name for each in fields(Progress)}
        progress = from_mapping(Progress, {key: value for key, value in state["progress"].items() if key in known})
        corpus_hash, text = str(state["corpus_hash"]), dict(state["text"])
        entities = _entities(folder / "entities.jsonl")
    except (AttributeError, ConfigError, KeyError, RecursionError, TypeError, ValueError) as problem:
        raise CheckpointError(f"{folder} is damaged: {problem}") from problem
    weights = read_tensors(folder / "model.safetensors")
    if state.get("frozen"):
        weights |= read_tensors(folder / FROZEN)
    return Checkpoint(folder, config, entities, corpus_hash, progress, text, weights)


def _of_run(run: Path, which: Which) -> Path:
    folder = best(run) if which != "latest" else None
    if folder is None and which != "best":
        folder = newest(run)
    if folder is None:
        reason = "no best checkpoint; take the latest" if which == "best" and newest(run) else "no checkpoint"
        raise CheckpointError(f"{run} holds {reason}; give the folder that `entity-expand train` wrote.")
    return folder


def _entities(path: Path) -> tuple[Entity, ...]:
    lines = read_capped(path, _ENTITIES_CAP, CheckpointError).decode().split("\n")
    rows = [json.loads(line) for line in lines if line]
    return tuple(Entity(id=str(row["id"]), name=str(row["name"])) for row in rows)
