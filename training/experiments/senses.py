"""Entities whose names share words with those of other classes, so that a name alone does not say what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from entity_expand.metrics import average_precision
from entity_expand.types import Entity
from training.experiments.statistics import Lists, Truth

_SHORTEST = 3
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Senses:
    """Who shares a word with whom.

    Attributes:
        ambiguous: For each class its members that share a word of their name with an entity outside of the class.
        confusers: For each class the entities outside of it that share a word with a member.
    """

    ambiguous: Mapping[str, frozenset[str]]
    confusers: Mapping[str, frozenset[str]]


def senses_of(entities: Sequence[Entity], truth: Truth) -> Senses:
    """Find the entities that share words of their names or aliases, of at least three letters, across classes."""
    words = {each.id: _words((each.name, *each.aliases)) for each in entities}
    sharing: dict[str, set[str]] = {}
    for identifier, own in words.items():
        for word in own:
            sharing.setdefault(word, set()).add(identifier)
    ambiguous, confusers = {}, {}
    for name, members in truth.items():
        outside = {
            identifier: {other for word in words.get(identifier, ()) for other in sharing[word]} - members
            for identifier in members
        }
        ambiguous[name] = frozenset(identifier for identifier, others in outside.items() if others)
        confusers[name] = frozenset(other for others in outside.values() for other in others)
    return Senses(ambiguous, confusers)


def _words(names: Sequence[str]) -> frozenset[str]:
    return frozenset(word for name in names for word in _WORD.findall(name.lower()) if len(word) >= _SHORTEST)


def precision_of_ambiguous(lists: Lists, truth: Truth, senses: Senses, cut: int = 10) -> float | None:
    """Return the mean AP at the cut that counts ambiguous members alone; None if no query has any to find.

    Other members are taken out of list and truth, so that they neither help nor stand in the way.
    """
    values = []
    for query, ids in lists.items():
        members = truth[query.class_name] - set(query.seeds)
        wanted = members & senses.ambiguous[query.class_name]
        if wanted:
            kept = [identifier for identifier in ids if identifier in wanted or identifier not in members]
            values.append(average_precision(kept, wanted, cut))
    return fmean(values) if values else None


def share_of_confusers(lists: Lists, senses: Senses, cut: int = 10) -> float | None:
    """Return the mean share of confusers among the first results, over queries of classes that have any."""
    shares = [
        len(senses.confusers[query.class_name].intersection(ids[:cut])) / cut
        for query, ids in lists.items()
        if senses.confusers[query.class_name]
    ]
    return fmean(shares) if shares else None
