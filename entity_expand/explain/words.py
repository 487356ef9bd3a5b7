"""The words around entities: which of them members of a set share and others lack. Pure.

How telling a word is says the likelihood ratio of Dunning, "Accurate Methods for the Statistics of Surprise and
Coincidence" (Computational Linguistics 19, 1993), over entities: has it a sentence with the word or not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entity_expand.explain.about import Word
from entity_expand.stores.base import Evidence

_WORD = re.compile(r"[^\W\d_](?:[\w'’-]*\w)?")
GAP = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands where the entity was mentioned."""

_FUNCTION_WORDS = """
of in on at to for from with without by as than then and or but nor that which who whose whom where when while is are
was were be been being has have had can could may might must will would should do does did it its his her their this
these those the a an made used found known called named designed worn consisting having containing between into onto
over under about through during before after around near along within usually typically also not so each both all
any some no there here they you we one two three lies often commonly more most less other another such many
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words that say nothing of what something is, and end a noun phrase."""
_SURPRISING = 3.84  # exceeded by chance once in twenty times


def without_mentions(item: Evidence) -> str:
    """Return a sentence with each mention of its entity replaced by `GAP`."""
    parts, done = [], 0
    for start, end in sorted(item.mentions):
        if start >= done:
            parts += [item.text[done:start], GAP]
            done = end
    return "".join(parts) + item.text[done:]


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, in order; where words are not spaced apart, that is a whole run."""
    return _WORD.findall(text.casefold())


def words_around(evidence: Sequence[Evidence]) -> frozenset[str]:
    """Return the words of sentences about an entity, those of its own mentions left out."""
    return frozenset(word for item in evidence for word in words_of(without_mentions(item)))


@dataclass(frozen=True, slots=True)
class Counted:
    """How many of some entities have each word.

    Attributes:
        counts: Word -> entities.
        total: Number of entities.
    """

    counts: Mapping[str, int]
    total: int

    @classmethod
    def of(cls, sets: Sequence[frozenset[str]]) -> Counted:
        """Count the words of entities."""
        return cls(Counter(word for words in sets for word in words), len(sets))

    def share(self, word: str) -> float:
        """Return the share of the entities that have a word, 0 if there are none."""
        return self.counts.get(word, 0) / self.total if self.total else 0.0


def surprise(inside: int, members: int, outside: int, others: int) -> float:
    """Return G² of a word that `inside` of `members` and `outside` of `others` have; 0 if members have it less often.

    >>> surprise(5, 10, 50, 100)
    0.0
    """
    if not members or not others or inside * others <= outside * members:
        return 0.0
    both = (inside + outside) / (members + others)
    without = 1 - both
    observed = (
        *((inside, members * both), (members - inside, members * without)),
        *((outside, others * both), (others - outside, others * without)),
    )
    return 2.0 * sum(found * math.log(found / expected) for found, expected in observed if found)


def telling(members: Counted, others: Counted, limit: int) -> tuple[Word, ...]:
    """Return the words, at most `limit`, that tell members from others, the most telling first.

    A word counts if two members have it, or the only one there is, and if that is hardly chance.
    """
    enough = min(2, members.total)
    found = [
        Word(word, count, others.share(word), surprise(count, members.total, others.counts.get(word, 0), others.total))
        for word, count in members.counts.items()
        if count >= enough and word not in FUNCTION_WORDS
    ]
    found = [word for word in found if word.weight > _SURPRISING]
    return tuple(sorted(found, key=lambda word: (-word.weight, word.text))[:limit])
