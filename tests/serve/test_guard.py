"""The outermost layer, asked through the whole application."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from entity_expand import Expander, StoreError
from entity_expand.serve import logs
from entity_expand.serve.app import create_app
from entity_expand.serve.keys import ApiKeys
from entity_expand.serve.settings import ServeSettings
from serve.helpers import problem

KEY = "secret-of-20-letters"
Opened = Callable[..., TestClient]


@pytest.fixture
def opened(expander: Expander) -> Iterator[Opened]:
    clients: list[TestClient] = []

    def open_client(settings: ServeSettings | None = None, keys: ApiKeys | None = None, over=expander) -> TestClient:
        client = TestClient(
            create_app(over, settings, keys), base_url="http://localhost", raise_server_exceptions=False
        )
        client.__enter__()
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict]]]:
    stream, names = io.StringIO(), ("entity_expand", "uvicorn", "uvicorn.error")
    before = {name: (logging.getLogger(name).handlers, logging.getLogger(name).propagate) for name in names}
    logs.set_up(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    for name, (handlers, propagate) in before.items():
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
        logging.getLogger(name).setLevel(logging.NOTSET)


class Stuck:
    """A store that answers when it is let go, or not at all."""

    def __init__(self, store, error: Exception | None = None) -> None:
        self.store, self.error, self.go, self.asked = store, error, threading.Event(), threading.Semaphore(0)

    def begin(self, timeout: float | None = None):
        self.asked.release()
        if self.error is not None:
            raise self.error
        self.go.wait(5)
        return self.store.begin(timeout)


def test_every_answer_has_safe_headers_and_an_id(opened: Opened) -> None:
    client = opened()
    for path in ("/v1/index", "/healthz", "/v1/nothing", "/metrics", "/openapi.json"):
        headers = client.get(path, headers={"x-request-id": "mine-1"}).headers
        assert headers["x-request-id"] == "mine-1" and headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"] and headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert len(client.get("/healthz", headers={"x-request-id": "no good"}).headers["x-request-id"]) == 32


def test_other_hosts_are_refused(opened: Opened) -> None:
    assert problem(opened().get("/v1/index", headers={"host": "evil.example"})).status == 421


def test_a_key_is_asked_for(opened: Opened, lines) -> None:
    client = opened(keys=ApiKeys({"page": KEY}))
    refused = client.get("/v1/index", headers={"authorization": "Bearer wrong-" + KEY})
    assert problem(refused).status == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/index", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
    assert client.get("/healthz").status_code == 200
    told = [line for line in lines() if line["message"] == "answered"]
    assert [line["caller"] for line in told] == [None, "page"]
    assert KEY not in json.dumps(told)


def test_bodies_are_bounded_whether_announced_or_not(opened: Opened) -> None:
    client = opened(ServeSettings(body_bytes=1_000))
    body = json.dumps({"seeds": ["x" * 900, "y" * 900]}).encode()
    kind = {"content-type": "application/json"}
    assert problem(client.post("/v1/expand", content=body, headers=kind)).status == 413
    assert problem(client.post("/v1/expand", content=iter([body[:900], body[900:]]), headers=kind)).status == 413


def test_too_many_at_once_are_told_to_come_back(opened: Opened, expander: Expander) -> None:
    stuck = Stuck(expander.store)
    stuck.go.set()
    client = opened(ServeSettings(workers=1, waiting=1, per_caller=1), over=Expander(stuck))
    stuck.go.clear()
    first: list = []
    thread = threading.Thread(target=lambda: first.append(client.get("/v1/index")))
    thread.start()
    while not stuck.asked.acquire(timeout=5):
        pass
    stuck.asked.acquire(timeout=5)
    refused = client.get("/v1/index")
    assert problem(refused).status == 429 and refused.headers["retry-after"] == "1"
    assert client.get("/healthz").status_code == 200
    stuck.go.set()
    thread.join(5)
    assert first[0].status_code == 200 and client.get("/v1/index").status_code == 200
    assert 'refused_total{reason="too-many"} 1.0' in client.get("/metrics").text


def test_a_request_ends_at_its_deadline(opened: Opened, expander: Expander) -> None:
    stuck = Stuck(expander.store)
    stuck.go.set()
    client = opened(ServeSettings(seconds=0.05), over=Expander(stuck))
    stuck.go.clear()
    late = client.get("/readyz")
    stuck.go.set()
    assert problem(late).status == 504 and late.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("error", "status"), [(StoreError("/secret/place is damaged"), 500), (ValueError("at /secret/place"), 500)]
)
def test_what_lies_behind_stays_in_the_log(opened: Opened, expander: Expander, lines, error, status: int) -> None:
    stuck = Stuck(expander.store)
    stuck.go.set()
    client = opened(over=Expander(stuck))
    stuck.error = error
    response = client.get("/v1/index")
    assert problem(response).status == status and "/secret" not in response.text
    told = [line for line in lines() if "/secret/place" in json.dumps(line)]
    assert told and told[0]["request_id"] == response.headers["x-request-id"]


def test_each_answer_is_logged_and_counted(opened: Opened, lines) -> None:
    client = opened()
    client.post("/v1/expand", json={"seeds": ["0"], "size": 3})
    client.get("/v1/entities/5?secret=1")
    first, second = [line for line in lines() if line["message"] == "answered"]
    assert (first["method"], first["route"], first["status"], first["level"]) == ("POST", "/v1/expand", 200, "info")
    assert second["path"] == "/v1/entities/5" and second["milliseconds"] > 0 and second["bytes"] > 100
    assert "secret" not in json.dumps(second)
    text = client.get("/metrics").text
    assert 'entity_expand_requests_total{method="POST",route="/v1/expand",status="200"} 1.0' in text
    assert "entity_expand_results_total 3.0" in text and "entity_expand_entities 33.0" in text
    assert 'entity_expand_request_seconds_count{route="/v1/entities/{id:path}"} 1.0' in text
    client.request("BREW", "/v1/coffee")
    assert 'method="other",route="none",status="404"' in client.get("/metrics").text


def test_lines_of_the_log_cannot_be_forged(lines) -> None:
    logging.getLogger("entity_expand.test").warning('x\n{"level": "info"} \x1b[31m é')
    (line,) = lines()
    assert line["message"].startswith("x\n") and line["level"] == "warning" and "request_id" not in line
