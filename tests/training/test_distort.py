from __future__ import annotations

import math

import pytest
import torch

from training.distort import distort, recolour, step_generator, warp

CPU = torch.device("cpu")


def _warp(pixels, angle=0.0, scale=1.0, shift=(0.0, 0.0)):
    return warp(pixels, torch.tensor([angle]), torch.tensor([scale]), torch.tensor([shift]))


def test_warping_by_hand():
    pixels = torch.rand(1, 3, 6, 6)
    assert torch.allclose(_warp(pixels), pixels, atol=1e-5)
    assert torch.allclose(_warp(pixels, math.pi / 2), torch.rot90(pixels, 1, (2, 3)), atol=1e-5)
    right = _warp(pixels, shift=(2 / 6, 0.0))  # one of six pixels is a third of the half-width
    assert torch.allclose(right[..., :5], pixels[..., 1:], atol=1e-5)
    assert torch.allclose(right[..., 5], pixels[..., 5], atol=1e-5)
    down = _warp(pixels, shift=(0.0, 2 / 6))
    assert torch.allclose(down[..., :5, :], pixels[..., 1:, :], atol=1e-5)
    ramp = (torch.arange(6.0) / 10).expand(1, 3, 6, 6)
    assert torch.allclose(_warp(ramp, scale=0.5)[0, 0, 0], (2.5 + (torch.arange(6.0) - 2.5) / 2) / 10, atol=1e-5)
    assert torch.allclose(_warp(ramp, scale=1e3)[0, 0, 0], torch.tensor([0.0] * 3 + [0.5] * 3), atol=1e-5)


def test_recolouring_by_hand():
    pixels = torch.tensor([0.5, 0.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    found = recolour(pixels, torch.tensor([2.0, 0.5]), torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]))
    assert torch.allclose(found[0].flatten(), torch.tensor([0.5**2, 2 * 0.5**2, 3 * 0.5**2]))
    assert torch.allclose(found[1].flatten(), torch.tensor(0.01))  # the root of 1e-4


def test_distortions_have_the_documented_deviations():
    strength, value = 0.1, 0.3
    flat = torch.full((3000, 3, 8, 8), value)
    logs = distort(flat, strength, step_generator(CPU, 0, 0, 0)).mean((2, 3)).log()  # (B, 3)
    assert abs(logs.mean() - math.log(value)) < 0.02
    noise = 0.02**2 / 64 / value**2
    expected = math.sqrt(strength**2 * (math.log(value) ** 2 + 1 + 0.4**2) + noise)
    assert abs(logs.std() / expected - 1) < 0.05
    within = (logs - logs.mean(1, keepdim=True)).square().sum(1).mean() / 2  # the tint alone, and the noise
    assert abs(within / ((0.4 * strength) ** 2 + noise) - 1) < 0.1
    plain = distort(flat[:200], 0.0, step_generator(CPU, 0, 0, 0)) - flat[:200]
    assert abs(plain.std() / 0.02 - 1) < 0.05


def test_distortions_move_pictures_by_the_documented_deviations(monkeypatch):
    seen = {}

    def record(pixels, angle, scale, shift):
        seen.update(angle=angle, scale=scale - 1.0, shift=shift)
        return warp(pixels, angle, scale, shift)

    monkeypatch.setattr("training.distort.warp", record)
    distort(torch.rand(3000, 3, 2, 2), 0.2, step_generator(CPU, 0, 0, 0))
    for name, deviation in (("angle", 0.3 * 0.2), ("scale", 0.5 * 0.2), ("shift", 0.5 * 0.2)):
        assert abs(seen[name].mean()) < 0.1 * deviation, name
        assert abs(seen[name].std() / deviation - 1) < 0.05, name


@pytest.mark.parametrize("strength", [0.0, 0.2, 1.0])
def test_distortion_is_a_function_of_its_arguments(strength):
    pixels = torch.rand(5, 3, 8, 8)
    before, state = pixels.clone(), torch.get_rng_state()
    found = distort(pixels, strength, step_generator(CPU, 1, 2, 3))
    assert torch.equal(found, distort(pixels, strength, step_generator(CPU, 1, 2, 3)))
    assert torch.equal(pixels, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.shape, found.dtype) == (pixels.shape, torch.float32)
    assert 0.0 <= found.min() <= found.max() <= 1.0
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not torch.equal(found, distort(pixels, strength, step_generator(CPU, *other)))
