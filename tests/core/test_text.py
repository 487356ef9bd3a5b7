"""Masked sentences: both forms, the crop around the target, hostile text, and the original's ids."""

import json
from pathlib import Path

import numpy as np
import pytest

from entity_expand.errors import ConfigError, EncoderError
from entity_expand.inputs.text import MaskedText, MaskedTokenizer, TextConfig

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
WORDS = ["the", "city", "of", "large", "##st", "old", "[", "mask", "]", "."]
THE, CITY, OF, LARGE, ST, OLD, OPEN, MASKWORD, CLOSE, DOT = range(5, 15)
REFERENCE = Path("reference/pipeline/entity2sents")


def tokenizer_json(words: list[str], special: list[str] = SPECIAL) -> bytes:
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    return str(tokenizer.to_str()).encode()


def make(form: str = "wordpiece", max_length: int = 128) -> MaskedTokenizer:
    config = TextConfig(max_length=max_length, form=form)  # type: ignore[arg-type]
    return MaskedTokenizer.from_bytes(tokenizer_json(SPECIAL + WORDS), config)


def test_wordpiece_masks_the_mention_and_splits_words() -> None:
    text = "The largest city of Oslo."
    assert make().encode(text, [(20, 24)]) == MaskedText(
        (CLS, THE, LARGE, ST, CITY, OF, MASK, DOT, SEP), mask_position=6
    )


def test_whole_word_looks_words_up_whole() -> None:
    assert make("whole_word").encode("The largest city of Oslo .", [(20, 24)]) == MaskedText(
        (CLS, THE, UNK, CITY, OF, MASK, DOT, SEP), mask_position=5
    )


@pytest.mark.parametrize("form", ["wordpiece", "whole_word"])
def test_a_missing_sentence_is_one_mask(form: str) -> None:
    assert make(form).encode("", ()) == MaskedText((CLS, MASK, SEP), 1)


def test_a_literal_mask_is_text() -> None:
    text = "[MASK] of Oslo"
    assert make().encode(text, [(10, 14)]).ids == (CLS, OPEN, MASKWORD, CLOSE, OF, MASK, SEP)
    assert make("whole_word").encode(text, [(10, 14)]).ids == (CLS, UNK, OF, MASK, SEP)


def test_whole_word_never_yields_the_mask_for_text() -> None:
    words = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    config = TextConfig(form="whole_word")
    tokenizer = MaskedTokenizer.from_bytes(tokenizer_json(words, words), config)
    assert tokenizer.encode("<mask> Oslo", [(7, 11)]).ids == (2, 1, 4, 3)


def test_every_mention_is_masked_and_the_first_is_the_target() -> None:
    text = "Oslo the city Oslo"
    assert make().encode(text, [(14, 18), (0, 4)]) == MaskedText((CLS, MASK, THE, CITY, MASK, SEP), 4)
    assert make().encode(text, [(0, 4), (14, 18)]) == MaskedText((CLS, MASK, THE, CITY, MASK, SEP), 1)


def test_overlapping_mentions_are_one_mask() -> None:
    text = "the New York City of old"
    assert make().encode(text, [(8, 17), (4, 12)]) == MaskedText((CLS, THE, MASK, OF, OLD, SEP), 2)
    assert make().encode("OsloOslo", [(4, 8), (0, 4)]) == MaskedText((CLS, MASK, MASK, SEP), 2)


@pytest.mark.parametrize("form", ["wordpiece", "whole_word"])
@pytest.mark.parametrize("before", [0, 1, 2, 3, 10])
@pytest.mark.parametrize("after", [0, 1, 2, 10])
def test_long_text_is_cropped_around_the_target(form: str, before: int, after: int) -> None:
    text = "the " * before + "Oslo" + " old" * after
    start = 4 * before
    masked = make(form, max_length=7).encode(text, [(start, start + 4)])
    assert len(masked.ids) == min(before + 1 + after, 5) + 2
    assert masked.ids[masked.mask_position] == MASK
    kept_before = masked.mask_position - 1
    assert masked.ids[1 : 1 + kept_before] == (THE,) * kept_before
    assert kept_before >= min(before, 2), "the target keeps context on both sides"


def test_endless_text_costs_little() -> None:
    text = "the " * 2_000_000 + "Oslo" + " old" * 2_000_000
    masked = make(max_length=8).encode(text, [(8_000_000, 8_000_004), (0, 3)])
    assert masked == MaskedText((CLS, THE, THE, THE, MASK, OLD, OLD, SEP), 4)


def test_only_ascii_spaces_separate_whole_words() -> None:
    assert make("whole_word").encode("old\n\told \u00a0 Oslo", [(11, 15)]).ids == (CLS, OLD, OLD, UNK, MASK, SEP)


@pytest.mark.parametrize("mentions", [[(0, 0)], [(-1, 2)], [(0, 99)], [(2, 1)], []])
def test_bad_mentions_are_refused(mentions: list[tuple[int, int]]) -> None:
    with pytest.raises(EncoderError, match="mention"):
        make().encode("Oslo", mentions)
    with pytest.raises(EncoderError, match="mention"):
        make().encode("", [(0, 1)])


def test_batches_are_padded() -> None:
    tokenizer = make()
    batch = tokenizer.batch([tokenizer.encode("", ()), tokenizer.encode("the Oslo", [(4, 8)])])
    np.testing.assert_array_equal(batch.ids, [[CLS, MASK, SEP, PAD], [CLS, THE, MASK, SEP]])
    np.testing.assert_array_equal(batch.attention_mask, [[1, 1, 1, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(batch.mask_position, [1, 2])
    assert batch.ids.dtype == batch.attention_mask.dtype == batch.mask_position.dtype == np.int64
    assert tokenizer.batch([]).ids.shape == (0, 0)


def test_vocabulary_bounds_every_id() -> None:
    assert make().vocabulary == len(SPECIAL) + len(WORDS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b"{}", "cannot be read as a tokenizer"),
        (b'{"model": {"type": "WordPiece", "vocab": {"[PAD]": 0}}}', "cannot be read"),
        (tokenizer_json(["[UNK]"]).replace(b"[MASK]", b"[MISS]"), "no mask token"),
    ],
)
def test_broken_tokenizers_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=message):
        MaskedTokenizer.from_file(path, TextConfig())


def test_a_missing_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="Cannot read"):
        MaskedTokenizer.from_file(tmp_path / "absent.json", TextConfig())


@pytest.mark.parametrize("bad", [{"max_length": 2}, {"max_length": 1 << 20}, {"form": "bytes"}])
def test_bad_configurations_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TextConfig(**bad)  # type: ignore[arg-type]


@pytest.mark.shared
def test_whole_words_match_the_original(shared: Path) -> None:
    """The ids of the original's step 2, for every sentence with a picture and every mention in turn."""
    expected = json.loads((shared / REFERENCE / "expected.json").read_text())["token_ids"]
    vocabulary = (shared / REFERENCE / "vocab.txt").read_text().split("\n")[:-1]
    config = TextConfig(max_length=152, form="whole_word")
    tokenizer = MaskedTokenizer.from_bytes(tokenizer_json(vocabulary), config)
    found: dict[str, list[list[int]]] = {entity: [] for entity in expected}
    for line in (shared / REFERENCE / "sentences.json").read_text().splitlines():
        row = json.loads(line)
        words, known = row["tokens"], True
        if len(words) > 150 or "absent" in row["image"]:
            continue
        starts = np.cumsum([0] + [len(word) + 1 for word in words]).tolist()
        for mention in row["entityMentions"]:
            entity = str(mention["entityId"])
            # The original drops an unknown entity and all mentions after it.
            known = known and entity in (*expected, "300")
            if known and entity in found:
                span = (starts[mention["start"]], starts[mention["end"]] + len(words[mention["end"]]))
                found[entity].append(list(tokenizer.encode(" ".join(words), [span]).ids))
    assert found == expected
