"""From sentences to the terms that the lexical channel compares; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from entity_expand.stores.names import fold

_TERM = re.compile(r"\w+")
_LONGEST_TERM = 64
LONGEST_TEXT = 20_000
"""Characters of an entity's sentences that are compared; the rest is left out."""


def masked_text(text: str, mentions: Sequence[tuple[int, int]]) -> str:
    """Return a sentence without its mentions."""
    kept, end = [], 0
    for start, stop in sorted(mentions):
        kept.append(text[end:start])
        end = max(end, stop)
    return " ".join("".join([*kept, text[end:]]).split())


def masked_sentences(sentences: Sequence[tuple[str, Sequence[tuple[int, int]]]]) -> str:
    """Return sentences, each with the spans of its mentions, without these, behind each other up to `LONGEST_TEXT`."""
    parts, length = list[str](), 0
    for text, mentions in sentences:
        if text and length < LONGEST_TEXT:
            parts.append(masked_text(text, mentions))
            length += len(parts[-1]) + 1
    return " ".join(parts)[:LONGEST_TEXT]


def terms_of(text: str) -> list[str]:
    """Return the words and numbers of a text in order, without case and accents; very long ones are cut.

    >>> terms_of("Öl on 2 canvases")
    ['ol', 'on', '2', 'canvases']
    """
    return [term[:_LONGEST_TERM] for term in _TERM.findall(fold(text))]
