"""Where a service is, as http://host:8080, and the key to it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from entity_expand.elastic.address import Address, Credentials, is_address
from entity_expand.errors import ConfigError
from entity_expand.web.address import PORTS, address_parts

KEY_VARIABLE = "ENTITY_EXPAND_SERVICE_API_KEY"


def is_service(text: str) -> bool:
    """Say whether a text is the address of a service: that of a server without the name of an index."""
    try:
        return is_address(text) and not urlsplit(text.replace("@", "")).path.strip("/")
    except ValueError:  # whoever takes the address apart says what is wrong with it
        return True


def parse_service(text: str) -> Address:
    """Take an address apart: http://host:8080, without a port that of the scheme.

    Raises:
        ConfigError: It is no such address, or has credentials in it.
    """
    if "@" in text:  # anything may be part of a password, so nothing of the text is repeated
        raise ConfigError(f"The service's address has credentials in it. Leave them out; set {KEY_VARIABLE}.")
    parts = address_parts(text, "a service", "expected http://host:8080", PORTS)
    return Address(f"{parts.scheme}://{parts.host}:{parts.port or PORTS[parts.scheme]}", "")


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
