"""From what a Triton server answers to the errors of this project, and whether asking again can help."""

from __future__ import annotations

from entity_expand.errors import (
    AccessError,
    DeadlineError,
    EncoderError,
    ModelMismatchError,
    OverloadedError,
    ServerError,
    UnreachableError,
)
from entity_expand.sending import Again, Failure

REASON_CHARACTERS = 300
_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED",
    429: "UNAVAILABLE",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FULL_QUEUE = "Exceeds maximum queue size"
_LONG_QUEUE = "Request timeout expired"
_DEAD_HELPER = "is not healthy"
_LOST_MEMORY = "shared memory region"


class LostMemoryError(Exception):
    """The server does not know a block of shared memory any more, as after it was started again."""


def refused(where: str, what: str, code: str, text: str) -> Failure:
    """Translate a refusal.

    Args:
        where: The server's address.
        what: What it was asked for: "entity-expand-encoder, version 7".
        code: Name of gRPC's status such as "StatusCode.NOT_FOUND", or an HTTP status.
        text: What the server said.

    Raises:
        LostMemoryError: It is about a block of shared memory.
    """
    status = int(code) if code.isdigit() else None
    kind = _HTTP.get(status, "INTERNAL") if status else code.removeprefix("StatusCode.")
    reason = " ".join(text.split())[:REASON_CHARACTERS]
    if _LOST_MEMORY in reason and kind in ("INVALID_ARGUMENT", "NOT_FOUND"):
        raise LostMemoryError(reason)

    def made(error: type[ServerError], advice: str, again: Again = Again.NEVER) -> Failure:
        return Failure(error(f"{where}, {what}: {reason} {advice}".strip(), status, reason), again)

    if kind == "NOT_FOUND":
        text = f"{where} does not serve {what}: {reason} Serve the model repository that was written for it."
        return Failure(ModelMismatchError(text), Again.NEVER)
    if kind in ("INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION"):
        return Failure(EncoderError(f"{where} refused a request to {what}: {reason}"), Again.NEVER)
    if _FULL_QUEUE in reason:
        return made(OverloadedError, "Send less at a time, or give the server more instances.", Again.ALWAYS)
    if _LONG_QUEUE in reason:
        return made(OverloadedError, "It waited too long for its turn; allow more time, or send less.", Again.ALWAYS)
    if kind == "DEADLINE_EXCEEDED":
        return made(DeadlineError, "Allow more time.", Again.SAFE)
    if kind == "UNAVAILABLE" or _DEAD_HELPER in reason:
        return made(UnreachableError, "Is it running?", Again.SAFE)
    if kind in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return made(AccessError, "A proxy before the server wants credentials.")
    if kind == "RESOURCE_EXHAUSTED":
        return made(ServerError, "The request is too large, or the server has too little memory; send smaller batches.")
    return made(ServerError, "See the server's log.")
