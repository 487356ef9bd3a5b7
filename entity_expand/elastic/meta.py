"""What an index says of itself in the `_meta` of its mapping, and the check that it is what it says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from entity_expand.calibration.fitted import Fitted, fitted_from
from entity_expand.config import from_mapping
from entity_expand.elastic.bodies import VectorOptions, decode_floats, encode_floats, mapping
from entity_expand.elastic.frame import Frame, Layer
from entity_expand.errors import ConfigError, IndexMismatchError
from entity_expand.search.frame import PairFrame
from entity_expand.stores.base import PARTS, IndexMeta
from entity_expand.types import Modality

KEY, FORMAT, VERSION = "entity_expand", "entity-expand index", 2
# What the server leaves out of a mapping that it returns.
_DEFAULTS = {"type": "object", "element_type": "float", "index": True}
_AGAIN = "Build it again with `entity-expand index`."


@dataclass(frozen=True, slots=True, eq=False)
class ElasticMeta:
    """What an index says of itself.

    Attributes:
        state: "loading" until all entities are in it and were checked, then "verified".
        index: What it was built of; entities that came or went later are not counted.
        vectors: How vectors are kept and searched.
        layers: What is known of its vectors, under None, and of those of the parts that it keeps.
        evidence: Sentences kept per entity.
        next_place: The place that the next new entity gets.
        changes: How often entities came, went or changed since it was built.
        entities: How many there were after the last change; None if that is unknown, or nothing has changed.
        changing: Whether a change began that has not ended.
        packed: Whether the server is known to take vectors as base64.
        rejected: How many of the entities that it was to be built with the server refused.
        fitted: What was fitted on sets whose members are known; None for nothing.
    """

    state: Literal["loading", "verified"]
    index: IndexMeta
    vectors: VectorOptions
    layers: Mapping[Modality | None, Layer]
    evidence: int
    next_place: int
    changes: int = 0
    entities: int | None = None
    changing: bool = False
    packed: bool = False
    rejected: int = 0
    fitted: Fitted | None = None

    @property
    def parts(self) -> tuple[Modality, ...]:
        """The parts that the index keeps beside its own vectors."""
        return tuple(part for part in self.layers if part)

    def identity(self) -> dict[str, Any]:
        """Return what two builds of the same index have in common, flat, by name."""
        names = {f"index.{name}": value for name, value in dataclasses.asdict(self.index).items()}
        names |= {f"vectors.{name}": value for name, value in _vectors(self.vectors).items()}
        return {**names, "evidence": self.evidence, "parts": self.parts}


def to_meta(meta: ElasticMeta) -> dict[str, Any]:
    """Return the whole `_meta` of a mapping."""
    return {
        KEY: {
            "format": FORMAT,
            "version": VERSION,
            "state": meta.state,
            "index": dataclasses.asdict(meta.index),
            "vectors": _vectors(meta.vectors),
            **_layer_form(meta.layers[None]),
            "evidence": meta.evidence,
            "next_place": meta.next_place,
            "changes": meta.changes,
            "entities": meta.entities,
            "changing": meta.changing,
            "packed": meta.packed,
            "rejected": meta.rejected,
            "fitted": None if meta.fitted is None else meta.fitted.to_dict(),
            **({"parts": {part: _layer_form(meta.layers[part]) for part in meta.parts}} if meta.parts else {}),
        }
    }


def _layer_form(layer: Layer) -> dict[str, Any]:
    return {
        "largest_norms": dict(layer.largest_norms),
        "mean_feature": encode_floats(layer.frame.mean_feature),
        "pair_mean": encode_floats(layer.frame.pair.mean),
        "pair_scale": layer.frame.pair.scale,
    }


def _vectors(options: VectorOptions) -> dict[str, Any]:
    return {**dataclasses.asdict(options), "fields": list(options.fields)}


def is_ours(found: Mapping[str, Any]) -> bool:
    """Say whether a mapping is one of this project, of whatever version."""
    own = found.get("_meta", {}).get(KEY)
    return isinstance(own, Mapping) and own.get("format") == FORMAT


def read_meta(found: Mapping[str, Any], name: str) -> ElasticMeta:
    """Read and check the mapping of an index as the server returns it.

    Args:
        found: The mapping, with `_meta` and `properties`.
        name: Of the index, for messages.

    Raises:
        IndexMismatchError: It is no index of this project, of another version, or its fields are not of the types,
            widths or similarity that `_meta` stands for.
    """
    if not is_ours(found):
        raise IndexMismatchError(f"{name} is not an {FORMAT}: its mapping has no `_meta.{KEY}` that says so.")
    own = found["_meta"][KEY]
    if own.get("version") != VERSION:
        version = own.get("version")
        raise IndexMismatchError(f"{name} has index version {version!r}; this release reads {VERSION}. {_AGAIN}")
    try:
        meta = ElasticMeta(
            state=own["state"],
            index=from_mapping(IndexMeta, own["index"]),
            vectors=from_mapping(VectorOptions, own["vectors"]),
            layers=_layers(own),
            evidence=int(own["evidence"]),
            next_place=int(own["next_place"]),
            changes=int(own["changes"]),
            entities=None if own.get("entities") is None else int(own["entities"]),
            changing=bool(own.get("changing")),
            packed=bool(own["packed"]),
            rejected=int(own["rejected"]),
            fitted=_fitted(own.get("fitted"), own["index"]["bundle"], name),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as problem:
        raise IndexMismatchError(f"{name} has a `_meta` that cannot be read: {problem!r}. {_AGAIN}") from problem
    dimension = meta.index.dimension
    for frame in (layer.frame for layer in meta.layers.values()):
        widths = (len(frame.mean_feature), len(frame.pair.mean))
        if widths != (dimension, dimension + 1) or not 0 < frame.pair.scale < math.inf:
            raise IndexMismatchError(f"{name}: its means have {widths} numbers, its features {dimension}. {_AGAIN}")
    if differing := mapping_differences(found, mapping(dimension, meta.vectors, parts=meta.parts)):
        raise IndexMismatchError(f"{name} has another mapping than its `_meta` says: {differing}. {_AGAIN}")
    return meta


def _layers(own: Mapping[str, Any]) -> dict[Modality | None, Layer]:
    fields, parts = own["vectors"]["fields"], dict(own.get("parts", {}))
    layers: dict[Modality | None, Layer] = {None: _layer(own, fields)}
    layers |= {part: _layer(parts.pop(part), fields) for part in PARTS if part in parts}
    if parts:
        raise ValueError(f"unknown parts {sorted(parts)}")
    return layers


def _layer(found: Mapping[str, Any], fields: Sequence[Any]) -> Layer:
    pair = PairFrame(decode_floats(found["pair_mean"]), float(found["pair_scale"]))
    norms = {field: float(found["largest_norms"][field]) for field in fields}
    return Layer(Frame(decode_floats(found["mean_feature"]), pair), norms)


def _fitted(found: Any, bundle: str, name: str) -> Fitted | None:
    if found is None:
        return None
    fitted = fitted_from(found, f"{name}, _meta.{KEY}.fitted,", IndexMismatchError)
    if fitted.bundle != bundle:
        raise IndexMismatchError(
            f"{name} keeps what was fitted with the bundle {fitted.bundle}, not {bundle}. {_AGAIN}"
        )
    return fitted


def mapping_differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return what the fields of a mapping on the server lack of the wanted ones, or have otherwise; "" for nothing."""
    fields, differing = found.get("properties", {}), []
    for name, expected in wanted["properties"].items():
        if name not in fields:
            differing.append(f"{name} is missing")
            continue
        for key, value in expected.items():
            actual = fields[name].get(key, _DEFAULTS.get(key))
            if key == "index_options":
                actual, value = (actual or {}).get("type"), value["type"]
            if actual != value:
                differing.append(f"{name}.{key} is {actual!r}, expected {value!r}")
    return ", ".join(differing)
