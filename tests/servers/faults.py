"""What goes wrong between a client and a server, drawn from a seed; and the answers that a proxy makes up."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

Fault = Literal["reset", "lose", "truncate", "overload", "unavailable"]
FAULTS: tuple[Fault, ...] = ("reset", "lose", "truncate", "overload", "unavailable")
REJECTED = {"type": "es_rejected_execution_exception", "reason": "rejected execution: made up by the tests' proxy"}


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a request meets which fault; the numbers are probabilities, and the first five exclude each other.

    The draws come from `random.Random(seed)` in the order in which requests arrive, so that they are the same in each
    run whose requests come one after the other.
    """

    seed: int
    reset: float = 0.0
    """The connection is reset, and the server never sees the request."""
    lose: float = 0.0
    """The server does the work, but the connection is reset before its answer is passed on."""
    truncate: float = 0.0
    """The answer breaks off half-way."""
    overload: float = 0.0
    """The answer is a 429, and the server never sees the request."""
    unavailable: float = 0.0
    """The answer is a 503, and the server never sees the request."""
    delay: float = 0.0
    """The request is held back for `seconds`, whatever else happens to it."""
    seconds: float = 1.0
    reject: float = 0.0
    """Of each item of a bulk request: it is answered by a 429 of its own, and the server never sees it."""
    paths: str = ""
    """A regular expression: only requests whose "METHOD /path?query" has a match meet faults."""
    limit: int | None = None
    """After so many faults no more happen (delays and rejected items not counted)."""

    def __post_init__(self) -> None:
        if not 0 <= sum(getattr(self, name) for name in FAULTS) <= 1:
            raise ValueError(f"{self}: {', '.join(FAULTS)} exclude each other, so their sum is at most 1.")


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one request."""

    fault: Fault | None = None
    delay: float = 0.0


class Draws:
    """The draws of some `Faults`, one request after the other."""

    def __init__(self, faults: Faults) -> None:
        """Begin at the seed."""
        self._faults = faults
        self._random = random.Random(faults.seed)
        self._left = faults.limit
        self._lock = Lock()

    def concerns(self, request: str) -> bool:
        """Say whether "METHOD /path?query" can meet faults."""
        return re.search(self._faults.paths, request) is not None

    def fate(self) -> Fate:
        """Draw what happens to the next request."""
        with self._lock:
            value, delayed = self._random.random(), self._random.random() < self._faults.delay
            fault = self._pick(value) if self._left != 0 else None
            if fault and self._left is not None:
                self._left -= 1
        return Fate(fault, self._faults.seconds if delayed else 0.0)

    def _pick(self, value: float) -> Fault | None:
        for name in FAULTS:
            value -= getattr(self._faults, name)
            if value < 0:
                return name
        return None

    def rejections(self, count: int) -> list[bool]:
        """Draw which of `count` items of a bulk request are rejected."""
        with self._lock:
            return [self._faults.reject > 0 and self._random.random() < self._faults.reject for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Check:
    """Who may ask: a user with a password, or the bearer of an API key (in the form that the header takes)."""

    user: str = ""
    password: str = ""
    api_key: str = ""
    forbidden: str = ""
    """A regular expression: whoever may ask is refused (403) what "METHOD /path?query" has a match for."""

    def refusal(self, request: str, header: str | None) -> tuple[int, dict[str, Any]] | None:
        """Return the status and the body that refuse a request with this `Authorization`; None to let it pass."""
        basic = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        known = {basic} if self.user else set()
        known |= {f"ApiKey {self.api_key}"} if self.api_key else set()
        path = request.split(" ")[1]
        if header is None:
            return 401, error_body(
                401, "security_exception", f"missing authentication credentials for REST request [{path}]"
            )
        if header not in known:
            return 401, error_body(401, "security_exception", f"unable to authenticate for REST request [{path}]")
        if self.forbidden and re.search(self.forbidden, request):
            return 403, error_body(
                403, "security_exception", f"action [{request}] is unauthorized for user [{self.user}]"
            )
        return None


def error_body(status: int, kind: str, reason: str) -> dict[str, Any]:
    """Return the JSON body of an error as Elasticsearch words it."""
    cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


def made_up(fault: Fault | None) -> tuple[int, dict[str, Any]] | None:
    """Return the status and the body of the answer that a fault consists of; None where there is none."""
    if fault == "overload":
        return 429, error_body(429, REJECTED["type"], REJECTED["reason"])
    if fault == "unavailable":
        return 503, error_body(503, "unavailable_shards_exception", "no shard is there: made up by the tests' proxy")
    return None


@dataclass(frozen=True, slots=True)
class BulkItem:
    """One item of a bulk request: its action ("index", "create", "update", "delete"), target and lines."""

    action: str
    target: Mapping[str, Any]
    lines: tuple[bytes, ...]

    def rejected(self) -> dict[str, Any]:
        """Return what a bulk answer holds in place of an item that was rejected."""
        return {self.action: {"_index": None, **self.target, "status": 429, "error": REJECTED}}


def read_bulk(body: bytes, path: str) -> list[BulkItem]:
    """Split the body of a bulk request to `path`, e.g. "/name/_bulk", into its items."""
    index = path.partition("?")[0].strip("/").split("/")[0]
    lines = iter(body.split(b"\n"))
    items = []
    for line in lines:
        if line.strip():
            ((action, target),) = json.loads(line).items()
            default = {} if index == "_bulk" else {"_index": index}
            kept = {key: value for key, value in target.items() if key in ("_index", "_id")}
            source = () if action == "delete" else (next(lines),)
            items.append(BulkItem(action, {**default, **kept}, (line, *source)))
    return items


def without_filter(path: str) -> str:
    """Return a path without its `filter_path`, which would leave out what `merge_bulk` has to find."""
    parts = urlsplit(path)
    return urlunsplit(
        parts._replace(query=urlencode([each for each in parse_qsl(parts.query) if each[0] != "filter_path"]))
    )


def merge_bulk(answer: Mapping[str, Any], items: Sequence[BulkItem], rejected: Sequence[bool]) -> dict[str, Any]:
    """Return a bulk answer with the rejected items put back at their places."""
    answered = iter(answer["items"])
    merged = [item.rejected() if no else next(answered) for item, no in zip(items, rejected, strict=True)]
    return {**answer, "errors": answer["errors"] or any(rejected), "items": merged}
