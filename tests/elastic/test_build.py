"""Indexing into a real server: what is there afterwards, and what happens at kills, faults, refusals and conflicts."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from elastic.worlds import COUNT, TRAINED, World, entities_of, letters
from entity_expand.corpus import Corpus
from entity_expand.elastic.bodies import VectorOptions, decode_floats
from entity_expand.elastic.documents import record_of, unpack_rows
from entity_expand.elastic.hybrid import read_index
from entity_expand.encoder import FakeEncoder
from entity_expand.errors import ConfigError, IndexMismatchError, RejectedError, ServerError, StoreBusyError, StoreError
from entity_expand.stores.memory import MemoryStore
from entity_expand.types import Entity
from indexer import ElasticSettings, IndexSettings, contents_digest, verify_index
from indexer.elastic.options import MOST_SCANNED, choose_options
from servers.elasticsearch_node import Node, ask
from servers.faults import Faults
from servers.proxy import Proxy


@pytest.fixture
def world(tmp_path: Path, elasticsearch_url: str, index_name: str) -> World:
    return World(tmp_path, elasticsearch_url, index_name)


def test_an_index_holds_what_an_embedded_one_holds(world: World) -> None:
    report = world.index()
    assert (report.entities, report.trained, report.samples, report.up_to_date) == (COUNT, TRAINED, 2 * COUNT, False)
    assert report.load is not None and report.load.sent == COUNT
    assert (report.load.recall, report.load.checked, report.load.rejected) == (1.0, COUNT, 0)
    assert world.behind() == [report.load.version]
    assert world.encoder.seen == 2 * COUNT
    world.index(address=str(world.folder / "embedded"))
    store = MemoryStore.open(world.folder / "embedded")
    hits = world.ask("POST", "/_search", {"size": COUNT, "sort": ["place"]})["hits"]["hits"]
    sources = [hit["_source"] for hit in hits]
    assert [source["place"] for source in sources] == list(range(COUNT))
    assert [record_of(source) for source in sources] == store.records(range(COUNT))
    rows, wanted = unpack_rows([source["rows"] for source in sources], 16), store.rows(np.arange(COUNT))
    for name in ("head", "scaled", "deviation", "log_offset"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(wanted, name))
    assert sources[3]["text"] == "lies by the hill 0. lies by the hill 1."
    meta = world.meta()
    assert (meta["state"], meta["next_place"], meta["changes"], meta["packed"]) == ("verified", COUNT, 0, True)
    assert meta["index"]["bundle"] == world.bundle.fingerprint
    facts = store.facts
    np.testing.assert_array_equal(decode_floats(meta["mean_feature"]), facts.mean_feature)
    assert meta["largest_norms"] == facts.largest_norms
    settings = world.ask("GET", "/_settings")[report.load.version]["settings"]["index"]
    assert "refresh_interval" not in settings
    assert settings["number_of_replicas"] == "0"
    assert world.ask("GET", "/_segments")["indices"][report.load.version]["shards"]["0"][0]["num_search_segments"] == 1
    assert not list((world.folder / "work").glob("*/*"))
    store.close()


def test_the_same_again_changes_nothing(world: World) -> None:
    first = world.index()
    digest, seen = world.digest(), world.encoder.seen
    again = world.index()
    assert again.up_to_date and again.load is not None and first.load is not None
    assert again.load.version == first.load.version
    assert (world.digest(), world.encoder.seen) == (digest, seen)
    other = world.index(chosen=IndexSettings(evidence=1))
    assert other.load is not None and other.load.version != first.load.version
    assert world.behind() == [other.load.version]
    world.encoder.variant = "int8"
    assert not world.index(chosen=IndexSettings(evidence=1)).up_to_date
    assert len(world.ask("GET", "-*/_settings")) == 3


def test_documents_that_went_missing_are_sent_again(world: World) -> None:
    version = world.index().load.version
    digest = world.digest()
    ask("DELETE", f"{world.url}/{version}/_doc/7?refresh=true")
    ask("PUT", f"{world.url}/{version}/_doc/8?refresh=true", {**world.source("8"), "revision": 5})
    assert world.digest() != digest
    report = world.index()
    assert (report.load.sent, report.load.version, report.up_to_date) == (2, version, False)
    assert world.digest() == digest


@pytest.mark.parametrize("packed", [True, False])
def test_vectors_arrive_in_either_form(world: World, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not packed:
        from indexer.elastic import documents

        def old_server(vector):
            return "no base64"

        monkeypatch.setattr(documents, "vector_text", old_server)
    world.index()
    assert world.meta()["packed"] is packed
    rows = unpack_rows([world.source("5")["rows"]], 16)
    body = {"query": {"ids": {"values": ["5"]}}, "fields": ["head", "pair"], "_source": False}
    (hit,) = world.ask("POST", "/_search", body)["hits"]["hits"]
    np.testing.assert_array_equal(np.float32(hit["fields"]["head"][:17]), rows.head[0])
    frame = read_index(world.ask("GET", "/_mapping")).frames[None]
    np.testing.assert_array_equal(np.float32(hit["fields"]["pair"]), frame.vectors(rows, ("pair",))["pair"][0])


@pytest.mark.parametrize(
    "options",
    [
        VectorOptions("hnsw"),
        VectorOptions("int8_hnsw", rescore=3.0, fields=("head",)),
        VectorOptions("flat", "bfloat16", fields=("head", "pair")),
    ],
)
def test_other_vectors(world: World, options: VectorOptions) -> None:
    report = world.index(vectors=options)
    assert report.load is not None and report.load.vectors == options
    assert report.load.recall >= 0.8
    fields = world.ask("GET", "/_mapping")[report.load.version]["mappings"]["properties"]
    assert fields["head"]["index_options"]["type"] == options.method
    assert {"head", "pair", "feature"} & set(fields) == set(options.fields)


def test_what_the_server_says_of_a_mapping_is_passed_on(world: World) -> None:
    with pytest.raises(ServerError, match=r"does not take the index .*shards"):
        world.index(shards=5_000)
    assert world.behind() == []


def test_options_are_chosen_by_size() -> None:
    assert choose_options(MOST_SCANNED)[0] == VectorOptions("flat")
    assert choose_options(MOST_SCANNED + 1)[0] == VectorOptions("hnsw")
    assert "20,001" in choose_options(MOST_SCANNED + 1)[1]


CHILD = """
import sys, time
from pathlib import Path
from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.elastic.connection import Connection
from entity_expand.encoder import FakeEncoder
from indexer import ElasticSettings, index_corpus

class Slow(Connection):
    def send(self, call, deadline):
        print(call, flush=True)
        time.sleep(0.02)
        return super().send(call, deadline)

import indexer.elastic.session
indexer.elastic.session.Connection = Slow
bundle = Bundle.open(sys.argv[1])
settings = ElasticSettings(work=Path(sys.argv[4]), chunk_bytes=4000, lease_seconds=600, patience=20)
with Corpus.open(sys.argv[2]) as corpus:
    index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, sys.argv[3], elastic=settings)
print("done", flush=True)
"""


def kill_after(world: World, corpus: Path, words: str, count: int, delay: float) -> None:
    """Run a child and kill it soon after it says for the `count`th time that it is about to send such a call."""
    arguments = [str(world.bundle.path), str(corpus), world.address, str(world.folder / "work")]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        count -= re.search(words, line) is not None
        if not count:
            break
    assert line != "done\n"
    time.sleep(delay)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


def test_killed_at_any_moment_it_goes_on(world: World) -> None:
    changed = world.write("changed", entities_of(), {"4": "again"})
    old = world.index(chosen=IndexSettings(evidence=2)).load.version
    source = random.Random(5)
    partial = []
    for words, count in (("PUT /test-", 1), ("_bulk", 3), ("_bulk", 5), ("_forcemerge", 1), ("_aliases", 1)):
        kill_after(world, changed, words, count, source.random() * 0.04)
        assert old in world.behind() or words == "_aliases"
        for version in set(world.ask("GET", "-*/_settings")) - {old}:
            ask("POST", f"{world.url}/{version}/_refresh")
            partial.append(ask("GET", f"{world.url}/{version}/_count")[1]["count"])
    assert partial == sorted(partial) and partial[-1] == COUNT
    assert any(0 < count < COUNT for count in partial)
    world.encoder.seen = 0
    report = world.index(changed)
    assert report.load is not None
    assert (report.load.sent, world.encoder.seen) == (0, 0)
    assert world.behind() == [report.load.version]
    fresh = World(world.folder / "fresh", world.url, f"{world.name}-fresh", world.bundle)
    fresh.index(changed)
    assert world.digest() == fresh.digest()


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back_changes_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    node.start()
    try:
        world = World(tmp_path / "world", node.url, "killed")
        corpus = world.write("large", entities_of(400))
        ended = time.monotonic() + 60
        with Proxy(node.url, faults=Faults(1, delay=1.0, seconds=0.05, paths="_bulk")) as proxy:

            def kill() -> None:
                while proxy.counts["delayed"] < 8 and time.monotonic() < ended:
                    time.sleep(0.02)
                node.kill()
                node.start()

            killer = threading.Thread(target=kill)
            killer.start()
            report = world.index(corpus, address=f"{proxy.url}/killed", chunk_bytes=20_000, patience=120.0)
            killer.join()
            assert proxy.counts["gone"] > 0
        assert report.load is not None
        assert (report.load.sent, report.load.rejected) == (400, 0)
        whole = World(tmp_path / "whole", node.url, "whole", world.bundle)
        whole.index(corpus)
        assert world.digest() == whole.digest()
        assert not verify_index(world.address).problems
    finally:
        node.stop()


@pytest.mark.slow
def test_a_server_that_has_no_room_to_merge_is_told_of(tmp_path: Path) -> None:
    with Node(tmp_path / "node") as node:
        world = World(tmp_path / "world", node.url, "full")
        version = world.index().load.version
        ask("DELETE", f"{node.url}/{version}/_doc/7?refresh=true")  # so that the next run has something to merge
        room = {"indices.merge.disk.watermark.high": "1000000tb", "indices.merge.disk.check_interval": "1s"}
        assert ask("PUT", f"{node.url}/_cluster/settings", {"persistent": room})[0] == 200
        time.sleep(2.5)
        with pytest.raises(StoreError, match=r"did not merge full-\w+ for \d s.*watermark"):
            world.index(patience=3.5)
        room = {"indices.merge.disk.watermark.high": "1mb"}
        assert ask("PUT", f"{node.url}/_cluster/settings", {"persistent": room})[0] == 200
        report = world.index()
        assert (report.load.sent, report.load.version) == (0, version)
        assert not verify_index(world.address).problems


def test_faults_change_nothing(world: World) -> None:
    world.index()
    with Proxy(world.url, faults=Faults(3, reset=0.1, lose=0.1, truncate=0.1, unavailable=0.1, reject=0.2)) as proxy:
        report = world.index(address=f"{proxy.url}/{world.name}-faulty", chunk_bytes=5_000)
        assert proxy.counts["forwarded"] > 20
        assert sum(proxy.counts[name] for name in ("reset", "lose", "truncate", "unavailable")) > 5
    assert report.load is not None and report.load.rejected == 0
    assert world.digest() == world.digest(f"{world.name}-faulty")
    assert not verify_index(f"{world.url}/{world.name}-faulty").problems


def test_entities_that_the_server_refuses_keep_the_version_out_of_use(world: World) -> None:
    poison = [*entities_of(), Entity("x" * 600, "Long"), Entity("y", "Immense", ("z" * 40_000,))]
    corpus = world.write("poison", poison)
    old = world.index().load.version
    with pytest.raises(RejectedError, match="refused 2 of 32 entities") as caught:
        world.index(corpus)
    (path,) = (world.folder / "work").rglob("rejected.jsonl")
    assert str(path) in str(caught.value)
    assert {each["id"] for each in letters(path)} == {"x" * 600, "y"}
    assert world.behind() == [old]
    report = world.index(corpus, allow_rejected=True)
    assert report.load is not None and report.load.dead_letters is not None
    assert (report.load.rejected, len(letters(report.load.dead_letters))) == (2, 2)
    assert (report.entities, report.trained) == (COUNT, TRAINED)
    assert world.behind() == [report.load.version] != [old]
    again = world.index(corpus, allow_rejected=True)
    assert (again.up_to_date, again.entities, again.trained) == (True, COUNT, TRAINED)
    with pytest.raises(RejectedError):
        world.index(corpus)
    assert world.behind() == [report.load.version]
    assert not verify_index(world.address).problems
    assert world.index(corpus, allow_rejected=True).up_to_date


def test_an_entity_that_was_replaced_by_somebody_elses_is_loaded_again(world: World) -> None:
    version = world.index().load.version
    digest = world.digest()
    ask("DELETE", f"{world.url}/{version}/_doc/5")
    ask("PUT", f"{world.url}/{version}/_doc/somebody-elses?refresh=true", {})
    assert not world.index().up_to_date
    assert (world.behind(), world.digest()) == ([version], digest)
    assert world.index().up_to_date


def test_of_two_runs_the_second_is_told(world: World, tmp_path: Path) -> None:
    from indexer.elastic.session import writing

    with writing(world.address, None, world.settings()):
        for work in ("work", "elsewhere"):
            with pytest.raises(StoreBusyError, match=f"process {os.getpid()} on"):
                world.index(work=tmp_path / work)
    assert world.behind() == []
    assert world.encoder.seen == 0
    world.index()


def test_a_name_that_is_an_index_is_refused(world: World) -> None:
    world.ask("PUT", "")
    with pytest.raises(StoreError, match="is an index of its own"):
        world.index()
    assert world.encoder.seen == 0


@pytest.mark.parametrize("what", ["similarity", "version", "bundle", "state"])
def test_an_unfinished_index_of_something_else_is_refused(world: World, what: str) -> None:
    version = world.index().load.version
    found = world.ask("GET", "/_mapping")[version]["mappings"]
    own = found["_meta"]["entity_expand"]
    if what == "similarity":
        found["properties"]["head"]["similarity"] = "dot_product"
    elif what == "version":
        own["version"] = 99
    elif what == "bundle":
        own["index"]["bundle"] = "another"
    else:
        del own["state"]
    ask("DELETE", f"{world.url}/{version}")
    assert ask("PUT", f"{world.url}/{version}", {"mappings": found})[0] == 200
    said = {"similarity": "head.similarity is 'dot_product'", "version": "version 99", "bundle": "'another', not"}
    with pytest.raises(IndexMismatchError, match=said.get(what, "cannot be read")):
        world.index()
    assert world.behind() == []


def test_what_does_not_fit_is_refused(world: World) -> None:
    with Corpus.open(world.corpus) as corpus, pytest.raises(StoreError, match="yields 3 numbers"):
        from indexer import index_corpus

        index_corpus(world.bundle, FakeEncoder(3), corpus, world.address, elastic=world.settings())
    with pytest.raises(ConfigError, match="shards is at least 1"):
        ElasticSettings(shards=0)
    with pytest.raises(ConfigError, match="patience"):
        ElasticSettings(patience=0)
    assert contents_digest is not None


def test_copies_that_cannot_be_made_keep_the_version_out_of_use(world: World) -> None:
    with pytest.raises(StoreError, match="Index with fewer replicas"):
        world.index(replicas=1, patience=1.5)
    assert world.behind() == []
