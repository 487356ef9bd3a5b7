from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from entity_expand.corpus import Corpus, check_corpus, import_rows, read_queries, read_truth
from entity_expand.corpus.lines import read_lines
from entity_expand.errors import CorpusError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from([2**63, -(10**30), 1e308, -0.5, 3.0]),
    st.text(max_size=6),
    st.sampled_from(["1", "2", "Oslo", "a.png", "../d/a.png", "/etc/passwd", "\0", "a/../..", "\ud800", "train"]),
)
MESED_KEYS = ("tokens", "entityMentions", "entityId", "start", "end", "image", "split")
OWN_KEYS = ("text", "mentions", "entity", "id", "name", "aliases", "attributes", "entity_id")
KEYS = st.sampled_from(MESED_KEYS + OWN_KEYS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=8,
)
MENTION = st.fixed_dictionaries({}, optional={"entityId": SCALARS, "entity": SCALARS, "start": SCALARS, "end": SCALARS})
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "tokens": st.one_of(st.lists(st.one_of(st.text(max_size=4), SCALARS), max_size=4), VALUES),
        "text": st.one_of(st.text(max_size=12), st.just("Oslo, 1 and Oslo"), VALUES),
        "entityMentions": st.one_of(st.lists(MENTION, max_size=3), VALUES),
        "mentions": st.one_of(st.lists(MENTION, max_size=3), VALUES),
        "image": SCALARS,
        "split": SCALARS,
        "entity": VALUES,
        "entity_id": VALUES,
        "id": VALUES,
        "name": VALUES,
        "aliases": VALUES,
        "attributes": VALUES,
    },
)
LINE = st.one_of(RECORD.map(lambda record: json.dumps(record).encode()), st.binary(max_size=40))
LINES = st.lists(LINE, max_size=6).map(b"\n".join)


def sound(corpus: Corpus) -> None:
    """Every sample keeps the promises of `Sample`."""
    for number in range(len(corpus)):
        sample = corpus.sample(number)
        assert (sample.mentions == ()) == (sample.text == "")
        ends = [0, *(end for span in sample.mentions for end in span)]
        assert ends == sorted(ends)
        assert all(start < end for start, end in sample.mentions)
        assert ends[-1] <= len(sample.text)
        assert sample.text or sample.image
        sample.text.encode()
        path = corpus.image_path(sample)
        assert path is None or path.is_file()
    assert len(corpus.content_hash) == 64
    assert sum(count for _, _, count in corpus.report.samples_per_entity) == len(corpus.entities)
    assert str(corpus.report).isprintable() or "\n" in str(corpus.report)
    json.dumps(corpus.report.as_dict(), allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(LINES, st.one_of(st.just(b"Oslo\t1\nRome\t2\n"), st.binary(max_size=40)), st.booleans())
def test_anything_in_meseds_layout(sentences: bytes, entities: bytes, per_mention: bool) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "a.png").write_bytes(b"x")
        (folder / "entity2id.txt").write_bytes(entities)
        (folder / "sentences.json").write_bytes(sentences)
        with Corpus.open(folder) as corpus:
            sound(corpus)
        with Corpus.open(folder, per_mention=per_mention) as corpus:
            assert [corpus.sample(number).entity for number in range(len(corpus))] == corpus.sample_entity.tolist()
        check_corpus(folder)


@settings(max_examples=150, deadline=None)
@given(LINES, st.one_of(st.just(b'{"id": 1, "name": "Oslo"}\n{"id": "2", "name": "Rome"}'), LINES))
def test_anything_in_our_layout(sentences: bytes, entities: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "a.png").write_bytes(b"x")
        (folder / "corpus.json").write_text('{"format": "entity-expand corpus", "version": 1}')
        (folder / "entities.jsonl").write_bytes(entities)
        (folder / "sentences.jsonl").write_bytes(sentences)
        with Corpus.open(folder) as corpus:
            sound(corpus)


@settings(max_examples=150, deadline=None)
@given(LINES, LINES)
def test_anything_imported_gives_a_clean_corpus_or_a_typed_error(rows: bytes, entities: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "rows").write_bytes(b'{"text": "Oslo", "entity": "Oslo"}\n' + rows)
        (folder / "entities").write_bytes(b'{"name": "Rome"}\n' + entities)
        try:
            import_rows(folder / "rows", folder / "out", entities=folder / "entities")
        except CorpusError:
            assert not (folder / "out").exists()
        else:
            with Corpus.open(folder / "out", strict=True) as corpus:
                sound(corpus)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_query_file_is_read_or_a_typed_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "a.txt").write_bytes(content)
        for read in (read_queries, read_truth):
            reader: Any = read
            with contextlib.suppress(CorpusError):
                reader(temporary)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab \r", max_size=12).map(str.encode), max_size=8), st.integers(1, 8))
def test_lines_and_their_offsets(lines: list[bytes], cap: int) -> None:
    content = b"\n".join(lines)
    with tempfile.TemporaryFile() as handle:
        handle.write(content)
        handle.seek(0)
        found = list(read_lines(handle, cap))
    assert [line.number for line in found] == sorted({line.number for line in found})
    for line in found:
        if line.content is not None:
            assert content[line.offset : line.offset + len(line.content)] == line.content
            assert len(line.content) <= cap
    expected = [number for number, line in enumerate(content.split(b"\n"), start=1) if len(line) > cap + 2]
    assert set(expected) <= {line.number for line in found if line.content is None}
