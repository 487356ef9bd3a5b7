from __future__ import annotations

import http.client
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import elasticsearch
import pytest
from elastic_transport import TlsError
from elasticsearch import Elasticsearch

from servers.authority import Authority
from servers.elasticsearch_node import ask
from servers.faults import Check, Draws, Fate, Fault, Faults, merge_bulk, read_bulk
from servers.proxy import Proxy

LINES = b'{"index":{"_id":"1"}}\n{"a":1}\n{"delete":{"_id":"2"}}\n{"create":{"_index":"other","_id":"3"}}\n{"a":3}\n'


def client(proxy: Proxy, **options: Any) -> Elasticsearch:
    return Elasticsearch(proxy.url, max_retries=0, **options)


def once(fault: Fault) -> Faults:
    return replace(Faults(seed=0, limit=1), **{fault: 1.0})  # type: ignore[arg-type]


def test_it_passes_on_what_comes_from_a_client(elasticsearch_url: str, index_name: str) -> None:
    with Proxy(elasticsearch_url) as proxy, client(proxy, http_compress=True) as es:
        es.index(index=index_name, id="ä b", document={"a": "ö" * 2000}, refresh=True)
        assert es.get(index=index_name, id="ä b")["_source"] == {"a": "ö" * 2000}
        assert not es.exists(index=index_name, id="c")
        assert proxy.counts == {"requests": 3, "forwarded": 3}


def test_its_threads_end_though_a_client_keeps_its_connection(elasticsearch_url: str) -> None:
    before = set(threading.enumerate())
    with Proxy(elasticsearch_url) as proxy, client(proxy) as es:
        es.cluster.health()
        proxy.__exit__(None, None, None)
        assert set(threading.enumerate()) - before == set()
        with pytest.raises(elasticsearch.ConnectionError):
            es.cluster.health()


def test_tls_is_trusted_by_authority_or_by_fingerprint(elasticsearch_url: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Proxy(elasticsearch_url, tls=authority) as proxy:
        with client(proxy, ca_certs=str(authority.ca_file)) as es:
            assert es.cluster.health()["number_of_nodes"] == 1
        with client(proxy, ssl_assert_fingerprint=authority.fingerprint, verify_certs=False, ssl_show_warn=False) as es:
            assert es.cluster.health()["number_of_nodes"] == 1
        with client(proxy) as es, pytest.raises(TlsError):
            es.cluster.health()
        with (
            client(proxy, ssl_assert_fingerprint="0" * 64, verify_certs=False, ssl_show_warn=False) as es,
            pytest.raises(TlsError),
        ):
            es.cluster.health()
        proxy.set_faults(once("reset"))
        with client(proxy, ca_certs=str(authority.ca_file)) as es, pytest.raises(elasticsearch.ConnectionError):
            es.cluster.health()


def test_who_asks_is_checked(elasticsearch_url: str, index_name: str) -> None:
    check = Check(user="ann", password="p:ss", api_key="aWQ6a2V5", forbidden=r"^DELETE ")
    with Proxy(elasticsearch_url, check=check) as proxy:
        for options in ({"basic_auth": ("ann", "p:ss")}, {"api_key": "aWQ6a2V5"}, {"api_key": ("id", "key")}):
            with client(proxy, **options) as es:
                assert es.cluster.health()["number_of_nodes"] == 1
        for options in ({}, {"basic_auth": ("ann", "pass")}, {"api_key": "b3RoZXI="}):
            with client(proxy, **options) as es, pytest.raises(elasticsearch.AuthenticationException) as refused:
                es.cluster.health()
            assert refused.value.body["error"]["type"] == "security_exception"
        with client(proxy, api_key="aWQ6a2V5") as es, pytest.raises(elasticsearch.AuthorizationException):
            es.indices.delete(index=index_name)
        assert proxy.counts == {"requests": 7, "forwarded": 3, "unauthorized": 3, "forbidden": 1}


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        ("reset", ConnectionResetError, False),
        ("lose", ConnectionResetError, True),
        ("truncate", http.client.IncompleteRead, True),
    ],
)
def test_a_broken_connection(
    elasticsearch_url: str, index_name: str, fault: Fault, error: type[Exception], done: bool
) -> None:
    with Proxy(elasticsearch_url, faults=once(fault)) as proxy:
        with pytest.raises(error):
            ask("PUT", f"{proxy.url}/{index_name}/_doc/1", {})
        assert ask("GET", f"{proxy.url}/{index_name}/_doc/1")[0] == (200 if done else 404)
        assert proxy.counts[fault] == 1


@pytest.mark.parametrize(("fault", "status"), [("overload", 429), ("unavailable", 503)])
def test_an_answer_of_its_own(elasticsearch_url: str, index_name: str, fault: Fault, status: int) -> None:
    with Proxy(elasticsearch_url, faults=once(fault)) as proxy, client(proxy) as es:
        with pytest.raises(elasticsearch.ApiError) as said:
            es.index(index=index_name, id="1", document={})
        assert said.value.status_code == said.value.body["status"] == status
        assert not es.indices.exists(index=index_name)


def test_only_some_requests_meet_faults(elasticsearch_url: str, index_name: str) -> None:
    with Proxy(elasticsearch_url, faults=Faults(0, overload=1, paths=r"^PUT .*/_doc/")) as proxy:
        assert ask("PUT", f"{proxy.url}/{index_name}")[0] == 200
        assert ask("PUT", f"{proxy.url}/{index_name}/_doc/1", {})[0] == 429
        proxy.set_faults(None)
        assert ask("PUT", f"{proxy.url}/{index_name}/_doc/1", {})[0] == 201


def test_a_delay_holds_back_and_ends_with_the_proxy(elasticsearch_url: str) -> None:
    with Proxy(elasticsearch_url, faults=Faults(0, delay=1, seconds=600)) as proxy:
        with pytest.raises(TimeoutError):
            ask("GET", f"{proxy.url}/_cluster/health", timeout=0.3)
        assert proxy.counts == {"requests": 1, "delayed": 1}


def test_a_server_that_is_gone_looks_like_a_reset() -> None:
    with Proxy("http://127.0.0.1:1") as proxy:
        with pytest.raises(ConnectionResetError):
            ask("GET", f"{proxy.url}/_cluster/health")
        assert proxy.counts["gone"] == 1


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_rejected_items_of_a_bulk_request_never_reach_the_server(
    elasticsearch_url: str, index_name: str, share: float
) -> None:
    operations = [part for number in range(20) for part in ({"create": {"_id": str(number)}}, {"a": number})]
    with Proxy(elasticsearch_url, faults=Faults(1, reject=share)) as proxy, client(proxy) as es:
        es.indices.create(index=index_name)
        answer = es.bulk(index=index_name, operations=operations, refresh=True, filter_path="items.*.error")
        created = [item["create"] for item in answer["items"]]
        assert answer["errors"]
        assert [item["_id"] for item in created] == [str(number) for number in range(20)]
        there = {hit["_id"] for hit in es.search(index=index_name, size=20)["hits"]["hits"]}
        assert {item["_id"] for item in created if item["status"] == 201} == there
        rejected = [item for item in created if item["status"] == 429]
        assert {item["error"]["type"] for item in rejected} == {"es_rejected_execution_exception"}
        assert len(rejected) == proxy.counts["rejected"] == 20 - len(there)
        assert (len(there) == 0) == (share == 1.0)


def test_bulk_requests_are_read_and_put_together() -> None:
    items = read_bulk(LINES, "/mine/_bulk?refresh=true")
    assert [(item.action, item.target["_index"], item.target["_id"], len(item.lines)) for item in items] == [
        ("index", "mine", "1", 2),
        ("delete", "mine", "2", 1),
        ("create", "other", "3", 2),
    ]
    assert b"\n".join(line for item in items for line in item.lines) + b"\n" == LINES
    answer = {"took": 3, "errors": False, "items": [{"delete": {"status": 200}}]}
    merged = merge_bulk(answer, items, [True, False, True])
    assert [next(iter(item.values()))["status"] for item in merged["items"]] == [429, 200, 429]
    assert merged["errors"] and not answer["errors"]


def test_draws_are_those_of_the_seed_and_as_frequent_as_asked() -> None:
    faults = Faults(seed=7, reset=0.1, overload=0.2, delay=0.5, seconds=2)

    def drawn(count: int) -> list[Fate]:
        draws = Draws(faults)
        return [draws.fate() for _ in range(count)]

    many = drawn(2000)
    assert many[:100] == drawn(100)
    assert sum(fate.fault == "reset" for fate in many) == pytest.approx(0.1 * 2000, rel=0.2)
    assert sum(fate.fault == "overload" for fate in many) == pytest.approx(0.2 * 2000, rel=0.2)
    assert sum(fate.delay == 2 for fate in many) == pytest.approx(0.5 * 2000, rel=0.2)
    with pytest.raises(ValueError, match="at most 1"):
        Faults(0, reset=0.6, lose=0.6)


def test_requests_of_many_threads_are_answered_each_by_its_own(elasticsearch_url: str, index_name: str) -> None:
    ask("PUT", f"{elasticsearch_url}/{index_name}/_doc/0?refresh=true", {})
    found: dict[int, Any] = {}

    def search(number: int, url: str) -> None:
        body = {"size": 0, "aggs": {f"n{number}": {"filter": {"match_all": {}}}}}
        status, answer = ask("POST", f"{url}/{index_name}/_search", body)
        found[number] = (status, answer["aggregations"])

    with Proxy(elasticsearch_url) as proxy:
        threads = [threading.Thread(target=search, args=(number, proxy.url)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: (200, {f"n{number}": {"doc_count": 1}}) for number in range(8)}
