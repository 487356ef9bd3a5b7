"""Where a service is, as http://host:8080, and the key to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from entity_expand.elastic.address import Address, Credentials, is_address
from entity_expand.errors import ConfigError

KEY_VARIABLE = "ENTITY_EXPAND_SERVICE_API_KEY"


def is_service(text: str) -> bool:
    """Say whether a text is the address of a service: that of a server without the name of an index."""
    return is_address(text) and not urlsplit(text.replace("@", "")).path.strip("/")


def parse_service(text: str) -> Address:
    """Take an address apart: http://host:8080, without a port that of the scheme.

    Raises:
        ConfigError: It is no such address, or has credentials in it.
    """
    if "@" in text:  # anything may be part of a password, so nothing of the text is repeated
        raise ConfigError(f"The service's address has credentials in it. Leave them out; set {KEY_VARIABLE}.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as problem:
        raise ConfigError(f"{text!r} is no address of a service: {problem}.") from problem
    beside = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not host or beside or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ConfigError(f"{text!r} is no address of a service; expected http://host:8080.")
    name = f"[{host}]" if ":" in host else host
    return Address(f"{parts.scheme}://{name}:{port or {'http': 80, 'https': 443}[parts.scheme]}", "")


def service_credentials(given: Credentials | None, address: Address, environ: Mapping[str, str]) -> Credentials:
    """Return who asks a service: as given, else by the key in the environment; keys of search servers stay at home.

    Raises:
        ConfigError: A user and password are given, or the key would travel in the clear.
    """
    found = given or Credentials(api_key=environ.get(KEY_VARIABLE) or None)
    if found.user:
        raise ConfigError("A service knows callers by API keys, not by user and password.")
    found.check_fits(address)
    return found
