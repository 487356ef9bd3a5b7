"""The contrast between clusters: one number from two forms, and what the corrected one survives."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from entity_expand.errors import ConfigError, TrainingError
from training.losses import cluster_contrast_loss

SEEDS = st.integers(0, 2**31 - 1)
FORMS = ["paper", "corrected", "normalised"]
SAFE = ["corrected", "normalised"]


def logits(seed, count, clusters, scale, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    drawn = scale * torch.randn(2, count, clusters, generator=generator, dtype=torch.float64)
    first, second = (each.clone().requires_grad_() for each in drawn.to(dtype))
    return first, second


def loss_and_gradients(inputs, **constants):
    loss = cluster_contrast_loss(*(torch.softmax(each, 1) for each in inputs), **constants)
    return loss.detach(), torch.autograd.grad(loss, inputs)


@settings(deadline=None, max_examples=150)
@given(
    seed=SEEDS,
    count=st.integers(1, 200),
    clusters=st.integers(2, 12),
    scale=st.sampled_from([0.1, 1.0, 3.0, 10.0, 50.0]),
    temperature=st.floats(0.2, 2.0),
    tau_plus=st.sampled_from([0.0, 0.01, 0.05, 0.3]),
    beta=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    estimator=st.sampled_from(["hard", "easy"]),
)
def test_corrected_is_paper_wherever_paper_is_finite(seed, count, clusters, scale, **constants):
    inputs = logits(seed, count, clusters, scale)
    paper, gradients = loss_and_gradients(inputs, form="paper", **constants)
    assume(paper.isfinite() and all(gradient.isfinite().all() for gradient in gradients))
    corrected, others = loss_and_gradients(inputs, form="corrected", **constants)
    assert abs(paper - corrected) < 1e-9 * max(1.0, abs(paper))
    for gradient, other in zip(gradients, others, strict=True):
        assert (gradient - other).abs().max() < 1e-9 * max(1.0, gradient.abs().max())


def test_the_loss_by_hand():
    first = torch.tensor([[0.75, 0.25]], dtype=torch.float64)
    second = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    columns = [0.75, 0.25, 0.5, 0.5]
    total = 0.0
    for i, other, negatives in ((0, 2, (1, 3)), (1, 3, (0, 2)), (2, 0, (1, 3)), (3, 1, (0, 2))):
        mass = sum(math.exp(columns[i] * columns[j]) for j in negatives)
        positive = math.exp(columns[i] * columns[other])
        total -= math.log(positive / (positive + mass)) / 4
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) + math.log(2)
    for form in ("paper", "corrected"):
        found = cluster_contrast_loss(first, second, form=form, temperature=1.0, estimator="easy").item()
        assert abs(found - (total - entropy)) < 1e-12


@pytest.mark.parametrize("form", SAFE)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("estimator", ["hard", "easy"])
def test_a_collapsed_batch_is_finite_in_value_and_gradient(form, dtype, estimator):
    sure = torch.zeros(4096, 10, dtype=dtype)
    sure[:, 3] = 1.0
    first, second = sure.clone().requires_grad_(), sure.clone().requires_grad_()
    loss = cluster_contrast_loss(first, second, form=form, estimator=estimator)
    gradients = torch.autograd.grad(loss, (first, second))
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
    if dtype == torch.float32:
        assert cluster_contrast_loss(sure, sure, form="paper", estimator=estimator).isnan()


def test_the_collapsed_batch_has_the_value_of_exact_arithmetic():
    # Two columns of ones, whose negatives are at 0 and whose G is the floor, and 18 empty ones: R = pos = 1.
    sure = torch.zeros(4096, 10)
    sure[:, 3] = 1.0
    full, rest = math.exp(-1 / 0.5) * 18 * math.exp(-4096 / 0.5), 18.0
    expected = (2 * math.log1p(full) + 18 * math.log1p(rest)) / 20
    assert abs(cluster_contrast_loss(sure, sure).item() - expected) < 1e-5


@settings(deadline=None, max_examples=60)
@given(
    SEEDS,
    st.integers(1, 300),
    st.integers(1, 12),
    st.sampled_from([0.0, 1.0, 30.0, 1e3, 1e6]),
    st.sampled_from([0.05, 0.5]),
    st.sampled_from(SAFE),
)
def test_all_probabilities_give_finite_numbers_in_float32(seed, count, clusters, scale, temperature, form):
    inputs = logits(seed, count, clusters, scale, torch.float32)
    loss, gradients = loss_and_gradients(inputs, form=form, temperature=temperature)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 20), st.integers(2, 8), st.sampled_from(FORMS))
def test_orders_of_samples_and_clusters_do_not_matter(seed, count, clusters, form):
    first, second = (torch.softmax(each.detach(), 1) for each in logits(seed, count, clusters, 2.0))
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randperm(count, generator=generator), torch.randperm(clusters, generator=generator)
    expected = cluster_contrast_loss(first, second, form=form).item()
    moved = cluster_contrast_loss(first[rows][:, columns], second[rows][:, columns], form=form).item()
    assert abs(moved - expected) < 1e-10
    assert abs(cluster_contrast_loss(second, first, form=form).item() - expected) < 1e-10


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 20), st.integers(2, 8), st.sampled_from(FORMS))
def test_the_loss_is_above_the_largest_entropy(seed, count, clusters, form):
    first, second = (torch.softmax(each.detach(), 1) for each in logits(seed, count, clusters, 2.0))
    assert cluster_contrast_loss(first, second, form=form).item() > -2 * math.log(clusters)


def test_the_normalised_form_does_not_depend_on_the_size_of_the_batch():
    first, second = (torch.softmax(each.detach(), 1) for each in logits(1, 8, 4, 2.0))
    once, thrice = (
        [cluster_contrast_loss(first.repeat(n, 1), second.repeat(n, 1), form=form).item() for form in FORMS]
        for n in (1, 3)
    )
    assert abs(once[2] - thrice[2]) < 1e-12
    assert abs(once[1] - thrice[1]) > 0.1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("estimator", ["hard", "easy"])
def test_gradients(form, estimator):
    def loss(first, second):
        probabilities = torch.softmax(first, 1), torch.softmax(second, 1)
        return cluster_contrast_loss(*probabilities, form=form, estimator=estimator)

    assert torch.autograd.gradcheck(loss, logits(2, 5, 4, 1.5))


def test_what_does_not_fit_is_refused():
    first, second = (torch.softmax(each, 1) for each in logits(3, 4, 3, 1.0))
    with pytest.raises(ConfigError, match="'paper', 'corrected', 'normalised'"):
        cluster_contrast_loss(first, second, form="fixed")
    with pytest.raises(TrainingError, match="shapes"):
        cluster_contrast_loss(first, second[:, :2])
    with pytest.raises(TrainingError, match="at least one sample"):
        cluster_contrast_loss(first[:0], second[:0])
