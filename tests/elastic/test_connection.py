"""Connections: answers, deadlines, what is sent again, and the errors that come out; for threads and event loops."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entity_expand.elastic.address import Address, Credentials, parse_address
from entity_expand.elastic.connection import (
    Answer,
    AsyncConnection,
    Call,
    Connection,
    Deadline,
    drive,
    drive_async,
)
from entity_expand.errors import (
    AccessError,
    ConfigError,
    DeadlineError,
    IndexMissingError,
    OverloadedError,
    ReadOnlyError,
    ServerError,
    StoreError,
    UnreachableError,
)
from servers.authority import Authority
from servers.faults import Check, Faults
from servers.proxy import Proxy
from servers.scripted import ScriptedServer, Step, drip, garble, hang, refuse, reply, reset, truncate

SECRET = "c29tZTpzZWNyZXRrZXk="
LATE = 0.15
GET = Call("GET", "/x")
UNSAFE = Call("POST", "/x/_doc", {"a": 1}, safe=False)

Sender = Callable[..., Answer]


def by_threads(url: str, *calls: Call, seconds: float = 5, times: list[float] | None = None, **given: Any) -> Answer:
    with Connection(Address(url, "x"), **given) as connection:
        for call in calls:
            with timed(times):
                answer = connection.send(call, Deadline.after(seconds))
    return answer


def by_loop(url: str, *calls: Call, seconds: float = 5, times: list[float] | None = None, **given: Any) -> Answer:
    async def send() -> Answer:
        async with AsyncConnection(Address(url, "x"), **given) as connection:
            for call in calls:
                with timed(times):
                    answer = await connection.send(call, Deadline.after(seconds))
        return answer

    return asyncio.run(send())


@contextmanager
def timed(times: list[float] | None) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        if times is not None:
            times.append(time.monotonic() - start)


@pytest.fixture(params=[by_threads, by_loop])
def send(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    return found


def test_a_real_server_answers(send: Sender, elasticsearch_url: str, index_name: str) -> None:
    path = f"/{index_name}"
    lines = [b'{"index": {"_id": "1"}}', b'{"n": 1}\n', b'{"index": {"_id": "2"}}', '{"n": "ä"}'.encode()]
    calls = [
        Call("PUT", path, {"mappings": {"properties": {"n": {"type": "keyword"}}}}, safe=False),
        Call("POST", path + "/_bulk", lines, {"refresh": "true"}),
        Call("POST", path + "/_search", {"query": {"term": {"n": "ä"}}}, {"allow_partial_search_results": "false"}),
    ]
    answer = send(elasticsearch_url, *calls)
    assert answer.status == 200
    assert [hit["_id"] for hit in answer.body["hits"]["hits"]] == ["2"]
    found = send(elasticsearch_url, Call("POST", "/_msearch", [json.dumps({"index": index_name}).encode(), b"{}"]))
    assert found.body["responses"][0]["hits"]["total"]["value"] == 2
    assert send(elasticsearch_url, Call("HEAD", path)) == Answer(200, None)


def test_statuses_that_a_call_accepts_are_answers(send: Sender, elasticsearch_url: str, index_name: str) -> None:
    call = Call("GET", f"/{index_name}", accept=frozenset({404}))
    answer = send(elasticsearch_url, call)
    assert (answer.status, answer.body["error"]["type"]) == (404, "index_not_found_exception")
    assert send(elasticsearch_url, Call("HEAD", call.path, accept=frozenset({404}))) == Answer(404, None)


def test_the_servers_own_refusals_become_our_errors(send: Sender, elasticsearch_url: str, index_name: str) -> None:
    path = f"/{index_name}"
    with pytest.raises(IndexMissingError, match=f"{elasticsearch_url}.*{index_name}"):
        send(elasticsearch_url, Call("POST", path + "/_search", {}))
    with pytest.raises(ServerError, match="unknown query") as caught:
        send(elasticsearch_url, Call("PUT", path), Call("POST", path + "/_search", {"query": {"nonsense": {}}}))
    assert (caught.value.status, type(caught.value)) == (400, ServerError)
    with pytest.raises(ServerError, match="already exists"):
        send(elasticsearch_url, Call("PUT", path))
    block = Call("PUT", path + "/_settings", {"index.blocks.read_only_allow_delete": True})
    with pytest.raises(ReadOnlyError, match="disk") as blocked:
        send(elasticsearch_url, block, Call("PUT", path + "/_doc/1", {"n": 1}))
    assert blocked.value.status in (403, 429)
    block = Call("PUT", path + "/_settings", {"index.blocks.read_only_allow_delete": None, "index.blocks.write": True})
    with pytest.raises(ReadOnlyError, match="index write"):
        send(elasticsearch_url, block, Call("PUT", path + "/_doc/1", {"n": 1}))
    send(elasticsearch_url, Call("PUT", path + "/_settings", {"index.blocks.write": None}))


FLOOD = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-..."
CLOSED = {"type": "index_closed_exception", "reason": "closed", "index": "x-1"}
EMPTY = {"_id": "", "error": {"type": "illegal_argument_exception", "reason": "Ids can't be empty"}}
GONE = {"_id": "1", "error": {"type": "index_not_found_exception", "reason": "no such index [x]"}}
LASTING: list[tuple[Step, type[StoreError], str]] = [
    (refuse(401, "security_exception", "missing credentials"), AccessError, "missing credentials.* Give an API key"),
    (refuse(403, "security_exception", "action [x] is unauthorized"), AccessError, "unauthorized.*privilege"),
    (refuse(403, "cluster_block_exception", "FORBIDDEN/5/index read-only (api)"), ReadOnlyError, "read-only"),
    (refuse(429, "cluster_block_exception", FLOOD), ReadOnlyError, "flood-stage.*Free disk space"),
    (refuse(404, "index_not_found_exception", "no such index [x]"), IndexMissingError, "no such index"),
    (refuse(404, "resource_not_found_exception"), ServerError, "status 404"),
    (refuse(400, "parsing_exception", 1000 * "long "), ServerError, r"status 400.*\.\.\."),
    (refuse(409, "version_conflict_engine_exception"), ServerError, "status 409"),
    (refuse(500, "null_pointer_exception"), ServerError, "status 500"),
    (reply(413, b"<html>too large</html>"), ServerError, "smaller parts"),
    (reply(302, b"", {"Location": "http://127.0.0.1:1/"}), ServerError, "redirects"),
    (reply(404, {"error": "alias [x] missing", "status": 404}), ServerError, r"alias \[x\] missing"),
    (refuse(408, "timeout"), DeadlineError, "Allow more time"),
    (reply(200, {"timed_out": True}), DeadlineError, "time limit"),
    (reply(200, {"docs": [GONE]}), IndexMissingError, "no such index"),
    (reply(200, {"docs": [EMPTY]}), ServerError, "status 400.*can't be empty"),
    (reply(200, {"docs": [{"_id": "1", "error": CLOSED}]}), ServerError, r"closed \[x-1\] Open .*POST /NAME/_open"),
    (reply(400, {"error": CLOSED, "status": 400}), ServerError, r"closed \[x-1\] Open .*POST /NAME/_open"),
    (reply(200, {}, {"X-Elastic-Product": "another"}), ServerError, "not Elasticsearch"),
]


@pytest.mark.parametrize(("step", "kind", "said"), LASTING)
def test_lasting_refusals_are_raised_at_once(send: Sender, step: Step, kind: type[StoreError], said: str) -> None:
    with ScriptedServer(step) as server, pytest.raises(StoreError, match=said) as caught:
        send(server.url, GET)
    assert type(caught.value) is kind
    assert len(server.requests) == 1
    assert server.url in str(caught.value) and len(str(caught.value)) < 600


SHARDS = {"total": 4, "failed": 1, "failures": [{"shard": 0, "reason": {"type": "io_exception", "reason": "gone"}}]}
REJECTED = {"error": {"type": "es_rejected_execution_exception", "reason": "queue full"}, "status": 429}
UNREAD = {"_id": "1", "error": {"type": "no_shard_available_action_exception", "reason": "no shard"}}
# What passes: the failure, the error if it does not, and whether it is sent again although the call is not safe.
PASSING: list[tuple[Step, type[StoreError], bool]] = [
    (refuse(429, "es_rejected_execution_exception"), OverloadedError, True),
    (refuse(429, "circuit_breaking_exception"), OverloadedError, True),
    (reply(429, b"slow down"), OverloadedError, False),
    (refuse(503, "master_not_discovered_exception"), UnreachableError, True),
    (refuse(503, "unavailable_shards_exception"), UnreachableError, True),
    (refuse(503, "process_cluster_event_timeout_exception"), UnreachableError, False),
    (reply(502, b"<html>bad gateway</html>"), UnreachableError, False),
    (reply(504, b""), UnreachableError, False),
    (reply(200, {"_shards": SHARDS, "hits": {}}), UnreachableError, False),
    (reply(200, {"responses": [{"hits": {}}, {"hits": {}, "_shards": SHARDS}]}), UnreachableError, False),
    (reply(200, {"responses": [{"hits": {}}, REJECTED]}), OverloadedError, True),
    (reply(200, {"docs": [{"found": False}, UNREAD]}), UnreachableError, True),
    (reply(200, b'{"hits": '), UnreachableError, False),
    (reply(200, b"\xff\xfe"), UnreachableError, False),
    (truncate, UnreachableError, False),
    (reset, UnreachableError, False),
    (garble, UnreachableError, False),
]


@pytest.mark.parametrize(("step", "kind", "nothing_done"), PASSING)
def test_what_may_pass_is_tried_again(send: Sender, step: Step, kind: type[StoreError], nothing_done: bool) -> None:
    with ScriptedServer(step, step, reply(200, {"a": 1})) as server:
        assert send(server.url, GET, seed=1) == Answer(200, {"a": 1})
        assert len(server.requests) == 3
    with ScriptedServer(step, reply(200, {"a": 1})) as server:
        if nothing_done:
            assert send(server.url, UNSAFE) == Answer(200, {"a": 1})
            assert server.requests[0].body == server.requests[1].body == b'{"a":1}'
        else:
            with pytest.raises(kind):
                send(server.url, UNSAFE)
            assert len(server.requests) == 1
    with ScriptedServer(step) as server, pytest.raises(kind) as caught:
        send(server.url, GET, seconds=0.4)
    assert type(caught.value) is kind
    assert len(server.requests) > 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET", "POST"])
def test_an_unsafe_call_is_not_repeated_on_a_connection_that_went_stale(send: Sender, method: str) -> None:
    with ScriptedServer(reply(), reset) as server, pytest.raises(UnreachableError):
        send(server.url, GET, Call(method, "/x", safe=False))
    assert len(server.requests) == 2


def test_times_between_sendings_are_random_and_grow(send: Sender) -> None:
    with ScriptedServer(refuse(429, "es_rejected_execution_exception")) as server, pytest.raises(OverloadedError):
        send(server.url, GET, seconds=1.5, seed=3)
    times = [request.time for request in server.requests]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert 3 < len(gaps) < 40
    for number, gap in enumerate(gaps):
        assert gap < min(2.0, 0.05 * 2**number) + 0.1


def test_the_wait_that_the_server_asks_for_is_kept(send: Sender) -> None:
    full = refuse(429, "es_rejected_execution_exception", headers={"Retry-After": "1"})
    with ScriptedServer(full, reply()) as server:
        send(server.url, GET)
        assert 0.95 < server.requests[1].time - server.requests[0].time < 1.5
    with ScriptedServer(full, reply()) as server:
        times: list[float] = []
        with pytest.raises(OverloadedError):
            send(server.url, GET, seconds=0.8, times=times)
        assert times[0] < 0.4, "waiting could not help any more"


@pytest.mark.parametrize("wait", ["²", "-1", "soon", ""])
def test_a_wait_that_is_none_is_left_unread(send: Sender, wait: str) -> None:
    with ScriptedServer(
        refuse(429, "es_rejected_execution_exception", headers={"Retry-After": wait}), reply()
    ) as server:
        send(server.url, GET, seconds=5)
        assert server.requests[1].time - server.requests[0].time < 0.5


@pytest.mark.parametrize("call", [GET, UNSAFE])
@pytest.mark.parametrize("step", [hang, drip(0), drip(40), drip(200)], ids=["hang", "line", "headers", "body"])
def test_deadlines_hold_whatever_the_server_does(send: Sender, call: Call, step: Step) -> None:
    times: list[float] = []
    with ScriptedServer(reply(), step) as server, pytest.raises(DeadlineError, match=r"limit 0\.5 s"):
        send(server.url, GET, call, seconds=0.5, seed=1, times=times)
    assert (0.25 if call.safe else 0.45) < times[1] < 0.5 + LATE
    assert len(server.requests) == (3 if call.safe else 2), "a safe call is sent twice, 0.25 s for the first"


def test_deadlines_hold_where_nobody_reads(send: Sender) -> None:
    times: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the transport still holds what it could not send
            with pytest.raises(DeadlineError):
                send(url, Call("POST", "/_bulk", [b"x" * (16 << 20)]), seconds=0.5, times=times)
            gc.collect()
    assert times[0] < 0.5 + LATE


def test_one_connection_that_hangs_does_not_use_up_the_deadline(send: Sender) -> None:
    with ScriptedServer(hang, reply(200, {"a": 1})) as server:
        assert send(server.url, GET, seconds=1).body == {"a": 1}
        assert 0.4 < server.requests[1].time - server.requests[0].time < 0.7


def test_a_deadline_that_is_over_sends_nothing(send: Sender) -> None:
    with ScriptedServer(reply()) as server, pytest.raises(DeadlineError, match="limit of 0 s"):
        send(server.url, GET, seconds=0)
    assert server.requests == []


def test_a_server_that_is_not_there_is_waited_for(send: Sender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    times: list[float] = []
    with pytest.raises(UnreachableError, match="Is it running"):
        send(url, UNSAFE, seconds=0.5, times=times)
    assert times[0] < 0.5 + LATE
    with pytest.raises(UnreachableError, match="no connection"):
        send("http://no-such-host.invalid:9200", GET, seconds=0.3)


def test_answers_are_capped(send: Sender) -> None:
    with ScriptedServer(reply(200, {"a": 1000 * "x"})) as server:
        assert len(send(server.url, GET, response_cap=2000).body["a"]) == 1000
        with pytest.raises(ServerError, match="limit of 999 bytes"):
            send(server.url, GET, response_cap=999)
        assert len(server.requests) == 2


def test_requests_have_the_form_that_the_server_expects(send: Sender) -> None:
    with ScriptedServer(reply()) as server:
        calls = [
            Call("POST", "städte/_search", {"a": ["ä", 0.1]}, {"routing": "a b"}),
            Call("POST", "/a%2Fb,c/_bulk", [b"{}", b"{}\n"]),
        ]
        send(server.url, *calls, credentials=Credentials(api_key=SECRET))
        first, second = server.requests
    assert first.line == "POST /st%C3%A4dte/_search?routing=a%20b HTTP/1.1"
    assert json.loads(first.body) == {"a": ["ä", 0.1]}
    assert first.headers["content-type"] == "application/vnd.elasticsearch+json; compatible-with=9"
    assert first.headers["accept"] == "application/vnd.elasticsearch+json; compatible-with=9"
    assert first.headers["authorization"] == f"ApiKey {SECRET}"
    assert second.line == "POST /a%2Fb,c/_bulk HTTP/1.1"
    assert second.body == b"{}\n{}\n"
    assert second.headers["content-type"] == "application/vnd.elasticsearch+x-ndjson; compatible-with=9"


def test_a_path_before_the_index_is_kept(send: Sender) -> None:
    with ScriptedServer(reply()) as server:
        send(parse_address(server.url + "/es/v9/sights").url, GET)
    assert server.requests[0].line == "GET /es/v9/x HTTP/1.1"


def test_numbers_that_json_cannot_say_are_refused(send: Sender) -> None:
    with pytest.raises(ValueError, match="JSON"):
        send("http://127.0.0.1:9", Call("POST", "/x", {"a": float("nan")}))


def test_warnings_of_the_server_are_logged_once(send: Sender, caplog: pytest.LogCaptureFixture) -> None:
    text = f"[old] is deprecated, says a server of {send.__name__}"
    with ScriptedServer(reply(200, {}, {"Warning": f'299 Elasticsearch-9.5.3 "{text}"'})) as server:
        send(server.url, GET, GET)
    assert [record.getMessage() for record in caplog.records if text in record.getMessage()] == [
        f"Elasticsearch warns: {text}"
    ]


def everything_said(error: BaseException) -> str:
    """Return all that an error, its causes and its contexts show."""
    said, seen = "".join(traceback.format_exception(error)), set[int]()
    queue: list[BaseException | None] = [error]
    while queue:
        each = queue.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            said += f"{each}{each!r}{each.args!r}{vars(each) if hasattr(each, '__dict__') else ''}"
            queue += [each.__cause__, each.__context__]
    return said


@pytest.mark.parametrize(
    ("send", "credentials"),
    [(by_threads, Credentials(api_key=SECRET)), (by_loop, Credentials(user="me", password=SECRET))],
)
def test_no_secret_is_in_any_message(send: Sender, credentials: Credentials, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    steps = [step for step, _, _ in LASTING + PASSING] + [drip(0), hang]  # type: ignore[operator]
    said = ""
    for step in [*steps, reply(400, f"you sent {SECRET}".encode()), refuse(401, "x", f"key {SECRET} is unknown")]:
        with ScriptedServer(step) as server, pytest.raises(StoreError) as caught:
            send(server.url, GET, seconds=0.15, credentials=credentials)
        assert "authorization" in server.requests[0].headers
        said += everything_said(caught.value)
    with ScriptedServer(reply()) as server, pytest.raises(StoreError) as caught:
        send(server.url.replace("http", "https"), GET, seconds=0.15, credentials=credentials)
    said += everything_said(caught.value) + caplog.text
    with Connection(Address("http://127.0.0.1:9", "x"), credentials) as connection:
        said += repr(connection) + repr(vars(connection))
    coded = server_side_forms(credentials)
    assert len(said) > 1000
    assert not [form for form in coded if form in said]


def server_side_forms(credentials: Credentials) -> list[str]:
    from base64 import b64encode

    pair = f"{credentials.user}:{credentials.password}".encode()
    return [SECRET, b64encode(SECRET.encode()).decode(), b64encode(pair).decode(), "secretkey"]


def test_credentials_have_to_fit_the_address() -> None:
    for kind in (Connection, AsyncConnection):
        with pytest.raises(ConfigError, match="in the clear"):
            kind(Address("http://10.0.0.1:9200", "x"), Credentials(api_key=SECRET))
        with pytest.raises(ConfigError, match="ca_file"):
            kind(Address("https://10.0.0.1:9200", "x"), Credentials(ca_file="no-such-file.pem"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


HEALTH = Call("GET", "/_cluster/health")


def test_certificates_are_trusted_by_their_authority_or_fingerprint(
    send: Sender, elasticsearch_url: str, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    other = Authority(tmp_path)
    with Proxy(elasticsearch_url, tls=authority) as proxy:
        for trusted in (Credentials(ca_file=str(authority.ca_file)), Credentials(fingerprint=authority.fingerprint)):
            assert send(proxy.url, HEALTH, credentials=trusted).status == 200
            assert send(proxy.url.replace("127.0.0.1", "localhost"), HEALTH, credentials=trusted).status == 200
        for wrong in (
            Credentials(),
            Credentials(ca_file=str(other.ca_file)),
            Credentials(fingerprint=other.fingerprint, api_key=SECRET),
        ):
            with pytest.raises(AccessError, match=r"not trusted.*ca_file.*fingerprint"):
                send(proxy.url, HEALTH, credentials=wrong)
        assert proxy.counts["requests"] == 4, "a request went to a server that is not trusted"
        with pytest.raises(ConfigError, match=r"no\.pem"):
            send(proxy.url, HEALTH, credentials=Credentials(ca_file=str(tmp_path / "no.pem")))
    with pytest.raises(AccessError, match=r"http:// rather than https://"):
        send(elasticsearch_url.replace("http", "https"), HEALTH)


def test_api_keys_and_passwords_are_sent(send: Sender, elasticsearch_url: str, authority: Authority) -> None:
    check = Check(user="me", password="pässword:1", api_key=SECRET, forbidden="DELETE")
    ca_file = str(authority.ca_file)
    with Proxy(elasticsearch_url, tls=authority, check=check) as proxy:
        for good in (
            Credentials(api_key=SECRET, ca_file=ca_file),
            Credentials(api_key="some:secretkey", ca_file=ca_file),  # what SECRET is the code of
            Credentials(user="me", password="pässword:1", ca_file=ca_file),
        ):
            assert send(proxy.url, HEALTH, credentials=good).status == 200
            with pytest.raises(AccessError, match="privilege") as caught:
                send(proxy.url, Call("DELETE", "/x"), credentials=good)
            assert caught.value.status == 403
        for bad in (
            Credentials(api_key="wrong", ca_file=ca_file),
            Credentials(user="me", password="wrong", ca_file=ca_file),
            Credentials(ca_file=ca_file),
        ):
            with pytest.raises(AccessError, match="Give an API key") as caught:
                send(proxy.url, HEALTH, credentials=bad)
            assert caught.value.status == 401


def test_many_threads_get_their_own_answers_through_faults(elasticsearch_url: str, index_name: str) -> None:
    faults = Faults(seed=5, reset=0.1, truncate=0.1, overload=0.1, unavailable=0.1)
    lines = [line for n in range(20) for line in (b'{"index": {"_id": "%d"}}' % n, b'{"n": %d}' % n)]
    by_threads(elasticsearch_url, Call("POST", f"/{index_name}/_bulk", lines, {"refresh": "true"}))
    with Proxy(elasticsearch_url, faults=faults) as proxy, Connection(Address(proxy.url, "x"), seed=1) as connection:

        def ask(number: int) -> int:
            answer = connection.send(Call("GET", f"/{index_name}/_doc/{number % 20}"), Deadline.after(20))
            return int(answer.body["_source"]["n"])

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(200))) == [number % 20 for number in range(200)]
    assert proxy.counts["requests"] > 200, "no fault happened"


def test_tasks_share_a_connection_but_loops_do_not() -> None:
    with ScriptedServer(reply(200, {"a": 1})) as server:
        connection = AsyncConnection(Address(server.url, "x"))

        async def use() -> None:
            await asyncio.gather(*(connection.send(GET, Deadline.after(5)) for _ in range(20)))

        async def use_and_close() -> None:
            await use()
            await connection.close()

        with asyncio.Runner() as first, asyncio.Runner() as second:
            first.run(use())
            with pytest.raises(ConfigError, match="one event loop"):
                second.run(use())
            first.run(use_and_close())
            with pytest.raises(StoreError, match="was closed"):
                first.run(use())


def test_cancelling_a_task_ends_its_request() -> None:
    async def run(url: str) -> None:
        async with AsyncConnection(Address(url, "x")) as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.send(GET, Deadline.after(60)), 0.2)

    with ScriptedServer(hang) as server:
        start = time.monotonic()
        asyncio.run(run(server.url))
        assert time.monotonic() - start < 0.2 + LATE


def test_closing_ends_what_is_under_way_and_every_thread() -> None:
    before = threading.active_count()
    with ScriptedServer(hang) as server, ThreadPoolExecutor(1) as pool:
        connection = Connection(Address(server.url, "x"))
        waiting = pool.submit(connection.send, GET, Deadline.after(60))
        while not server.requests:
            time.sleep(0.01)
        connection.close()
        with pytest.raises(UnreachableError, match="closed while"):
            waiting.result(5)
        connection.close()
        with pytest.raises(StoreError, match="was closed"):
            connection.send(GET, Deadline.after(1))
    for _ in range(100):
        if threading.active_count() > before:
            time.sleep(0.02)  # the scripted server's own threads
    assert not [thread for thread in threading.enumerate() if thread.name == "entity-expand-worker"]


def test_a_connection_that_is_dropped_closes_itself() -> None:
    with ScriptedServer(reply()) as server:
        Connection(Address(server.url, "x")).send(GET, Deadline.after(5))
        gc.collect()
        assert not [thread for thread in threading.enumerate() if thread.name == "entity-expand-worker"]


FORKING = """
import os, sys
from entity_expand.elastic.connection import *
from entity_expand.elastic.address import Address
connection = Connection(Address(sys.argv[1], "x"))
assert connection.send(Call("GET", "/x"), Deadline.after(5)).body == {"a": 1}
child = os.fork()
assert connection.send(Call("GET", "/x"), Deadline.after(5)).body == {"a": 1}
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert connection.send(Call("GET", "/x"), Deadline.after(5)).body == {"a": 1}
"""


def test_it_works_after_a_fork_and_leaves_without_being_closed() -> None:
    with ScriptedServer(reply(200, {"a": 1})) as server:
        command = [sys.executable, "-c", FORKING, server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(server.requests) == 4


def add_up(*numbers: int) -> Generator[Call, Answer, int]:
    total = 0
    for number in numbers:
        try:
            answer = yield Call("GET", f"/{number}")
        except IndexMissingError:
            total += 100
        else:
            total += answer.body["n"]
    return total


def test_operations_get_answers_and_errors_where_they_asked() -> None:
    script = [reply(200, {"n": 1}), refuse(404, "index_not_found_exception"), reply(200, {"n": 3})]

    async def by_async(url: str) -> int:
        async with AsyncConnection(Address(url, "x")) as connection:
            return await drive_async(connection, add_up(1, 2, 3), Deadline.after(5))

    with ScriptedServer(*script) as server, Connection(Address(server.url, "x")) as connection:
        assert drive(connection, add_up(1, 2, 3), Deadline.after(5)) == 1 + 100 + 3
    with ScriptedServer(*script) as server:
        assert asyncio.run(by_async(server.url)) == 1 + 100 + 3
    assert [request.line.split()[1] for request in server.requests] == ["/1", "/2", "/3"]
    with ScriptedServer(refuse(400, "x")) as server, Connection(Address(server.url, "x")) as connection:
        with pytest.raises(ServerError):
            drive(connection, add_up(1), Deadline.after(5))
        assert drive(connection, add_up(), Deadline.after(5)) == 0
