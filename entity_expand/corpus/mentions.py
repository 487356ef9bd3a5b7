"""Find names in text: word boundaries, case folded, the longest match wins."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from entity_expand.corpus.lines import LineError
from entity_expand.extras import imported

# Names nested in names may match far more often than a text has words.
MAX_MATCHES = 10_000


@dataclass(frozen=True, slots=True)
class Match:
    """One place of a text that names something.

    Attributes:
        start: First character.
        end: After the last character.
        entities: Numbers of all entities with this name, rising.
    """

    start: int
    end: int
    entities: tuple[int, ...]


def fold(text: str, case_sensitive: bool) -> str:
    """Return a text of the same length for comparing: case folded, every white space a blank."""
    folded = text
    if not case_sensitive:
        folded = text.casefold()
        if len(folded) != len(text):
            # Letters that fold to several (as sharp s) stay as they are, so that positions agree.
            folded = "".join(c if len(f := c.casefold()) != 1 else f for c in text)
    return "".join(" " if c.isspace() else c for c in folded) if not folded.isprintable() else folded


def _in_word(character: str) -> bool:
    """Return whether a character belongs to a word; marks that combine with a letter do."""
    return character == "_" or character.isalnum() or unicodedata.category(character)[0] == "M"


class Finder:
    """Finds the names of many entities in one pass over a text.

    A match starts and ends at word boundaries. Of overlapping matches the longest wins, of equally long ones
    the first.
    """

    def __init__(self, names: Iterable[tuple[str, int]], *, case_sensitive: bool = False) -> None:
        """Build the automaton.

        Args:
            names: (name or alias, number of the entity); a name may belong to several.
            case_sensitive: Tell upper from lower case.

        Raises:
            MissingExtraError: pyahocorasick is not installed.
        """
        ahocorasick = imported("ahocorasick", "pyahocorasick", "corpus")
        self._case_sensitive = case_sensitive
        owners: dict[str, set[int]] = {}
        for name, entity in names:
            folded = fold(" ".join(name.split()), case_sensitive)
            if folded:
                owners.setdefault(folded, set()).add(entity)
        self._automaton = ahocorasick.Automaton()
        for folded, entities in owners.items():
            self._automaton.add_word(folded, (len(folded), tuple(sorted(entities))))
        self._empty = not owners
        if owners:
            self._automaton.make_automaton()

    def find(self, text: str) -> list[Match]:
        """Return the matches in a text, by rising start, without overlaps.

        Raises:
            LineError: There are far too many.
        """
        if self._empty:
            return []
        folded = fold(text, self._case_sensitive)
        found = []
        for last, (length, entities) in self._automaton.iter(folded):
            if _bounded(folded, last + 1 - length, last + 1):
                found.append(Match(last + 1 - length, last + 1, entities))
                if len(found) > MAX_MATCHES:
                    raise LineError(f"more than {MAX_MATCHES:,} names in one text")
        return _longest(found)


def _bounded(text: str, start: int, end: int) -> bool:
    """Return whether neither end of text[start:end] cuts a word."""
    if start > 0 and _in_word(text[start]) and _in_word(text[start - 1]):
        return False
    return not (end < len(text) and _in_word(text[end]) and _in_word(text[end - 1]))


def _longest(matches: list[Match]) -> list[Match]:
    if len(matches) < 2:
        return matches
    taken: set[int] = set()
    kept = []
    for match in sorted(matches, key=lambda match: (match.start - match.end, match.start)):
        # A shorter match cannot enclose a longer one, so its two ends tell whether it overlaps.
        if match.start not in taken and match.end - 1 not in taken:
            taken.update(range(match.start, match.end))
            kept.append(match)
    return sorted(kept, key=lambda match: match.start)
