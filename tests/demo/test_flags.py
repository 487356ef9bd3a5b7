"""The grammar of flags and the pictures made of them."""

from __future__ import annotations

import pytest
from PIL import Image

from entity_expand.demo.flags import SIZE, parse_flags
from entity_expand.demo.pictures import TEST_VARIANTS, TRAIN_VARIANTS, VARIANTS, draw_picture
from entity_expand.demo.tables import read_countries, read_flags
from entity_expand.errors import ConfigError

WIDTH, HEIGHT = SIZE


def colour(flag: str, x: float, y: float) -> str:
    """Name the strongest channels of a pixel at (x, y) in shares of the flag."""
    pixel = read_flags().draw(flag).getpixel((int(x * WIDTH), int(y * HEIGHT)))
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    if min(pixel) > 200:
        return "white"
    if max(pixel) < 60:
        return "black"
    if red > 180 and green > 150 and blue < 100:
        return "yellow"
    return {red: "red", green: "green", blue: "blue"}[max(red, green, blue)]


@pytest.mark.parametrize(
    ("flag", "points"),
    [
        ("FR", [(0.15, 0.5, "blue"), (0.5, 0.5, "white"), (0.85, 0.5, "red")]),
        ("DE", [(0.5, 0.15, "black"), (0.5, 0.5, "red"), (0.5, 0.85, "yellow")]),
        ("JP", [(0.1, 0.1, "white"), (0.5, 0.5, "red"), (0.9, 0.9, "white")]),
        ("NO", [(0.1, 0.1, "red"), (0.37, 0.5, "blue"), (0.1, 0.5, "blue"), (0.37, 0.1, "blue"), (0.8, 0.2, "red")]),
        ("CZ", [(0.1, 0.5, "blue"), (0.9, 0.2, "white"), (0.9, 0.8, "red")]),
        ("TR", [(0.22, 0.5, "white"), (0.4, 0.5, "red"), (0.9, 0.5, "red")]),
        ("QA", [(0.1, 0.5, "white"), (0.8, 0.5, "red")]),
        ("VN", [(0.5, 0.5, "yellow"), (0.1, 0.1, "red")]),
        ("AU", [(0.25, 0.25, "red"), (0.25, 0.05, "red"), (0.75, 0.84, "white"), (0.95, 0.95, "blue")]),
        ("JM", [(0.5, 0.1, "green"), (0.1, 0.5, "black"), (0.5, 0.5, "yellow")]),
    ],
)
def test_flags_have_their_colours_where_they_belong(flag: str, points: list[tuple[float, float, str]]) -> None:
    assert [(x, y, colour(flag, x, y)) for x, y, _ in points] == points


def test_every_country_has_a_flag_and_every_flag_a_country() -> None:
    assert read_flags().flags.keys() == read_countries().keys()


def test_all_flags_differ() -> None:
    table = read_flags()
    drawn = {table.paint(flag, (60, 40)).tobytes() for flag in table.flags}
    assert len(drawn) == len(table.flags)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_picture_depends_only_on_its_seed(variant: str) -> None:
    table = read_flags()
    first = draw_picture(table, "SE", variant, 1)
    assert (first.mode, first.size) == ("RGB", SIZE)
    assert first.tobytes() == draw_picture(table, "SE", variant, 1).tobytes()
    assert (first.tobytes() == draw_picture(table, "SE", variant, 2).tobytes()) == (variant == "flat")


def test_every_variant_is_of_one_split_and_looks_different() -> None:
    assert sorted(TRAIN_VARIANTS + TEST_VARIANTS) == sorted(VARIANTS)
    table = read_flags()
    assert len({draw_picture(table, "FR", variant, 1).tobytes() for variant in VARIANTS}) == len(VARIANTS)


def test_bands_follow_their_weights() -> None:
    table = parse_flags({"a": "#FF0000", "b": "#0000FF"}, {"x": ["h a b 1 3"]})
    image = table.paint("x", (12, 8))
    assert [image.getpixel((0, y)) for y in (8 // 4 - 1, 8 // 4)] == [(255, 0, 0), (0, 0, 255)]


def test_a_crescent_opens_towards_its_turn() -> None:
    colours = {"a": "#000000", "b": "#FFFFFF"}
    right = parse_flags(colours, {"x": ["v a", "crescent b .5 .5 .4"]}).paint("x", (90, 60))
    left = parse_flags(colours, {"x": ["v a", "crescent b .5 .5 .4 180"]}).paint("x", (90, 60))
    assert right.getpixel((90 // 2 - 22, 30)) == (255, 255, 255) and right.getpixel((90 // 2 + 22, 30)) == (0, 0, 0)
    mirrored = right.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    different = sum(a != b for a, b in zip(mirrored.tobytes(), left.tobytes(), strict=True))
    assert different < 0.03 * 90 * 60 * 3


@pytest.mark.parametrize("stroke", ["blob a", "h a mauve", "disc a .5 .5 big"])
def test_a_stroke_that_is_not_in_the_grammar_is_refused(stroke: str) -> None:
    with pytest.raises(ConfigError, match=stroke.split()[0] if stroke.startswith("blob") else "neither"):
        parse_flags({"a": "#FF0000"}, {"x": [stroke]})
