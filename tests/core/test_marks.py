"""Marked mentions, read in linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entity_expand.inputs.marks import read_marks

MARKED = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)


@given(st.text(alphabet="[]a\n", max_size=24))
def test_marks_are_what_the_pattern_says(text: str) -> None:
    read, spans = read_marks(text)
    assert read == MARKED.sub(r"\1", text)
    assert [read[start:end] for start, end in spans] == MARKED.findall(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "[[" * 50_000 + "]", "[[]" * 33_000])
def test_marks_that_never_close_take_no_time(text: str) -> None:
    began = time.perf_counter()
    assert read_marks(text) == (text, ())
    assert time.perf_counter() - began < 1.0
