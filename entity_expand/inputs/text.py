"""Masked sentences to token ids: every mention of the entity becomes one mask, the rest stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from tokenizers import Tokenizer

from entity_expand import files
from entity_expand.config import check, setting
from entity_expand.errors import EncoderError
from entity_expand.types import Int64

TextForm: TypeAlias = Literal["wordpiece", "whole_word"]
TOKENIZER_CAP = 64 << 20
"""Largest tokenizer file that is read, in bytes."""

# The roles that the masked form needs, with the spellings that BERT and its relatives give them.
_SPELLINGS = {
    "start": ("[CLS]", "<s>"),
    "end": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
    "padding": ("[PAD]", "<pad>"),
    "unknown": ("[UNK]", "<unk>"),
}
# Characters looked at on each side of the target, per token of room: bounds the work on endless text.
_CHARACTERS_PER_TOKEN = 100
_SPACES = re.compile(r"[ \t\n\r\f\v]+")


@dataclass(frozen=True, slots=True)
class TextConfig:
    """How a sentence becomes token ids.

    Attributes:
        max_length: Most ids of a sentence, start and end included; longer ones are cropped around the target.
        form: "wordpiece", or "whole_word" for the original's form: lower-case, each word looked up whole.
    """

    max_length: int = setting(128, low=3, high=8192)
    form: TextForm = "wordpiece"

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class MaskedText:
    """One masked sentence: its ids, and the position of the target's mask among them."""

    ids: tuple[int, ...]
    mask_position: int


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Masked sentences of one batch, padded on the right to the longest.

    Attributes:
        ids: (B, L) int64.
        attention_mask: (B, L) int64, 1 for an id of the sentence and 0 for padding.
        mask_position: (B,) int64, column of the target's mask.
    """

    ids: Int64
    attention_mask: Int64
    mask_position: Int64


class MaskedTokenizer:
    """Turns sentences with mentions into ids; safe to use from several threads.

    Attributes:
        config: The form and the length.
        vocabulary: Number of ids, V_text; every id is below it.
        mask_id: Id that stands for a mention.
        padding_id: Id that fills the rows of a batch.
    """

    def __init__(self, tokenizer: Tokenizer, config: TextConfig) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # A literal "[MASK]" in the text is text: only mentions are masked.
        tokenizer.encode_special_tokens = True
        self.config = config
        self._tokenizer = tokenizer
        self._start, self._end, self.mask_id, self.padding_id, self._unknown = (
            _special(tokenizer, role) for role in _SPELLINGS
        )
        self._words: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
        self.vocabulary = 1 + max(self._words.values())
        self._pieces: Callable[[str], list[int]] = (
            self._word_pieces if config.form == "wordpiece" else self._whole_words
        )

    @classmethod
    def from_file(cls, path: Path, config: TextConfig) -> MaskedTokenizer:
        """Read a `tokenizer.json` of the tokenizers library.

        Raises:
            EncoderError: The file is missing, too large, broken, or lacks a special token.
        """
        return cls.from_bytes(files.read_capped(path, TOKENIZER_CAP, EncoderError), config, str(path))

    @classmethod
    def from_bytes(cls, content: bytes, config: TextConfig, origin: str = "the tokenizer") -> MaskedTokenizer:
        """Read the bytes of a `tokenizer.json`; `origin` names them in errors.

        Raises:
            EncoderError: The content is too large, broken, or lacks a special token.
        """
        if len(content) > TOKENIZER_CAP:
            raise EncoderError(f"{origin} is larger than the limit of {TOKENIZER_CAP:,} bytes.")
        try:
            text = content.decode()
            json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise EncoderError(f"{origin} is not valid JSON: {problem}.") from problem
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as problem:  # the library raises nothing more precise
            raise EncoderError(f"{origin} cannot be read as a tokenizer: {problem}.") from problem
        return cls(tokenizer, config)

    def encode(self, text: str, mentions: Sequence[tuple[int, int]]) -> MaskedText:
        """Mask and tokenise one sentence.

        Every mention becomes one mask; mentions that overlap become one together. Text "" is a missing
        sentence and gives the three ids of start, mask and end.

        Args:
            text: The sentence, or "".
            mentions: Character spans [start, end), the target first, then any order; () iff text is "".

        Raises:
            EncoderError: A span is empty or outside the text, or text and mentions do not go together.
        """
        if not text and not mentions:
            return MaskedText((self._start, self.mask_id, self._end), 1)
        _check_spans(text, mentions)
        reach = _CHARACTERS_PER_TOKEN * self.config.max_length
        first, last = mentions[0][0] - reach, mentions[0][1] + reach
        body: list[int] = []
        target = position = 0
        for start, end in _merged(mentions):
            if start >= last or end <= first:
                continue
            body += self._pieces(text[max(position, first) : start])
            if start <= mentions[0][0] < end:
                target = len(body)
            body.append(self.mask_id)
            position = end
        body += self._pieces(text[position:last])
        return self._framed(body, target)

    def batch(self, items: Sequence[MaskedText], multiple: int = 1) -> TokenBatch:
        """Pad masked sentences to one batch, in the order given, to a multiple of `multiple` if that fits."""
        longest = max((len(item.ids) for item in items), default=0)
        length = max(longest, min(-(-longest // multiple) * multiple, self.config.max_length))
        ids = np.full((len(items), length), self.padding_id, np.int64)
        attention_mask = np.zeros((len(items), length), np.int64)
        for row, item in enumerate(items):
            ids[row, : len(item.ids)] = item.ids
            attention_mask[row, : len(item.ids)] = 1
        return TokenBatch(ids, attention_mask, np.array([item.mask_position for item in items], np.int64))

    def _word_pieces(self, text: str) -> list[int]:
        pieces: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids if text else []
        return pieces

    def _whole_words(self, text: str) -> list[int]:
        # Only ASCII spaces separate: a no-break space that came as a word of its own stays an unknown word.
        words = (word.lower() for word in _SPACES.split(text) if word)
        ids = (self._words.get(word, self._unknown) for word in words)
        return [self._unknown if identifier == self.mask_id else identifier for identifier in ids]

    def _framed(self, body: list[int], target: int) -> MaskedText:
        room = self.config.max_length - 2
        cut = max(0, min(target - room // 2, len(body) - room))
        return MaskedText((self._start, *body[cut : cut + room], self._end), target - cut + 1)


def _special(tokenizer: Tokenizer, role: str) -> int:
    for spelling in _SPELLINGS[role]:
        identifier = tokenizer.token_to_id(spelling)
        if identifier is not None:
            return int(identifier)
    raise EncoderError(f"The tokenizer has no {role} token; expected {' or '.join(_SPELLINGS[role])}.")


def _check_spans(text: str, mentions: Sequence[tuple[int, int]]) -> None:
    if not mentions:
        raise EncoderError("A sentence came without a mention; mark at least one, or give the text as ''.")
    for start, end in mentions:
        if not 0 <= start < end <= len(text):
            raise EncoderError(f"The mention [{start}, {end}) is empty or outside its text of {len(text)} characters.")


def _merged(mentions: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the spans in order of their starts, those that overlap as one."""
    spans = sorted(mentions)
    start, end = spans[0]
    for next_start, next_end in spans[1:]:
        if next_start < end:
            end = max(end, next_end)
        else:
            yield start, end
            start, end = next_start, next_end
    yield start, end
