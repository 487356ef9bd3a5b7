"""Matching of texts and pictures, and the choice of wrong ones."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_expand.errors import TrainingError
from training.losses import hard_negatives, matching_loss


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_the_loss_by_hand():
    logits = torch.tensor([[0.5, 0.5], [0.9, 0.1]], dtype=torch.float64).log()
    expected = -(math.log(0.5) + math.log(0.9)) / 2
    assert abs(matching_loss(logits, torch.tensor([1, 0])).item() - expected) < 1e-12
    assert abs(matching_loss(logits, torch.tensor([True, False])).item() - expected) < 1e-12
    assert torch.autograd.gradcheck(lambda x: matching_loss(x, torch.tensor([1, 0])), logits.requires_grad_())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31 - 1), st.integers(1, 12), st.floats(0.0, 1.0), st.sampled_from([1.0, 100.0, 1e6]))
def test_only_allowed_others_are_drawn(seed, count, share, scale):
    similarity = scale * torch.randn(count, count, generator=generator(seed))
    allowed = torch.rand(count, count, generator=generator(seed)) < share
    before = similarity.clone(), allowed.clone()
    found = hard_negatives(similarity, allowed, generator(seed))
    assert found.shape == (count,)
    assert found.dtype == torch.int64
    for row, other in enumerate(found.tolist()):
        possible = [j for j in range(count) if j != row and allowed[row, j]]
        assert other in possible if possible else other == -1
    assert torch.equal(similarity, before[0])
    assert torch.equal(allowed, before[1])
    assert torch.equal(found, hard_negatives(similarity, allowed, generator(seed)))


def test_draws_follow_the_softmax():
    # Row 0 of many equal batches: 1 is at ln 3, 2 at 0, 3 is not allowed.
    similarity = torch.tensor([[9.0, math.log(3), 0.0, 9.0]]).repeat(4, 1)
    allowed = torch.tensor([[True, True, True, False]]).repeat(4, 1)
    drawn = generator(1)
    found = torch.stack([hard_negatives(similarity, allowed, drawn)[0] for _ in range(4000)])
    assert set(found.tolist()) == {1, 2}
    assert abs((found == 1).double().mean().item() - 3 / 4) < 0.03


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_similarities_of_any_type(dtype):
    similarity = torch.randn(5, 5, generator=generator(2)).to(dtype).requires_grad_()
    found = hard_negatives(similarity, torch.ones(5, 5, dtype=torch.bool), generator(2))
    assert ((found >= 0) & (found != torch.arange(5))).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(TrainingError, match="allowed"):
        hard_negatives(torch.zeros(3, 3), torch.ones(3, 4, dtype=torch.bool), generator(3))
    with pytest.raises(TrainingError, match="similarity"):
        hard_negatives(torch.zeros(3, 4), torch.ones(3, 3, dtype=torch.bool), generator(3))
