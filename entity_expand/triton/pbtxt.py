"""The text form of protocol buffers, in which a server reads the configuration of a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, Union

Value: TypeAlias = Union[str, int, "Word", Mapping[str, "Value"], Sequence["Value"]]


class Word(str):
    """A name of an enumeration, written without quotes."""


def written(message: Mapping[str, Value]) -> str:
    """Return a message in text form; lists become repeated fields, in their order."""
    return "".join(f"{line}\n" for line in _lines(message, ""))


def _lines(message: Mapping[str, Value], indent: str) -> Iterator[str]:
    for name, value in message.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, Mapping):
                yield f"{indent}{name} {{"
                yield from _lines(each, indent + "  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{name}: {_scalar(each)}"


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # A JSON string in ASCII is one of protocol buffers, too.
    return json.dumps(value) if isinstance(value, str) and not isinstance(value, Word) else str(value)
