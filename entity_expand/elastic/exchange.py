"""What is asked of a server, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
