"""Who is let in: hosts, keys, ids, sizes, numbers."""

from __future__ import annotations

import pytest

from entity_expand.serve.gate import Gate, Head
from entity_expand.serve.keys import ApiKeys
from entity_expand.serve.settings import ServeSettings

KEY = "a-key-of-20-letters!"
KEYS = ApiKeys({"desk": KEY, "other": "x" * 16})


def head(path: str = "/v1/index", **headers: str) -> Head:
    return Head(
        path, {"host": "localhost:8080"} | {name.replace("_", "-"): text for name, text in headers.items()}, "::1"
    )


def kind(gate: Gate, asked: Head) -> str:
    found = gate.refusal(asked, gate.caller(asked))
    return found.kind if found else ""


@pytest.mark.parametrize(
    ("host", "refused"),
    [
        ("localhost", ""), ("LOCALHOST:80", ""), ("127.0.0.1:8080", ""), ("[::1]:8080", ""), ("127.3.2.1", ""),
        ("", "host"), ("evil.example", "host"), ("localhost.evil.example:8080", "host"), ("127.0.0.1.nip:80", "host"),
        ("[::1", ""), ("10.0.0.1", "host"),
    ],
)  # fmt: skip
def test_without_keys_it_answers_to_names_of_this_machine(host: str, refused: str) -> None:
    assert kind(Gate(ServeSettings(), None), head(host=host)) == refused
    assert kind(Gate(ServeSettings(), KEYS), head(host=host, authorization=f"Bearer {KEY}")) == ""


@pytest.mark.parametrize(
    ("authorization", "refused"),
    [
        (f"Bearer {KEY}", ""), (f"bearer  {KEY} ", ""), (f"Bearer {KEY}x", "key-missing"), ("Bearer", "key-missing"),
        ("Bearer ", "key-missing"), (KEY, "key-missing"), (f"Basic {KEY}", "key-missing"), ("", "key-missing"),
        ("Bearer \xff\xfe", "key-missing"),
    ],
)  # fmt: skip
def test_with_keys_a_key_is_needed(authorization: str, refused: str) -> None:
    gate = Gate(ServeSettings(), KEYS)
    for path in ("/v1/index", "/metrics", "/openapi.json"):
        assert kind(gate, head(path, authorization=authorization)) == refused
    for path in ("/healthz", "/readyz", "/"):
        assert kind(gate, head(path, authorization=authorization)) == ""


def test_callers_are_keys_or_else_addresses() -> None:
    assert Gate(ServeSettings(), KEYS).caller(head(authorization=f"Bearer {KEY}")) == "desk"
    assert Gate(ServeSettings(), None).caller(head(authorization=f"Bearer {KEY}")) == "::1"


@pytest.mark.parametrize(
    ("length", "refused"),
    [
        ("0", ""), ("100", ""), ("101", "too-large"), ("9" * 5_000, "too-large"), ("-1", "too-large"),
        ("1e1", "too-large"), ("²", "too-large"),
    ],
)  # fmt: skip
def test_bodies_are_bounded_by_what_is_announced(length: str, refused: str) -> None:
    assert kind(Gate(ServeSettings(body_bytes=100), None), head(content_length=length)) == refused


@pytest.mark.parametrize(
    ("given", "taken"),
    [("abc-1.2_3", True), ("", False), ("a b", False), ("x" * 65, False), ("é", False), ("a\n", False)],
)
def test_ids_of_callers_are_taken_if_they_are_plain(given: str, taken: bool) -> None:
    gate = Gate(ServeSettings(), None)
    found = gate.request_id(head(x_request_id=given))
    assert (found == given) == taken
    assert taken or len(found) == 32


def test_so_many_are_let_in_at_once() -> None:
    gate = Gate(ServeSettings(workers=2, waiting=2, per_caller=3), None)
    assert [gate.enter("a") for _ in range(3)] == [None] * 3
    many = gate.enter("a")
    assert many is not None and (many.status, many.headers) == (429, {"retry-after": "1"})
    assert gate.enter("b") is None
    full = gate.enter("c")
    assert full is not None and (full.status, full.headers) == (503, {"retry-after": "1"})
    gate.leave("a")
    assert gate.enter("c") is None
    for caller in ("a", "a", "b", "c"):
        gate.leave(caller)
    assert [gate.enter("a") for _ in range(3)] == [None] * 3
