"""Items of bulk requests, and what the server's answer says of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entity_expand.errors import AccessError, IndexMissingError, ReadOnlyError, UnreachableError

_LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class Item:
    """One document to be written.

    Attributes:
        id: Its key.
        source: Its JSON; None deletes it.
        seen: Sequence number and primary term that it must still have; None to write in any case.
    """

    id: str
    source: bytes | None
    seen: tuple[int, int] | None = None

    def lines(self) -> bytes:
        """Return the lines of a bulk request."""
        action: dict[str, Any] = {"_id": self.id}
        if self.seen is not None:
            action |= {"if_seq_no": self.seen[0], "if_primary_term": self.seen[1]}
        head = json.dumps({"delete" if self.source is None else "index": action}).encode() + b"\n"
        return head if self.source is None else head + self.source + b"\n"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A document that the server will never take as it is, and why."""

    id: str
    status: int
    reason: str


def sort_out(
    index: str, items: Sequence[Item], answers: Sequence[Mapping[str, Any]]
) -> tuple[list[tuple[Item, str]], list[Rejection]]:
    """Return the items to be sent again, with what was said of them, and those rejected for good.

    Raises:
        ServerError: Something concerns all documents, or the answer is not whole.
        IndexMissingError: The index is gone.
    """
    if len(answers) != len(items):
        raise UnreachableError(f"{len(items)} documents were sent to {index}, {len(answers)} answered.")
    again, rejected = [], []
    for item, answer in zip(items, answers, strict=True):
        ((_, found),) = answer.items()
        status, error = found["status"], found.get("error")
        if error is None:
            continue
        reason = _reason(error)
        _raise_if_for_all(index, status, error, reason)
        if status == 429 or status >= 500:
            again.append((item, reason))
        else:
            rejected.append(Rejection(item.id, status, reason))
    return again, rejected


def _reason(error: Any) -> str:
    """Return what the server says of one item, and its cause, shortened."""
    parts = list[str]()
    while isinstance(error, dict) and len(parts) < 4:
        parts.append(f"{error.get('type')}: {error.get('reason')}"[:_LONGEST_REASON])
        error = error.get("caused_by")
    return "; ".join(parts) or str(error)[:_LONGEST_REASON]


def _raise_if_for_all(index: str, status: int, error: Any, reason: str) -> None:
    """Raise what concerns all documents, not this one."""
    kind = error.get("type") if isinstance(error, dict) else None
    if kind == "cluster_block_exception":
        text = f"{index} takes no changes: {reason}. Free disk space on the server, or remove the block."
        raise ReadOnlyError(text, status, reason)
    if kind == "index_not_found_exception":
        raise IndexMissingError(f"The index {index} is gone: {reason}. Another program has deleted it; run again.")
    if status in (401, 403):
        raise AccessError(f"The credentials do not allow writing into {index}: {reason}", status, reason)
