"""One step: its gradient is clipped, checked, used, and followed by the teacher; in that order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from entity_expand.errors import TrainingError
from training.config import TrainingConfig
from training.losses import distilled_entity_loss
from training.network import Network
from training.optim import optimizer_tensors
from training.pairs import EntityLists
from training.phases import epoch_phases
from training.step import Stepper
from training.tasks import tasks_of
from training.trainer import Trainer

MOMENTUM = 0.75
TASKS = """
[tasks]
schedule = "phases"
form = "{form}"
instance = 0.5
cluster = 0.2
distillation = 0.1
momentum = {momentum}

[mining]
block = 2
start = 0
"""
LISTS = EntityLists((np.array([0, 1, 2]), np.array([3, 4, 5])), (np.array([6]), np.array([7])))


@pytest.fixture
def started(corpus, settings_file, tmp_path):
    """Start a run of which no step is taken yet."""

    def start(extra: str = "", **loop) -> Trainer:
        config = TrainingConfig.read(settings_file(epochs=1, extra=extra))
        run = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        run.mkdir()
        with torch.random.fork_rng():
            config = replace(config, loop=replace(config.loop, **loop))
            trainer = Trainer(config, corpus, run, tmp_path / "cache", None, print)
        trainer.model.train()
        return trainer

    return start


def _inputs(trainer, lists=None):
    """Return the first step of each phase, by its name."""
    source, found = trainer.parts.source, {}
    phases = epoch_phases(trainer.config, source.data, lists, 0)
    for given in source.steps(phases, 0, 0):
        found.setdefault(given.phase.name, given)
    return found


def _taken(trainer, given, step=1):
    with torch.random.fork_rng():
        return trainer.stepper.take(given, 0, step, False)


def _parameters(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.mark.parametrize("form", ["paper", "corrected"])
def test_the_teacher_follows_once_after_each_step_of_any_phase(started, form):
    trainer = started("accumulate = 2\n" + TASKS.format(form=form, momentum=MOMENTUM), learning_rate=0.01)
    teacher = trainer.parts.teacher.model
    inputs = _inputs(trainer, LISTS)
    assert list(inputs) == ["instance", "cluster", "entity"]
    for step, given in enumerate(inputs.values(), 1):
        before, trained = _parameters(teacher), _parameters(trainer.model)
        _taken(trainer, given, step)
        now = _parameters(trainer.model)
        moved = [name for name in before if not torch.equal(now[name], trained[name])]
        assert {name.split(".")[0] for name in moved} >= {"text", "cross_transformer", "visual_position"}
        for name, value in teacher.named_parameters():
            expected = MOMENTUM * before[name] + (1 - MOMENTUM) * now[name]
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
        assert all(value.grad is None for value in teacher.parameters())


def test_the_form_of_the_tasks_is_that_of_the_distillation(started):
    losses = []
    for form in ("paper", "corrected"):
        trainer = started(TASKS.format(form=form, momentum=MOMENTUM))
        losses.append(_taken(trainer, _inputs(trainer)["entity"]).losses["entity"])
    assert abs(losses[0] - losses[1]) > 0.01


def test_each_part_of_a_step_is_distorted_on_its_own(started, monkeypatch):
    seeds = []
    monkeypatch.setattr(
        "training.step.distort",
        lambda pixels, strength, generator: seeds.append(generator.initial_seed()) or pixels,
    )
    for parts in (1, 3):
        trainer = started(accumulate=parts)
        trainer.config = replace(trainer.config, data=replace(trainer.config.data, distort=0.1))
        trainer.stepper = Stepper(
            trainer.config, trainer.parts.network, tasks_of(trainer.config), trainer.parts.optimizer, None,
            trainer.parts.source, trainer.run_folder,
        )  # fmt: skip
        _taken(*_alone(trainer))
    assert len(seeds) == 1 + 3
    assert seeds[0] == seeds[1] and len(set(seeds)) == 3


def test_both_distillations_run_the_teacher_once(started, monkeypatch):
    run, view = [], Network.view
    monkeypatch.setattr(Network, "view", lambda network, batch: run.append(network.model) or view(network, batch))
    trainer = started("[tasks]\nimage_text = 0.5\ndistillation = 0.1\nimage_text_distillation = 0.4\n")
    _taken(*_alone(trainer))
    assert run == [trainer.model, trainer.parts.teacher.model]


@pytest.mark.parametrize("share", [0.1, 10.0, 0.0])
def test_a_step_is_no_longer_than_the_clipped_gradient(started, share):
    length = _taken(*_alone(started(clip=1e9))).norm
    trainer = started(clip=share * length)
    first = _parameters(trainer.model)
    # Plain descent at a rate of 1 moves the parameters by the gradient itself.
    trainer.stepper = Stepper(
        trainer.config, trainer.parts.network, tasks_of(trainer.config),
        torch.optim.SGD(trainer.model.parameters(), lr=1.0), None, trainer.parts.source, trainer.run_folder,
    )  # fmt: skip
    result = _taken(*_alone(trainer))
    moved = torch.cat([(value - first[name]).reshape(-1) for name, value in _parameters(trainer.model).items()]).norm()
    assert result.norm == pytest.approx(length, rel=1e-4)
    assert moved.item() == pytest.approx(length * min(1.0, share or 1.0), rel=1e-3)


def _alone(trainer):
    return trainer, _inputs(trainer)["entity"]


def _nan(loss, log_probabilities):
    return loss * float("nan")


def _infinite_but_with_a_finite_gradient(loss, log_probabilities):
    return loss + float("inf")


def _finite_but_with_a_gradient_that_is_not(loss, log_probabilities):
    return loss + (log_probabilities.sum() * 0.0).square().sqrt()


@pytest.mark.parametrize("wrong", [_nan, _infinite_but_with_a_finite_gradient, _finite_but_with_a_gradient_that_is_not])
def test_a_batch_that_fails_updates_nothing(started, monkeypatch, wrong):
    trainer = started("[tasks]\ndistillation = 0.1\n")
    given = _inputs(trainer)["entity"]
    _taken(trainer, given)
    model, parts = trainer.model, trainer.parts
    parameters, state = _parameters(model), optimizer_tensors(model, parts.optimizer)
    before = {name: value.clone() for name, value in {**parameters, **state, **parts.teacher.tensors()}.items()}
    monkeypatch.setattr(
        "training.tasks.entity.distilled_entity_loss",
        lambda predicted, *rest, **more: wrong(distilled_entity_loss(predicted, *rest, **more), predicted),
    )
    with pytest.raises(TrainingError, match="Step 2 has the loss"):
        _taken(trainer, given, 2)
    after = {**_parameters(model), **optimizer_tensors(model, parts.optimizer), **parts.teacher.tensors()}
    assert state
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_bfloat16_gives_other_losses_near_those_of_float32(started):
    extra, losses = TASKS.format(form="corrected", momentum=MOMENTUM).replace("distillation = 0.1\n", ""), {}
    for precision in ("float32", "bfloat16"):
        # Without a rate, no step changes what the next one finds.
        trainer = started(extra, precision=precision, learning_rate=0.0)
        steps = _inputs(trainer, LISTS).values()
        losses[precision] = {name: loss for given in steps for name, loss in _taken(trainer, given).losses.items()}
        assert all(value.dtype == torch.float32 for value in trainer.model.parameters())
    assert set(losses["float32"]) == {"entity", "instance", "cluster"}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.03)
    assert all(loss != losses["float32"][name] for name, loss in losses["bfloat16"].items())


def test_the_teacher_predicts_in_the_precision_of_the_run(started):
    predicted = []
    for precision in ("float32", "bfloat16"):
        trainer = started("[tasks]\ndistillation = 0.1\n", precision=precision)
        batch = _inputs(trainer)["entity"].samples[0].batch
        teacher = trainer.parts.teacher
        predicted.append(teacher.log_probabilities(teacher.view(batch)).float())
    assert not torch.equal(*predicted)
    torch.testing.assert_close(*predicted, atol=0.1, rtol=0.1)
