"""Sentences without their mentions, and their terms."""

from __future__ import annotations

import numpy as np

from entity_expand.channels.steps import _heard
from entity_expand.channels.terms import LONGEST_TEXT, masked_sentences, masked_text, terms_of
from entity_expand.query import NewSeed
from entity_expand.seeds import SeedSet


def test_mentions_are_left_out() -> None:
    assert masked_text("An okapi eats.", ((3, 8),)) == "An eats."
    assert masked_text("abcdef", ((1, 4), (2, 5))) == "af"
    assert masked_sentences([("An okapi eats.", ((3, 8),)), ("", ()), ("Leaves.", ())]) == "An eats. Leaves."
    assert len(masked_sentences([("x" * LONGEST_TEXT, ()), ("y" * 10, ())])) == LONGEST_TEXT


def test_terms_are_folded() -> None:
    assert terms_of("Ein Bär, ein BÄR (2 m)!") == ["ein", "bar", "ein", "bar", "2", "m"]
    assert terms_of(" ...") == [] and terms_of("z" * 1000) == ["z" * 64]


def test_no_more_of_a_new_seed_is_compared_than_of_an_entity() -> None:
    heard = _heard(SeedSet(np.array([-1])), [NewSeed("The [[okapi]] has " + "salt " * 9_000)])
    assert [len(text) for text in heard.texts] == [LONGEST_TEXT] and heard.texts[0].startswith("The has salt")
