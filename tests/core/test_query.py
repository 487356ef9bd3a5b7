"""What may be asked of an expansion, and how a new seed's text is read."""

import time
from dataclasses import fields

import pytest

from entity_expand import ExpandQuery, NewSeed, QueryError
from entity_expand.query import ExpandOptions


def test_options_are_all_but_seeds_and_size() -> None:
    names = [field.name for field in fields(ExpandQuery)]
    assert names[:2] == ["seeds", "size"] and set(names[2:]) == set(ExpandOptions.__annotations__)


@pytest.mark.parametrize(
    "options",
    [
        {"weights": [1.0]},
        {"weights": [1.0, 0.0]},
        {"weights": [1.0, -2.0]},
        {"weights": [1.0, float("nan")]},
        {"weights": [1.0, float("inf")]},
        {"strategy": "worst"},
        {"modality": "sound"},
        {"negative": "Ghana"},
        {"negative": [7]},
        {"negative": ["x"] * 1001},
        {"exclude": [NewSeed("A [[thing]].")]},
    ],
)
def test_what_makes_no_sense_is_refused(options) -> None:
    with pytest.raises(QueryError):
        ExpandQuery(["a", "b"], **options)


@pytest.mark.parametrize(
    ("seed", "text", "spans"),
    [
        (NewSeed("The [[okapi]] eats leaves."), "The okapi eats leaves.", ((4, 9),)),
        (NewSeed("[[A b]] and [[c]]"), "A b and c", ((0, 3), (8, 9))),
        (NewSeed("An Okapi is no okapi.", name="okapi"), "An Okapi is no okapi.", ((3, 8), (15, 20))),
        (NewSeed("İİ Οδός, İ ΟΔΌΣ.", name="οδός"), "İİ Οδός, İ ΟΔΌΣ.", ((3, 7), (11, 15))),
        (NewSeed("aaaaa", name="AA"), "aaaaa", ((0, 2), (2, 4))),
        (NewSeed("okapi"), "okapi", ((0, 5),)),
        (NewSeed("  ", image=b"x"), "", ()),
    ],
)
def test_mentions_are_found(seed, text, spans) -> None:
    assert seed.sentence == (text, spans)


def test_a_name_is_found_in_time_linear_in_the_text() -> None:
    seed, began = NewSeed("a" * 100_000, name="a" * 999 + "b"), time.perf_counter()
    assert seed.sentence == (seed.text, ((0, 100_000),))
    assert time.perf_counter() - began < 0.5


def test_a_new_seed_is_called_by_its_name_or_its_mention() -> None:
    assert NewSeed("The [[okapi]].").called == "okapi" and NewSeed("The [[okapi]].", name="Okapi").called == "Okapi"
    assert NewSeed(image=b"x").called == ""


@pytest.mark.parametrize("arguments", [{}, {"text": " "}, {"text": "x" * 100_001}, {"text": "a", "name": "x" * 1001}])
def test_an_empty_or_huge_new_seed_is_refused(arguments) -> None:
    with pytest.raises(QueryError):
        NewSeed(**arguments)
