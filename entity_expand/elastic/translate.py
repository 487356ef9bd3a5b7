"""From what a server answers to the errors of this project, and whether asking again can help; pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from entity_expand.errors import (
    AccessError,
    DeadlineError,
    IndexMissingError,
    OverloadedError,
    ReadOnlyError,
    ServerError,
    UnreachableError,
)
from entity_expand.sending import Again, Failure

REASON_CHARACTERS = 300
_REJECTED = {"es_rejected_execution_exception", "circuit_breaking_exception"}
_NO_INDEX, _CLOSED = "index_not_found_exception", "index_closed_exception"
_STATUS_OF_ITEM = {_NO_INDEX: 404, _CLOSED: 400, "illegal_argument_exception": 400}
_UNAVAILABLE = {
    "cluster_block_exception",
    "master_not_discovered_exception",
    "no_shard_available_action_exception",
    "unavailable_shards_exception",
}


def refused(where: str, status: int, content: bytes) -> Failure:
    """Translate an answer that is an error.

    Args:
        where: Server, method and path, for the message.
        status: HTTP status.
        content: Body as it came.
    """
    body = _parsed(content)
    return _failure(where, status, _types(body), _reason(body, content))


def incomplete(where: str, status: int, body: Any) -> Failure | None:
    """Find what a successful answer says of parts that failed or were cut off; None when it is whole.

    A search that reached only some of the shards, or stopped at its time limit, is answered with 200. Searches that
    were sent together (_msearch) are answered with one body each, documents that are read together (_mget) with one
    entry each.
    """
    if not isinstance(body, dict):
        return None
    if body.get("timed_out") is True:
        error = DeadlineError(f"{where}: the server stopped at the time limit it was given; allow more.", status)
        return Failure(error, Again.NEVER)
    shards = body.get("_shards")
    if isinstance(shards, dict) and (failed := shards.get("failed")):
        reason = _shorten("; ".join(_causes(shards.get("failures"))))
        message = f"{where}: {failed} of {shards.get('total')} shards gave no answer. {reason}"
        return Failure(UnreachableError(message, status, reason), Again.SAFE)
    for part in body.get("responses") or ():
        if isinstance(part, dict) and "error" in part:
            return _failure(where, part.get("status", 500), _types(part), _reason(part, b""))
        if found := incomplete(where, status, part):
            return found
    for part in body.get("docs") or ():
        if isinstance(part, dict) and "error" in part:
            types = _types(part)
            statuses = [_STATUS_OF_ITEM[each] for each in types if each in _STATUS_OF_ITEM]
            return _failure(where, max(statuses, default=503), types, _reason(part, b""))
    return None


def _failure(where: str, status: int, types: set[str], reason: str) -> Failure:
    def made(kind: type[ServerError], advice: str, again: Again = Again.NEVER) -> Failure:
        return Failure(kind(f"{where}: status {status}. {reason} {advice}".strip(), status, reason), again)

    if status == 404 and _NO_INDEX in types:
        return Failure(IndexMissingError(f"{where}: there is no such index. {reason}"), Again.NEVER)
    if _CLOSED in types:
        return made(ServerError, "Open that index by `POST /NAME/_open`.")
    if (status in (403, 429) and "cluster_block_exception" in types) or "flood-stage" in reason:
        return made(ReadOnlyError, "Free disk space on the server, or remove the block from the index.")
    if status == 401:
        return made(AccessError, "Give an API key, or user and password, that the server knows.")
    if status == 403:
        return made(AccessError, "The credentials lack a privilege for this.")
    if status == 429:
        again = Again.ALWAYS if types & _REJECTED else Again.SAFE
        return made(OverloadedError, "Send less at a time, or give the server more memory.", again)
    if status == 503:
        again = Again.ALWAYS if types & _UNAVAILABLE else Again.SAFE
        return made(UnreachableError, "See the health of the cluster.", again)
    if status in (502, 504):
        return made(UnreachableError, "A proxy got no answer from the server.", Again.SAFE)
    if status == 408:
        return made(DeadlineError, "Allow more time.")
    if status == 413:
        return made(ServerError, "The request is too large for the server; send smaller parts.")
    if 300 <= status < 400:
        return made(ServerError, "Write the address that it redirects to.")
    return made(ServerError, "")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _errors(body: Any) -> Iterator[dict[str, Any]]:
    """Yield the error of a body and those that it names as its roots."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        roots = error.get("root_cause")
        yield from (each for each in (error, *(roots if isinstance(roots, list) else ())) if isinstance(each, dict))


def _types(body: Any) -> set[str]:
    return {str(each.get("type")) for each in _errors(body)}


def _reason(body: Any, content: bytes) -> str:
    lines = dict.fromkeys(_line(each) for each in _errors(body))
    if not lines and isinstance(body, dict) and isinstance(body.get("error"), str):
        lines = {body["error"]: None}
    return _shorten("; ".join(lines) or content[: 4 * REASON_CHARACTERS].decode(errors="replace"))


def _line(error: dict[str, Any]) -> str:
    index = f" [{error.get('index')}]" if error.get("type") == _CLOSED else ""
    return f"{error.get('type')}: {error.get('reason')}{index}"


def _causes(failures: Any) -> list[str]:
    listed = failures if isinstance(failures, list) else []
    reasons = [each["reason"] for each in listed if isinstance(each, dict) and isinstance(each.get("reason"), dict)]
    return list(dict.fromkeys(f"{each.get('type')}: {each.get('reason')}" for each in reasons))


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= REASON_CHARACTERS else text[: REASON_CHARACTERS - 3] + "..."
