"""Words that members share and others lack, and the label of a class."""

from __future__ import annotations

import math

import pytest

from entity_expand import Evidence
from entity_expand.explain.label import label_of, phrases
from entity_expand.explain.words import GAP, Counted, surprise, telling, without_mentions, words_around, words_of


def test_mentions_leave_a_gap() -> None:
    item = Evidence("Togo and Togo meet", ((9, 13), (0, 4), (1, 3)), None)
    assert without_mentions(item) == f"{GAP} and {GAP} meet"


def test_words_are_those_of_any_alphabet() -> None:
    assert words_of("Côte d'Ivoire's well-known 7 café—ОЗЕРО, _x") == [
        "côte",
        "d'ivoire's",
        "well-known",
        "café",
        "озеро",
        "x",
    ]
    assert words_around([Evidence("Togo has RICE.", ((0, 4),), None), Evidence("", (), "a.png")]) == {"has", "rice"}


def test_surprise_is_a_likelihood_ratio() -> None:
    """Two of two members have the word and none of two others: G² = 2 (2 ln(2 / 1) + 2 ln(2 / 1))."""
    assert surprise(2, 2, 0, 2) == pytest.approx(2 * (2 * math.log(2) + 2 * math.log(2)))
    assert surprise(1, 4, 25, 100) == surprise(0, 4, 50, 100) == surprise(3, 3, 0, 0) == surprise(0, 0, 1, 2) == 0.0


def test_telling_words_come_first() -> None:
    members = Counted.of(
        [frozenset(words.split()) for words in ("the reef palm", "the reef", "the reef palm", "the odd")]
    )
    others = Counted.of([frozenset(words.split()) for words in ["the city"] * 48 + ["the palm"] * 2])
    found = telling(members, others, 5)
    assert [(word.text, word.members) for word in found] == [("reef", 3), ("palm", 2)]
    assert found[1].elsewhere == 2 / 50
    assert telling(members, others, 1) == found[:1] and telling(Counted.of([]), others, 5) == ()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (f"{GAP} is a narrow country in West Africa.", {"country", "narrow country"}),
        (f"The {GAP} is a type of musical instrument that is blown.", {"instrument", "musical instrument"}),
        (f"{GAP}, a seabird, dives.", {"seabird"}),
        (f"A {GAP} is a very small dog with a flat face.", {"dog"}),
        (f"The {GAP} was one of the large African antelopes.", {"antelopes", "african antelopes"}),
        (f"Some wind instruments such as the {GAP}.", {"instruments", "wind instruments"}),
        (f"The river {GAP} is wide.", {"river"}),
        (f"Rice grows in {GAP}.", set()),
        ("", set()),
    ],
)  # fmt: skip
def test_what_an_entity_is_called(sentence: str, expected: set[str]) -> None:
    assert phrases(sentence) == expected


def test_a_label_is_what_members_are_called_and_others_are_not() -> None:
    members = Counted.of([frozenset(each) for each in (["thing", "dog"], ["thing", "dog"], ["thing"], ["wolf"])])
    others = Counted.of([frozenset(["thing"])] * 10)
    assert label_of(members, others) == "dog"
    assert label_of(Counted.of([frozenset(["a"]), frozenset(["b"])]), others) == ""
    assert label_of(Counted.of([]), others) == label_of(Counted.of([]), Counted.of([])) == ""


def test_long_texts_are_read_in_good_time() -> None:
    assert phrases(f"the {'word ' * 20_000}{GAP} is a {'word ' * 20_000}")
    assert not phrases("a such as " * 20_000 + "(" * 1000)
    assert phrases(f"{GAP} is a dog, " * 5_000) == {"dog"}
