"""Bodies of Elasticsearch requests as pure functions: mapping, kNN sections, filters.

The store is made of them; whoever builds searches of their own finds more in `hybrid.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from entity_expand.elastic.documents import ROWS, field_of, field_widths, padded, vector_text
from entity_expand.errors import ConfigError, QueryError
from entity_expand.stores.base import VectorField
from entity_expand.stores.filters import Filter
from entity_expand.stores.names import fold
from entity_expand.types import Float64, Int64, Modality

# Clauses that run a script, and the one that hides any clause from this check.
_SCRIPTED = ("script", "script_score", "minimum_should_match_script", "wrapper")
_MOST_TERMS = 50_000  # of the 65,536 that the server takes in one clause
MOST_HITS = 10_000
"""Hits that the server returns at once by default."""

Method: TypeAlias = Literal["flat", "hnsw", "int8_flat", "int8_hnsw", "bbq_flat", "bbq_hnsw"]
METHODS: tuple[Method, ...] = ("flat", "hnsw", "int8_flat", "int8_hnsw", "bbq_flat", "bbq_hnsw")


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """How vectors are kept and searched.

    Attributes:
        method: The server's name for it: a full scan (flat) or a graph (hnsw), over the vectors as they are, or
            quantised to 8 bits (int8) or 1 bit (bbq).
        element_type: "float", or "bfloat16" for half the memory.
        rescore: With a quantised method: how many times the wanted hits are scored again by the full vectors. None
            for what was measured to be enough, 2 with 8 bits and 4 with 1 bit.
        fields: Which vectors are indexed.
    """

    method: Method = "flat"
    element_type: Literal["float", "bfloat16"] = "float"
    rescore: float | None = None
    fields: tuple[VectorField, ...] = ("head", "pair", "feature")

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.element_type not in ("float", "bfloat16"):
            raise ConfigError(
                f"method is one of {', '.join(METHODS)} and element_type float or bfloat16; "
                f"got {self.method!r}, {self.element_type!r}."
            )
        if self.rescore is not None and (not self.quantised or self.rescore < 1):
            raise ConfigError(f"rescore is at least 1 and goes with a quantised method; got {self.rescore}.")
        if "head" not in self.fields or not set(self.fields) <= set(field_widths(1)):
            raise ConfigError(f"fields are 'head' and any of 'pair', 'feature'; got {self.fields}.")

    @property
    def quantised(self) -> bool:
        """Whether the vectors are searched in fewer bits than they have."""
        return self.method.startswith(("int8", "bbq"))

    @property
    def oversample(self) -> float | None:
        """How many times the wanted hits are scored again by the full vectors; None if vectors are not quantised."""
        if not self.quantised:
            return None
        return self.rescore or (2.0 if self.method.startswith("int8") else 4.0)

    @property
    def exact(self) -> bool:
        """Whether a search finds the true nearest entities."""
        return self.method == "flat" and self.element_type == "float"


def mapping(
    dimension: int,
    options: VectorOptions,
    meta: Mapping[str, Any] | None = None,
    parts: Sequence[Modality] = (),
) -> dict[str, Any]:
    """Return the mapping of an index of entities with features of D numbers; `meta` becomes its `_meta`."""
    keyword = {"type": "keyword"}
    properties: dict[str, Any] = {
        "place": {"type": "long"},
        "revision": {"type": "long"},
        "content": {"type": "long"},
        "id": keyword,
        "name": keyword,
        "aliases": keyword,
        "spellings": keyword,
        "attributes": {"type": "flattened"},
        "trained": {"type": "boolean"},
        "samples": {"type": "integer"},
        "evidence": {"type": "object", "enabled": False},
        "text": {"type": "text"},
    }
    widths = field_widths(dimension)
    for part in (None, *parts):
        properties[field_of(ROWS, part)] = {"type": "binary"}
        properties |= {field_of(name, part): _vector_field(widths[name], options) for name in options.fields}
    return {"dynamic": "strict", "_meta": dict(meta or {}), "properties": properties}


def _vector_field(width: int, options: VectorOptions) -> dict[str, Any]:
    index_options: dict[str, Any] = {"type": options.method}
    if options.quantised:
        # Rescoring is asked for in each search, so that what is measured is what is asked for.
        index_options["rescore_vector"] = {"oversample": 0}
    return {
        "type": "dense_vector",
        "dims": width,
        "element_type": options.element_type,
        "similarity": "max_inner_product",
        "index": True,
        "index_options": index_options,
    }


def knn(
    field: VectorField,
    query: Float64,
    size: int,
    *,
    excluded: Sequence[int] | Int64 = (),
    filtered: Filter | None = None,
    candidates: int | None = None,
    rescore: float | None = None,
    packed: bool = True,
    allow_scripts: bool = False,
    part: Modality | None = None,
) -> dict[str, Any]:
    """Return the `knn` section that finds the entities nearest to a set.

    Args:
        field: Which vectors to search.
        query: (W,), (2 W,) or (D,): what the set asks with, from `scoring.query_vector`.
        size: k, at most 10,000.
        excluded: Places that must not come back, the set's own members above all.
        filtered: Which entities may come back; None for all.
        candidates: `num_candidates` of a graph, at least `size`; None for `size`.
        rescore: Times `size` that a quantised field scores again.
        packed: Whether the vector goes as base64, which servers from 9.4 take, or as a list of numbers.
        allow_scripts: Whether the caller's own query may hold scripts.
        part: Whose vectors; None for those of the index itself.

    Raises:
        QueryError: The caller's own query holds a script, and scripts are not allowed.
    """
    vector = padded(query)
    section: dict[str, Any] = {
        "field": field_of(field, part),
        "query_vector": vector_text(vector) if packed else [float(number) for number in vector],
        "k": size,
        "num_candidates": min(max(size, candidates or size), MOST_HITS),
    }
    clauses = filter_clauses(filtered, allow_scripts)
    if len(excluded) or clauses:
        barred = {"must_not": barring(excluded)} if len(excluded) else {}
        section["filter"] = {"bool": {**barred, **({"filter": clauses} if clauses else {})}}
    if rescore is not None:
        section["rescore_vector"] = {"oversample": rescore}
    return section


def barring(places: Sequence[int] | Int64) -> list[dict[str, Any]]:
    """Return the clauses, none of which an entity may match, that keep places out."""
    listed = [int(place) for place in places]
    parts = [listed[start : start + _MOST_TERMS] for start in range(0, len(listed), _MOST_TERMS)]
    return [{"terms": {"place": part}} for part in parts]


def filter_clauses(filtered: Filter | None, allow_scripts: bool = False) -> list[dict[str, Any]]:
    """Return the clauses, all of which an entity must match.

    Raises:
        QueryError: The caller's own query holds a script, and scripts are not allowed.
    """
    if filtered is None:
        return []
    clauses: list[dict[str, Any]] = [
        {"terms": {f"attributes.{key}": list(values)}} for key, values in filtered.attributes.items()
    ]
    if filtered.name_prefix is not None:
        clauses.append({"prefix": {"spellings": {"value": fold(filtered.name_prefix)}}})
    if filtered.query is not None:
        if not allow_scripts and _holds_script(filtered.query):
            raise QueryError("The filter holds a script; scripts run on the server and are not allowed here.")
        clauses.append(dict(filtered.query))
    return clauses


def _holds_script(query: object) -> bool:
    if isinstance(query, Mapping):
        return any(key in _SCRIPTED or _holds_script(value) for key, value in query.items())
    return isinstance(query, (list, tuple)) and any(_holds_script(item) for item in query)


def inner_product(score: float) -> float:
    """Return the inner product behind a score of the similarity max_inner_product: 1 + s, or 1 / (1 - s) below 0."""
    return score - 1.0 if score >= 1.0 else 1.0 - 1.0 / score


def encode_floats(numbers: Float64) -> str:
    """Return numbers as base64 of little-endian float64, for `_meta`."""
    return base64.b64encode(numbers.astype("<f8").tobytes()).decode()


def decode_floats(text: str) -> Float64:
    """Return the numbers of `encode_floats`.

    Raises:
        ValueError: It is no such text.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").astype(np.float64)
