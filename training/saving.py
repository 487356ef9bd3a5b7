"""Writing checkpoints: they appear whole, then pointers move, then old ones go."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from entity_expand.config import to_mapping
from entity_expand.errors import CheckpointError
from entity_expand.files import discard, new_folder, read_json, write_json, write_text
from entity_expand.types import Entity
from training.backbones import describe_text, state_hash
from training.checkpoint import BEST, FORMAT, FROZEN, JSON_CAP, LATEST, VERSION, newest
from training.config import TrainingConfig
from training.model import MultiExpan
from training.pairs import EntityLists
from training.progress import Progress
from training.tensors import write_tensors
from training.text import TextEncoder


@dataclass(frozen=True)
class RunState:
    """What a checkpoint holds besides the model.

    Attributes:
        config: Settings of the run.
        entities: The V entities of the head, in the order of its rows.
        corpus_hash: Content hash of the corpus.
        progress: Where the run stands.
        optimizer: State of the optimiser, as `optimizer_tensors` gives it.
        teacher: Weights of the momentum copy; none where there is no copy.
        lists: Where the pairs of the contrasts come from; None as long as there are none.
    """

    config: TrainingConfig
    entities: tuple[Entity, ...]
    corpus_hash: str
    progress: Progress
    optimizer: Mapping[str, Tensor] = field(repr=False)
    teacher: Mapping[str, Tensor] = field(repr=False, default_factory=dict)
    lists: EntityLists | None = None


def save_checkpoint(run: Path, model: MultiExpan, state: RunState, *, keep: int) -> Path:
    """Write a checkpoint under `run`, point to it, and remove all but the `keep` newest and the best one.

    A crash at any moment leaves the pointers on whole checkpoints.
    """
    progress = state.progress
    folder = run / _name(progress.step)
    with new_folder(folder) as beside:
        frozen = _write_weights(beside, model, run)
        write_tensors(beside / "optimizer.safetensors", state.optimizer)
        if state.teacher:
            write_tensors(beside / "teacher.safetensors", state.teacher)
        if state.lists is not None:
            packed = {name: torch.from_numpy(value) for name, value in state.lists.packed().items()}
            write_tensors(beside / "lists.safetensors", packed)
        write_json(beside / "config.json", to_mapping(state.config))
        rows = (json.dumps({"id": each.id, "name": each.name}, ensure_ascii=False) for each in state.entities)
        write_text(beside / "entities.jsonl", "".join(f"{row}\n" for row in rows))
        shutil.copyfile(run / "tokenizer.json", beside / "tokenizer.json")
        text = describe_text(model.text) if isinstance(model.text, TextEncoder) else {}
        about = {"format": FORMAT, "version": VERSION, "corpus_hash": state.corpus_hash, "text": text}
        write_json(beside / "state.json", {**about, "frozen": frozen, "progress": vars(progress)})
    if progress.best is not None and progress.best_step == progress.step:
        write_json(run / BEST, {"checkpoint": folder.name, "epoch": progress.epoch, "map@10": progress.best})
    write_json(run / LATEST, {"checkpoint": folder.name})
    kept = {folder.name, _name(progress.best_step)} if progress.best is not None else {folder.name}
    for old in sorted(run.glob("step-*"))[:-keep]:
        if old.name not in kept:
            discard(old)
    return folder


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _write_weights(folder: Path, model: MultiExpan, run: Path) -> str:
    """Write the trained weights, and link to the frozen ones of the checkpoint before, which are the same."""
    names = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    state = model.state_dict()
    frozen = {name: value for name, value in state.items() if name in names}
    write_tensors(folder / "model.safetensors", {key: value for key, value in state.items() if key not in names})
    if not frozen:
        return ""
    digest, before = state_hash(frozen), newest(run)
    if before is not None and read_json(before / "state.json", JSON_CAP, CheckpointError).get("frozen") == digest:
        with contextlib.suppress(OSError):  # a file system without links
            (folder / FROZEN).hardlink_to(before / FROZEN)
            return digest
    write_tensors(folder / FROZEN, frozen)
    return digest
