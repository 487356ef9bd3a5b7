"""Where an index is and who asks: addresses like https://host:9200/NAME, and credentials that never show themselves."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from entity_expand.config import from_mapping
from entity_expand.errors import ConfigError
from entity_expand.files import read_capped
from entity_expand.web.address import PORTS, address_parts

NAME_BYTES = 200
"""Longest name of an index, in bytes of UTF-8: the server's 255 less room for the endings of its versions."""
VARIABLES = "ENTITY_EXPAND_ELASTIC_"
FILE_VARIABLE = VARIABLES + "CREDENTIALS"
_FILE_CAP = 1 << 16
_PLACES = f"{VARIABLES}API_KEY, or {VARIABLES}USER and {VARIABLES}PASSWORD, or a file named by {FILE_VARIABLE}"


@dataclass(frozen=True, slots=True)
class Address:
    """A server and the name of an index on it.

    Attributes:
        url: scheme://host:port and perhaps a path that all requests begin with; no credentials, no slash at the end.
        index: The alias that names the index.
    """

    url: str
    index: str

    def __str__(self) -> str:
        return f"{self.url}/{self.index}"

    @property
    def encrypted(self) -> bool:
        """Whether requests go through TLS."""
        return self.url.startswith("https://")

    @property
    def loopback(self) -> bool:
        """Whether the server is this very machine, so that nobody else sees the requests."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


def is_address(text: str) -> bool:
    """Say whether a text is meant as an address of a server, not as a path of a folder."""
    return text.lower().startswith(("http://", "https://"))


def parse_address(text: str) -> Address:
    """Take an address apart: https://host:9200/NAME, or https://host/path/NAME behind a proxy.

    Without a port it is that of the scheme, 443 or 80, as for any other URL.

    Raises:
        ConfigError: It is no such address, has credentials in it, or the server would not take the name.
    """
    if not is_address(text):
        raise ConfigError(f"{text!r} is no address of a server; expected https://host:9200/NAME.")
    if "@" in text:  # anything may be part of a password, so nothing of the text is repeated
        raise ConfigError(f"The server's address has credentials in it. Leave them out; give them as {_PLACES}.")
    expected = "expected https://host:9200/NAME and nothing after it"
    parts = address_parts(text, "a server", expected, PORTS, path=True)
    prefix, _, name = parts.path.rstrip("/").rpartition("/")
    if not name:
        raise ConfigError(f"{text!r} names no index; expected https://host:9200/NAME.")
    check_name(name)
    url = f"{parts.scheme}://{parts.host}:{parts.port or PORTS[parts.scheme]}{prefix.rstrip('/')}"
    return Address(url, name)


def check_name(name: str) -> None:
    """Refuse a name that the server would not take for an index or an alias.

    Raises:
        ConfigError: The name is empty, too long, not in lower case, or has signs that are not allowed.
    """
    if name in ("", ".", ".."):
        raise ConfigError(f"{name!r} cannot name an index.")
    if name != name.lower():
        raise ConfigError(f"The name {name!r} of an index has to be in lower case: {name.lower()!r}.")
    if name[0] in "-_+":
        raise ConfigError(f"The name {name!r} of an index must not begin with {name[0]!r}.")
    for sign in name:
        if sign in '\\/*?"<>|,#:%' or sign.isspace() or not sign.isprintable():
            raise ConfigError(f"The name {name!r} of an index has {sign!r} in it, which the server does not allow.")
    if len(name.encode(errors="replace")) > NAME_BYTES:
        raise ConfigError(f"The name {name[:40]!r}... of an index has more than {NAME_BYTES} bytes.")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Who asks, and how the server proves itself.

    Attributes:
        api_key: An API key, as the server gave it ("encoded") or as id:key.
        user: Name for a password.
        password: The password.
        ca_file: PEM file of the authorities that may have signed the server's certificate.
        fingerprint: SHA-256 of the server's own certificate in hex digits; no other certificate is taken then, and
            neither its signature nor its host name is looked at.
        allow_plain_http: Send secrets to other machines without TLS, where the network is trusted.
    """

    api_key: str | None = None
    user: str | None = None
    password: str | None = None
    ca_file: str | None = None
    fingerprint: str | None = None
    allow_plain_http: bool = False

    def __post_init__(self) -> None:
        """Refuse what does not fit together.

        Raises:
            ConfigError: A value is empty or malformed, or two exclude each other; no secret is in the message.
        """
        for name in ("api_key", "user", "password", "ca_file", "fingerprint"):
            value = getattr(self, name)
            if value is not None and (not value or not value.isprintable()):
                raise ConfigError(f"{name} is empty or has a line break or control character in it.")
        if self.api_key and self.user:
            raise ConfigError("api_key and user are both given; choose one of them.")
        if (self.user is None) != (self.password is None):
            given, missing = ("user", "password") if self.user else ("password", "user")
            raise ConfigError(f"{given} is given without {missing}.")
        if self.api_key and not self.api_key.isascii():
            raise ConfigError("api_key has letters outside ASCII in it; it should be what the server called 'encoded'.")
        if self.ca_file and self.fingerprint:
            raise ConfigError("ca_file and fingerprint are both given; choose one of them.")
        if self.fingerprint and not re.fullmatch(r"[0-9a-fA-F]{64}", self.fingerprint.replace(":", "")):
            raise ConfigError(f"fingerprint is {self.fingerprint!r}, but 64 hex digits of SHA-256 were expected.")

    def __repr__(self) -> str:
        shown = dataclasses.asdict(self)
        hidden = {name: "***" for name in ("api_key", "password") if shown[name] is not None}
        return f"Credentials({', '.join(f'{name}={value!r}' for name, value in {**shown, **hidden}.items())})"

    @property
    def secret(self) -> bool:
        """Whether there is anything that others must not see."""
        return self.api_key is not None or self.password is not None

    def check_fits(self, address: Address) -> None:
        """Refuse to send these to that address.

        Raises:
            ConfigError: Secrets would travel in the clear, or there is no TLS that a certificate could be for.
        """
        if address.encrypted:
            return
        if self.ca_file or self.fingerprint:
            name = "ca_file" if self.ca_file else "fingerprint"
            raise ConfigError(f"{name} is given, but {address.url} has no TLS; write https:// or leave {name} out.")
        if self.secret and not (address.loopback or self.allow_plain_http):
            raise ConfigError(
                f"Credentials would travel to {address.url} in the clear: write https://, or where the network is "
                f"trusted set allow_plain_http = true ({VARIABLES}ALLOW_PLAIN_HTTP=1)."
            )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Credentials:
        """Read ENTITY_EXPAND_ELASTIC_API_KEY, _USER, _PASSWORD, _CA_FILE, _FINGERPRINT and _ALLOW_PLAIN_HTTP.

        Raises:
            ConfigError: The values do not fit together.
        """
        found = _variables(environ)
        plain = found.pop("allow_plain_http", "0")
        if plain not in ("0", "1"):
            raise ConfigError(f"{VARIABLES}ALLOW_PLAIN_HTTP is {plain!r}, but 0 or 1 was expected.")
        try:
            return cls(**found, allow_plain_http=plain == "1")
        except ConfigError as problem:
            raise ConfigError(f"In the variables {VARIABLES}...: {problem}") from None

    @classmethod
    def from_file(cls, path: Path) -> Credentials:
        """Read a TOML file with the keys api_key, user, password, ca_file, fingerprint and allow_plain_http.

        Raises:
            ConfigError: The file cannot be read, can be read by others than its owner, is no TOML, has an unknown
                key, or its values do not fit together; no value is in the message.
        """
        import tomllib

        content = read_capped(path, _FILE_CAP, ConfigError)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} holds credentials and can be read by others: chmod 600 {path}")
        try:
            mapping = tomllib.loads(content.decode())
        except (ValueError, RecursionError):
            raise ConfigError(f"{path} is not valid TOML; expected lines like api_key = '...'.") from None
        for name, value in mapping.items():
            expected = bool if name == "allow_plain_http" else str
            if type(value) is not expected:
                raise ConfigError(f"{path}: {name} should be {'true or false' if expected is bool else 'a text'}.")
        try:
            return from_mapping(cls, mapping)
        except ConfigError as problem:
            raise ConfigError(f"{path}: {problem}") from None


def credentials(file: Path | None, environ: Mapping[str, str]) -> Credentials:
    """Find the credentials: in the file, else in the one that the environment names, else in the environment itself.

    Raises:
        ConfigError: What is found is not valid, or the environment names a file and has credentials as well.
    """
    if file is not None:
        return Credentials.from_file(file)
    if not environ.get(FILE_VARIABLE):
        return Credentials.from_environment(environ)
    if others := _variables(environ):
        names = ", ".join(VARIABLES + name.upper() for name in others)
        raise ConfigError(f"{FILE_VARIABLE} names a file, but {names} is set as well; choose one of them.")
    return Credentials.from_file(Path(environ[FILE_VARIABLE]))


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    names = [field.name for field in dataclasses.fields(Credentials)]
    return {name: environ[VARIABLES + name.upper()] for name in names if environ.get(VARIABLES + name.upper())}
