"""API keys: read from a file, kept as digests, compared in constant time, never shown."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from pathlib import Path

from entity_expand.errors import ConfigError
from entity_expand.files import read_capped

_CAP = 1 << 20
_LINE = re.compile(r"(?:(?P<name>[\w.-]{1,64}):\s*)?(?P<key>[\x21-\x7e]{16,256})")


class ApiKeys:
    """The keys that callers may show; of each only a digest and a name are kept.

    Args:
        keys: Name -> key.
    """

    def __init__(self, keys: dict[str, str]) -> None:
        self._digests = {name: _digest(key) for name, key in keys.items()}

    @classmethod
    def from_file(cls, path: Path) -> ApiKeys:
        """Read a file with one key a line, as KEY or NAME: KEY; empty lines and those that begin with # are left out.

        Raises:
            ConfigError: The file cannot be read, can be read by others than its owner, holds no key, a name twice, or
                a line that is no key of 16 to 256 visible ASCII characters; no key is in the message.
        """
        content = read_capped(path, _CAP, ConfigError)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigError(f"{path} holds API keys and can be read by others: chmod 600 {path}")
        keys: dict[str, str] = {}
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None:
                raise ConfigError(
                    f"Line {number} of {path} is no key of 16 to 256 visible ASCII characters, as KEY or NAME: KEY."
                )
            name = match["name"] or f"line-{number}"
            if name in keys:
                raise ConfigError(f"Line {number} of {path} names {name!r} once more; names differ.")
            keys[name] = match["key"]
        if not keys:
            raise ConfigError(f"{path} holds no key. Write one a line, 16 to 256 visible ASCII characters.")
        return cls(keys)

    def name_of(self, key: str) -> str | None:
        """Return the name of a key, None for a stranger's; it takes as long whichever key it is."""
        digest, found = _digest(key), None
        for name, known in self._digests.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
