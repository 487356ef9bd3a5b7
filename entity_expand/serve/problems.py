"""Errors as RFC 9457 problem details: what went wrong for the caller, and nothing of what lies behind the service."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entity_expand.errors import (
    AccessError,
    AmbiguousSeedError,
    DeadlineError,
    EncoderError,
    EntityExpandError,
    ExpansionError,
    ImageError,
    IndexChangedError,
    OverloadedError,
    QueryError,
    ServerError,
    StoreError,
    UnknownSeedError,
    UnreachableError,
)

MEDIA_TYPE = "application/problem+json"
URN = "urn:entity-expand:problem:"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is answered instead of a result.

    Attributes:
        status: HTTP status.
        kind: Last part of the problem's type, for programs: "unknown-seed".
        title: The kind in words.
        detail: What was wrong this time.
        more: Further members, by kind.
        retry_after: Seconds after which the same may succeed; None if it will not.
    """

    status: int
    kind: str
    title: str
    detail: str
    more: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the problem's JSON object."""
        known = {"type": URN + self.kind, "title": self.title, "status": self.status, "detail": self.detail}
        return {**known, **self.more}

    def body(self) -> bytes:
        """Return the JSON object as bytes."""
        return json.dumps(self.to_dict(), ensure_ascii=False).encode("utf-8", "replace")

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with the answer."""
        return {} if self.retry_after is None else {"retry-after": str(max(1, math.ceil(self.retry_after)))}


class ProblemError(EntityExpandError):
    """A request is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


# The first that fits counts. Texts of errors on the caller's side are theirs; others stay in the log.
_KINDS: tuple[tuple[type[EntityExpandError], int, str, str, float | None], ...] = (
    (UnknownSeedError, 422, "unknown-seed", "A seed names no entity", None),
    (AmbiguousSeedError, 422, "ambiguous-seed", "A seed names more than one entity", None),
    (QueryError, 422, "query", "The question cannot be answered", None),
    (ExpansionError, 422, "expansion", "The expansion is none that can be read", None),
    (ImageError, 422, "picture", "A picture cannot be read", None),
    (DeadlineError, 504, "deadline", "It took longer than allowed", 1.0),
    (OverloadedError, 503, "overloaded", "The service has too much to do", 1.0),
    (IndexChangedError, 503, "index-changed", "The index changed meanwhile", 1.0),
    (UnreachableError, 503, "unreachable", "The search server cannot be reached", 5.0),
    (AccessError, 502, "search-server", "The search server refused the service", None),
    (ServerError, 502, "search-server", "The search server failed", None),
    (EncoderError, 502, "encoder", "The encoder failed", None),
    (StoreError, 500, "store", "The index cannot be read", None),
)
_GENERAL = Problem(500, "internal", "Something went wrong", "The log of the service says more under the request's id.")


def problem_of(error: BaseException) -> Problem:
    """Return what a caller is told of an error."""
    if isinstance(error, ProblemError):
        return error.problem
    for kind, status, name, title, wait in _KINDS:
        if isinstance(error, kind):
            detail = str(error) if status < 500 else _GENERAL.detail
            return Problem(status, name, title, detail, _more(error), wait)
    return _GENERAL


def _more(error: BaseException) -> dict[str, Any]:
    if isinstance(error, UnknownSeedError):
        return {"seed": error.seed, "suggestions": list(error.suggestions)}
    if isinstance(error, AmbiguousSeedError):
        return {"seed": error.seed, "readings": [{"id": key, "name": name} for key, name in error.readings]}
    return {}


def invalid(places: list[tuple[str, str]]) -> Problem:
    """Return the problem of a request that is not of the described form: (JSON pointer or parameter, message) each."""
    errors = [{"where": where, "detail": detail} for where, detail in places[:20]]
    said = "; ".join(f"{where}: {detail}" for where, detail in places[:3])
    return Problem(422, "invalid", "The request is not of the described form", said, {"errors": errors})
