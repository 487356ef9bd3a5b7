"""What may be asked of an expansion, and how a new seed's text is read."""

import json
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from entity_expand import ExpandQuery, Filter, NewSeed, QueryError
from entity_expand.query import ExpandOptions
from entity_expand.results.form import query_form


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
        {"exclude": "12"},
        {"exclude": None},
        {"weights": "12"},
        {"weights": [True, 1.0]},
        {"weights": 2.0},
        {"weights": [10**400, 1]},
        {"weights": [10**5000, 1]},
        {"weights": [1.0, np.longdouble("1e4000")]},
        {"strategy": np.array(["paper", "both"])},
        {"modality": ["text"]},
        {"rerank": "yes"},
        {"rerank": []},
        {"rerank": 1},
        {"size": 10**5000},
        {"size": 2.5},
        {"size": True},
        {"size": "5"},
        {"size": float("nan")},
        {"filter": {"kind": ["k0"]}},
        {"settings": {"pool_size": 5}},
    ],
)
def test_what_makes_no_sense_is_refused(options) -> None:
    with pytest.raises(QueryError):
        ExpandQuery(["a", "b"], **options)


@pytest.mark.parametrize("seeds", [None, "ab", b"ab", 7, iter("ab")])
def test_seeds_are_a_list(seeds) -> None:
    with pytest.raises(QueryError, match="takes a list of 1 to 1,000 seeds"):
        ExpandQuery(seeds)


def test_numbers_of_numpy_are_numbers() -> None:
    query = ExpandQuery(np.array(["a", "b"]), np.int64(5), weights=np.array([1.0, 2.0], np.float32))
    assert query.size == 5 and query.weights[1] == 2.0
    form = json.loads(json.dumps(query_form(ExpandQuery(["a"], np.int16(5), rerank=np.False_))))
    assert form["size"] == 5 and form["rerank"] is False


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"attributes": {"kind": "k1"}}, "list of values for 'kind', not 'k1'"),
        ({"attributes": {"kind": 7}}, "list of values for 'kind', not 7"),
        ({"attributes": {"kind": ["k1", 7]}}, "are texts; some at 'kind'"),
        ({"attributes": {7: ["k1"]}}, "are texts; some at 7"),
        ({"attributes": ["kind"]}, "are tables"),
        ({"attributes": {"kind": ["x"] * 5_000, "half": ["x"] * 5_001}}, "at most 100 keys and 10,000 values"),
        ({"attributes": {str(n): ["x"] for n in range(101)}}, "at most 100 keys"),
        ({"name_prefix": 7}, "is a text, not 7"),
        ({"query": "kind:k1"}, "are tables"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(wrong, said) -> None:
    with pytest.raises(QueryError, match=said):
        Filter(**wrong)


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


@pytest.mark.parametrize(
    "image", ["a.png", 7, np.zeros((2, 2, 3), np.uint8), memoryview(b"x"), bytearray(b"x"), Image.Image, ""]
)
def test_a_picture_of_another_type_is_refused(image) -> None:
    with pytest.raises(
        QueryError, match=rf"Path\('...'\) of a file, the bytes .* not of the type {type(image).__name__}"
    ):
        NewSeed("An [[okapi]].", image)


def test_pictures_are_bytes_paths_and_images() -> None:
    for image in (b"x", Path("a.png"), Image.new("L", (1, 1))):
        assert NewSeed(image=image).image is image


@pytest.mark.parametrize(
    "arguments", [{}, {"text": " "}, {"text": "x" * 100_001}, {"text": "a", "name": "x" * 1001}, {"text": "\ud800"}]
)
def test_an_empty_or_huge_new_seed_is_refused(arguments) -> None:
    with pytest.raises(QueryError):
        NewSeed(**arguments)
