from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from entity_expand.corpus import Corpus, OwnRow, check_corpus, write_corpus
from entity_expand.corpus.lines import MAX_LINE_BYTES
from entity_expand.errors import CorpusError
from entity_expand.types import Entity

OSLO = OwnRow("Oslo lies in Norway.", (("2", 0, 4), ("10", 13, 19)), "img/a.png")
ENTITIES = (Entity("10", "Norway", ("Norge",), {"kind": "country"}), Entity("2", "Oslo"), Entity("x", "Nobody"))


def picture(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(path)


def own(folder: Path, *rows: OwnRow) -> Path:
    picture(folder / "img" / "a.png")
    write_corpus(folder, ENTITIES, rows)
    return folder


def mesed(folder: Path, *records: Any, names: str = "Oslo\t2\nNorway\t10\nNobody\t7\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "entity2id.txt").write_text(names)
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (folder / "sentences.json").write_text("".join(line + "\n" for line in lines))
    picture(folder / "img" / "a.png")
    return folder


def reasons(corpus: Corpus) -> dict[str, tuple[int, ...]]:
    return {f"{problem.kind}: {problem.reason}": problem.lines for problem in corpus.report.problems}


def test_entities_are_in_order_of_id_whatever_the_files_order(tmp_path: Path) -> None:
    with Corpus.open(own(tmp_path / "c", OSLO)) as corpus:
        assert [entity.id for entity in corpus.entities] == ["2", "10", "x"]
        assert dict(corpus.positions) == {"2": 0, "10": 1, "x": 2}
        assert corpus.entities[1] == ENTITIES[0]
        assert corpus.layout == "own"


def test_one_sample_per_row_and_entity(tmp_path: Path) -> None:
    text = "Oslo, Oslo and Norway"
    row = OwnRow(text, (("2", 6, 10), ("10", 15, 21), ("2", 0, 4)))
    with Corpus.open(own(tmp_path / "c", OSLO, row)) as corpus:
        assert corpus.sample_entity.tolist() == [0, 1, 0, 1]
        assert corpus.sample_entity.dtype == np.int32
        assert corpus.sample(2).mentions == ((0, 4), (6, 10))
        assert corpus.sample(2).line == 2
        assert [corpus.sample(n).image for n in range(4)] == ["img/a.png", "img/a.png", None, None]
        assert corpus.samples_of(0).tolist() == [0, 2]
        assert corpus.samples_of(2).tolist() == []
        assert corpus.image_path(corpus.sample(0)) == corpus.root / "img/a.png"
        assert corpus.image_path(corpus.sample(2)) is None
    with Corpus.open(tmp_path / "c", per_mention=True) as corpus:
        assert corpus.sample_entity.tolist() == [0, 1, 0, 1, 0]
        assert [corpus.sample(n).mentions for n in (2, 3, 4)] == [((6, 10),), ((15, 21),), ((0, 4),)]


def test_picture_without_sentence_and_sentence_without_picture(tmp_path: Path) -> None:
    alone = OwnRow("", (("2", 0, 0), ("10", 0, 0)), "img/a.png")
    with Corpus.open(own(tmp_path / "c", alone, OwnRow("Norway", (("10", 0, 6),))), strict=True) as corpus:
        assert len(corpus) == 2 + 1
        assert (corpus.sample(0).text, corpus.sample(0).mentions) == ("", ())
        assert (corpus.report.samples_without_text, corpus.report.samples_without_picture) == (2, 1)
        assert corpus.report.samples_per_entity == ((0, 0, 1), (1, 1, 1), (2, 3, 1))


def test_picture_without_sentence_in_meseds_layout(tmp_path: Path) -> None:
    record = {"tokens": [], "entityMentions": [{"entityId": 2}], "image": "../data/img/a.png"}
    with Corpus.open(mesed(tmp_path / "c", record), strict=True) as corpus:
        assert corpus.sample(0).image == "img/a.png"
        assert corpus.sample(0).text == ""


def test_meseds_end_is_inclusive(tmp_path: Path) -> None:
    record = {"tokens": ["In", "Oslo", "City", "."], "entityMentions": [{"entityId": 2, "start": 1, "end": 2}]}
    with Corpus.open(mesed(tmp_path / "c", record)) as corpus:
        sample = corpus.sample(0)
        assert sample.text == "In Oslo City ."
        assert [sample.text[start:end] for start, end in sample.mentions] == ["Oslo City"]


def test_a_repeated_id_takes_its_last_name(tmp_path: Path) -> None:
    with Corpus.open(mesed(tmp_path / "c", names="Old\t2\nOslo\t2\nno id\nx\ty\nBig\t07\n")) as corpus:
        assert [(e.id, e.name) for e in corpus.entities] == [("2", "Oslo"), ("7", "Big")]
        assert reasons(corpus) == {
            "entity: its id comes again on a later line": (2,),
            "entity: not of the form name TAB id": (3,),
            "entity: the id is not a whole number": (4,),
        }
        assert len(corpus) == 0
        assert corpus.select(None).tolist() == []


@pytest.mark.parametrize(
    ("mention", "reason"),
    [
        ({"entityId": 999, "start": 0, "end": 0}, "unknown entity id"),
        ({"entityId": True, "start": 0, "end": 0}, "the entity id is neither a text nor a whole number"),
        ({"entityId": 10**30, "start": 0, "end": 0}, "the entity id is neither a text nor a whole number"),
        ({"start": 0, "end": 0}, "the entity id is neither a text nor a whole number"),
        ({"entityId": 2, "start": -1, "end": 0}, "start and end are not in order inside the sentence"),
        ({"entityId": 2, "start": 1, "end": 0}, "start and end are not in order inside the sentence"),
        ({"entityId": 2, "start": 0, "end": 3}, "start and end are not in order inside the sentence"),
        ({"entityId": 2, "start": 0.0, "end": 0}, "start or end is not a whole number"),
        ({"entityId": 2, "start": 2, "end": 2}, "covers no character"),
        ({"entityId": 2, "start": 0, "end": 0}, "repeated mention"),
        ({"entityId": 2, "start": 0, "end": 1}, "overlaps another mention of the same entity"),
        ([2, 0, 0], "not an object"),
    ],
)
def test_a_bad_mention_drops_itself_alone(tmp_path: Path, mention: Any, reason: str) -> None:
    good = {"entityId": 2, "start": 0, "end": 0}
    later = {"entityId": 10, "start": 1, "end": 1}
    record = {"tokens": ["Oslo", "Norway", ""], "entityMentions": [good, mention, later]}
    with Corpus.open(mesed(tmp_path / "c", record)) as corpus:
        assert reasons(corpus) == {f"mention: {reason}": (1,)}
        assert corpus.sample_entity.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": NaN}', "NaN or Infinity is not JSON"),
        ('{"a": 1' + "0" * 5000 + "}", "not valid JSON"),
        ('{"tokens": "Oslo", "entityMentions": []}', "tokens is not a list of texts"),
        ('{"tokens": [1], "entityMentions": []}', "tokens is not a list of texts"),
        ('{"tokens": ["a\\u0000"], "entityMentions": []}', "the text holds a NUL or a lone surrogate"),
        ('{"tokens": ["\\ud800"], "entityMentions": []}', "the text holds a NUL or a lone surrogate"),
        ('{"tokens": ["a"]}', "no mention"),
        ('{"tokens": ["a"], "entityMentions": [3]}', "no usable mention"),
        ('{"entityMentions": [{"entityId": 2}]}', "neither a sentence nor a usable picture"),
        (
            '{"tokens": ["a"], "entityMentions": [{"entityId": 2, "start": 0, "end": 0}], "split": 3}',
            "the split is not a short printable text",
        ),
        ('{"a": "' + "b" * MAX_LINE_BYTES + '"}', "longer than the limit of a line"),
    ],
)
def test_a_bad_row_is_counted_and_the_next_is_read(tmp_path: Path, line: str, reason: str) -> None:
    good = {"tokens": ["Oslo"], "entityMentions": [{"entityId": 2, "start": 0, "end": 0}]}
    folder = mesed(tmp_path / "c", "", line, good)
    with Corpus.open(folder) as corpus:
        assert reasons(corpus)[f"row: {reason}"] == (2,)
        assert (corpus.report.rows, corpus.report.rows_kept) == (2, 1)
        assert corpus.sample(0).line == 3
    with pytest.raises(CorpusError, match="is not clean"):
        Corpus.open(folder, strict=True)


def test_byte_order_mark_line_ends_and_broken_utf8(tmp_path: Path) -> None:
    folder = mesed(tmp_path / "c", names="\ufeffOslo\t2\r\n\r\nNorway\t10\r\n")
    row = b'{"tokens": ["Oslo"], "entityMentions": [{"entityId": 2, "start": 0, "end": 0}]}'
    (folder / "sentences.json").write_bytes(b"\xef\xbb\xbf" + row + b"\r\n\xff\r\n\r\n" + row)
    with Corpus.open(folder) as corpus:
        assert [entity.name for entity in corpus.entities] == ["Oslo", "Norway"]
        assert reasons(corpus) == {"row: not valid UTF-8": (2,)}
        assert [corpus.sample(number).line for number in range(2)] == [1, 4]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/hostname", "the path leaves the corpus folder"),
        ("../../img/a.png", "the path leaves the corpus folder"),
        ("img/../../c/img/a.png", "the path leaves the corpus folder"),
        ("img\\a.png", "the path leaves the corpus folder"),
        ("a\0b", "the path leaves the corpus folder"),
        ("linked.png", "the path leaves the corpus folder"),
        ("linked/b.png", "the path leaves the corpus folder"),
        ("circle/a.png", "no such file"),
        ("img/none.png", "no such file"),
        ("x" * 5000, "no such file"),
        ("img", "not a regular file"),
        ("pipe", "not a regular file"),
        ("empty.png", "an empty file"),
        ("huge.png", "larger than 33,554,432 bytes"),
        (7, "the path is not a text"),
    ],
)
def test_an_unusable_picture_counts_as_missing(tmp_path: Path, path: Any, reason: str) -> None:
    picture(tmp_path / "outside" / "b.png")
    record = {"tokens": ["Oslo"], "entityMentions": [{"entityId": 2, "start": 0, "end": 0}], "image": path}
    folder = mesed(tmp_path / "c", record)
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "linked.png").symlink_to(tmp_path / "outside" / "b.png")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "empty.png").touch()
    os.mkfifo(folder / "pipe")
    with (folder / "huge.png").open("wb") as handle:
        handle.truncate((32 << 20) + 1)
    with Corpus.open(folder) as corpus:
        assert reasons(corpus) == {f"picture: {reason}": (1,)}
        assert corpus.sample(0).image is None


def test_links_inside_the_folder_are_followed(tmp_path: Path) -> None:
    folder = own(tmp_path / "c", OwnRow("Oslo", (("2", 0, 4),), "img/b.png"))
    (folder / "img" / "b.png").symlink_to("a.png")
    with Corpus.open(folder, strict=True) as corpus:
        path = corpus.image_path(corpus.sample(0))
        assert path is not None
        assert path.is_file()
        (folder / "img" / "b.png").unlink()
        (folder / "img" / "b.png").symlink_to("/etc/hostname")
        with pytest.raises(CorpusError, match="through a link"):
            corpus.image_path(corpus.sample(0))


def test_splits(tmp_path: Path) -> None:
    rows = [OwnRow("Oslo", (("2", 0, 4),), split=split) for split in ("train", "dev", "train", "a test")]
    with Corpus.open(own(tmp_path / "c", *rows)) as corpus:
        assert corpus.splits == ("a test", "dev", "train")
        assert corpus.sample_split.tolist() == [2, 1, 2, 0]
        assert corpus.select("train").tolist() == [0, 2]
        assert corpus.select(None).tolist() == [0, 1, 2, 3]
        assert dict(corpus.report.splits) == {"a test": 1, "dev": 1, "train": 2}
        with pytest.raises(CorpusError, match="there are: a test, dev, train"):
            corpus.select("tets")


def test_more_splits_than_fit_are_counted(tmp_path: Path) -> None:
    rows = [OwnRow("Oslo", (("2", 0, 4),), split=f"s{number}") for number in range(130)]
    with Corpus.open(own(tmp_path / "c", *rows)) as corpus:
        assert len(corpus.splits) == 127
        assert reasons(corpus) == {"row: more than 127 splits": (128, 129, 130)}


def test_threads_read_the_same_samples(tmp_path: Path) -> None:
    rows = [OwnRow(f"{'é' * number} Oslo", (("2", number + 1, number + 5),)) for number in range(300)]
    with Corpus.open(own(tmp_path / "c", *rows)) as corpus, ThreadPoolExecutor(8) as pool:
        for number, sample in enumerate(pool.map(corpus.sample, list(range(300)) * 3)):
            assert sample.text == rows[number % 300].text
            assert sample.mentions == ((number % 300 + 1, number % 300 + 5),)


def test_content_hash_follows_content_alone(tmp_path: Path) -> None:
    first = own(tmp_path / "first", OSLO, OwnRow("", (("2", 0, 0),), "img/a.png"))
    with Corpus.open(first) as corpus:
        content = corpus.content_hash
    moved = tmp_path / "elsewhere" / "second"
    shutil.copytree(first, moved)
    (moved / "img").rename(moved / "pictures")
    for name in ("sentences.jsonl", "entities.jsonl"):
        lines = (moved / name).read_text().replace("img/", "pictures/").splitlines()
        lines = lines[::-1] if name == "entities.jsonl" else lines
        (moved / name).write_bytes("\r\n".join(lines).encode())
    with Corpus.open(moved, per_mention=True) as corpus:
        assert corpus.content_hash == content
    picture(moved / "pictures" / "a.png", shade=1)
    with Corpus.open(moved) as corpus:
        assert corpus.content_hash != content


def test_content_hash_is_the_same_in_both_layouts(tmp_path: Path) -> None:
    record = {"tokens": ["In", "Oslo"], "entityMentions": [{"entityId": 2, "start": 1, "end": 1}], "image": "img/a.png"}
    with Corpus.open(mesed(tmp_path / "m", record, names="Oslo\t2\n")) as corpus:
        theirs = corpus.content_hash
    picture(tmp_path / "o" / "p.png")
    write_corpus(tmp_path / "o", [Entity("2", "Oslo")], [OwnRow("In Oslo", (("2", 3, 7),), "p.png")])
    with Corpus.open(tmp_path / "o") as corpus:
        assert corpus.content_hash == theirs


def test_a_file_changed_under_an_open_corpus_is_an_error(tmp_path: Path) -> None:
    folder = own(tmp_path / "c", OSLO)
    with Corpus.open(folder) as corpus:
        content = (folder / "sentences.jsonl").read_bytes()
        (folder / "sentences.jsonl").write_bytes(b" " * len(content))
        with pytest.raises(CorpusError, match="has changed"):
            corpus.sample(0)


def test_wrong_numbers_and_closed_corpora_are_errors(tmp_path: Path) -> None:
    corpus = Corpus.open(own(tmp_path / "c", OSLO))
    with pytest.raises(CorpusError, match="samples 0 to 1"):
        corpus.sample(2)
    with pytest.raises(CorpusError, match="no entity at -1"):
        corpus.samples_of(-1)
    corpus.close()
    corpus.close()
    with pytest.raises(CorpusError, match="closed"):
        corpus.sample(0)


def test_a_forgotten_corpus_closes_its_file(tmp_path: Path) -> None:
    corpus = Corpus.open(own(tmp_path / "c", OSLO))
    descriptor = corpus._descriptor
    os.fstat(descriptor)
    del corpus
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (lambda folder: (folder / "corpus.json").unlink(), "is no corpus"),
        (lambda folder: (folder / "corpus.json").write_text('{"format": "entity-expand corpus", "version": 2}'), "not"),
        (lambda folder: (folder / "corpus.json").write_text("[" * 99_999), "not valid JSON"),
        (lambda folder: (folder / "sentences.jsonl").unlink(), "Cannot read"),
        (lambda folder: (folder / "sentences.jsonl").rename(folder / "img" / "s"), "Cannot read"),
        (
            lambda folder: os.mkfifo((folder / "entities.jsonl").rename(folder / "e").parent / "entities.jsonl"),
            "regular",
        ),
    ],
)
def test_a_folder_that_is_no_corpus_is_a_typed_error(tmp_path: Path, spoil: Any, message: str) -> None:
    folder = own(tmp_path / "c", OSLO)
    spoil(folder)
    with pytest.raises(CorpusError, match=message):
        Corpus.open(folder)


def test_files_of_a_corpus_may_not_be_links_out_of_it(tmp_path: Path) -> None:
    folder = own(tmp_path / "c", OSLO)
    (folder / "sentences.jsonl").rename(tmp_path / "s.jsonl")
    (folder / "sentences.jsonl").symlink_to(tmp_path / "s.jsonl")
    with pytest.raises(CorpusError, match="through a link"):
        Corpus.open(folder)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    folder = mesed(tmp_path / "c", {"tokens": ["Oslo"], "entityMentions": [{"entityId": 2, "start": 0, "end": 0}]})
    (folder / "eid2cls.pkl").write_bytes(b"cos\nsystem\n(S'touch /nowhere'\ntR.")
    check_corpus(folder)
    sources = Path(Corpus.__init__.__code__.co_filename).parent.glob("*.py")
    assert not [path.name for path in sources if "import pickle" in path.read_text()]


def test_check_looks_into_pictures(tmp_path: Path) -> None:
    names = ("a.png", "text.png", "cut.png", "wide.png", "cut.png")
    rows = [OwnRow("Oslo", (("2", 0, 4),), f"img/{name}") for name in names]
    folder = own(tmp_path / "c", *rows, OwnRow("", (("2", 0, 0),), "img/text.png"))
    (folder / "img" / "text.png").write_text("no picture")
    Image.effect_noise((64, 64), 90).save(folder / "img" / "cut.png")
    content = (folder / "img" / "cut.png").read_bytes()
    (folder / "img" / "cut.png").write_bytes(content[: len(content) // 2])
    Image.new("1", (64_001, 1000)).save(folder / "img" / "wide.png")
    with Corpus.open(folder, strict=True) as corpus:
        assert corpus.report.pictures == 4
    report = check_corpus(folder)
    found = {(p.kind, p.reason): p.lines for p in report.problems}
    assert found == {
        ("picture", "broken, or none of JPEG, PNG, WEBP, GIF, BMP"): (2, 6),
        ("picture", "more than 64,000,000 pixels"): (4,),
        ("row", "neither a sentence nor a usable picture"): (6,),
    }
    assert (report.pictures, report.samples, report.samples_without_picture) == (2, 5, 2)
    decoded = check_corpus(folder, decode_pictures=True)
    found = {(p.kind, p.reason): p.lines for p in decoded.problems}
    assert found["picture", "its pixels cannot be decoded"] == (3, 5)
    assert decoded.pictures == 1


def test_picture_limits_are_those_of_the_decoder() -> None:
    from entity_expand.corpus import pictures
    from entity_expand.inputs import image

    assert (pictures.MAX_BYTES, pictures.MAX_PIXELS, pictures.FORMATS) == (
        image.MAX_BYTES,
        image.MAX_PIXELS,
        image.FORMATS,
    )


def test_a_row_too_long_to_read_back_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Row 1 is longer"):
        write_corpus(tmp_path / "c", ENTITIES, [OwnRow("é" * MAX_LINE_BYTES, (("2", 0, 1),))])
    assert not (tmp_path / "c" / "corpus.json").exists()


def test_a_corpus_is_sent_to_another_process_by_its_place(tmp_path: Path) -> None:
    folder = own(tmp_path / "c", OSLO)
    with Corpus.open(folder) as corpus, pickle.loads(pickle.dumps(corpus)) as arrived:
        assert [arrived.sample(number) for number in range(len(arrived))] == [corpus.sample(0), corpus.sample(1)]
        assert (arrived.entities, arrived.splits, arrived.report) == (corpus.entities, corpus.splits, corpus.report)
        assert (arrived.content_hash, arrived.root) == (corpus.content_hash, folder)
        sent = pickle.dumps(corpus)
    with (folder / "sentences.jsonl").open("ab") as handle:
        handle.write(b"\n")
    with pytest.raises(CorpusError, match="bytes on"):
        pickle.loads(sent)
    shutil.rmtree(folder)
    with pytest.raises(CorpusError, match="Cannot read"):
        pickle.loads(sent)
