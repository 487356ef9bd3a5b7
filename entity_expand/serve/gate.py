"""Who may come in: rules about a request's head, without I/O."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from entity_expand.serve.keys import ApiKeys
from entity_expand.serve.problems import Problem
from entity_expand.serve.settings import ServeSettings, is_loopback

WORK = "/v1/"
"""What counts as work begins so."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request.

    Attributes:
        path: Decoded.
        headers: Lower-case name -> value.
        peer: Address of who sends it.
    """

    path: str
    headers: Mapping[str, str]
    peer: str


class Gate:
    """Lets requests in and out; used by one event loop.

    Args:
        settings: Limits.
        keys: Who may ask; None for anybody on this machine.
    """

    def __init__(self, settings: ServeSettings, keys: ApiKeys | None) -> None:
        self._settings = settings
        self._keys = keys
        self._inside: Counter[str] = Counter()

    def request_id(self, head: Head) -> str:
        """Return the id that the caller gave, if it is a plain one, else a new one."""
        given = head.headers.get("x-request-id", "")
        return given if _ID.fullmatch(given) else uuid.uuid4().hex

    def refusal(self, head: Head, caller: str | None) -> Problem | None:
        """Return why a request of a caller, None for a stranger, is turned away whatever it asks; None if it is not."""
        if self._keys is None and not is_loopback(_host_of(head.headers.get("host", ""))):
            # A page elsewhere could otherwise ask under a name of its own that it has point to this machine.
            return Problem(421, "host", "Wrong host", "Without API keys the service answers to localhost alone.")
        if self._protected(head) and caller is None:
            return Problem(401, "key-missing", "An API key is needed", "Send it as `Authorization: Bearer KEY`.")
        length = head.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._settings.body_bytes:
            return too_large(self._settings.body_bytes)
        return None

    def _protected(self, head: Head) -> bool:
        return self._keys is not None and (head.path.startswith(WORK) or head.path in ("/metrics", "/openapi.json"))

    def caller(self, head: Head) -> str | None:
        """Return who asks: the name of the key, the peer's address where no keys are, None for a stranger."""
        if self._keys is None:
            return head.peer
        scheme, _, key = head.headers.get("authorization", "").partition(" ")
        return self._keys.name_of(key.strip()) if scheme.lower() == "bearer" else None

    def enter(self, caller: str) -> Problem | None:
        """Count a request in; return why not, if there are too many."""
        settings = self._settings
        if self._inside.total() >= settings.workers + settings.waiting:
            detail = f"{self._inside.total()} requests are under way, which is all that are taken on."
            return Problem(503, "overloaded", "The service has too much to do", detail, retry_after=1.0)
        if self._inside[caller] >= settings.per_caller:
            detail = f"{settings.per_caller} requests of yours are under way; wait for one of them."
            return Problem(429, "too-many", "Too many requests at once", detail, retry_after=1.0)
        self._inside[caller] += 1
        return None

    def leave(self, caller: str) -> None:
        """Count a request out."""
        self._inside[caller] -= 1
        if not self._inside[caller]:
            del self._inside[caller]


def too_large(cap: int) -> Problem:
    """Return the problem of a body that is above the cap, in bytes."""
    return Problem(413, "too-large", "The body is too large", f"A body has at most {cap:,} bytes here.")


def _host_of(value: str) -> str:
    """Return the host of a Host header without its port."""
    if value.startswith("["):
        return value.partition("]")[0] + "]"
    return value.partition(":")[0]
