from __future__ import annotations

import pytest
import torch

from entity_expand.errors import CheckpointError
from training.backbones import load_text, load_vision
from training.config import LoopSettings, ModelConfig, TaskSettings, TextSettings, VisionSettings
from training.model import MultiExpan
from training.momentum import Teacher

SCALE = (torch.zeros(3, 1, 1), torch.ones(3, 1, 1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    text = load_text(TextSettings(backbone="scratch", trained_layers=-1, width=16, heads=2, mlp=20, max_length=24), 50)
    vision = load_vision(VisionSettings(backbone="scratch", trained=True, size=16, widths=(8,), pool=2))
    config = ModelConfig(heads=2, mlp=16, visual_layers=1, cross_layers=1, clusters=3)
    text.freeze_words()
    return MultiExpan(config, text, vision, 7, TaskSettings(words=1.0, matching=1.0))


def test_it_is_a_copy_that_shares_what_is_frozen_and_lacks_the_other_heads(model):
    teacher = Teacher(model, SCALE, LoopSettings(), 0.9)
    frozen = {name for name, each in model.named_parameters() if not each.requires_grad}
    assert frozen == {"text.model.embeddings.word_embeddings.weight"}
    theirs = dict(model.named_parameters())
    for name, parameter in teacher.model.named_parameters():
        assert not parameter.requires_grad
        assert torch.equal(parameter, theirs[name])
        assert (parameter is theirs[name]) == (name in frozen)
    names = {name.split(".")[0] for name, _ in teacher.model.named_parameters()}
    assert names == {
        "text",
        "vision",
        "visual_linear",
        "visual_position",
        "visual_transformer",
        "cross_transformer",
        "head",
    }
    assert not teacher.model.training
    model.train()
    assert not any(module.training for module in teacher.model.modules() if isinstance(module, torch.nn.Dropout))


def test_it_keeps_the_projections_that_it_teaches():
    torch.manual_seed(0)
    text = load_text(TextSettings(backbone="scratch", trained_layers=-1, width=16, heads=2, mlp=20, max_length=24), 50)
    vision = load_vision(VisionSettings(backbone="scratch", trained=True, size=16, widths=(8,), pool=2))
    config = ModelConfig(heads=2, mlp=16, visual_layers=1, cross_layers=1, clusters=3)
    model = MultiExpan(config, text, vision, 7, TaskSettings(image_text=1.0, image_text_distillation=0.4))
    teacher = Teacher(model, SCALE, LoopSettings(), 0.9, projects=True)
    own, theirs = teacher.model.image_text_head, model.image_text_head
    assert own is not None and own is not theirs
    before = own.text.weight.clone()
    with torch.no_grad():
        theirs.text.weight.add_(1.0)
    teacher.follow(model)
    torch.testing.assert_close(own.text.weight, before + 0.1)
    assert "teacher.image_text_head.picture.bias" in teacher.tensors()


def test_one_step_follows_every_parameter(model):
    teacher = Teacher(model, SCALE, LoopSettings(), 0.9)
    before = {name: value.clone() for name, value in teacher.model.named_parameters()}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    teacher.follow(model)
    theirs = dict(model.named_parameters())
    for name, value in teacher.model.named_parameters():
        torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * theirs[name])
    assert "visual_position" in before  # which the original forgets


def test_it_is_saved_and_restored(model):
    teacher = Teacher(model, SCALE, LoopSettings(), 0.9)
    saved = {name: value.clone() + 1 for name, value in teacher.tensors().items()}
    assert all(name.startswith("teacher.") for name in saved)
    assert "teacher.text.model.embeddings.word_embeddings.weight" not in saved
    teacher.restore(saved)
    assert all(torch.equal(value, saved[name]) for name, value in teacher.tensors().items())
    del saved["teacher.visual_position"]
    with pytest.raises(CheckpointError, match="another model"):
        teacher.restore(saved)
