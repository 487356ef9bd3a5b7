"""A service that fails, in every way that a script can write down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from entity_expand import (
    DeadlineError,
    Expander,
    ExpandQuery,
    Expansion,
    IndexChangedError,
    OverloadedError,
    QueryError,
    ServerError,
    UnreachableError,
)
from entity_expand.remote.expander import RemoteExpander
from servers.scripted import ScriptedServer, Step, drip, garble, hang, reply, reset, truncate

FACTS = reply(200, {"entities": 3, "strategies": ["paper"], "limits": {}})
URN = "urn:entity-expand:problem:"


def problem(status: int, kind: str, headers: dict[str, str] | None = None, **more: Any) -> Step:
    content = {"type": URN + kind, "title": kind, "status": status, "detail": f"it is {kind}", **more}
    return reply(status, content, headers)


@pytest.fixture
def answer(local: Expander) -> dict[str, Any]:
    return {**local.expand(["0"], 3).to_dict(), "pictures": {"0": "/v1/pictures/x"}}


def asked(*steps: Step, timeout: float = 5.0) -> tuple[Expansion, int]:
    """Expand against a script; return what came and the number of requests that it took."""
    with ScriptedServer(FACTS, *steps) as server, Expander.open(server.url) as remote:
        return remote.expand(["0"], 3, timeout=timeout), len(server.requests) - 1


@pytest.mark.parametrize(
    "fault",
    [
        reset, truncate, garble, problem(503, "overloaded", {"Retry-After": "0"}), problem(429, "too-many"),
        problem(503, "index-changed"), problem(503, "unreachable"), reply(200, b'{"format": '), reply(502, b"<html>"),
    ],
)  # fmt: skip
def test_what_may_pass_is_asked_again(fault: Step, answer: dict[str, Any]) -> None:
    found, requests = asked(fault, reply(200, answer))
    assert len(found.results) == 3 and requests == 2


def test_the_service_says_when_to_come_back(answer: dict[str, Any]) -> None:
    began = time.monotonic()
    asked(problem(503, "overloaded", {"Retry-After": "1"}), reply(200, answer))
    assert time.monotonic() - began > 1.0


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (problem(422, "query"), QueryError), (problem(422, "invalid"), QueryError),
        (problem(413, "too-large"), QueryError),
        (problem(422, "unknown-seed", seed=7, suggestions={"a": 1}), QueryError),
        (problem(422, "ambiguous-seed", readings=["x", {"id": 3}]), QueryError),
        (problem(504, "deadline"), DeadlineError), (problem(500, "internal"), ServerError),
        (problem(500, "of a later release"), ServerError), (reply(404, b"no"), ServerError),
        (reply(200, []), ServerError), (reply(200, {"format": "x"}), ServerError), (reply(302, b""), ServerError),
    ],
)  # fmt: skip
def test_what_will_not_pass_is_not_asked_again(step: Step, error: type[Exception]) -> None:
    with ScriptedServer(FACTS, step) as server, Expander.open(server.url) as remote:
        with pytest.raises(error):
            remote.expand(["0"], 3)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda form: form["results"][0].update(name=7),
        lambda form: form["results"][0].update(score=float("inf")),
        lambda form: form["results"][0]["evidence"].append({"text": "", "mentions": [], "image": "../../etc/passwd"}),
        lambda form: form.update(surprise=1),
        lambda form: form.update(version=2),
        lambda form: form["results"].reverse(),
    ],
)
def test_answers_are_checked(change: Callable[[dict[str, Any]], object], answer: dict[str, Any]) -> None:
    change(answer)
    with pytest.raises(ServerError, match="a form that this release does not know"):
        asked(reply(200, answer))


@pytest.mark.parametrize("step", [hang, drip(50)])
def test_it_ends_at_the_deadline(step: Step) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError):
        asked(step, timeout=0.4)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (problem(503, "overloaded"), OverloadedError), (problem(503, "index-changed"), IndexChangedError),
        (reset, UnreachableError),
    ],
)  # fmt: skip
def test_what_goes_on_is_told_in_the_end(step: Step, error: type[Exception]) -> None:
    with pytest.raises(error):
        asked(step, timeout=0.5)


@pytest.mark.parametrize("step", [reply(200, {"name": "other"}), reply(200, b"hello"), reply(404, b"<html>")])
def test_other_servers_are_no_services(step: Step) -> None:
    with ScriptedServer(step) as server, pytest.raises((ServerError, UnreachableError)):
        RemoteExpander.connect(server.url, timeout=0.5)


def test_a_batch_of_another_length_is_refused(answer: dict[str, Any]) -> None:
    short, queries = reply(200, {"results": [answer]}), [ExpandQuery(["0"]), ExpandQuery(["1"])]
    with (
        ScriptedServer(FACTS, short) as server,
        Expander.open(server.url) as remote,
        pytest.raises(ServerError, match="one result for each"),
    ):
        remote.expand_many(queries)
