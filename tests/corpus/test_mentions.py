from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entity_expand.corpus.lines import LineError
from entity_expand.corpus.mentions import MAX_MATCHES, Finder, fold
from entity_expand.errors import MissingExtraError


def found(names: list[str], text: str, **options: Any) -> list[tuple[str, tuple[int, ...]]]:
    finder = Finder(((name, number) for number, name in enumerate(names)), **options)
    return [(text[match.start : match.end], match.entities) for match in finder.find(text)]


def test_longest_match_wins() -> None:
    assert found(["York", "New York", "York City"], "York, New York and York City") == [
        ("York", (0,)),
        ("New York", (1,)),
        ("York City", (2,)),
    ]
    assert found(["New York", "York City Hall"], "New York City Hall") == [("York City Hall", (1,))]
    assert found(["a b", "b c"], "a b c") == [("a b", (0,))]


def test_names_end_at_word_boundaries() -> None:
    names = ["Oman", "C++", ".NET", "é"]
    assert found(names, "woman romans Oman's oman-like") == [("Oman", (0,)), ("oman", (0,))]
    assert found(names, "C++ and C++17 and .NET5 but x.NET") == [("C++", (1,)), ("C++", (1,)), (".NET", (2,))]
    assert found(["e"], "e\u0301 e_ 1e e") == [("e", (0,))]


def test_case_is_folded_by_default() -> None:
    assert found(["Oslo"], "OSLO oslo Oslo") == [("OSLO", (0,)), ("oslo", (0,)), ("Oslo", (0,))]
    assert found(["Oslo"], "OSLO oslo Oslo", case_sensitive=True) == [("Oslo", (0,))]
    assert found(["Οδος"], "ΟΔΟΣ") == [("ΟΔΟΣ", (0,))]
    assert found(["Straße"], "İ STRAßE Straße") == [("STRAßE", (0,)), ("Straße", (0,))]


def test_white_space_in_names_matches_any_white_space() -> None:
    assert found(["New  York"], "New\nYork, New\u00a0York") == [("New\nYork", (0,)), ("New\u00a0York", (0,))]


def test_a_name_may_belong_to_several() -> None:
    assert found(["Georgia", "georgia", "Paris"], "Georgia") == [("Georgia", (0, 1))]
    assert found([], "Georgia") == []
    assert found(["", " "], "Georgia ") == []


def test_far_too_many_matches_are_refused() -> None:
    names = [" ".join("a" * length) for length in range(1, 60)]
    with pytest.raises(LineError, match="names in one text"):
        found(names, "a " * MAX_MATCHES)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ahocorasick", None)
    with pytest.raises(MissingExtraError, match=r"entity-expand\[corpus\]"):
        Finder([("a", 0)])


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.booleans())
def test_folding_keeps_positions(text: str, case_sensitive: bool) -> None:
    folded = fold(text, case_sensitive)
    assert len(folded) == len(text)
    assert fold(folded, case_sensitive) == folded


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab ", min_size=1, max_size=5), max_size=6), st.text("ab -", max_size=25))
def test_matches_agree_with_a_naive_search(names: list[str], text: str) -> None:
    names = [" ".join(name.split()) for name in names]
    spans = {
        (match.start(), match.start() + len(name))
        for name in names
        if name
        for match in re.finditer(rf"\b(?={re.escape(name)}\b)", text)
    }
    expected: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        if all(end <= other[0] or other[1] <= start for other in expected):
            expected.append((start, end))
    matches = Finder((name, number) for number, name in enumerate(names)).find(text)
    assert [(match.start, match.end) for match in matches] == sorted(expected)
