"""A row of either layout, and the samples it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from entity_expand.corpus.lines import clean
from entity_expand.corpus.report import Note

DEFAULT_SPLIT = "train"
MAX_SPLITS = 127
_MAX_SPLIT_LENGTH = 64
# The original leaves longer sentences out (NOTES.md section 2); our form keeps them.
MAX_WORDS_PER_MENTION_FORM = 150

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One usable row.

    Attributes:
        text: The sentence, or "".
        mentions: (position of the entity, start, end) in file order, start and end in characters, end
            exclusive; (position, 0, 0) where `text` is "". Never empty.
        image: The path as written in the file, or None.
        split: Name of the split.
        words: Number of words, where the layout gives them, else 0.
    """

    text: str
    mentions: tuple[tuple[int, int, int], ...]
    image: str | None
    split: str
    words: int = 0


ReadMention = Callable[[object, str, Note], tuple[int, int, int] | None]


def read_row(
    record: Mapping[str, object], text: str, mentions: object, read_mention: ReadMention, words: int, note: Note
) -> Row | None:
    """Put a row together from what both layouts hold, or count why it is dropped and return None.

    Args:
        record: The object of the file, for `image` and `split`.
        text: The sentence; blank for a picture without one.
        mentions: What the file lists as mentions, not checked.
        read_mention: Reads one of them, given the text ("" if it is blank).
        words: Number of words of the text.
        note: Receives what is dropped.
    """
    if not clean(text):
        note("row", "the text holds a NUL or a lone surrogate")
        return None
    if not isinstance(mentions, list) or not mentions:
        note("row", "no mention")
        return None
    if not text.strip():
        text, words = "", 0
    found = [read_mention(mention, text, note) for mention in mentions]
    kept = tuple(mention for mention in found if mention is not None)
    if not kept:
        note("row", "no usable mention")
        return None
    split = read_split(record, note)
    if split is None:
        return None
    return Row(text, kept, read_image(record, note), split, words)


def entity_position(value: object, positions: Mapping[str, int], identifier: str | None, note: Note) -> int:
    """Return the position of an entity id, or -1 after counting why its mention is dropped."""
    if identifier is None:
        note("mention", "the entity id is neither a text nor a whole number", value)
        return -1
    position = positions.get(identifier, -1)
    if position < 0:
        note("mention", "unknown entity id", identifier)
    return position


def read_image(record: Mapping[str, object], note: Note) -> str | None:
    """Return the picture's path as written, or None; a wrong type is counted."""
    image = record.get("image")
    if image is None or image == "":
        return None
    if not isinstance(image, str):
        note("picture", "the path is not a text", image)
        return None
    return image


def read_split(record: Mapping[str, object], note: Note) -> str | None:
    """Return the row's split, or None after counting a split that is no short text."""
    split = record.get("split")
    if split is None:
        return DEFAULT_SPLIT
    if isinstance(split, str) and 0 < len(split) <= _MAX_SPLIT_LENGTH and split.isprintable() and clean(split):
        return split
    note("row", "the split is not a short printable text", split)
    return None


def spans_of(row: Row, entity: int, note: Note) -> tuple[Span, ...]:
    """Return the spans of one entity in a row, by rising start and without overlaps; () iff there is no text.

    Of overlapping spans the first to start is kept, of those with one start the longest.
    """
    if not row.text:
        return ()
    found = [(start, end) for position, start, end in row.mentions if position == entity]
    if len(found) == 1:
        return (found[0],)
    kept: list[Span] = []
    for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
        elif (start, end) == kept[-1]:
            note("mention", "repeated mention", start)
        else:
            note("mention", "overlaps another mention of the same entity", start)
    return tuple(kept)


def samples_of(row: Row, per_mention: bool, note: Note) -> Iterable[tuple[int, int]]:
    """Return (position of the entity, number of the mention or -1 for all of them) of each sample of a row."""
    if per_mention and row.text:
        if row.words > MAX_WORDS_PER_MENTION_FORM:
            note("row", f"over {MAX_WORDS_PER_MENTION_FORM} words", row.words)
            return ()
        return [(position, number) for number, (position, _, _) in enumerate(row.mentions)]
    entities = dict.fromkeys(position for position, _, _ in row.mentions)
    if len(entities) < len(row.mentions):
        for entity in entities:
            spans_of(row, entity, note)
    return [(entity, -1) for entity in entities]
