"""What a reader must know of the index that a name stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entity_expand.channels.fusion import Channel
from entity_expand.elastic.address import Address
from entity_expand.elastic.bodies import VectorOptions
from entity_expand.elastic.frame import Frame, Layer
from entity_expand.elastic.meta import ElasticMeta, read_meta
from entity_expand.errors import IndexMismatchError, IndexMissingError
from entity_expand.stores.base import PARTS, Facts, IndexMeta, part_meta
from entity_expand.types import Modality


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index as it was found.

    Attributes:
        physical: Name of the index behind the alias.
        facts: What an expansion must know.
        vectors: How vectors are kept and searched.
        changes: How often it was changed since it was built.
        packed: Whether the server takes vectors as base64.
        frames: What its vectors are made with, under None, and those of its parts.
    """

    physical: str
    facts: Facts
    vectors: VectorOptions
    changes: int
    packed: bool
    frames: Mapping[Modality | None, Frame]


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
    meta = read_meta(described.get("mappings", {}), f"{name} ({physical})")
    if meta.state != "verified":
        raise IndexMismatchError(
            f"{name} ({physical}) is in the state {meta.state!r}, not 'verified': it was never filled. Build it again."
        )
    kept: dict[Modality, Facts] = {
        part: _facts(part_meta(meta.index, part), layer, meta) for part, layer in meta.layers.items() if part
    }
    channels = frozenset[Channel]({"lexical", *(part for part in PARTS if part in kept)})
    own = _facts(meta.index, meta.layers[None], meta)
    facts = dataclasses.replace(own, channels=channels, parts=kept, fitted=meta.fitted)
    frames = {part: layer.frame for part, layer in meta.layers.items()}
    return IndexState(physical, facts, meta.vectors, meta.changes, meta.packed, frames)


def _facts(index: IndexMeta, layer: Layer, meta: ElasticMeta) -> Facts:
    frame = layer.frame
    return Facts(index, layer.largest_norms, frame.mean_feature, meta.vectors.exact, frame.pair)
