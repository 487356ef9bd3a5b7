"""Addresses of servers taken apart, for whatever kind of server they name."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from urllib.parse import urlsplit

from entity_expand.errors import ConfigError

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AddressParts:
    """What an address is made of.

    Attributes:
        scheme: In lower case.
        host: An IPv6 address in brackets.
        port: None for that of the scheme.
        path: As it was given.
    """

    scheme: str
    host: str
    port: int | None
    path: str


def address_parts(text: str, what: str, expected: str, schemes: Container[str], *, path: bool = False) -> AddressParts:
    """Take an address apart that has neither a query nor a fragment.

    Args:
        text: The address; without credentials, which a message must not repeat.
        what: What it should be the address of, for messages.
        expected: What to write instead, for messages.
        schemes: Those that are known.
        path: Whether it may have a path.

    Raises:
        ConfigError: It is no such address.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as problem:
        raise ConfigError(f"{text!r} is no address of {what}: {problem}.") from problem
    beside = parts.query or parts.fragment or (not path and parts.path.strip("/"))
    if parts.scheme not in schemes or not host or beside or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ConfigError(f"{text!r} is no address of {what}; {expected}.")
    return AddressParts(parts.scheme, f"[{host}]" if ":" in host else host, port, parts.path)
