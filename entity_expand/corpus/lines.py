"""JSON Lines from untrusted files: a byte cap per line, strict UTF-8 and JSON, byte offsets for random access."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from entity_expand.errors import CorpusError

MAX_LINE_BYTES = 1 << 20
_BLOCK = 1 << 20
_BOM = b"\xef\xbb\xbf"


class LineError(ValueError):
    """A line cannot be used; the message is a fixed reason without the line's content."""


@dataclass(frozen=True, slots=True)
class Line:
    """One non-blank line.

    Attributes:
        number: From 1, blank lines counted.
        offset: Byte position of `content` in the file.
        content: Its bytes without a byte order mark or line end, or None for a line above the cap.
    """

    number: int
    offset: int
    content: bytes | None


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        CorpusError: It is missing, unreadable, or no regular file.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except OSError as problem:
        raise CorpusError(f"Cannot read {path}: {problem.strerror}.") from problem
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CorpusError(f"{path} should be a regular file.")
    return os.fdopen(descriptor, "rb", buffering=_BLOCK)


def read_lines(handle: BinaryIO, cap: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Yield the non-blank lines of a file from its start."""
    offset = 0
    number = 0
    while content := handle.readline(cap + 2):
        number += 1
        start = offset
        offset += len(content)
        whole = len(content) <= cap or content.endswith(b"\n")
        rest = b"" if whole else content
        while rest and not rest.endswith(b"\n"):
            rest = handle.readline(_BLOCK)
            offset += len(rest)
        if number == 1 and content.startswith(_BOM):
            content, start = content[len(_BOM) :], len(_BOM)
        content = content.rstrip(b"\r\n")
        if not whole or len(content) > cap:
            yield Line(number, start, None)
        elif content and not content.isspace():
            yield Line(number, start, content)


def _refuse_constant(name: str) -> NoReturn:
    raise LineError("NaN or Infinity is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_object(content: bytes | None) -> dict[str, Any]:
    """Parse one line into a JSON object.

    Raises:
        LineError: It is too long, no UTF-8, no JSON, nested too deeply, or no object.
    """
    if content is None:
        raise LineError("longer than the limit of a line")
    try:
        record = _DECODER.decode(content.decode())
    except LineError:
        raise
    except UnicodeDecodeError as problem:
        raise LineError("not valid UTF-8") from problem
    except RecursionError as problem:
        raise LineError("nested too deeply") from problem
    except ValueError as problem:
        raise LineError("not valid JSON") from problem
    if not isinstance(record, dict):
        raise LineError("not a JSON object")
    return record


def clean(text: str) -> bool:
    """Return whether a text has no NUL and can be written as UTF-8 (JSON may spell lone surrogates)."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def identifier_of(value: object) -> str | None:
    """Return an entity id as text: whole numbers as such, texts as they are; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if -(10**18) < value < 10**18 else None
    if isinstance(value, str) and value and value == value.strip() and value.isprintable() and clean(value):
        return value
    return None
