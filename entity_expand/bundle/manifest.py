"""The manifest of a bundle: what it states, its JSON form, and its fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from entity_expand.config import from_mapping, to_mapping
from entity_expand.errors import BundleError, ConfigError
from entity_expand.inputs.image import ImageConfig
from entity_expand.inputs.text import TextConfig
from entity_expand.types import MODALITIES, Modality

FORMAT = "entity-expand bundle"
VERSION = 1
WIDEST = 65_536
"""Largest feature width D."""
MOST_ENTITIES = 10_000_000
"""Largest vocabulary V."""

_Config = TypeVar("_Config", TextConfig, ImageConfig)
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size and SHA-256 (lower-case hex) of one file of a bundle."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` states.

    Attributes:
        dimension: D, width of the feature.
        vocabulary: V, number of trained entities.
        files: Size and hash of every other file.
        text: How sentences become ids.
        image: How pictures become pixels.
        channels: Modalities that the model was made for.
        trained_on: Content hash of the training corpus.
        parity: Measured differences between the graph and the model it came from; free in form.
        ridge: How the map from features to head rows was fitted, and its held-out error; free in form.
    """

    dimension: int
    vocabulary: int
    files: Mapping[str, FileRecord]
    text: TextConfig
    image: ImageConfig
    channels: tuple[Modality, ...]
    trained_on: str
    parity: Mapping[str, Any]
    ridge: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical manifest: changes when anything in the bundle does.

        Raises:
            BundleError: Parity or ridge hold something that JSON has not.
        """
        return hashlib.sha256(_canonical(self._stated())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, with the fingerprint."""
        return self._stated() | {"fingerprint": self.fingerprint}

    def _stated(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "dimension": self.dimension,
            "vocabulary": self.vocabulary,
            "files": {name: dataclasses.asdict(record) for name, record in self.files.items()},
            "text": to_mapping(self.text),
            "image": to_mapping(self.image),
            "channels": list(self.channels),
            "trained_on": self.trained_on,
            "parity": dict(self.parity),
            "ridge": dict(self.ridge),
        }


def read_manifest(content: Mapping[str, Any], names: tuple[str, ...], further: tuple[str, ...] = ()) -> Manifest:
    """Check the JSON object of a manifest.

    Args:
        content: The parsed file.
        names: The files that it must list.
        further: Files that it may list beside these, and no others.

    Raises:
        BundleError: The format or version is another, a field is missing, unknown, of the wrong type or out of
            range, or the fingerprint is not that of the rest.
    """
    if content.get("format") != FORMAT:
        raise BundleError(f"This is no bundle: its format is {content.get('format')!r}, expected {FORMAT!r}.")
    if content.get("version") != VERSION or isinstance(content["version"], bool):
        raise BundleError(
            f"The bundle has version {content.get('version')!r}, this release reads {VERSION}; export it again."
        )
    known = {*Manifest.__slots__, "format", "version", "fingerprint"}
    if set(content) != known:
        raise BundleError(f"Fields of the manifest missing or unknown: {', '.join(sorted(known ^ set(content)))}.")
    manifest = Manifest(
        dimension=_count(content, "dimension", WIDEST),
        vocabulary=_count(content, "vocabulary", MOST_ENTITIES),
        files=_records(_mapping(content, "files"), names, further),
        text=_config(TextConfig, _mapping(content, "text"), "text"),
        image=_config(ImageConfig, _mapping(content, "image"), "image"),
        channels=checked_channels(content["channels"]),
        trained_on=_hash(content["trained_on"], "trained_on"),
        parity=_mapping(content, "parity"),
        ridge=_mapping(content, "ridge"),
    )
    if content["fingerprint"] != manifest.fingerprint:
        raise BundleError(
            f"The manifest has been changed: it states the fingerprint {content['fingerprint']!r}, "
            f"its content has {manifest.fingerprint!r}."
        )
    return manifest


def checked_channels(value: Any) -> tuple[Modality, ...]:
    """Return the channels as a tuple.

    Raises:
        BundleError: They are no list of different modalities.
    """
    channels = tuple(name for name in MODALITIES if isinstance(value, list | tuple) and name in value)
    if not channels or len(channels) != len(value):
        raise BundleError(f"channels must be some of {', '.join(MODALITIES)}, not {value!r}.")
    return channels


def _canonical(content: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise BundleError(f"The manifest cannot be written as JSON: {problem}.") from problem


def _count(content: Mapping[str, Any], key: str, most: int) -> int:
    value = content[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BundleError(f"{key} must be a whole number from 1 to {most:,}, not {value!r}.")
    return value


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content[key]
    if not isinstance(value, dict):
        raise BundleError(f"{key} must be an object, not {value!r}.")
    return value


def _hash(value: Any, key: str) -> str:
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= _HEX:
        raise BundleError(f"{key} must be 64 hexadecimal digits, not {value!r}.")
    return value


def _records(value: Mapping[str, Any], names: tuple[str, ...], further: tuple[str, ...]) -> Mapping[str, FileRecord]:
    wrong = set(names) - set(value) | set(value) - set(names) - set(further)
    if wrong:
        raise BundleError(f"Files of the manifest missing or unknown: {', '.join(sorted(wrong))}.")
    records = {}
    for name, record in value.items():
        if not isinstance(record, dict) or set(record) != {"sha256", "bytes"}:
            raise BundleError(f"files.{name} must hold sha256 and bytes, not {record!r}.")
        size = _count(record, "bytes", 1 << 40)
        records[name] = FileRecord(_hash(record["sha256"], f"files.{name}.sha256"), size)
    return records


def _config(kind: type[_Config], value: Mapping[str, Any], key: str) -> _Config:
    try:
        return from_mapping(kind, value, key)
    except ConfigError as problem:
        raise BundleError(f"The manifest is wrong: {problem}") from problem
