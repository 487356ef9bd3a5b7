"""A short name for a class, from sentences about its members: the nouns that say what they are. Pure, for English.

"[Togo] is a narrow country in West Africa" calls Togo a country, and a narrow one: what stands between an article and
the next word that cannot be inside a noun phrase. So do "the narrow country [Togo]" and "countries such as [Togo]".
No grammar is parsed. The label is what many members are called, and others seldom.
"""

from __future__ import annotations

import math
import re

from entity_expand.explain.words import FUNCTION_WORDS, GAP, Counted, words_of

_KINDS = "type|kind|sort|form|species|breed|member|variety|piece|style|class|family"
_AFTER = re.compile(
    r"(?: \([^)]*\))?,? (?:(?:which|that) )?(?:(?:is|was|are|were) )?(?:\w+ly |often |also )?"
    rf"(?:an?|the|one of the) (?:(?:{_KINDS})s? of (?:an? |the )?)?([\w'’ -]+)"
)
_BEFORE = re.compile(r"\b(?:an?|the|this) ([\w'’ -]+?) (?:called |named |known as )?$")
_SUCH = re.compile(r"([\w'’ -]+),? (?:such as|including) (?:an? |the )?$")
_NEAR = 100
_QUALITY_WORDS = "small large big little long short famous popular common typical very similar"
_QUALITIES = frozenset(_QUALITY_WORDS.split())
_LONGEST = 3
_SMOOTHING = 0.05
_LOWEST_SHARE = 0.2


def phrases(sentence: str) -> frozenset[str]:
    """Return what a sentence, with `GAP` for its entity, calls the entity: nouns, alone and with words before them.

    >>> sorted(phrases(f"{GAP} is a narrow country in West Africa."))
    ['country', 'narrow country']
    """
    text, found = " ".join(sentence.casefold().split()), set[str]()
    for gap in re.finditer(GAP, text):
        before, after = text[max(0, gap.start() - _NEAR) : gap.start()], text[gap.end() : gap.end() + _NEAR]
        if match := _AFTER.match(after):
            words = words_of(match[1])
            end = next((n for n, word in enumerate(words) if word in FUNCTION_WORDS), len(words))
            found |= _ends(words[:end])
        for pattern in (_BEFORE, _SUCH):
            if match := pattern.search(before):
                words = words_of(match[1])
                start = next((n for n in range(len(words), 0, -1) if words[n - 1] in FUNCTION_WORDS), 0)
                found |= _ends(words[start:])
    return frozenset(found)


def _ends(words: list[str]) -> set[str]:
    """Return the last word and the longer ends, up to a length and to the first word that says nothing of a class."""
    ends = set[str]()
    for count in range(1, min(_LONGEST, len(words)) + 1):
        if words[-count] in _QUALITIES:
            break
        ends.add(" ".join(words[-count:]))
    return ends


def label_of(members: Counted, others: Counted) -> str:
    """Return the phrase that many members are called and others seldom; "" if no phrase is shared by enough of them.

    Args:
        members: How many members are called each phrase.
        others: How many others are.
    """
    enough = max(min(2, members.total), _LOWEST_SHARE * members.total)
    found = [
        (members.share(phrase) * (1 + max(0.0, _lift(members, others, phrase))), phrase)
        for phrase, count in members.counts.items()
        if count >= enough
    ]
    return max(found, key=lambda scored: (scored[0], scored[1]), default=(0.0, ""))[1]


def _lift(members: Counted, others: Counted, phrase: str) -> float:
    return math.log2((members.share(phrase) + _SMOOTHING) / (others.share(phrase) + _SMOOTHING))
