"""Pictures of a flag: flat, in the wind, on a pole, at dusk, on a wall. The same seed gives the same pixels."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from entity_expand.demo.flags import OVERSAMPLING, SIZE, FlagTable

LARGE = (SIZE[0] * OVERSAMPLING, SIZE[1] * OVERSAMPLING)
"""Width and height in pixels at which a picture is composed before it is reduced to `SIZE`."""


def _backdrop(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    """Return a vertical gradient of the size `LARGE`."""
    share = np.linspace(0, 1, LARGE[1])[:, None]  # (H, 1)
    column = ((1 - share) * np.array(top) + share * np.array(bottom)).astype(np.uint8)  # (H, 3)
    return Image.fromarray(column[:, None, :]).resize(LARGE, Image.Resampling.NEAREST)


def _waved(flag: Image.Image, depth: float, waves: float, phase: float) -> Image.Image:
    """Bend a flag into waves, shade it, and return it as RGBA, taller by twice the depth (in heights)."""
    width, height = flag.size
    margin = round(depth * height)
    angle = 2 * np.pi * waves * np.arange(width) / width + phase  # (W,)
    shift = margin * (1 + np.sin(angle) * np.minimum(1, np.arange(width) / (width / 4)))  # (W,)
    rows = np.arange(height + 2 * margin)[:, None] - np.rint(shift).astype(np.int64)[None, :]  # (H', W)
    light = (1 + 0.22 * np.cos(angle)).astype(np.float32)  # (W,)
    pixels = np.asarray(flag)[np.clip(rows, 0, height - 1), np.arange(width)[None, :]]  # (H', W, 3)
    shaded = np.minimum(pixels * light[None, :, None], 255).astype(np.uint8)
    alpha = np.where((rows >= 0) & (rows < height), 255, 0).astype(np.uint8)  # (H', W)
    return Image.fromarray(np.dstack([shaded, alpha]))


def _placed(piece: Image.Image, scale: float, angle: float, backdrop: Image.Image) -> Image.Image:
    """Turn a piece by `angle` degrees, scale it, and put it in the middle of the backdrop."""
    turned = piece.convert("RGBA").rotate(angle, Image.Resampling.BILINEAR, expand=True)
    resized = turned.resize((round(turned.width * scale), round(turned.height * scale)), Image.Resampling.BILINEAR)
    corner = ((backdrop.width - resized.width) // 2, (backdrop.height - resized.height) // 2)
    backdrop.paste(resized, corner, resized)
    return backdrop


def flat(flag: Image.Image, chance: random.Random) -> Image.Image:
    """Show the flag alone; `chance` stays unused."""
    return flag


def wind(flag: Image.Image, chance: random.Random) -> Image.Image:
    """Show the flag large and in gentle waves before a bright sky."""
    cloth = _waved(flag, 0.06, chance.uniform(1.0, 1.6), chance.uniform(0, 6.28))
    return _placed(cloth, chance.uniform(0.86, 0.94), 0, _backdrop((150, 196, 236), (222, 236, 246)))


def pole(flag: Image.Image, chance: random.Random) -> Image.Image:
    """Show the flag on a leaning pole against a blue sky."""
    scene = _backdrop((96, 156, 216), (196, 222, 240))
    cloth = _waved(flag, 0.05, chance.uniform(0.8, 1.2), chance.uniform(0, 6.28))
    framed = Image.new("RGBA", (cloth.width + 12, cloth.height * 2))
    framed.paste(cloth, (12, 0))
    ImageDraw.Draw(framed).rectangle((0, 0, 11, framed.height), fill=(120, 110, 100, 255))
    turned = framed.rotate(chance.uniform(-9, 9), Image.Resampling.BILINEAR, expand=True)
    share = chance.uniform(0.66, 0.74)
    resized = turned.resize((round(turned.width * share), round(turned.height * share)), Image.Resampling.BILINEAR)
    scene.paste(resized, (round(LARGE[0] * 0.12), round(LARGE[1] * 0.08)), resized)
    return scene


def dusk(flag: Image.Image, chance: random.Random) -> Image.Image:
    """Show the flag in stronger waves, slightly turned, in warm and weak light."""
    cloth = _waved(flag, 0.09, chance.uniform(1.4, 2.1), chance.uniform(0, 6.28))
    scene = _placed(cloth, 0.8, chance.uniform(-5, 5), _backdrop((110, 110, 150), (238, 190, 150)))
    return ImageEnhance.Brightness(scene).enhance(chance.uniform(0.68, 0.82))


def wall(flag: Image.Image, chance: random.Random) -> Image.Image:
    """Show the flag small and tilted on a plain light wall."""
    tone = chance.randrange(185, 225)
    scene = _backdrop((tone, tone, tone - 8), (tone - 25, tone - 25, tone - 35))
    placed = _placed(flag, chance.uniform(0.68, 0.78), chance.uniform(-10, 10), scene)
    return ImageEnhance.Color(placed).enhance(chance.uniform(0.75, 0.9))


VARIANTS: Mapping[str, Callable[[Image.Image, random.Random], Image.Image]] = MappingProxyType(
    {"flat": flat, "wind": wind, "pole": pole, "dusk": dusk, "wall": wall}
)
TRAIN_VARIANTS = ("flat", "wind", "pole")
TEST_VARIANTS = ("dusk", "wall")


def draw_picture(table: FlagTable, flag: str, variant: str, seed: int) -> Image.Image:
    """Draw one picture of a flag.

    Args:
        table: The strokes of all flags.
        flag: An id of the table.
        variant: A key of `VARIANTS`.
        seed: Decides waves, angles and light, together with the id and the variant.

    Returns:
        An RGB picture of `SIZE` (width, height) pixels.
    """
    chance = random.Random(f"{seed} {flag} {variant}")
    return VARIANTS[variant](table.paint(flag, LARGE), chance).reduce(OVERSAMPLING)
