"""What all losses have in common: types, autocast, devices, arguments that stay as they are."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

import training.losses
from training.losses import (
    cluster_contrast_loss,
    distillation_loss,
    distilled_entity_loss,
    image_text_loss,
    image_text_targets,
    instance_contrast_loss,
    masked_entity_loss,
    masked_word_loss,
    matching_loss,
)

COUNT = 12


def labels(x, below):
    return torch.arange(len(x), device=x.device) % below


def fits(x):
    entities = labels(x, 5)
    return entities[:, None] == entities[None, :]


def soft(first, second):
    targets = image_text_targets(first, second, share=0.4, positives=fits(first))
    return image_text_loss(first, second, targets=targets)


LOSSES = {
    "masked_entity": lambda x, y: masked_entity_loss(torch.log_softmax(x, 1), labels(x, 5)),
    "instance": instance_contrast_loss,
    "instance, easy": lambda x, y: instance_contrast_loss(x, y, estimator="easy"),
    "instance, some ignored": lambda x, y: instance_contrast_loss(x, y, ignored=fits(x).repeat(2, 2)),
    "cluster": lambda x, y: cluster_contrast_loss(torch.softmax(x, 1), torch.softmax(y, 1)),
    "cluster, paper": lambda x, y: cluster_contrast_loss(torch.softmax(x, 1), torch.softmax(y, 1), form="paper"),
    "cluster, normalised": lambda x, y: cluster_contrast_loss(x.softmax(1), y.softmax(1), form="normalised"),
    "distillation": lambda x, y: distillation_loss(torch.log_softmax(x, 1), torch.log_softmax(y, 1)),
    "distillation, paper": lambda x, y: distillation_loss(x.log_softmax(1), y.log_softmax(1), form="paper"),
    "distilled_entity": lambda x, y: distilled_entity_loss(x.log_softmax(1), y.log_softmax(1), labels(x, 5)),
    "masked_word": lambda x, y: masked_word_loss(x, labels(x, 5)),
    "matching": lambda x, y: matching_loss(x[:, :2], labels(x, 2)),
    "image_text": image_text_loss,
    "image_text, several": lambda x, y: image_text_loss(x, y, positives=fits(x)),
    "image_text, soft": soft,
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def inputs(dtype=torch.float64):
    drawn = torch.randn(2, COUNT, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    first, second = (each.clone().requires_grad_() for each in functional.normalize(drawn, dim=-1).to(dtype))
    return first, second


def test_all_that_is_exported_is_there():
    assert sorted(training.losses.__all__) == training.losses.__all__
    assert all(hasattr(training.losses, name) for name in training.losses.__all__)


@each_loss
def test_narrow_types_are_widened(loss):
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float16, 0.02), (torch.bfloat16, 0.15)):
        first, second = inputs(dtype)
        found = loss(first, second)
        found.backward()
        assert found.dtype == torch.float32
        assert abs(found.item() - loss(*inputs()).item()) < tolerance
        assert first.grad.dtype == dtype
        assert first.grad.isfinite().all()


@each_loss
def test_autocast_narrows_nothing(loss):
    first, second = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(first, second)
    (gradient,) = torch.autograd.grad(inside, first)
    outside = loss(first, second)
    assert inside.dtype == torch.float32
    assert inside.item() == outside.item()
    assert torch.equal(gradient, torch.autograd.grad(outside, first)[0])


@each_loss
def test_arguments_stay_as_they_are(loss):
    first, second = inputs()
    before = first.detach().clone(), second.detach().clone()
    loss(first, second).backward()
    assert torch.equal(first, before[0])
    assert torch.equal(second, before[1])


@each_loss
def test_no_number_leaves_the_device(loss):
    """Tensors without numbers that claim to be on a GPU: reading one, or mixing devices, would fail."""
    with FakeTensorMode(), torch.no_grad():
        first, second = (torch.empty(COUNT, 8, device="cuda") for _ in range(2))
        assert loss(first, second).device.type == "cuda"


@each_loss
def test_one_graph_holds_the_whole_loss(loss):
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    assert compiled(*inputs()).item() == loss(*inputs()).item()
