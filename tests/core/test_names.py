"""How spellings are folded."""

from __future__ import annotations

import time
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from entity_expand.stores.names import fold

MARKS = "\u0301\u0327\u0f73"


def test_names_are_folded() -> None:
    assert fold("  Côte   d'IVOIRE ") == "cote d'ivoire"


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from(f"aÉß각ﬁ {MARKS}") | st.characters(codec="utf-8"), max_size=8), st.integers(0, 80))
def test_long_texts_are_folded_as_in_one_piece(text: str, times: int) -> None:
    whole = unicodedata.normalize("NFKD", (text * times).casefold())
    assert fold(text * times) == " ".join("".join(c for c in whole if not unicodedata.combining(c)).split())


def test_runs_of_marks_take_time_linear_in_their_length() -> None:
    began = time.perf_counter()
    assert fold("a" + MARKS * 70_000) == "a"
    assert time.perf_counter() - began < 5.0  # in one piece, minutes
