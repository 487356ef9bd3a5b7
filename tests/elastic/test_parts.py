"""The parts of an index on a real server: built, resumed, changed, checked, and read with what others write there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from elastic.worlds import World, entities_of
from entity_expand import Expander, ExpandSettings, IndexMismatchError, QueryError, RejectedError
from entity_expand.cli import group
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.demo import bundle_path, write_demo_corpus
from entity_expand.elastic.bodies import VectorOptions
from entity_expand.elastic.documents import rows_in
from entity_expand.elastic.hybrid import read_index
from entity_expand.elastic.store import ElasticStore
from entity_expand.stores.base import Rows
from entity_expand.stores.memory import MemoryStore
from entity_expand.types import Entity
from indexer import (
    ChangeReport,
    IndexSettings,
    delete_entities,
    set_attributes,
    upsert_entities,
    verify_index,
)
from servers.elasticsearch_node import ask

COUNT, DIMENSION = 18, 16
BLIND, TEXTLESS = ("4", "9"), ("7",)
APART, LATE = IndexSettings(modalities=True), IndexSettings(modalities=True, late_fusion=0.3)
PARTS = ("text", "picture")
SEEDS = ["0", "2"]


def write(
    folder: Path,
    entities: list[Entity],
    blind: Collection[str] = BLIND,
    textless: Collection[str] = TEXTLESS,
    salted: Collection[str] = (),
) -> Path:
    """Write a corpus of which each entity has one sentence and a picture of its own, if it has both."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, entity in enumerate(entities):
        shade = (number * 9, 255 - number * 9, 99 if entity.id in salted else 0)
        Image.new("RGB", (8, 8), shade).save(folder / "images" / f"{number}.png")
        text = "" if entity.id in textless else f"{entity.name} lies by the sea word{number % 5} {number}."
        image = None if entity.id in blind else f"images/{number}.png"
        rows.append(OwnRow(text, ((entity.id, 0, len(entity.name) if text else 0),), image, "train"))
    write_corpus(folder, entities, rows)
    return folder


@pytest.fixture
def world(tmp_path: Path, elasticsearch_url: str, index_name: str) -> World:
    made = World(tmp_path, elasticsearch_url, index_name)
    shutil.rmtree(made.corpus)
    made.corpus = write(tmp_path / "corpus", entities_of(COUNT))
    return made


def embedded(world: World, corpus: Path, settings: IndexSettings = APART) -> Path:
    world.index(corpus, str(world.folder / f"embedded-{corpus.name}"), settings)
    return world.folder / f"embedded-{corpus.name}"


def upsert(world: World, corpus: Path) -> ChangeReport:
    with Corpus.open(corpus) as opened:
        return upsert_entities(world.bundle, world.encoder, opened, world.address, settings=world.settings())


def same_lists(one: Path | str, other: Path | str) -> None:
    """See that two indices give the same lists by each modality."""
    with Expander.open(one) as first, Expander.open(other) as second:
        for modality in (*PARTS, None):
            wanted, found = (each.expand(SEEDS, 40, modality=modality) for each in (second, first))
            assert found.ids == wanted.ids and found.exact and len(found.ids) > 10
            assert [r.score for r in found.results] == pytest.approx([r.score for r in wanted.results], rel=1e-4)


@pytest.mark.parametrize("settings", [APART, LATE], ids=["apart", "late"])
def test_a_served_index_holds_the_parts_of_an_embedded_one(world: World, settings: IndexSettings) -> None:
    plain = world.index(chosen=IndexSettings(late_fusion=settings.late_fusion))
    world.encoder.seen = 0
    report = world.index(chosen=settings)
    shown = {"text": COUNT - len(TEXTLESS), "picture": COUNT - len(BLIND)}
    together = 0 if settings.late_fusion else COUNT  # late fusion has encoded the parts already
    assert world.encoder.seen == together + sum(shown.values())
    assert report.load is not None and plain.load is not None and report.load.version != plain.load.version
    assert (report.load.sent, report.load.recall) == (COUNT, 1.0)
    assert not verify_index(world.address, world.bundle).problems
    store = MemoryStore.open(embedded(world, world.corpus, settings))
    hits = world.ask("POST", "/_search", {"size": COUNT, "sort": ["place"]})["hits"]["hits"]
    (parts, own), facts = (world.meta()["parts"], world.meta()), store.facts
    assert set(parts) == set(PARTS) and own["largest_norms"] == facts.largest_norms
    for part in PARTS:
        assert parts[part]["largest_norms"] == facts.parts[part].largest_norms
        assert [hit["_id"] for hit in hits if f"{part}_rows" not in hit["_source"]] == sorted(
            {"text": TEXTLESS, "picture": BLIND}[part], key=int
        )
        (wanted,) = store.answer([Rows(np.arange(COUNT), part)])
        rows = rows_in([hit["_source"] for hit in hits], DIMENSION, part)
        for name in ("head", "scaled", "deviation", "log_offset"):
            np.testing.assert_array_equal(getattr(rows, name), getattr(wanted, name))
    store.close()
    assert world.index(chosen=settings).up_to_date


def test_documents_that_went_missing_are_sent_again_with_their_parts(world: World) -> None:
    version = world.index(chosen=APART).load.version
    digest = world.digest()
    without = {name: value for name, value in world.source("3").items() if name != "picture_rows"}
    ask("PUT", f"{world.url}/{version}/_doc/3?refresh=true", {**without, "revision": 5})
    ask("DELETE", f"{world.url}/{version}/_doc/4?refresh=true")
    assert world.digest() != digest
    report = world.index(chosen=APART)
    assert (report.load.sent, report.load.version) == (2, version)
    assert world.digest() == digest


def test_what_was_encoded_of_parts_is_used_again(world: World) -> None:
    corpus = write(world.folder / "poison", [*entities_of(COUNT), Entity("x" * 600, "Long")])
    with pytest.raises(RejectedError, match="refused 1 of 19 entities"):
        world.index(corpus, chosen=APART)
    assert world.encoder.seen == 3 * 19 - len(BLIND) - len(TEXTLESS)
    world.encoder.seen = 0
    report = world.index(corpus, chosen=APART, allow_rejected=True)
    assert report.load is not None and (report.load.rejected, world.encoder.seen) == (1, 0)
    assert not verify_index(world.address, world.bundle).problems


def test_what_changes_in_the_corpus_changes_in_the_parts(world: World) -> None:
    world.index(chosen=APART)
    before, mean = {each: world.source(each) for each in ("3", "5")}, world.meta()["parts"]["text"]["mean_feature"]
    # 4 gets a picture and 3 loses its own, 7 gets a text, 5 another picture; two are new, one of them blind.
    new = [*entities_of(COUNT), Entity("x", "Place X"), Entity("y", "Place Y")]
    later = write(world.folder / "later", new, blind=("9", "3", "y"), textless=(), salted=("5",))
    with Expander(ElasticStore.open(world.address, recheck=0.0)) as opened:
        old = opened.expand(SEEDS, 40, modality="picture")
        assert "4" not in old.ids and "3" in old.ids
        assert upsert(world, later) == ChangeReport(written=6, new=2, unchanged=COUNT - 4)
        found = opened.expand(SEEDS, 40, modality="picture")
        assert {"4", "x"} < set(found.ids) and not {"3", "9", "y"} & set(found.ids)
        with pytest.raises(QueryError, match="Place 3 have no picture"):
            opened.expand(["3"], modality="picture")
    assert not verify_index(world.address, world.bundle).problems
    assert "picture_rows" not in world.source("3") and world.source("3")["text_rows"] == before["3"]["text_rows"]
    assert world.source("5")["text_rows"] == before["5"]["text_rows"]
    assert world.source("5")["picture_rows"] != before["5"]["picture_rows"]
    assert world.meta()["parts"]["text"]["mean_feature"] == mean
    same_lists(world.address, embedded(world, later))
    assert upsert(world, later) == ChangeReport(unchanged=COUNT + 2)


def test_attributes_and_deletions_leave_the_parts_alone(world: World) -> None:
    world.index(chosen=LATE)
    before = {each: world.source(each) for each in ("5", "9")}
    assert set_attributes(world.address, {each: {"kind": "lake"} for each in before}, settings=world.settings()).written
    for each, old in before.items():
        new = world.source(each)
        assert {**new, "attributes": 0, "revision": 0} == {**old, "attributes": 0, "revision": 0}
    assert delete_entities(world.address, ["6"], settings=world.settings()).written == 1
    assert not verify_index(world.address, world.bundle).problems
    with Expander.open(world.address) as expander:
        assert "6" not in expander.expand(SEEDS, 40, modality="picture").ids


def test_norms_of_parts_are_raised_before_longer_vectors_come(world: World) -> None:
    world.index(write(world.folder / "few", [Entity(f"n{each}", f"New {each}") for each in range(10)]), chosen=APART)
    before = world.meta()["parts"]
    upsert(world, world.corpus)  # these are trained, and have longer rows than predicted ones
    after, hits = world.meta()["parts"], world.ask("POST", "/_search", {"size": 100})["hits"]["hits"]
    frames = read_index(world.ask("GET", "/_mapping")).frames
    for part in PARTS:
        rows = rows_in([hit["_source"] for hit in hits], DIMENSION, part)
        stored = frames[part].vectors(rows.take(rows.deviation > 0), ("pair",))["pair"].astype(np.float64)
        norm = after[part]["largest_norms"]["pair"]
        assert norm == pytest.approx(np.linalg.norm(stored, axis=1).max(), rel=1e-5)
        assert norm > before[part]["largest_norms"]["pair"]
    assert not verify_index(world.address).problems


def test_what_is_wrong_with_parts_is_found(world: World) -> None:
    version = world.index(chosen=APART).load.version
    url = f"{world.url}/{version}"
    kept, sources = world.meta(), {each: world.source(each) for each in ("1", "2", "3", "5")}
    ask("PUT", f"{url}/_doc/1", {**sources["1"], "picture_rows": sources["2"]["picture_rows"]})
    ask("PUT", f"{url}/_doc/5?refresh=true", {**sources["5"], "text_rows": "AAAA"})
    text = "\n".join(verify_index(world.address, world.bundle).problems)
    for part in (
        "1 are not what their revision says",
        "1 have another head row than the bundle",
        "5 have rows that cannot be read",
        f"it has {COUNT - 2 - len(BLIND)} vectors 'picture_head', expected {COUNT - len(BLIND)}",
        "searches by picture found",
    ):
        assert part in text
    with Expander.open(world.address) as expander, pytest.raises(Exception, match=r"'5' .* is none of an entity"):
        expander.expand(["5"], modality="text")
    kept["parts"]["text"]["largest_norms"]["head"] /= 2
    ask("PUT", f"{url}/_mapping", {"_meta": {"entity_expand": kept}})
    assert "have longer vectors 'text_head' than readers are told" in "\n".join(verify_index(world.address).problems)


def test_an_index_whose_parts_are_not_as_it_says_is_refused(world: World) -> None:
    version = world.index(chosen=APART).load.version
    ((_, found),) = world.ask("GET", "/_mapping").items()
    mappings, good = found["mappings"], found["mappings"]["_meta"]["entity_expand"]["parts"]
    wrong: list[tuple[object, str]] = [
        ({"audio": good["text"]}, "unknown parts"),
        (["text"], "cannot be read"),
        (None, "cannot be read"),
        ({"text": None}, "cannot be read"),
        ({"text": {**good["text"], "mean_feature": "AAAA"}}, "cannot be read"),
        ({"text": {**good["text"], "mean_feature": good["text"]["pair_mean"]}}, "means have"),
        ({"text": {**good["text"], "pair_scale": 0.0}}, "means have"),
        ({"text": {**good["text"], "largest_norms": {"head": 1.0}}}, "cannot be read"),
    ]
    for parts, said in wrong:
        meta = {**mappings["_meta"]["entity_expand"], "parts": parts}
        ask("PUT", f"{world.url}/{version}/_mapping", {"_meta": {"entity_expand": meta}})
        with pytest.raises(IndexMismatchError, match=said):
            Expander.open(world.address)
    for part in PARTS:
        del mappings["properties"][f"{part}_pair"]
    other = f"{world.url}/{world.name}-other"
    ask("PUT", other, {"mappings": mappings})
    with pytest.raises(IndexMismatchError, match="text_pair is missing, picture_pair is missing"):
        Expander.open(other)


def test_parts_are_searched_as_the_index_is(world: World) -> None:
    options = VectorOptions("int8_hnsw", rescore=3.0, fields=("head",))
    report = world.index(chosen=APART, vectors=options)
    assert report.load is not None and report.load.recall >= 0.8
    fields = world.ask("GET", "/_mapping")[report.load.version]["mappings"]["properties"]
    assert {name for name in fields if name.startswith("text_")} == {"text_rows", "text_head"}
    assert fields["picture_head"] == fields["head"]
    with Expander.open(world.address) as expander:
        found = expander.expand(SEEDS, 5, modality="picture")
        assert len(found.ids) == 5 and not found.exact
        with pytest.raises(QueryError, match="holds the vectors head"):
            expander.expand(SEEDS, modality="picture", settings=ExpandSettings(both_directions=1.0))


def test_the_demo_by_the_commands(tmp_path: Path, elasticsearch_url: str, index_name: str) -> None:
    def run(*arguments: object) -> str:
        result = CliRunner().invoke(group, [str(each) for each in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    write_demo_corpus(tmp_path / "corpus")
    address, work = f"{elasticsearch_url}/{index_name}", ("--work", tmp_path / "work")
    build = (
        "index",
        "build",
        bundle_path(),
        tmp_path / "corpus",
        "--late-fusion",
        0.2,
        "--modalities",
        "--split",
        "test",
    )
    run(*build, "--to", address, *work)
    run(*build, "--to", tmp_path / "index")
    for modality in PARTS:
        asked = ("Ghana", "Mali", "Senegal", "--modality", modality, "--json")
        served, folded = (json.loads(run("expand", where, *asked)) for where in (address, tmp_path / "index"))
        assert [each["id"] for each in served["results"]] == [each["id"] for each in folded["results"]]
        assert served["query"]["modality"] == modality and len(served["results"]) > 5
    assert "Wrote 0 entities" in run("index", "upsert", bundle_path(), tmp_path / "corpus", "--to", address, *work)
    assert "100.0%" in run("index", "verify", address)
