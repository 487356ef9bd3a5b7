"""Pictures that are turned, moved and coloured a little differently each time they are trained on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_STREAM = 4  # training.data has this number too, but its draws are numpy's; another would change trained models
_TURN, _SCALE, _SHIFT, _CHANNEL, _NOISE = 0.3, 0.5, 0.5, 0.4, 0.02
_DARKEST = 1e-4


def step_generator(device: torch.device, seed: int, epoch: int, step: int, *further: int) -> torch.Generator:
    """Return a generator for one step; the same arguments give the same numbers.

    Args:
        device: Where the numbers are drawn; another kind of device draws other ones.
        seed: Of the run.
        epoch: From 0.
        step: In the epoch, from 0.
        further: What else tells draws apart; zeros at the end count for nothing.
    """
    while further and not further[-1]:
        further = further[:-1]
    state = np.random.SeedSequence((seed, _STREAM, epoch, step, *further)).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]))


def distort(pixels: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Return each picture with a small random rotation, scale, shift, gamma, brightness, tint and noise.

    Args:
        pixels: (B, 3, H, W) float32 in [0, 1].
        strength: Deviation of the logarithms of gamma and brightness; the other deviations are parts of it, but for
            the noise, which is always there.
        generator: Of the device of `pixels`.

    Returns:
        (B, 3, H, W) float32 in [0, 1].
    """
    count = len(pixels)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=pixels.device)

    angle, scale = draw(count) * _TURN * strength, 1.0 + draw(count) * _SCALE * strength
    warped = warp(pixels, angle, scale, draw(count, 2) * _SHIFT * strength)
    gamma, brightness = torch.exp(draw(count) * strength), torch.exp(draw(count) * strength)
    tint = torch.exp(draw(count, pixels.shape[1]) * _CHANNEL * strength)
    coloured = recolour(warped, gamma, brightness[:, None] * tint)
    return (coloured + draw(*pixels.shape) * _NOISE).clamp(0.0, 1.0)


def warp(pixels: Tensor, angle: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Sample each picture on a turned, scaled and shifted grid; what lies outside repeats the border.

    Args:
        pixels: (B, C, H, W) float32.
        angle: (B,) radians.
        scale: (B,), above 1 shows more than the picture.
        shift: (B, 2), of the grid to the right and down, in halves of the width and height.

    Returns:
        (B, C, H, W) float32.
    """
    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    linear = torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)  # (B, 2, 2)
    theta = torch.cat([linear, shift[:, :, None]], dim=2)  # (B, 2, 3)
    grid = functional.affine_grid(theta, list(pixels.shape), align_corners=False)  # (B, H, W, 2)
    return functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def recolour(pixels: Tensor, gamma: Tensor, gain: Tensor) -> Tensor:
    """Raise pixels to a power and multiply their channels; the result may exceed 1.

    Args:
        pixels: (B, C, H, W) in [0, 1].
        gamma: (B,).
        gain: (B, C).

    Returns:
        (B, C, H, W).
    """
    return pixels.clamp(_DARKEST, 1.0) ** gamma[:, None, None, None] * gain[:, :, None, None]
