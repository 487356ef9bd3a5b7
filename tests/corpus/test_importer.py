from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from entity_expand.corpus import Corpus, ImportReport, import_rows
from entity_expand.errors import CorpusError
from entity_expand.types import Sample


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "b c.JPG")
    return tmp_path


def jsonl(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def imported(
    home: Path, *records: Any, entities: list[Any] | None = None, **options: Any
) -> tuple[ImportReport, Corpus, list[tuple[str, Sample]]]:
    listed = None if entities is None else jsonl(home / "entities.jsonl", entities)
    report = import_rows(jsonl(home / "rows.jsonl", list(records)), home / "out", entities=listed, **options)
    corpus = Corpus.open(home / "out", strict=True)
    samples = [corpus.sample(number) for number in range(len(corpus))]
    return report, corpus, [(corpus.entities[sample.entity].id, sample) for sample in samples]


def reasons(report: ImportReport) -> dict[str, tuple[int, ...]]:
    return {f"{problem.kind}: {problem.reason}": problem.lines for problem in report.problems}


def test_names_and_aliases_are_found_when_offsets_are_missing(home: Path) -> None:
    text = "Norway: the Kingdom of Norway, or norge."
    rows = [
        {"text": text, "entity": "Norway", "aliases": ["Norge"]},
        {"text": "Oslo", "entity": "Norway", "aliases": "Kingdom of Norway", "image": "a.png"},
    ]
    report, corpus, samples = imported(home, *rows)
    assert [text[start:end] for start, end in samples[0][1].mentions] == ["Norway", "Kingdom of Norway", "norge"]
    assert corpus.entities[0].aliases == ("Norge", "Kingdom of Norway")
    assert samples[1][1].text == ""
    assert reasons(report) == {"text: its entity is not mentioned in the text": (2,)}


def test_stated_offsets_are_taken_as_they_are(home: Path) -> None:
    text = "He ruled from there: Oslo"
    rows = [
        {"text": text, "entity": "Harald", "start": 0, "end": 2},
        {"text": text, "entity": "Oslo", "mentions": [{"start": 14, "end": 19}, [21, 25]]},
        {"text": text, "entity": "Oslo", "mentions": [], "start": None},
        {"text": text, "entity": "Oslo", "start": 14.0, "end": 19.0},
    ]
    _, _, samples = imported(home, *rows)
    spans = [[text[start:end] for start, end in sample.mentions] for _, sample in samples]
    assert spans == [["He"], ["there", "Oslo"], ["Oslo"], ["there"]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "Oslo", "entity": "Oslo", "start": 0, "end": 5}, "no usable mention"),
        ({"text": "Oslo", "entity": "Oslo", "start": 0}, "no usable mention"),
        (
            {"text": "Oslo", "entity": "Oslo", "mentions": [{"start": 0, "end": 4, "entity": "Rome"}]},
            "no usable mention",
        ),
        ({"text": "Oslo", "entity": "Oslo", "mentions": {"start": 0}}, "no usable mention"),
        ({"text": "Oslo", "entity": "Oslo", "mentions": [[0, 1e300]]}, "no usable mention"),
        ({"text": "Rome", "entity": "Oslo"}, "its entity is not mentioned in the text"),
        ({"text": "Rome"}, "names no entity, and its text mentions none of the list"),
        ({"image": "a.png"}, "names no entity"),
        ({"text": "Oslo", "start": 0, "end": 4}, "names no entity"),
        ({"entity": "Oslo"}, "neither a sentence nor a usable picture"),
        ({"text": 3, "entity": "Oslo"}, "the text is not a text"),
        ({"text": "Oslo\0", "entity": "Oslo"}, "the text holds a NUL or a lone surrogate"),
        ({"text": "Oslo " * 20_001, "entity": "Oslo"}, "the text is longer than 100,000 characters"),
        ({"text": "Oslo", "entity": ["Oslo"]}, "entity is not a printable text of at most 500 characters"),
        ({"text": "Oslo", "entity_id": "99"}, "entity_id has no name in any row or list"),
        ({"text": "Oslo", "entity_id": 1.5}, "entity_id is neither a printable text nor a whole number"),
        ({"text": "Oslo", "entity": "Oslo", "split": ""}, "the split is not a short printable text"),
        ([1], "not a JSON object"),
    ],
)
def test_a_row_that_cannot_be_used_is_counted(home: Path, row: Any, reason: str) -> None:
    good = {"text": "Oslo", "entity": "Oslo"}
    report, _, samples = imported(home, good, row, good)
    assert reasons(report)[f"row: {reason}"] == (2,)
    assert (report.rows, len(samples)) == (3, 2)
    with pytest.raises(CorpusError, match="is not clean"):
        import_rows(home / "rows.jsonl", home / "strict", strict=True)
    assert not (home / "strict").exists()


def test_rows_without_an_entity_are_searched_for_listed_ones(home: Path) -> None:
    entities = [{"id": 5, "name": "Oslo", "attributes": {"kind": "city"}}, {"name": "Rome"}, {"id": 7, "name": "Rome"}]
    entities += [{"id": 8, "name": "Georgia"}, {"id": 9, "name": "Georgia"}]
    rows = [
        {"text": "Oslo is not Rome. Oslo!", "image": "a.png"},
        {"text": "Bergen and Georgia"},
        {"text": "Bergen", "entity": "Bergen"},
        {"text": "Georgia", "entity_id": 8},
        {"text": "Georgia", "entity": "Georgia"},
    ]
    report, corpus, samples = imported(home, *rows, entities=entities)
    assert [(identifier, sample.line, sample.mentions) for identifier, sample in samples] == [
        ("5", 1, ((0, 4), (18, 22))),
        ("7", 1, ((12, 16),)),
        ("Bergen", 2, ((0, 6),)),
        ("8", 3, ((0, 7),)),
    ]
    assert reasons(report) == {
        "row: names no entity, and its text mentions none of the list": (2,),
        "row: the name is that of several entities; give entity_id": (5,),
        "mention: a name of several entities": (2,),
    }
    assert corpus.entities[0].attributes == {"kind": "city"}
    assert [entity.id for entity in corpus.entities] == ["5", "7", "8", "9", "Bergen"]


def test_a_name_resolves_to_an_alias_when_no_entity_has_it_as_name(home: Path) -> None:
    entities = [{"id": "nyc", "name": "New York City", "aliases": ["Big Apple"]}]
    _, _, samples = imported(home, {"text": "The big apple", "entity": "Big Apple"}, entities=entities)
    assert samples[0][0] == "nyc"


def test_the_order_of_rows_does_not_change_who_is_who(home: Path) -> None:
    rows = [
        {"text": "Oslo", "entity": "Oslo", "attributes": {"n": 1, "ok": True, "x": 1.5, "gap": None}},
        {"text": "Oslo", "entity": "Oslo", "entity_id": 5},
        {"text": "Oslo", "entity_id": "5"},
    ]
    _, corpus, samples = imported(home, *rows)
    assert [identifier for identifier, _ in samples] == ["5", "5", "5"]
    assert corpus.entities[0].attributes == {"n": "1", "ok": "true", "x": "1.5"}
    _, _, samples = imported(home, *rows[::-1], overwrite=True)
    assert [identifier for identifier, _ in samples] == ["5", "5", "5"]


def test_bad_aliases_and_attributes_are_left_out(home: Path) -> None:
    row = {"text": "Oslo", "entity": "Oslo", "aliases": ["Kristiania", 3], "attributes": {"a": [], "b": "c"}}
    report, corpus, _ = imported(home, row)
    assert (corpus.entities[0].aliases, corpus.entities[0].attributes) == (("Kristiania",), {"b": "c"})
    assert reasons(report) == {
        "entity: an alias is not a short printable text": (1,),
        "entity: an attribute is not a text, a number or a truth value": (1,),
    }


@pytest.mark.parametrize("link", [False, True])
def test_pictures_get_safe_names(home: Path, link: bool) -> None:
    (home / "broken.png").write_text("no picture")
    paths = ["a.png", "b c.JPG", str(home / "a.png"), "./a.png", "broken.png", "../a.png", "none.png", None]
    rows = [{"text": "Oslo", "entity": "Oslo", "image": path} for path in paths]
    report, corpus, samples = imported(home, *rows, link=link)
    names = [sample.image for _, sample in samples]
    assert names[0] == names[2] == names[3] != names[1]
    assert names[4:] == [None] * 4
    assert sorted(path.suffix for path in (home / "out" / "images").rglob("*.*")) == [".jpg", ".png"]
    stored = corpus.image_path(samples[0][1])
    assert stored is not None
    assert stored.read_bytes() == (home / "a.png").read_bytes()
    assert stored.stat().st_nlink == (2 if link else 1)
    assert reasons(report) == {
        "picture: broken, or none of JPEG, PNG, WEBP, GIF, BMP": (5,),
        "picture: the path leaves the corpus folder": (6,),
        "picture: no such file": (7,),
    }


def test_a_jpeg_with_further_pictures_is_stored_as_a_jpeg(home: Path) -> None:
    Image.new("RGB", (4, 4)).save(home / "phone.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    _, _, samples = imported(home, {"text": "Oslo", "entity": "Oslo", "image": "phone.jpg"})
    assert samples[0][1].image is not None and samples[0][1].image.endswith(".jpg")


def test_parquet_gives_what_json_lines_give(home: Path) -> None:
    rows = [
        {
            "text": "Oslo, Oslo",
            "entity": "Oslo",
            "mentions": [{"start": 0, "end": 4}],
            "image": "a.png",
            "split": "dev",
        },
        {"text": "Rome", "entity": "Rome", "aliases": ["Roma"], "attributes": {"kind": "city"}},
        {"text": None, "entity": "Rome", "image": "a.png"},
    ]
    _, corpus, _ = imported(home, *rows)
    spans = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64())]))
    texts = [(name, pa.string()) for name in ("text", "entity", "image", "split")]
    others = [
        ("mentions", spans),
        ("aliases", pa.list_(pa.string())),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
    columns = pa.schema(texts + others)
    pq.write_table(pa.Table.from_pylist(rows, schema=columns), home / "rows.parquet", row_group_size=2)
    report = import_rows(home / "rows.parquet", home / "from_parquet", strict=True)
    assert report.rows == 3
    with Corpus.open(home / "from_parquet") as other:
        assert other.content_hash == corpus.content_hash
        assert other.entities == corpus.entities


def test_offsets_with_gaps_of_a_data_frame(home: Path) -> None:
    table = {
        "text": ["Oslo", "in Oslo"],
        "entity": ["Oslo"] * 2,
        "start": [0.0, float("nan")],
        "end": [4.0, float("nan")],
    }
    pq.write_table(pa.table(table), home / "rows.parquet")
    import_rows(home / "rows.parquet", home / "out", strict=True)
    with Corpus.open(home / "out") as corpus:
        assert [corpus.sample(number).mentions for number in range(2)] == [((0, 4),), ((3, 7),)]


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"PAR1\0\0\0\0\x08\0\0\0PAR1"])
def test_broken_parquet_is_a_typed_error(home: Path, content: bytes) -> None:
    (home / "rows").write_bytes(content)
    with pytest.raises(CorpusError, match="cannot be read as Parquet"):
        import_rows(home / "rows", home / "out")
    assert not (home / "out").exists()


def test_rows_of_which_none_can_be_used_are_an_error(home: Path) -> None:
    with pytest.raises(CorpusError, match="None of the 1 rows"):
        import_rows(jsonl(home / "rows.jsonl", [{"text": "Oslo"}]), home / "out")
    assert sorted(path.name for path in home.iterdir()) == ["a.png", "b c.JPG", "rows.jsonl"]


def test_what_is_in_the_way_stays(home: Path) -> None:
    rows = jsonl(home / "rows.jsonl", [{"text": "Oslo", "entity": "Oslo"}])
    (home / "other").mkdir()
    (home / "other" / "file").touch()
    (home / "linked").symlink_to(home / "other")
    for name, message in (("other", "no corpus in our layout"), ("linked", "is a link"), ("a.png", "is no corpus")):
        with pytest.raises(CorpusError, match=message):
            import_rows(rows, home / name, overwrite=True)
    import_rows(rows, home / "out")
    with pytest.raises(CorpusError, match="--overwrite"):
        import_rows(rows, home / "out")
    inside = rows.rename(home / "out" / "rows.jsonl")
    with pytest.raises(CorpusError, match="would be replaced"):
        import_rows(inside, home / "out", overwrite=True)
    assert inside.is_file()


def test_importing_twice_gives_the_same_bytes(home: Path) -> None:
    rows = [{"text": f"{name} is a town", "entity": name, "image": "a.png"} for name in ("Rome", "Oslo", "Bern")]
    path = jsonl(home / "rows.jsonl", rows)
    files = []
    for out in (home / "one", home / "two"):
        import_rows(path, out)
        files.append({str(f.relative_to(out)): f.read_bytes() for f in out.rglob("*") if f.is_file()})
    assert files[0] == files[1]
