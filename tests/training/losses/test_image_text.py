"""The contrast between texts and pictures."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from entity_expand.errors import TrainingError
from training.losses import ImageTextTargets, image_text_loss, image_text_targets

SEEDS = st.integers(0, 2**31 - 1)


def rows(seed, count, width=4, dtype=torch.float64):
    drawn = torch.randn(2, count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    text, picture = functional.normalize(drawn, dim=-1).to(dtype)
    return text, picture


def fitting(seed, count, share):
    return torch.rand(count, count, generator=torch.Generator().manual_seed(seed)) < share


def naive(text, picture, temperature, fits):
    """Both directions, pair by pair."""
    logits = (text @ picture.T / temperature).tolist()
    directions = []
    for table, marks in ((logits, fits.tolist()), (list(zip(*logits, strict=True)), fits.T.tolist())):
        losses = []
        for scores, marked in zip(table, marks, strict=True):
            chosen = [score for score, mark in zip(scores, marked, strict=True) if mark]
            if chosen:
                whole = math.log(sum(math.exp(score) for score in scores))
                losses.append(whole - sum(chosen) / len(chosen))
        directions.append(sum(losses) / len(losses) if losses else 0.0)
    return sum(directions) / 2


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 8), st.floats(0.05, 2.0), st.floats(0.0, 1.0))
def test_against_a_naive_one(seed, count, temperature, share):
    text, picture = rows(seed, count)
    fits = fitting(seed, count, share)
    found = image_text_loss(text, picture, temperature=temperature, positives=fits).item()
    assert abs(found - naive(text, picture, temperature, fits)) < 1e-10
    own = naive(text, picture, temperature, torch.eye(count))
    assert abs(image_text_loss(text, picture, temperature=temperature).item() - own) < 1e-10


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(2, 10))
def test_neither_order_nor_sides_matter_and_the_loss_is_bounded(seed, count):
    text, picture = rows(seed, count)
    fits = fitting(seed, count, 0.3)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    expected = image_text_loss(text, picture, temperature=0.5, positives=fits).item()
    moved = image_text_loss(text[order], picture[order], temperature=0.5, positives=fits[order][:, order]).item()
    assert abs(moved - expected) < 1e-12
    assert abs(image_text_loss(picture, text, temperature=0.5, positives=fits.T).item() - expected) < 1e-12
    assert 0 <= expected <= math.log(count) + 2 / 0.5


def test_rows_without_a_partner_do_not_count_but_are_compared_with():
    text, picture = rows(1, 3)
    fits = torch.eye(3, dtype=torch.bool)
    fits[2, 2] = False
    logits = text @ picture.T
    losses = torch.logsumexp(logits, 1) - logits.diagonal(), torch.logsumexp(logits, 0) - logits.diagonal()
    expected = sum(each[:2].mean().item() for each in losses) / 2
    assert abs(image_text_loss(text, picture, temperature=1.0, positives=fits).item() - expected) < 1e-12
    none = image_text_loss(text.requires_grad_(), picture, positives=torch.zeros(3, 3, dtype=torch.bool))
    assert none.item() == 0
    assert torch.autograd.grad(none, text)[0].abs().sum() == 0


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 8), st.floats(0.0, 1.0))
def test_soft_targets_are_distributions_between_the_copy_and_the_positives(seed, count, share):
    text, picture = (each.requires_grad_() for each in rows(seed, count))
    fits = fitting(seed, count, 0.5)
    targets = image_text_targets(text, picture, share=share, temperature=0.5, positives=fits)
    logits = (text @ picture.T / 0.5).detach()
    for found, marks, scores in ((targets.of_texts, fits, logits), (targets.of_pictures, fits.T, logits.T)):
        assert not found.requires_grad
        marked = marks.any(1)
        hard = marks.double()[marked] / marks.double()[marked].sum(1, keepdim=True)
        expected = share * torch.softmax(scores, 1)[marked] + (1 - share) * hard
        assert torch.allclose(found[marked], expected, rtol=0, atol=1e-12)
        assert (found[~marked] == 0).all()


def test_targets_without_the_copy_are_the_positives():
    text, picture = rows(2, 5)
    fits = fitting(2, 5, 0.4)
    targets = image_text_targets(*rows(3, 5), share=0.0, positives=fits)
    soft = image_text_loss(text, picture, targets=targets).item()
    assert abs(soft - image_text_loss(text, picture, positives=fits).item()) < 1e-12


def test_the_temperature_is_trained():
    text, picture = rows(4, 4)
    warmth = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    text, picture = text.requires_grad_(), picture.requires_grad_()
    fits = fitting(4, 4, 0.5)

    def loss(text, picture, warmth):
        return image_text_loss(text, picture, temperature=warmth, positives=fits)

    assert loss(text, picture, warmth).item() == image_text_loss(text, picture, temperature=0.3, positives=fits).item()
    assert torch.autograd.gradcheck(loss, (text, picture, warmth))
    assert torch.autograd.grad(loss(text, picture, warmth), warmth)[0] != 0


def test_what_does_not_fit_is_refused():
    text, picture = rows(5, 4)
    with pytest.raises(TrainingError, match=r"\(4, 4\) and \(3, 4\)"):
        image_text_loss(text, picture[:3])
    with pytest.raises(TrainingError, match="positives"):
        image_text_loss(text, picture, positives=torch.ones(4, 3, dtype=torch.bool))
    with pytest.raises(TrainingError, match="of_pictures"):
        image_text_loss(text, picture, targets=ImageTextTargets(torch.eye(4), torch.eye(3)))
