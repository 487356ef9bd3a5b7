"""The shapes that flags are made of: each paints with its colours and numbers on a canvas.

Units: x in widths of the flag, y and every size in heights, angles in degrees clockwise with 0 towards the fly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import TypeAlias

from PIL import Image, ImageDraw

Colour: TypeAlias = tuple[int, ...]
Point: TypeAlias = tuple[float, float]


class Canvas:
    """A picture to paint on in units of the flag instead of pixels."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.pen = ImageDraw.Draw(image)
        self.width, self.height = image.size

    def at(self, x: float, y: float) -> Point:
        """Return the pixel position of a point."""
        return x * self.width, y * self.height

    def around(self, x: float, y: float, radius: float, angle: float) -> Point:
        """Return the pixel position at `radius` heights from a point in the direction `angle`."""
        turn = math.radians(angle)
        return x * self.width + radius * self.height * math.cos(turn), self.height * (y + radius * math.sin(turn))

    def box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        """Return the pixel box around a point, `rx` and `ry` heights to each side."""
        cx, cy = self.at(x, y)
        return cx - rx * self.height, cy - ry * self.height, cx + rx * self.height, cy + ry * self.height

    def fill(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill the polygon through pixel positions."""
        self.pen.polygon(points, fill=colour)


def _edges(count: int, weights: Sequence[float]) -> list[float]:
    """Return the `count` + 1 borders of bands between 0 and 1."""
    shares = list(weights) or [1.0] * count
    return [sum(shares[:index]) / sum(shares) for index in range(count + 1)]


def horizontal(canvas: Canvas, colours: Sequence[Colour], *weights: float) -> None:
    """Paint horizontal bands from top to bottom."""
    for colour, (top, bottom) in zip(colours, pairwise(_edges(len(colours), weights)), strict=True):
        rectangle(canvas, [colour], 0, top, 1, bottom)


def vertical(canvas: Canvas, colours: Sequence[Colour], *weights: float) -> None:
    """Paint vertical bands from the hoist to the fly."""
    for colour, (left, right) in zip(colours, pairwise(_edges(len(colours), weights)), strict=True):
        rectangle(canvas, [colour], left, 0, right, 1)


def rectangle(canvas: Canvas, colours: Sequence[Colour], x0: float, y0: float, x1: float, y1: float) -> None:
    """Paint a rectangle."""
    left, top, right, bottom = (round(value) for value in (*canvas.at(x0, y0), *canvas.at(x1, y1)))
    canvas.pen.rectangle((left, top, right - 1, bottom - 1), fill=colours[0])


def polygon(canvas: Canvas, colours: Sequence[Colour], *flat: float) -> None:
    """Paint a polygon."""
    canvas.fill([canvas.at(x, y) for x, y in zip(flat[::2], flat[1::2], strict=True)], colours[0])


def line(canvas: Canvas, colours: Sequence[Colour], width: float, *flat: float) -> None:
    """Paint a thick line through points."""
    points = [canvas.at(x, y) for x, y in zip(flat[::2], flat[1::2], strict=True)]
    canvas.pen.line(points, fill=colours[0], width=max(1, round(width * canvas.height)), joint="curve")


def hoist(canvas: Canvas, colours: Sequence[Colour], depth: float) -> None:
    """Paint a triangle on the whole hoist, `depth` widths deep."""
    polygon(canvas, colours, 0, 0, depth, 0.5, 0, 1)


def cross(canvas: Canvas, colours: Sequence[Colour], x: float, width: float) -> None:
    """Paint a cross that runs through the whole flag, with its upright at `x`."""
    line(canvas, colours, width, 0, 0.5, 1, 0.5)
    line(canvas, colours, width, x, 0, x, 1)


def saltire(canvas: Canvas, colours: Sequence[Colour], width: float) -> None:
    """Paint a diagonal cross."""
    line(canvas, colours, width, -0.1, -0.1, 1.1, 1.1)
    line(canvas, colours, width, -0.1, 1.1, 1.1, -0.1)


def plus(canvas: Canvas, colours: Sequence[Colour], x: float, y: float, radius: float, width: float) -> None:
    """Paint a free-standing cross with arms of `radius`."""
    canvas.pen.rectangle(canvas.box(x, y, radius, width / 2), fill=colours[0])
    canvas.pen.rectangle(canvas.box(x, y, width / 2, radius), fill=colours[0])


def disc(canvas: Canvas, colours: Sequence[Colour], x: float, y: float, rx: float, ry: float = 0.0) -> None:
    """Paint a disc, or an oval when `ry` is given."""
    canvas.pen.ellipse(canvas.box(x, y, rx, ry or rx), fill=colours[0])


def ring(canvas: Canvas, colours: Sequence[Colour], x: float, y: float, radius: float, width: float) -> None:
    """Paint a ring with its outer edge at `radius`."""
    stroke = max(1, round(width * canvas.height))
    canvas.pen.ellipse(canvas.box(x, y, radius, radius), outline=colours[0], width=stroke)


def sector(
    canvas: Canvas, colours: Sequence[Colour], x: float, y: float, radius: float, start: float, end: float
) -> None:
    """Paint the part of a disc between two angles."""
    canvas.pen.pieslice(canvas.box(x, y, radius, radius), start, end, fill=colours[0])


def star(
    canvas: Canvas,
    colours: Sequence[Colour],
    x: float,
    y: float,
    radius: float,
    points: float = 5,
    turn: float = 0.0,
    inner: float = 0.4,
) -> None:
    """Paint a star with one point up, turned by `turn`; its inner corners lie at `inner` of the radius."""
    steps = 2 * int(points)
    canvas.fill(
        [
            canvas.around(x, y, radius * (inner if step % 2 else 1), 360 * step / steps - 90 + turn)
            for step in range(steps)
        ],
        colours[0],
    )


def web(
    canvas: Canvas, colours: Sequence[Colour], x: float, y: float, radius: float, width: float, points: float
) -> None:
    """Paint a star of lines that join every second of its points."""
    count = int(points)
    tips = [canvas.around(x, y, radius, 360 * step / count - 90) for step in range(count)]
    stroke = max(1, round(width * canvas.height))
    for step in range(count):
        canvas.pen.line((tips[step], tips[(step + 2) % count]), fill=colours[0], width=stroke)


def circle_of_stars(
    canvas: Canvas, colours: Sequence[Colour], radius: float, count: float, x: float, y: float, distance: float
) -> None:
    """Paint `count` stars on a circle."""
    for step in range(int(count)):
        px, py = canvas.around(x, y, distance, 360 * step / count - 90)
        star(canvas, colours, px / canvas.width, py / canvas.height, radius)


def grid_of_stars(
    canvas: Canvas,
    colours: Sequence[Colour],
    radius: float,
    columns: float,
    rows: float,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
) -> None:
    """Paint rows of stars whose outer centres lie on a rectangle."""
    for column in range(int(columns)):
        for row in range(int(rows)):
            x, y = x0 + (x1 - x0) * column / (columns - 1), y0 + (y1 - y0) * row / (rows - 1)
            star(canvas, colours, x, y, radius)


def crescent(canvas: Canvas, colours: Sequence[Colour], x: float, y: float, radius: float, turn: float = 0.0) -> None:
    """Paint a crescent that opens towards `turn`: a disc without a smaller, shifted one."""
    mask = Image.new("1", canvas.image.size)
    pen = ImageDraw.Draw(mask)
    pen.ellipse(canvas.box(x, y, radius, radius), fill=1)
    cx, cy = canvas.around(x, y, 0.3 * radius, turn)
    pen.ellipse(canvas.box(cx / canvas.width, cy / canvas.height, 0.8 * radius, 0.8 * radius), fill=0)
    canvas.image.paste(colours[0], (0, 0), mask)


def wheel(canvas: Canvas, colours: Sequence[Colour], x: float, y: float, radius: float, spokes: float) -> None:
    """Paint a wheel with thin spokes."""
    ring(canvas, colours, x, y, radius, radius / 6)
    for step in range(int(spokes)):
        spoke = (canvas.at(x, y), canvas.around(x, y, radius, 360 * step / spokes))
        canvas.pen.line(spoke, fill=colours[0], width=max(1, round(radius * canvas.height / 12)))


def shield(canvas: Canvas, colours: Sequence[Colour], x: float, y: float, radius: float) -> None:
    """Paint a plain shield as a stand-in for a coat of arms."""
    cx, cy = canvas.at(x, y)
    corners = [(-0.8, -1.0), (0.8, -1.0), (0.8, 0.2), (0.5, 0.7), (0.0, 1.0), (-0.5, 0.7), (-0.8, 0.2)]
    unit = radius * canvas.height
    canvas.fill([(cx + unit * dx, cy + unit * dy) for dx, dy in corners], colours[0])


def serrated(canvas: Canvas, colours: Sequence[Colour], x: float, teeth: float, depth: float) -> None:
    """Paint a band at the hoist, `x` wide, whose edge has teeth `depth` widths deep."""
    count = int(teeth)
    zigzag = [(x + (depth if step % 2 else 0.0), step / (2 * count)) for step in range(2 * count + 1)]
    canvas.fill([canvas.at(*point) for point in [(0.0, 0.0), *zigzag, (0.0, 1.0)]], colours[0])


def checks(
    canvas: Canvas,
    colours: Sequence[Colour],
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    columns: float,
    rows: float,
) -> None:
    """Paint a chessboard, starting with the first colour."""
    for column in range(int(columns)):
        for row in range(int(rows)):
            left, top = x0 + (x1 - x0) * column / columns, y0 + (y1 - y0) * row / rows
            right, bottom = left + (x1 - x0) / columns, top + (y1 - y0) / rows
            rectangle(canvas, [colours[(column + row) % 2]], left, top, right, bottom)


SHAPES: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        "h": horizontal,
        "v": vertical,
        "rect": rectangle,
        "poly": polygon,
        "line": line,
        "hoist": hoist,
        "cross": cross,
        "saltire": saltire,
        "plus": plus,
        "disc": disc,
        "ring": ring,
        "sector": sector,
        "star": star,
        "web": web,
        "stars": circle_of_stars,
        "grid": grid_of_stars,
        "crescent": crescent,
        "wheel": wheel,
        "shield": shield,
        "serrate": serrated,
        "checks": checks,
    }
)
