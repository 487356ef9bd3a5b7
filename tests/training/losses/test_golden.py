"""The losses are those of the paper's code, in value and gradient; `golden/losses.*` holds some of the stored cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training.losses import (
    cluster_contrast_loss,
    distilled_entity_loss,
    instance_contrast_loss,
    masked_entity_loss,
)

GOLDEN = Path(__file__).parents[2] / "golden"
TOLERANCE = 1e-9
NUMBERS = {"inst": 13, "clus": 11, "mep": 8, "dist": 8}
"""How many cases there are of each kind."""


class Case:
    """One stored call."""

    def __init__(self, found, arrays):
        self.name, self.constants, self.values = found["id"], dict(found["params"]), found
        self.kind = self.name.partition("_")[0]
        for of_a_batch in ("device_count", "batch_size", "cluster_num"):
            self.constants.pop(of_a_batch, None)
        self._arrays = arrays

    def array(self, name):
        return self._arrays[f"{self.name}_{name}"]

    def input(self, name):
        return torch.from_numpy(self.array(name)).double().requires_grad_()

    def labels(self):
        return torch.from_numpy(self.array("labels").astype(np.int64))

    def check(self, loss, value, inputs, gradients):
        found = torch.autograd.grad(loss, inputs)
        assert abs(loss.item() - self.values[value]) < TOLERANCE
        for gradient, name in zip(found, gradients, strict=True):
            assert np.abs(gradient.numpy() - self.array(name)).max() < TOLERANCE, name


def check_inst(case):
    first, second = inputs = case.input("z1"), case.input("z2")
    loss = instance_contrast_loss(first, second, **case.constants)
    case.check(loss, "value_f64", inputs, ("grad_z1_f64", "grad_z2_f64"))


def check_clus(case):
    for form in ("paper", "corrected"):
        inputs = case.input("logits1"), case.input("logits2")
        first, second = (torch.softmax(logits, 1) for logits in inputs)
        loss = cluster_contrast_loss(first, second, form=form, **case.constants)
        case.check(loss, "value_f64", inputs, ("grad_logits1_f64", "grad_logits2_f64"))


def check_mep(case):
    logits = case.input("logits")
    loss = masked_entity_loss(torch.log_softmax(logits, 1), case.labels(), **case.constants)
    case.check(loss, "value_f64", (logits,), ("grad_logits_f64",))


def check_dist(case):
    share, smoothing = case.constants["alpha"], case.constants["smoothing"]

    def mixed(form):
        inputs = case.input("logits"), case.input("logits_m")
        student, teacher = (torch.log_softmax(logits, 1) for logits in inputs)
        constants = {"share": share, "smoothing": smoothing, "form": form}
        return distilled_entity_loss(student, teacher, case.labels(), **constants), inputs

    loss, inputs = mixed("paper")
    case.check(loss, "asref_value_f64", inputs, ("asref_grad_logits_f64", "asref_grad_logits_m_f64"))
    loss, (student, teacher) = mixed("corrected")
    assert torch.autograd.grad(loss, teacher, allow_unused=True, retain_graph=True) == (None,)
    case.check(loss, "correct_value_f64", (student,), ("correct_grad_logits_f64",))


CHECKS = {"inst": check_inst, "clus": check_clus, "mep": check_mep, "dist": check_dist}


def read(folder):
    arrays = np.load(folder / "losses.npz", allow_pickle=False)
    return [Case(found, arrays) for found in json.loads((folder / "losses.json").read_text())["cases"]]


FEW = read(GOLDEN)


@pytest.mark.parametrize("case", FEW, ids=lambda case: case.name)
def test_some_cases(case):
    CHECKS[case.kind](case)


def test_some_cases_are_of_all_kinds():
    assert {case.kind for case in FEW} == set(NUMBERS)


@pytest.mark.shared
@pytest.mark.parametrize("kind", NUMBERS)
def test_all_cases(kind, shared):
    found = [case for case in read(shared / "reference") if case.kind == kind]
    assert len(found) == NUMBERS[kind]
    for case in found:
        CHECKS[kind](case)


def test_the_collapsed_case_is_finite_in_float32_in_the_corrected_form_alone():
    (case,) = (case for case in FEW if case.name == "clus_10")
    inputs = [case.input(name).detach().float().requires_grad_() for name in ("logits1", "logits2")]
    first, second = (torch.softmax(logits, 1) for logits in inputs)
    assert cluster_contrast_loss(first, second, form="paper", **case.constants).isnan()
    loss = cluster_contrast_loss(first, second, form="corrected", **case.constants)
    assert abs(loss.item() - case.values["value_f64"]) < 1e-4
    gradients = torch.autograd.grad(loss, inputs)
    for gradient, name in zip(gradients, ("grad_logits1_f64", "grad_logits2_f64"), strict=True):
        assert np.abs(gradient.numpy() - case.array(name)).max() < 1e-4
