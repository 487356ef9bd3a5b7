"""Sentences in which mentions are marked, as in "The [[okapi]] eats leaves."."""

from __future__ import annotations

_OPEN, _CLOSE = "[[", "]]"


def read_marks(text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the text without marks, and the spans [start, end) of what was marked; () if nothing was.

    The time is linear in the length, whatever the text.

    >>> read_marks("The [[okapi]] eats")
    ('The okapi eats', ((4, 9),))
    """
    parts, spans, length, done = list[str](), list[tuple[int, int]](), 0, 0
    while (start := text.find(_OPEN, done)) >= 0:
        start += len(_OPEN)
        end = text.find(_CLOSE, start + 1)  # a mark holds something
        if end < 0:
            break
        parts += [text[done : start - len(_OPEN)], text[start:end]]
        length += len(parts[-2])
        spans.append((length, length + end - start))
        length += end - start
        done = end + len(_CLOSE)
    return "".join([*parts, text[done:]]), tuple(spans)
