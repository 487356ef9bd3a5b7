"""Hiding words, and the loss of their prediction."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.losses import masked_word_loss, masked_words

MASK = 4
SEEDS = st.integers(0, 2**31 - 1)


def sentences(seed, shape=(6, 20)):
    generator = np.random.default_rng(seed)
    return generator.integers(5, 60, shape), generator.random(shape) < 0.7


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.floats(0.0, 1.0))
def test_only_words_of_the_context_change_and_targets_say_what_was_there(seed, share):
    ids, context = sentences(seed)
    before = ids.copy()
    found = masked_words(ids, context, share, MASK, np.arange(5, 60), np.random.default_rng(seed))
    chosen = found.targets != -100
    assert np.array_equal(ids, before)
    assert not (chosen & ~context).any()
    assert np.array_equal(found.targets[chosen], ids[chosen])
    assert np.array_equal(found.ids[~chosen], ids[~chosen])
    assert ((found.ids == MASK) | (found.ids >= 5)).all()
    assert found.ids.dtype == found.targets.dtype == np.int64


def test_shares_are_80_10_and_10():
    ids = np.full((400, 100), 10)
    found = masked_words(ids, np.ones_like(ids, bool), 0.3, MASK, 1000, np.random.default_rng(1))
    chosen = found.targets != -100
    drawn = found.ids[chosen]
    assert abs(chosen.mean() - 0.3) < 0.01
    assert abs((drawn == MASK).mean() - 0.8) < 0.02
    assert abs((drawn == 10).mean() - 0.1) < 0.02
    others = drawn[(drawn != MASK) & (drawn != 10)]
    assert abs(len(others) / len(drawn) - 0.1) < 0.02
    assert 0 <= others.min() < 50
    assert 950 < others.max() < 1000


def test_all_or_nothing_and_the_same_seed():
    ids, context = sentences(2)
    nothing = masked_words(ids, context, 0.0, MASK, 60, np.random.default_rng(2))
    assert np.array_equal(nothing.ids, ids)
    assert (nothing.targets == -100).all()
    everything = masked_words(ids, context, 1.0, MASK, 60, np.random.default_rng(2))
    assert np.array_equal(everything.targets != -100, context)
    again = masked_words(ids, context, 1.0, MASK, 60, np.random.default_rng(2))
    assert np.array_equal(everything.ids, again.ids)


def test_the_generator_goes_on_alike_whatever_the_words_are():
    ids, context = sentences(3)
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    masked_words(ids, context, 0.2, MASK, 60, one)
    masked_words(ids[::-1], ~context, 0.9, MASK, 60, other)
    assert one.random() == other.random()


def test_the_loss_by_hand():
    rows = [[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]
    logits = torch.tensor(rows, dtype=torch.float64).log()
    found = masked_word_loss(logits, torch.tensor([0, -100, 1])).item()
    assert abs(found + (math.log(0.5) + math.log(0.2)) / 2) < 1e-12


def test_no_words_no_loss():
    logits = torch.randn(3, 5, requires_grad=True)
    for rows in (logits, logits[:0]):
        loss = masked_word_loss(rows, torch.full((len(rows),), -100))
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.item() == 0
        assert gradient.abs().sum() == 0


def test_gradients():
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(masked_word_loss, (logits, torch.tensor([0, -100, 3, 3])))
