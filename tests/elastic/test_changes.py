"""Changes of an index in use on a real server: entities that come, change and go, and attributes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

from elastic.worlds import COUNT, TRAINED, World, entities_of
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.cli import group
from entity_expand.corpus import Corpus
from entity_expand.elastic.documents import unpack_rows
from entity_expand.elastic.hybrid import read_index
from entity_expand.elastic.store import TIMEOUT, ElasticReader, ElasticStore
from entity_expand.encoder import FakeEncoder
from entity_expand.errors import (
    BundleError,
    ConfigError,
    IndexMismatchError,
    IndexMissingError,
    ReadOnlyError,
    RejectedError,
    StoreError,
)
from entity_expand.scorer import OnnxScorer, SeedSet
from entity_expand.search.scoring import query_vector
from entity_expand.stores.base import IndexMeta, Rows
from entity_expand.types import Entity
from export.scorer import write_scorer_of
from indexer import ChangeReport, delete_entities, set_attributes, upsert_entities, verify_index
from indexer.prepare import version_name
from servers.elasticsearch_node import ask


@pytest.fixture
def world(tmp_path: Path, elasticsearch_url: str, index_name: str) -> World:
    return World(tmp_path, elasticsearch_url, index_name)


def upsert(world: World, corpus: Path, ids: list[str] | None = None, bundle=None, **changes) -> ChangeReport:
    with Corpus.open(corpus) as opened:
        return upsert_entities(
            bundle or world.bundle, world.encoder, opened, world.address, ids, settings=world.settings(**changes)
        )


def test_only_what_is_new_or_changed_is_encoded_and_written(world: World) -> None:
    world.index()
    before = {each: world.source(each) for each in ("4", "7", "8")}
    mean, world.encoder.seen = world.meta()["mean_feature"], 0
    named = [dataclasses.replace(each, name="Elsewhere") if each.id == "7" else each for each in entities_of()]
    corpus = world.write("later", [*named, Entity("zz", "Place Z"), Entity("aa", "Place A")], {"4": "again"})
    assert upsert(world, corpus, ["8", "nobody"]) == ChangeReport(unchanged=1, missing=("nobody",))
    assert world.meta()["changes"] == 0
    assert upsert(world, corpus) == ChangeReport(written=4, new=2, unchanged=COUNT - 2)
    assert world.encoder.seen == 2 * 4
    assert [world.source(each)["place"] for each in ("4", "7", "aa", "zz")] == [4, 7, COUNT, COUNT + 1]
    meta = world.meta()
    assert (meta["next_place"], meta["changes"], meta["mean_feature"]) == (COUNT + 2, 1, mean)
    assert world.source("4")["text"] == "lies by the sea again 0. lies by the sea again 1."
    assert world.source("4")["rows"] != before["4"]["rows"]
    assert world.source("8") == before["8"]
    assert (before["7"]["trained"], world.source("7")["trained"]) == (True, False)  # of the old name alone
    assert not verify_index(world.address, world.bundle).problems
    assert upsert(world, corpus) == ChangeReport(unchanged=COUNT + 2)


def test_a_text_is_no_list_of_ids(tmp_path: Path) -> None:
    world = World(tmp_path, "http://127.0.0.1:1", "places")  # nothing listens there, and nothing is asked
    with pytest.raises(ConfigError, match="a list of ids, not the text '12'"):
        delete_entities(world.address, "12")
    with pytest.raises(ConfigError, match="a list of ids, not the text '12'"):
        upsert(world, world.write("later", entities_of()), "12")


def test_an_upsert_gives_the_rows_of_a_full_build(world: World) -> None:
    corpus = world.write("later", entities_of(COUNT + 3), {"1": "again"})
    world.index()
    upsert(world, corpus)
    whole = World(world.folder / "whole", world.url, f"{world.name}-whole", world.bundle)
    whole.index(corpus)
    for each in ("1", "2", str(COUNT + 2)):
        upserted, built = world.source(each), whole.source(each)
        assert {**upserted, "revision": 0} == {**built, "revision": 0}  # the mean feature, and so a vector, is another
        assert unpack_rows([upserted["rows"]], 16).head.tolist() == unpack_rows([built["rows"]], 16).head.tolist()


def test_what_a_stopped_upsert_encoded_is_used_again_or_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.index()
    corpus, work = world.write("later", entities_of(COUNT + 40)), world.folder / "work"

    def folders() -> list[Path]:
        return [each for each in work.iterdir() if each.is_dir()]

    def stop(*_) -> None:
        raise KeyboardInterrupt

    for variant, encoded in (("fp32", 80), ("fp32", 0), ("int8", 80)):
        world.encoder.variant, world.encoder.seen = variant, 0
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("indexer.elastic.changes.norms_of", stop)
            upsert(world, corpus)
        assert (world.encoder.seen, len(folders())) == (encoded, 1)
    (work / f"{world.name}-{16 * '0'}").mkdir()
    assert upsert(world, corpus).new == 40
    assert len(folders()) == 1
    assert not world.index().up_to_date
    assert folders() == []


def test_the_command_encodes_as_the_index_was(world: World) -> None:
    world.encoder.variant = "int8"
    world.index()
    other = fake_bundle(world.folder / "other", entities_of(TRAINED), seed=1)
    for bundle, error, message in (
        (world.bundle, BundleError, "has no encoder-int8.onnx"),
        (other, IndexMismatchError, "built with the bundle"),
    ):
        arguments = ["index", "upsert", str(bundle.path), str(world.corpus), "--to", world.address]
        done = CliRunner().invoke(group, arguments)
        assert isinstance(done.exception, error) and message in str(done.exception)
    with Corpus.open(world.corpus) as corpus, pytest.raises(ConfigError, match="yields 7 numbers"):
        upsert_entities(world.bundle, FakeEncoder(7), corpus, world.address, settings=world.settings())


def test_versions_are_named_by_the_variant_unless_it_is_the_usual_one(world: World) -> None:
    world.index()
    meta = IndexMeta(**world.meta()["index"])
    names = [version_name(dataclasses.replace(meta, variant=variant), 1) for variant in ("fp32", "int8", "fp16")]
    earlier = version_name(meta, 1, "int8")  # of the time when an index did not say it
    assert len({*names, earlier}) == 4


def test_norms_are_raised_before_longer_vectors_come(world: World) -> None:
    world.index()
    before = world.meta()["largest_norms"]
    upsert(world, world.write("later", [*entities_of(), *(Entity(f"n{each}", f"New {each}") for each in range(40))]))
    after, hits = world.meta()["largest_norms"], world.ask("POST", "/_search", {"size": 100})["hits"]["hits"]
    rows = unpack_rows([hit["_source"]["rows"] for hit in hits], 16)
    stored = read_index(world.ask("GET", "/_mapping")).frames[None].vectors(rows, ("pair",))["pair"].astype(np.float64)
    assert after["pair"] == pytest.approx(np.linalg.norm(stored, axis=1).max(), rel=1e-5)
    assert after["pair"] >= before["pair"] and after["head"] >= before["head"]


def test_deleting(world: World) -> None:
    world.index()
    assert delete_entities(world.address, ["3", "nobody", "5", "3"], settings=world.settings()) == ChangeReport(
        written=2, missing=("nobody",)
    )
    assert (world.source("3"), world.source("5")) == ({}, {})
    assert world.meta()["changes"] == 1
    assert delete_entities(world.address, ["3"], settings=world.settings()) == ChangeReport(missing=("3",))
    assert world.meta()["changes"] == 1
    assert not verify_index(world.address).problems
    assert upsert(world, world.corpus) == ChangeReport(written=2, new=2, unchanged=COUNT - 2)
    assert (world.source("3")["place"], world.source("5")["place"]) == (COUNT, COUNT + 1)


class Timed(ElasticStore):
    """Notes how long its runs may take."""

    limits: ClassVar[list[float | None]] = []

    def begin(self, timeout: float | None = None) -> ElasticReader:
        self.limits.append(timeout)
        return super().begin(timeout)


def test_a_scorer_holds_what_came_and_nothing_that_went(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.index()
    upsert(world, world.write("later", [*entities_of(), Entity("zz", "Place Z"), Entity("aa", "Place A")]))
    delete_entities(world.address, ["3", "29", "zz"], settings=world.settings())
    monkeypatch.setattr("export.scorer._STEP", 16)
    store = Timed.open(world.address)
    assert write_scorer_of(store, world.folder / "scorer") == COUNT - 1
    assert len(Timed.limits) == 1 + 2 and all(limit and limit > TIMEOUT for limit in Timed.limits)
    found = OnnxScorer(world.folder / "scorer")
    ids = [each.id for each in entities_of() if each.id not in ("3", "29")] + ["aa"]
    assert found.roster.ids == tuple(ids)
    best = found.best([SeedSet(["2", "aa"])], COUNT)[0]
    rows = store.begin().answer([Rows(np.array([*range(3), *range(4, COUNT - 1), COUNT]))])[0]
    scores = rows.head.astype(np.float64) @ query_vector(rows.take(np.array([2, COUNT - 2])))
    np.testing.assert_allclose(best.scores, scores[best.positions], rtol=1e-5, atol=1e-5)
    delete_entities(world.address, ids, settings=world.settings())
    with pytest.raises(StoreError, match="holds none"):
        write_scorer_of(store, world.folder / "scorer")
    store.close()


def test_attributes(world: World) -> None:
    world.index()
    before = world.source("6")
    wanted = {"6": {"kind": "lake", "size": "10"}, "8": {"kind": "sea"}, "nobody": {}}
    assert set_attributes(world.address, wanted, settings=world.settings()) == ChangeReport(
        written=1, unchanged=1, missing=("nobody",)
    )
    after = world.source("6")
    assert after["attributes"] == {"kind": "lake", "size": "10"}
    assert after["revision"] != before["revision"]
    assert {**after, "attributes": 0, "revision": 0} == {**before, "attributes": 0, "revision": 0}
    assert not verify_index(world.address, world.bundle).problems  # vectors too
    assert upsert(world, world.corpus) == ChangeReport(unchanged=COUNT)  # what was set by hand stays
    assert world.source("6")["attributes"]["kind"] == "lake"
    with pytest.raises(ConfigError, match="expected texts"):
        set_attributes(world.address, {"6": {"size": 10}}, settings=world.settings())
    with pytest.raises(RejectedError, match="refused 1 entities, such as 6"):
        set_attributes(world.address, {"6": {"a\0": "b"}}, settings=world.settings())


def test_changes_that_change_nothing_leave_the_index_up_to_date(world: World) -> None:
    version = world.index().load.version
    there = {each.id: each.attributes for each in entities_of(3)}
    assert set_attributes(world.address, there, settings=world.settings()) == ChangeReport(unchanged=3)
    assert upsert(world, world.corpus) == ChangeReport(unchanged=COUNT)
    ask("PUT", f"{world.url}/{version}/_settings", {"index.blocks.write": True})
    with pytest.raises(ReadOnlyError):
        set_attributes(world.address, {"6": {}}, settings=world.settings())
    with pytest.raises(ReadOnlyError):
        delete_entities(world.address, ["6"], settings=world.settings())
    with pytest.raises(ReadOnlyError):
        upsert(world, world.write("later", entities_of(COUNT + 1)))
    ask("PUT", f"{world.url}/{version}/_settings", {"index.blocks.write": None})
    assert (world.meta()["changes"], world.meta()["changing"]) == (0, False)
    assert world.index().up_to_date


def test_a_change_is_announced_before_the_first_entity_changes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from indexer.elastic.bulk import Bulk

    world.index()
    write, changes = Bulk.write, list[int]()

    def noted(self, items):
        changes.append(world.meta()["changes"])
        return write(self, items)

    monkeypatch.setattr(Bulk, "write", noted)
    set_attributes(world.address, {"6": {}}, settings=world.settings())
    delete_entities(world.address, ["6"], settings=world.settings())
    upsert(world, world.corpus)
    assert changes == [0, 1, 1, 2, 2, 3]  # what changes nothing, then the change


def test_an_empty_id_is_missing(world: World) -> None:
    world.index()
    assert set_attributes(world.address, {"": {"a": "v"}, "6": {}}, settings=world.settings()) == ChangeReport(
        written=1, missing=("",)
    )
    assert delete_entities(world.address, ["3", ""], settings=world.settings()) == ChangeReport(
        written=1, missing=("",)
    )
    assert upsert(world, world.corpus, ["3", ""]) == ChangeReport(written=1, new=1, missing=("",))


def test_what_got_lost_after_a_change_is_found(world: World) -> None:
    version = world.index().load.version
    delete_entities(world.address, ["3"], settings=world.settings())
    upsert(world, world.write("later", [*entities_of(), Entity("zz", "Place Z")]), ["zz", "4"])
    assert (world.meta()["entities"], world.meta()["changing"]) == (COUNT, False)
    assert not verify_index(world.address).problems
    ask("DELETE", f"{world.url}/{version}/_doc/5")
    ask("PUT", f"{world.url}/{version}/_doc/somebody-elses?refresh=true", {})
    audit = verify_index(world.address)
    assert audit.documents == COUNT - 1
    assert f"{COUNT} entities were there after the last change, {COUNT - 1} are there" in audit.problems
    del (mapping := world.ask("GET", "/_mapping")[version]["mappings"]["_meta"])["entity_expand"]["entities"]
    ask("PUT", f"{world.url}/{version}/_mapping", {"_meta": mapping})  # as earlier releases wrote it
    assert len(verify_index(world.address).problems) == 1


def test_a_change_that_was_stopped_is_told_until_it_is_run_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_) -> None:
        raise KeyboardInterrupt

    world.index()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("indexer.elastic.changes._raise_if_rejected", stop)
        delete_entities(world.address, ["3", "4"], settings=world.settings())
    world.ask("POST", "/_refresh")
    assert verify_index(world.address).problems == ("a change is under way or was stopped; run the change again",)
    assert delete_entities(world.address, ["3", "4"], settings=world.settings()) == ChangeReport(missing=("3", "4"))
    assert not verify_index(world.address).problems
    assert (world.meta()["changes"], world.meta()["entities"]) == (1, COUNT - 2)
    with pytest.raises(RejectedError):
        set_attributes(world.address, {"6": {"a\0": "b"}}, settings=world.settings())
    assert not verify_index(world.address).problems


def test_attributes_that_others_change_meanwhile_are_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from indexer.elastic import attributes

    version = world.index().load.version
    made, interfered = attributes.to_item, []

    def meanwhile(document, packed, seen):
        if not interfered:
            interfered.append(True)
            world.ask("POST", "/_update/6", {"doc": {"samples": 77}})
        return made(document, packed, seen)

    monkeypatch.setattr(attributes, "to_item", meanwhile)
    assert set_attributes(world.address, {"6": {"kind": "lake"}}, settings=world.settings()).written == 1
    assert (world.source("6")["samples"], world.source("6")["attributes"]) == (77, {"kind": "lake"})
    assert world.behind() == [version]


def test_after_changes_the_same_content_is_built_anew(world: World) -> None:
    first = world.index().load.version
    digest = world.digest()
    delete_entities(world.address, ["3"], settings=world.settings())
    report = world.index()
    assert report.load is not None and not report.up_to_date
    assert report.load.version == f"{first}-2"
    assert world.behind() == [f"{first}-2"]
    assert world.digest() == digest
    assert world.index().up_to_date


def test_changes_that_do_not_fit_are_refused(world: World) -> None:
    with pytest.raises(IndexMissingError, match="There is no index"):
        upsert(world, world.corpus)
    with pytest.raises(IndexMissingError):
        delete_entities(world.address, ["1"], settings=world.settings())
    version = world.index().load.version
    other = fake_bundle(world.folder / "other", entities_of(TRAINED), seed=1)
    with pytest.raises(IndexMismatchError, match=f"{world.bundle.fingerprint}, this one is {other.fingerprint}"):
        upsert(world, world.corpus, bundle=other)
    assert world.meta()["changes"] == 0
    world.ask("PUT", f"-{'0' * 16}")
    world.ask("PUT", f"-{'0' * 16}/_alias/{world.name}")
    with pytest.raises(IndexMismatchError, match=f"several indices, .*{version}"):
        delete_entities(world.address, ["1"], settings=world.settings())


def test_entities_that_the_server_refuses_are_listed(world: World) -> None:
    world.index()
    corpus = world.write("poison", [*entities_of(), Entity("q", "Fine"), Entity("x" * 600, "Long")])
    with pytest.raises(RejectedError, match=r"refused 1 of 2 entities; .*rejected.jsonl"):
        upsert(world, corpus)
    assert world.source("q")["place"] == COUNT
    report = upsert(world, corpus, allow_rejected=True)
    assert report == ChangeReport(written=0, new=0, unchanged=COUNT + 1)
    assert not verify_index(world.address).problems
