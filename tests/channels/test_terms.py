"""Sentences without their mentions, and their terms."""

from __future__ import annotations

from entity_expand.channels.terms import LONGEST_TEXT, masked_sentences, masked_text, terms_of


def test_mentions_are_left_out() -> None:
    assert masked_text("An okapi eats.", ((3, 8),)) == "An eats."
    assert masked_text("abcdef", ((1, 4), (2, 5))) == "af"
    assert masked_sentences([("An okapi eats.", ((3, 8),)), ("", ()), ("Leaves.", ())]) == "An eats. Leaves."
    assert len(masked_sentences([("x" * LONGEST_TEXT, ()), ("y" * 10, ())])) == LONGEST_TEXT


def test_terms_are_folded() -> None:
    assert terms_of("Ein Bär, ein BÄR (2 m)!") == ["ein", "bar", "ein", "bar", "2", "m"]
    assert terms_of(" ...") == [] and terms_of("z" * 1000) == ["z" * 64]
