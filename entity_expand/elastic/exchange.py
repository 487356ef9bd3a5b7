"""What is asked of a server, what it answers, and how long both may take."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entity_expand.errors import DeadlineError


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Attributes:
        method: HTTP method.
        path: Path without the address's own, such as /NAME/_search.
        body: A mapping is sent as JSON, a sequence of lines as NDJSON (_bulk, _msearch).
        params: Query parameters.
        safe: Whether it may be sent again when nobody knows what became of the first sending.
        accept: Status codes besides 2xx that are answers, not errors.
    """

    method: str
    path: str
    body: Mapping[str, Any] | Sequence[bytes] | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    safe: bool = True
    accept: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def content(self) -> tuple[str | None, bytes | None]:
        """Return media type and bytes of the body; None and None without one.

        Raises:
            ValueError: A number in it is not finite, which JSON cannot say.
        """
        if self.body is None:
            return None, None
        if isinstance(self.body, Mapping):
            return "application/json", json.dumps(self.body, separators=(",", ":"), allow_nan=False).encode()
        return "application/x-ndjson", b"".join(line if line.endswith(b"\n") else line + b"\n" for line in self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        body: The parsed JSON; None where there was no body.
    """

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time after which nobody waits any more.

    Attributes:
        seconds: How long it was at the start.
        end: When it is over, on the monotonic clock.
    """

    seconds: float
    end: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that ends after so many seconds from now."""
        return cls(seconds, time.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds left; 0 when it is over."""
        return max(self.end - time.monotonic(), 0.0)

    def left(self) -> float:
        """Return the seconds left.

        Raises:
            DeadlineError: It is over.
        """
        left = self.remaining()
        if left <= 0:
            raise DeadlineError(f"The time limit of {self.seconds:g} s is over; allow more, or ask for less.")
        return left
