"""The contrast between samples, against a naive one and by its properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from entity_expand.errors import ConfigError, TrainingError
from training.losses import instance_contrast_loss

SEEDS = st.integers(0, 2**31 - 1)


def views(seed, count, width, dtype=torch.float64):
    drawn = torch.randn(2, count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    first, second = functional.normalize(drawn, dim=-1).to(dtype)
    return first, second


def naive(first, second, ignored, temperature, tau_plus, beta, estimator):
    """Row by row, as the specification words it."""
    rows = torch.cat([first, second])
    half, total = len(first), 0.0
    for i in range(2 * half):
        similarity = [math.exp(rows[i] @ rows[j] / temperature) for j in range(2 * half)]
        positive = similarity[(i + half) % (2 * half)]
        negatives = [s for j, s in enumerate(similarity) if j % half != i % half and not ignored[i, j]]
        count = len(negatives)
        if not count:
            continue
        mass = sum(negatives)
        if estimator == "hard":
            weights = [s**beta for s in negatives]
            mass = sum(w * s for w, s in zip(weights, negatives, strict=True)) / (sum(weights) / count)
            mass = (mass - tau_plus * count * positive) / (1 - tau_plus)
            mass = max(mass, count * math.exp(-1 / temperature))
        total -= math.log(positive / (positive + mass))
    return total / (2 * half)


@settings(deadline=None, max_examples=40)
@given(
    SEEDS,
    st.integers(1, 6),
    st.floats(0.05, 2.0),
    st.floats(0.0, 0.6),
    st.floats(0.0, 3.0),
    st.sampled_from(["hard", "easy"]),
    st.floats(0.0, 1.0),
)
def test_against_a_naive_one(seed, count, temperature, tau_plus, beta, estimator, share):
    first, second = views(seed, count, 3)
    ignored = torch.rand(2 * count, 2 * count, generator=torch.Generator().manual_seed(seed)) < share
    constants = {"temperature": temperature, "tau_plus": tau_plus, "beta": beta, "estimator": estimator}
    found = instance_contrast_loss(first, second, ignored=ignored, **constants).item()
    expected = naive(first, second, ignored, **constants)
    assert abs(found - expected) < 1e-9 * max(1.0, abs(expected))


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(2, 12))
def test_neither_order_nor_sides_nor_rotation_matter(seed, count):
    first, second = views(seed, count, 4)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    expected = instance_contrast_loss(first, second).item()
    assert abs(instance_contrast_loss(first[order], second[order]).item() - expected) < 1e-12
    assert abs(instance_contrast_loss(second, first).item() - expected) < 1e-12
    assert abs(instance_contrast_loss(first @ rotation, second @ rotation).item() - expected) < 1e-12


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(2, 12), st.floats(0.1, 1.0))
def test_the_loss_is_between_its_bounds(seed, count, temperature):
    loss = instance_contrast_loss(*views(seed, count, 4), temperature=temperature).item()
    # The most: all negatives at 1 and the other view at -1; the least: the floor of G, the other view at 1.
    negatives, tau_plus = 2 * count - 2, 0.05
    gap = math.exp(2 / temperature)
    assert math.log1p(negatives / gap) <= loss + 1e-12
    assert loss <= math.log1p(negatives * (gap - tau_plus) / (1 - tau_plus)) + 1e-12


def test_ignoring_nothing_is_ignoring_none():
    first, second = views(1, 5, 3)
    nothing = torch.zeros(10, 10, dtype=torch.bool)
    assert instance_contrast_loss(first, second, ignored=nothing) == instance_contrast_loss(first, second)
    # Whatever is said of a row and of its other view does not count.
    itself = torch.eye(5, dtype=torch.bool).repeat(2, 2)
    assert instance_contrast_loss(first, second, ignored=itself) == instance_contrast_loss(first, second)


def test_ignored_pairs_do_not_push():
    first, second = views(2, 3, 4)
    first.requires_grad_()
    alone = torch.ones(6, 6, dtype=torch.bool)
    alone[0, 1] = False  # row 0 has one negative, all others none
    loss = instance_contrast_loss(first, second, ignored=alone)
    assert abs(loss.item() - naive(first.detach(), second, alone, 0.5, 0.05, 1.0, "hard")) < 1e-12
    (gradient,) = torch.autograd.grad(loss, first)
    assert gradient[0].abs().sum() > 0
    assert gradient[1].abs().sum() > 0
    assert gradient[2].abs().sum() == 0


def test_a_batch_of_one_has_no_negatives():
    first, second = (rows.requires_grad_() for rows in views(3, 1, 4))
    loss = instance_contrast_loss(first, second)
    assert loss.item() == 0
    assert all(gradient.abs().sum() == 0 for gradient in torch.autograd.grad(loss, (first, second)))


@pytest.mark.parametrize("temperature", [0.5, 0.01, 1e-4])
@pytest.mark.parametrize("estimator", ["hard", "easy"])
@pytest.mark.parametrize("same", [False, True])
def test_small_temperatures_stay_finite_in_float32(temperature, estimator, same):
    first, second = views(4, 8, 4, torch.float32)
    first = (second[:1].repeat(8, 1) if same else first).requires_grad_()
    second = first.detach().clone() if same else second
    loss = instance_contrast_loss(first, second, temperature=temperature, estimator=estimator)
    (gradient,) = torch.autograd.grad(loss, first)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("estimator", ["hard", "easy"])
@pytest.mark.parametrize("tau_plus", [0.0, 0.05, 0.3])
def test_gradients(estimator, tau_plus):
    inputs = [rows.requires_grad_() for rows in views(5, 4, 3)]
    ignored = torch.rand(8, 8, generator=torch.Generator().manual_seed(5)) < 0.3

    def loss(first, second):
        return instance_contrast_loss(first, second, tau_plus=tau_plus, estimator=estimator, ignored=ignored)

    assert torch.autograd.gradcheck(loss, inputs)


def test_what_does_not_fit_is_refused():
    first, second = views(6, 4, 3)
    with pytest.raises(TrainingError, match=r"\(4, 3\) and \(3, 3\)"):
        instance_contrast_loss(first, second[:3])
    with pytest.raises(TrainingError, match=r"\(4, 4\), but \(8, 8\)"):
        instance_contrast_loss(first, second, ignored=torch.zeros(4, 4, dtype=torch.bool))
    for wrong in ({"temperature": 0.0}, {"tau_plus": 1.0}, {"beta": -1.0}, {"estimator": "soft"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            instance_contrast_loss(first, second, **wrong)
