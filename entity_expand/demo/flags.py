"""The drawing of flags: strokes of a small grammar, painted one over the other from a table.

The grammar is written down at the top of `data/flags.toml`. Coordinates: x in widths of the flag, y and every
size in heights, angles in degrees clockwise with 0 towards the fly (to the right).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageColor

from entity_expand.demo.shapes import SHAPES, Canvas, Colour
from entity_expand.errors import ConfigError

SIZE = (120, 80)
"""Width and height of a drawn flag in pixels."""
OVERSAMPLING = 3
"""A flag is painted this many times larger and reduced, which smooths its edges."""


@dataclass(frozen=True)
class Stroke:
    """One parsed stroke: a shape, its colours in order, the id of an inset flag or "", and its numbers."""

    shape: str
    colours: tuple[Colour, ...]
    inset: str
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class FlagTable:
    """The strokes of every flag by id, parsed and checked."""

    flags: Mapping[str, tuple[Stroke, ...]]

    def draw(self, flag: str, size: tuple[int, int] = SIZE) -> Image.Image:
        """Draw a flag that fills a picture of `size` (width, height) pixels, smooth at the edges."""
        return self.paint(flag, (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)).reduce(OVERSAMPLING)

    def paint(self, flag: str, size: tuple[int, int]) -> Image.Image:
        """Paint a flag at exactly `size` (width, height) pixels, with hard edges."""
        canvas = Canvas(Image.new("RGB", size, "white"))
        for stroke in self.flags[flag]:
            if stroke.shape == "inset":
                x0, y0, x1, y1 = stroke.numbers
                left, top, right, bottom = (round(value) for value in (*canvas.at(x0, y0), *canvas.at(x1, y1)))
                canvas.image.paste(self.paint(stroke.inset, (right - left, bottom - top)), (left, top))
            else:
                SHAPES[stroke.shape](canvas, stroke.colours, *stroke.numbers)
        return canvas.image


def parse_stroke(text: str, palette: Mapping[str, Colour], flags: Sequence[str]) -> Stroke:
    """Parse one stroke of the table.

    Raises:
        ConfigError: The shape, a colour or a number is unknown.
    """
    shape, *words = text.split()
    if shape not in SHAPES and shape != "inset":
        raise ConfigError(f"Unknown shape {shape!r} in {text!r}; known are inset, {', '.join(SHAPES)}.")
    colours = tuple(palette[word] for word in words if word in palette)
    inset = "".join(word for word in words if shape == "inset" and word in flags)
    try:
        numbers = tuple(float(word) for word in words if word not in palette and word != inset)
    except ValueError as problem:
        raise ConfigError(f"A word of {text!r} is neither a colour nor a number: {problem}.") from problem
    return Stroke(shape, colours, inset, numbers)


def parse_flags(colours: Mapping[str, str], flags: Mapping[str, Sequence[str]]) -> FlagTable:
    """Parse the whole table: hexadecimal colours by name, and the strokes of each flag by id."""
    palette = {name: ImageColor.getrgb(value) for name, value in colours.items()}
    names = tuple(flags)
    return FlagTable(
        {name: tuple(parse_stroke(text, palette, names) for text in strokes) for name, strokes in flags.items()}
    )
