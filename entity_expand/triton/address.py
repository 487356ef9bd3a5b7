"""Where a Triton server is: addresses like triton://host:8001."""

from __future__ import annotations

from dataclasses import dataclass

from entity_expand.errors import ConfigError
from entity_expand.web.address import address_parts


@dataclass(frozen=True, slots=True)
class TritonAddress:
    """A server and the way to it.

    Attributes:
        url: As it was given.
        target: HOST:PORT.
        http: HTTP instead of gRPC.
        encrypted: Through TLS.
        shared_memory: Inputs pass through memory that both processes see, on one machine.
    """

    url: str
    target: str
    http: bool = False
    encrypted: bool = False
    shared_memory: bool = False


_WAYS = {
    "triton": (8001, {}),
    "triton+tls": (8001, {"encrypted": True}),
    "triton+shm": (8001, {"shared_memory": True}),
    "triton+http": (8000, {"http": True}),
    "triton+https": (8000, {"http": True, "encrypted": True}),
}


def is_triton(text: str) -> bool:
    """Say whether a text is meant as an address of a Triton server."""
    return text.lower().startswith(("triton://", "triton+"))


def parse_triton(text: str) -> TritonAddress:
    """Take an address apart: triton://HOST[:8001] for gRPC, triton+http://HOST[:8000] for HTTP.

    With TLS these are triton+tls and triton+https; with shared memory, for a server on the same machine, triton+shm.

    Raises:
        ConfigError: It is no such address.
    """
    expected = "expected triton://HOST:8001 or triton+http://HOST:8000, with +tls, +https or +shm instead where wanted"
    if "@" in text:
        raise ConfigError(f"The address of a Triton server has no credentials; {expected}.")
    parts = address_parts(text, "a Triton server", expected, _WAYS)
    usual, way = _WAYS[parts.scheme]
    return TritonAddress(text, f"{parts.host}:{parts.port or usual}", **way)
