from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from entity_expand.errors import CheckpointError
from entity_expand.types import Entity
from training.backbones import load_text, load_vision
from training.checkpoint import load_checkpoint
from training.config import ModelConfig, TextSettings, TrainingConfig, VisionSettings
from training.model import MultiExpan
from training.pairs import EntityLists
from training.progress import Progress
from training.saving import RunState, save_checkpoint
from training.tensors import write_tensors

CONFIG = TrainingConfig(
    text=TextSettings(backbone="scratch", trained_layers=-1, width=16, heads=2, mlp=20, max_length=24),
    vision=VisionSettings(backbone="scratch", trained=True, size=16, widths=(8,), pool=2),
    model=ModelConfig(heads=2, mlp=16, visual_layers=1, cross_layers=1, clusters=3),
)
ENTITIES = (Entity("a", "A"), Entity("b", "B"))


def _saved(run, model, step, **more):
    state = RunState(CONFIG, ENTITIES, "hash", Progress(step=step), {"x/y": torch.ones(2)}, **more)
    return save_checkpoint(run, model, state, keep=1)


def test_frozen_weights_lie_on_the_disk_once(tmp_path):
    text = load_text(CONFIG.text, 50)
    text.freeze_words()
    model = MultiExpan(CONFIG.model, text, load_vision(CONFIG.vision), 2)
    (tmp_path / "tokenizer.json").write_text("{}")
    first = _saved(tmp_path, model, 1)
    words = "text.model.embeddings.word_embeddings.weight"
    number = (first / "model-frozen.safetensors").stat().st_ino
    second = _saved(tmp_path, model, 2)
    assert not first.exists()
    assert (second / "model-frozen.safetensors").stat().st_ino == number
    state = load_checkpoint(tmp_path).model_state
    assert state.keys() == model.state_dict().keys()
    assert torch.equal(state[words], model.state_dict()[words])
    with torch.no_grad():
        text.words.add_(1.0)
    third = _saved(tmp_path, model, 3)
    assert (third / "model-frozen.safetensors").stat().st_ino != number
    assert torch.equal(load_checkpoint(third).model_state[words], text.words)
    moved = tmp_path / "elsewhere"
    shutil.copytree(third, moved)
    assert torch.equal(load_checkpoint(moved).model_state[words], text.words)


def test_lists_come_back(tmp_path):
    model = MultiExpan(CONFIG.model, load_text(CONFIG.text, 50), load_vision(CONFIG.vision), 2)
    (tmp_path / "tokenizer.json").write_text("{}")
    lists = EntityLists((np.array([0, 1]), np.array([1])), (np.zeros(0, np.int64), np.array([0])))
    _saved(tmp_path, model, 1, lists=lists)
    found = load_checkpoint(tmp_path).lists()
    assert [each.tolist() for each in found.positives] == [[0, 1], [1]]
    assert [each.tolist() for each in found.negatives] == [[], [0]]
    nothing = EntityLists((), ())
    assert EntityLists.unpacked(nothing.packed()) == nothing
    checkpoint = load_checkpoint(tmp_path)
    write_tensors(checkpoint.path / "lists.safetensors", {"positives": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"lists\.safetensors is damaged: .*positives_lengths"):
        checkpoint.lists()
    _saved(tmp_path, model, 2)
    assert load_checkpoint(tmp_path).lists() is None


@pytest.mark.parametrize("progress", [[], {"tasks": ["entity"], "sums": [], "counts": []}, {"step": "three"}])
def test_a_damaged_state_is_said(tmp_path, progress):
    model = MultiExpan(CONFIG.model, load_text(CONFIG.text, 50), load_vision(CONFIG.vision), 2)
    (tmp_path / "tokenizer.json").write_text("{}")
    saved = _saved(tmp_path, model, 1)
    state = json.loads((saved / "state.json").read_text())
    (saved / "state.json").write_text(json.dumps({**state, "progress": progress}))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_that_a_crash_left_moved_aside_comes_back(tmp_path):
    model = MultiExpan(CONFIG.model, load_text(CONFIG.text, 50), load_vision(CONFIG.vision), 2)
    (tmp_path / "tokenizer.json").write_text("{}")
    saved = _saved(tmp_path, model, 1)
    saved.rename(saved.with_name(f".{saved.name}.old"))
    assert load_checkpoint(tmp_path).path == saved and saved.is_dir()
