"""Distillation from the momentum copy."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_expand.errors import ConfigError, TrainingError
from training.losses import distillation_loss, distilled_entity_loss, masked_entity_loss

SEEDS = st.integers(0, 2**31 - 1)


def predictions(seed, count, vocabulary, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    drawn = scale * torch.randn(2, count, vocabulary, generator=generator, dtype=torch.float64)
    return tuple(torch.log_softmax(drawn, 2))


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 8), st.integers(1, 30), st.floats(0.0, 20.0))
def test_the_divergence_is_no_less_than_0_and_0_for_the_teacher_itself(seed, count, vocabulary, scale):
    student, teacher = predictions(seed, count, vocabulary, scale)
    assert distillation_loss(student, teacher).item() > -1e-12
    assert abs(distillation_loss(teacher, teacher).item()) < 1e-12
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    moved = distillation_loss(student[order], teacher[order]).item()
    assert abs(moved - distillation_loss(student, teacher).item()) < 1e-10
    # The paper's lies between minus the teacher's entropy less 1, and 0.
    entropy = -(teacher.exp() * teacher).sum(1).mean().item()
    assert -entropy - 1 - 1e-12 <= distillation_loss(student, teacher, form="paper").item() <= 1e-12


def test_both_forms_by_hand():
    student, teacher = torch.tensor([[0.5, 0.5]]).double().log(), torch.tensor([[0.75, 0.25]]).double().log()
    known = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert abs(distillation_loss(student, teacher).item() - (known + math.log(2))) < 1e-12
    assert abs(distillation_loss(student, teacher, form="paper").item() - (known - 0.5)) < 1e-12


def test_the_mix_holds_both():
    student, teacher = predictions(1, 4, 6)
    labels = torch.tensor([0, 2, 4, 5])
    known, taught = masked_entity_loss(student, labels, 0.1).item(), distillation_loss(student, teacher).item()
    mixed = distilled_entity_loss(student, teacher, labels, share=0.3, smoothing=0.1).item()
    assert abs(mixed - (0.7 * known + 0.3 * taught)) < 1e-12


def test_only_the_papers_form_reaches_into_the_teacher():
    student, teacher = (each.requires_grad_() for each in predictions(2, 4, 6))
    (gradient,) = torch.autograd.grad(distillation_loss(student, teacher), student)
    assert torch.allclose(gradient, -teacher.exp() / 4, rtol=0, atol=1e-12)
    assert torch.autograd.grad(distillation_loss(student, teacher), teacher, allow_unused=True) == (None,)
    paper = distillation_loss(student, teacher, form="paper")
    _, into_teacher = torch.autograd.grad(paper, (student, teacher))
    expected = teacher.exp() * (teacher + 1 - student.exp()) / 4
    assert torch.allclose(into_teacher, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", ["paper", "corrected"])
def test_what_the_teacher_rules_out_adds_nothing(form):
    student = torch.tensor([[0.5, 0.5, 0.0]]).log().requires_grad_()
    teacher = torch.tensor([[1.0, 0.0, 0.0]]).log().requires_grad_()
    loss = distillation_loss(student, teacher, form=form)
    gradients = torch.autograd.grad(loss, (student, teacher), allow_unused=True)
    assert abs(loss.item() - (math.log(2) if form == "corrected" else -0.5)) < 1e-6
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("form", ["paper", "corrected"])
def test_gradients(form):
    student, teacher = predictions(3, 3, 5)
    inputs = (student.requires_grad_(), teacher.requires_grad_() if form == "paper" else teacher)
    assert torch.autograd.gradcheck(lambda s, t: distillation_loss(s, t, form=form), inputs)


def test_what_does_not_fit_is_refused():
    student, teacher = predictions(4, 3, 5)
    with pytest.raises(TrainingError, match=r"\(3, 5\) and \(3, 4\)"):
        distillation_loss(student, teacher[:, :4])
    with pytest.raises(ConfigError, match="'kl'"):
        distillation_loss(student, teacher, form="kl")
