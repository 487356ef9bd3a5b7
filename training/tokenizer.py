"""The tokenizer of a run: the backbone's own, or word pieces learned from the training split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from entity_expand.corpus import Corpus
from entity_expand.errors import ConfigError
from entity_expand.files import write_bytes
from entity_expand.types import Int64, Sample
from training.backbones import text_folder
from training.config import TextSettings

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Letters inside of words are spelled as private characters from here on; there is room for so many.
_INNER, _LETTERS = 0xF0000, 0xFFFE


def train_wordpiece(texts: Iterable[str], vocabulary: int) -> bytes:
    """Learn lower-case word pieces; the same texts give the same pieces.

    The library's own trainer of word pieces numbers the inner letters in an order that changes from process to
    process, and ties follow that order. Its trainer of byte pairs sorts letters, so inner letters are written as
    other characters, which makes them letters of their own, and read back as "##" pieces.

    Args:
        texts: Sentences; their order does not matter.
        vocabulary: Most pieces, the five special ones included.

    Returns:
        The bytes of a tokenizer.json; "[PAD]" is id 0.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    counts: Counter[str] = Counter()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    pieces = dict.fromkeys([*SPECIAL, *_pieces(counts, vocabulary - len(SPECIAL))])
    tokenizer.model = models.WordPiece(
        {piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]", max_input_chars_per_word=100
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    whole: str = tokenizer.to_str()
    return whole.encode()


def _pieces(counts: Counter[str], size: int) -> list[str]:
    letters = sorted(set("".join(counts)))[:_LETTERS]
    inner = {letter: chr(_INNER + number) for number, letter in enumerate(letters)}
    outer = {spelled: letter for letter, spelled in inner.items()}

    def words() -> Iterator[str]:
        for word, count in sorted(counts.items()):
            spelled = word[0] + "".join(inner.get(letter, "") for letter in word[1:])
            yield f"{spelled} " * count

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(words(), trainers.BpeTrainer(vocab_size=size, show_progress=False))
    learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    return [
        ("##" if piece[0] in outer else "") + "".join(outer.get(letter, letter) for letter in piece)
        for piece, _ in learned
    ]


def write_tokenizer(path: Path, settings: TextSettings, corpus: Corpus, samples: Int64) -> None:
    """Write the tokenizer.json of a run.

    Args:
        path: Where to.
        settings: Which backbone; "scratch" learns word pieces.
        corpus: Where the sentences are.
        samples: (N,) sample numbers that may be learned from.
    """
    folder = text_folder(settings)
    if folder is None:
        write_bytes(path, train_wordpiece(_contexts(corpus, samples), settings.vocabulary))
    else:
        write_bytes(path, (folder / "tokenizer.json").read_bytes())


def word_pieces(path: Path) -> dict[int, str]:
    """Return the pieces of a tokenizer.json by id, in the order of the ids, without the special ones."""
    pieces = _read(path).get_vocab(with_added_tokens=False)
    return {number: piece for piece, number in sorted(pieces.items(), key=lambda item: item[1]) if piece not in SPECIAL}


def whole_ids(path: Path, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Return the ids of each text alone, start and end included, at most `max_length`, by the tokenizer.json `path`."""
    tokenizer = _read(path)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def _read(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as problem:  # the library raises nothing more precise
        raise ConfigError(f"{path} cannot be read as a tokenizer: {problem}.") from problem


def _contexts(corpus: Corpus, samples: Int64) -> Iterator[str]:
    """Yield the texts without the masked names: pieces of names would never be seen."""
    for number in samples.tolist():
        yield from _between(corpus.sample(number))


def _between(sample: Sample) -> Iterator[str]:
    position = 0
    for start, end in sorted(sample.mentions):
        yield sample.text[position:start]
        position = max(position, end)
    yield sample.text[position:]
