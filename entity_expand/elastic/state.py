"""What an index on a server is: its `_meta` and its mapping, read and compared with what this release expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entity_expand.config import from_mapping
from entity_expand.elastic.address import Address
from entity_expand.elastic.bodies import VectorOptions, decode_floats, mapping
from entity_expand.errors import ConfigError, IndexMismatchError, IndexMissingError
from entity_expand.stores.base import Facts, IndexMeta

KEY, FORMAT, VERSION, VERIFIED = "entity_expand", "entity-expand index", 1, "verified"
_AGAIN = "Build the index again."
# What a mapping says only when it differs from this.
_DEFAULTS = {"type": "object", "element_type": "float", "enabled": True, "index": True}
_COMPARED = ("type", "dims", "element_type", "similarity", "enabled", "index")


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index as it was found.

    Attributes:
        physical: Name of the index behind the alias.
        facts: What an expansion must know.
        vectors: How vectors are kept and searched.
        changes: How often it was changed since it was built.
        packed: Whether the server takes vectors as base64.
    """

    physical: str
    facts: Facts
    vectors: VectorOptions
    changes: int
    packed: bool


def missing(address: Address) -> IndexMissingError:
    """Return the error of an address where there is no index."""
    return IndexMissingError(
        f"There is no index {address}. Make one with `entity-expand index BUNDLE CORPUS --to {address}`."
    )


def read_state(address: Address, found: Any, bundle: str | None = None) -> IndexState:
    """Read and check what `GET /NAME/_mapping` answers.

    Args:
        address: Where it was found, for messages.
        found: The answer's body.
        bundle: Fingerprint of the bundle that it must have been made with; None for any.

    Raises:
        IndexMissingError: There is none.
        IndexMismatchError: It is no index of ours, of another version, not whole, made with another bundle, or its
            mapping is another than its `_meta` says.
    """
    if not isinstance(found, Mapping) or not found:
        raise missing(address)
    state = read_mapping(str(address), found)
    if bundle is not None and state.facts.meta.bundle != bundle:
        raise IndexMismatchError(
            f"{address} ({state.physical}) was made with the bundle {state.facts.meta.bundle}, not with {bundle}. "
            "Open that bundle, or index with yours."
        )
    return state


def read_mapping(name: str, found: Mapping[str, Any]) -> IndexState:
    """Read and check what `GET /NAME/_mapping` answers; `name` is for messages, errors as for `read_state`."""
    if len(found) != 1:
        names = ", ".join(sorted(found)) or "none"
        raise IndexMismatchError(f"{name} stands for the indices {names}; expected one. Remove the others.")
    ((physical, described),) = found.items()
    live = described.get("mappings", {})
    content = live.get("_meta", {}).get(KEY)
    where = f"{name} ({physical})"
    _check_form(where, content)
    try:
        meta, vectors = from_mapping(IndexMeta, content["index"]), from_mapping(VectorOptions, content["vectors"])
        norms = {name: float(content["largest_norms"][name]) for name in vectors.fields}
        mean, changes = decode_floats(content["mean_feature"]), int(content["changes"])
        packed = bool(content["packed"])
    except (ConfigError, KeyError, TypeError, ValueError) as problem:
        raise IndexMismatchError(f"{where} has a `_meta` that cannot be read: {problem!r}. {_AGAIN}") from problem
    if len(mean) != meta.dimension:
        raise IndexMismatchError(f"{where}: its mean feature has {len(mean)} numbers, not {meta.dimension}. {_AGAIN}")
    _check_mapping(where, live.get("properties", {}), meta.dimension, vectors)
    return IndexState(physical, Facts(meta, norms, mean, vectors.exact), vectors, changes, packed)


def _check_form(where: str, content: Any) -> None:
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise IndexMismatchError(f"{where} is not an {FORMAT}: its mapping has no `_meta.{KEY}` that says so.")
    if content.get("version") != VERSION:
        version = content.get("version")
        raise IndexMismatchError(f"{where} has index version {version!r}; this release reads {VERSION}. {_AGAIN}")
    if content.get("state") != VERIFIED:
        state = content.get("state")
        raise IndexMismatchError(f"{where} is in the state {state!r}, not {VERIFIED!r}: it was never filled. {_AGAIN}")


def _check_mapping(where: str, live: Mapping[str, Any], dimension: int, vectors: VectorOptions) -> None:
    """Compare the fields that this release reads; others do no harm."""
    wrong = []
    for name, expected in mapping(dimension, vectors)["properties"].items():
        if name not in live:
            wrong.append(f"{name} is missing")
            continue
        wanted, present = _features(expected), _features(live[name])
        wrong += [
            f"{name} has {key} {present[key]!r}, expected {wanted[key]!r}"
            for key in wanted
            if present[key] != wanted[key]
        ]
    if wrong:
        raise IndexMismatchError(f"{where} has another mapping than its `_meta` says: {'; '.join(wrong)}. {_AGAIN}")


def _features(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a search depends on of one field's mapping."""
    found = {key: described.get(key, _DEFAULTS.get(key)) for key in _COMPARED}
    return {**found, "method": described.get("index_options", {}).get("type")}
