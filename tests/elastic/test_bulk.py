"""Bulk requests on a real server: under faults, with documents that it refuses, and in bounded memory."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from elastic.worlds import letters
from entity_expand.elastic.address import parse_address
from entity_expand.elastic.connection import Connection
from entity_expand.errors import IndexMissingError, ReadOnlyError, ServerError, StoreBusyError, UnreachableError
from indexer.elastic.bulk import Bulk
from indexer.elastic.items import Item, sort_out
from servers.elasticsearch_node import ask
from servers.faults import Faults
from servers.proxy import Proxy

COUNT = 150


@pytest.fixture
def index(elasticsearch_url: str, index_name: str) -> str:
    """A fresh index with one numeric field."""
    body = {"mappings": {"dynamic": "strict", "properties": {"place": {"type": "long"}, "text": {"type": "keyword"}}}}
    status, _ = ask("PUT", f"{elasticsearch_url}/{index_name}", body)
    assert status == 200
    return index_name


def bulk(connection: Connection, index: str, **changes) -> Bulk:
    usual = {"chunk_bytes": 2_000, "in_flight": 2, "patience": 20.0, "source": random.Random(0), "check": lambda: None}
    return Bulk(connection, index, **{**usual, **changes})


def items(count: int = COUNT) -> list[Item]:
    return [Item(f"id {number}", json.dumps({"place": number}).encode()) for number in range(count)]


def places(url: str, index: str) -> list[int]:
    ask("POST", f"{url}/{index}/_refresh")
    _, found = ask("POST", f"{url}/{index}/_search", {"size": 10_000})
    return sorted(hit["_source"]["place"] for hit in found["hits"]["hits"])


FAULTS = {
    "items": Faults(1, reject=0.3),
    "connections": Faults(2, reset=0.2, lose=0.15, truncate=0.15, paths="_bulk"),
    "statuses": Faults(3, overload=0.25, unavailable=0.25, paths="_bulk"),
    "all": Faults(4, reject=0.2, reset=0.1, lose=0.1, truncate=0.1, overload=0.1, unavailable=0.1, paths="_bulk"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_all_documents_arrive_whatever_fails(elasticsearch_url: str, index: str, tmp_path: Path, kind: str) -> None:
    with Proxy(elasticsearch_url, faults=FAULTS[kind]) as proxy:
        with Connection(parse_address(f"{proxy.url}/{index}"), seed=0) as connection:
            report = bulk(connection, index).load(items(), tmp_path / "rejected")
        faults = sum(
            proxy.counts[name] for name in ("rejected", "reset", "lose", "truncate", "overload", "unavailable")
        )
    assert faults > 3
    assert (report.sent, report.accepted, report.rejected, report.dead_letters) == (COUNT, COUNT, 0, None)
    assert (report.retried > 0) or kind in ("connections", "statuses")  # there the connection itself tries again
    assert places(elasticsearch_url, index) == list(range(COUNT))


def test_what_the_server_refuses_is_listed_and_the_rest_arrives(
    elasticsearch_url: str, index: str, tmp_path: Path
) -> None:
    good = items(40)
    poison = [
        Item("word", b'{"place":"here"}'),
        Item("field", b'{"place":1,"other":2}'),
        Item("x" * 513, b'{"place":1}'),
        Item("", b'{"place":1}'),
        Item("broken", b'{"place":'),
        Item("immense", json.dumps({"text": "x" * 40_000}).encode()),
    ]
    mixed = [each for pair in zip(good[:6], poison, strict=True) for each in pair] + good[6:]
    path = tmp_path / "rejected"
    path.write_text("of an earlier run\n")
    with Connection(parse_address(f"{elasticsearch_url}/{index}")) as connection:
        report = bulk(connection, index).load(mixed, path)
    assert (report.sent, report.accepted, report.rejected) == (46, 40, 6)
    assert report.dead_letters == path
    assert {each["id"]: each["status"] for each in letters(path)} == {each.id: 400 for each in poison}
    reasons = {each["id"]: each["reason"] for each in letters(path)}
    assert "here" in reasons["word"] and "other" in reasons["field"] and "513 bytes" in reasons["x" * 513]
    assert "immense term" in reasons["immense"] and max(map(len, reasons.values())) < 2_000
    assert sorted(report.rejected_ids()) == sorted(each.id for each in poison)
    assert places(elasticsearch_url, index) == list(range(40))


class Narrow(Connection):
    """A connection to a server that takes only small requests."""

    def __init__(self, *arguments, most: int, say: int = 1 << 30) -> None:
        super().__init__(*arguments)
        self.most, self.say, self.refused, self.sizes = most, say, 0, []

    def send(self, call, deadline):
        if call.path == "/_nodes/http":
            found = super().send(call, deadline)
            node = next(iter(found.body["nodes"].values()))
            node["http"]["max_content_length_in_bytes"] = self.say
            return found
        size = len(call.content()[1] or b"")
        if size > self.most:
            self.refused += 1
            raise ServerError("too large", 413, "too large")
        self.sizes.append(size)
        return super().send(call, deadline)


def test_requests_that_are_too_large_are_halved(elasticsearch_url: str, index: str, tmp_path: Path) -> None:
    large = Item("large", json.dumps({"text": "x" * 5_000}).encode())
    with Narrow(parse_address(f"{elasticsearch_url}/{index}"), most=1_000) as connection:
        report = bulk(connection, index, chunk_bytes=8_000).load([*items(), large], tmp_path / "rejected")
        assert connection.refused > 2
        assert max(connection.sizes) <= 1_000
    assert (report.accepted, report.rejected) == (COUNT, 1)
    assert letters(tmp_path / "rejected") == [{"id": "large", "status": 413, "reason": "too large"}]
    assert places(elasticsearch_url, index) == list(range(COUNT))


def test_a_document_above_the_servers_limit_is_not_sent(elasticsearch_url: str, index: str, tmp_path: Path) -> None:
    large = Item("large", json.dumps({"text": "x" * 5_000}).encode())
    with Narrow(parse_address(f"{elasticsearch_url}/{index}"), most=1 << 30, say=4_000) as connection:
        report = bulk(connection, index).load([*items(5), large], tmp_path / "rejected")
        assert max(connection.sizes) < 5_000
    assert (report.accepted, report.rejected) == (5, 1)
    (found,) = letters(tmp_path / "rejected")
    assert (found["id"], found["status"]) == ("large", 413)
    assert "4,000" in found["reason"]


def test_no_more_than_a_few_requests_are_held(elasticsearch_url: str, index: str, tmp_path: Path) -> None:
    made, sent, ahead = 0, 0, []

    def stream():
        nonlocal made
        for each in items(2_000):
            made += 1
            yield each

    class Watching(Connection):
        def send(self, call, deadline):
            nonlocal sent
            ahead.append(made - sent)
            answer = super().send(call, deadline)
            sent += len(answer.body["items"])
            return answer

    with Watching(parse_address(f"{elasticsearch_url}/{index}")) as connection:
        report = bulk(connection, index).load(stream(), tmp_path / "rejected")
    per_request = 2_000 / len(ahead)
    assert report.accepted == 2_000
    assert max(ahead) <= 4.5 * per_request


def test_deleting_what_is_not_there_is_no_rejection(elasticsearch_url: str, index: str, tmp_path: Path) -> None:
    with Connection(parse_address(f"{elasticsearch_url}/{index}")) as connection:
        writer = bulk(connection, index)
        assert writer.write(items(3)) == []
        assert writer.write([Item("id 1", None), Item("nobody", None)]) == []
        conflict = writer.write([Item("id 0", b'{"place":9}', seen=(4711, 1))])
    assert [(each.id, each.status) for each in conflict] == [("id 0", 409)]
    assert places(elasticsearch_url, index) == [0, 2]


def test_patience_ends(index: str, tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        Connection(parse_address(f"http://127.0.0.1:9/{index}")) as connection,
        pytest.raises(UnreachableError, match="Is it running"),
    ):
        bulk(connection, index, patience=1.0).load(items(), tmp_path / "rejected")
    assert 0.9 < time.monotonic() - began < 6


def test_a_server_that_only_refuses_is_given_up(elasticsearch_url: str, index: str, tmp_path: Path) -> None:
    with (
        Proxy(elasticsearch_url, faults=Faults(1, reject=1.0)) as proxy,
        Connection(parse_address(f"{proxy.url}/{index}")) as connection,
        pytest.raises(ServerError, match="without any progress") as caught,
    ):
        bulk(connection, index, patience=1.0).load(items(20), tmp_path / "rejected")
    assert caught.value.status == 429


def test_what_concerns_all_documents_ends_the_load(elasticsearch_url: str, index: str, tmp_path: Path) -> None:
    ask("PUT", f"{elasticsearch_url}/{index}/_settings", {"index": {"blocks": {"write": True}}})
    with (
        Connection(parse_address(f"{elasticsearch_url}/{index}")) as connection,
        pytest.raises(ReadOnlyError, match="remove the block"),
    ):
        bulk(connection, index).load(items(), tmp_path / "rejected")
    gone = {"index": {"status": 404, "error": {"type": "index_not_found_exception", "reason": "no such index"}}}
    with pytest.raises(IndexMissingError):
        sort_out(index, items(1), [gone])
    with pytest.raises(UnreachableError, match="2 documents were sent"):
        sort_out(index, items(2), [{"index": {"status": 200}}])


def test_a_run_that_may_not_write_sends_nothing(elasticsearch_url: str, index: str, tmp_path: Path) -> None:
    def refuse() -> None:
        raise StoreBusyError("lost")

    with Connection(parse_address(f"{elasticsearch_url}/{index}")) as connection, pytest.raises(StoreBusyError):
        bulk(connection, index, check=refuse).load(items(), tmp_path / "rejected")
    assert places(elasticsearch_url, index) == []
