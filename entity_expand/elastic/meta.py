"""What an index says of itself in the `_meta` of its mapping, and the check that it is what it says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from entity_expand.calibration.fitted import Fitted, fitted_from
from entity_expand.config import from_mapping
from entity_expand.elastic.bodies import VectorOptions, decode_floats, encode_floats, mapping
from entity_expand.elastic.frame import Frame
from entity_expand.errors import ConfigError, IndexMismatchError
from entity_expand.frame import PairFrame
from entity_expand.stores.base import IndexMeta, VectorField

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
        largest_norms: Largest Euclidean norm that any vector of a field has or had, as it is stored.
        frame: What its vectors are made with; it never changes.
        evidence: Sentences kept per entity.
        next_place: The place that the next new entity gets.
        changes: How often entities came, went or changed since it was built.
        packed: Whether the server is known to take vectors as base64.
        rejected: How many of the entities that it was to be built with the server refused.
        fitted: What was fitted on sets whose members are known; None for nothing.
    """

    state: Literal["loading", "verified"]
    index: IndexMeta
    vectors: VectorOptions
    largest_norms: Mapping[VectorField, float]
    frame: Frame
    evidence: int
    next_place: int
    changes: int = 0
    packed: bool = False
    rejected: int = 0
    fitted: Fitted | None = None

    def identity(self) -> dict[str, Any]:
        """Return what two builds of the same index have in common, flat, by name."""
        names = {f"index.{name}": value for name, value in dataclasses.asdict(self.index).items()}
        names |= {f"vectors.{name}": value for name, value in _vectors(self.vectors).items()}
        return {**names, "evidence": self.evidence}


def to_meta(meta: ElasticMeta) -> dict[str, Any]:
    """Return the whole `_meta` of a mapping."""
    return {
        KEY: {
            "format": FORMAT,
            "version": VERSION,
            "state": meta.state,
            "index": dataclasses.asdict(meta.index),
            "vectors": _vectors(meta.vectors),
            "largest_norms": dict(meta.largest_norms),
            "mean_feature": encode_floats(meta.frame.mean_feature),
            "pair_mean": encode_floats(meta.frame.pair.mean),
            "pair_scale": meta.frame.pair.scale,
            "evidence": meta.evidence,
            "next_place": meta.next_place,
            "changes": meta.changes,
            "packed": meta.packed,
            "rejected": meta.rejected,
            "fitted": None if meta.fitted is None else meta.fitted.to_dict(),
        }
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
            largest_norms={field: float(own["largest_norms"][field]) for field in own["vectors"]["fields"]},
            frame=Frame(
                decode_floats(own["mean_feature"]),
                PairFrame(decode_floats(own["pair_mean"]), float(own["pair_scale"])),
            ),
            evidence=int(own["evidence"]),
            next_place=int(own["next_place"]),
            changes=int(own["changes"]),
            packed=bool(own["packed"]),
            rejected=int(own["rejected"]),
            fitted=_fitted(own.get("fitted"), own["index"]["bundle"], name),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as problem:
        raise IndexMismatchError(f"{name} has a `_meta` that cannot be read: {problem!r}. {_AGAIN}") from problem
    widths, dimension = (len(meta.frame.mean_feature), len(meta.frame.pair.mean)), meta.index.dimension
    if widths != (dimension, dimension + 1) or not 0 < meta.frame.pair.scale < math.inf:
        raise IndexMismatchError(f"{name}: its means have {widths} numbers, its features {dimension}. {_AGAIN}")
    if differing := mapping_differences(found, mapping(meta.index.dimension, meta.vectors)):
        raise IndexMismatchError(f"{name} has another mapping than its `_meta` says: {differing}. {_AGAIN}")
    return meta


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
