"""Sentences in which mentions are marked, as in "The [[okapi]] eats leaves."."""

from __future__ import annotations

import re

_MARKED = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)


def read_marks(text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the text without marks, and the spans [start, end) of what was marked; () if nothing was.

    >>> read_marks("The [[okapi]] eats")
    ('The okapi eats', ((4, 9),))
    """
    parts = _MARKED.split(text)  # between marks, and inside of them, in turn
    spans, length = [], 0
    for number, part in enumerate(parts):
        if number % 2:
            spans.append((length, length + len(part)))
        length += len(part)
    return "".join(parts), tuple(spans)
