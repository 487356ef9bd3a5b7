"""The scorer as an ONNX graph: entities' head rows and features inside, sets of seeds in, ranked candidates out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from entity_expand import files
from entity_expand.bundle.specs import TensorSpec, scorer_spec
from entity_expand.errors import BundleError, IndexChangedError, StoreError
from entity_expand.scorer.folder import (
    SCORER_DATA,
    SCORER_FILES,
    SCORER_FORMAT,
    SCORER_GRAPH,
    SCORER_IDS,
    SCORER_MANIFEST,
    TABLES,
)
from entity_expand.search.scoring import EntityRows, stacked
from entity_expand.stores.base import Describe, Matching, Rows, Store
from entity_expand.types import AnyArray, Float32
from export.to_onnx import IR_VERSION, OPSET, cleaned

INLINE = 1 << 30
"""Most bytes of rows that the graph's own file holds; more go into a file beside it."""
_STEP = 4096
_SECONDS = 120.0
"""For the list of the entities that are there, and for each block of them."""


def write_scorer(folder: Path, rows: EntityRows, ids: Sequence[str], fingerprint: str, inline: int = INLINE) -> None:
    """Write a scorer as a whole, in place of an older one, for `entity_expand.scorer.OnnxScorer`.

    Args:
        folder: Where to.
        rows: Of the N entities.
        ids: Their N ids, all different.
        fingerprint: Of the bundle that made the rows.
        inline: See `INLINE`.

    Raises:
        BundleError: The ids do not fit the rows.
        EntityExpandError: `folder` is there and no scorer.
    """
    if len(ids) != len(rows) or len(set(ids)) != len(ids):
        raise BundleError(f"A scorer needs one id per entity; got {len(set(ids))} different ones for {len(rows)}.")
    with files.new_folder(folder, SCORER_MANIFEST) as made:
        data = made / SCORER_DATA if rows.head.nbytes + rows.scaled.nbytes > inline else None
        (made / SCORER_GRAPH).write_bytes(scorer_graph(rows, data))
        (made / SCORER_IDS).write_text(json.dumps(list(ids)))
        present = [name for name in SCORER_FILES if (made / name).exists()]
        files.write_json(made / SCORER_MANIFEST, {
            **SCORER_FORMAT,
            "entities": len(rows),
            "width": rows.head.shape[1],
            "bundle": fingerprint,
            "files": {
                name: {"sha256": files.sha256_of(made / name), "bytes": (made / name).stat().st_size}
                for name in present
            },
        })  # fmt: skip


def write_scorer_of(store: Store, folder: Path) -> int:
    """Write the scorer of all entities of an opened index, of either kind; return their number.

    Raises:
        IndexChangedError: The index was replaced, or an entity removed, while it was read.
        StoreError: The index cannot be read, or holds no entity.
        EntityExpandError: `folder` is there and no scorer.
    """
    files.check_replaceable(folder, SCORER_MANIFEST)
    reader = store.begin(_SECONDS)
    meta = reader.facts.meta
    (there,) = reader.answer([Matching(None)])
    if not len(there):
        raise StoreError("A scorer needs at least one entity; the index holds none.")
    parts: list[EntityRows] = []
    ids: list[str] = []
    for start in range(0, len(there), _STEP):
        reader, places = store.begin(_SECONDS), there[start : start + _STEP]
        if reader.facts.meta != meta:
            raise IndexChangedError("The index was replaced while it was read; write its scorer again.")
        rows, records = reader.answer([Rows(places), Describe(tuple(places.tolist()))])
        parts.append(rows)
        ids += [record.entity.id for record in records]
    write_scorer(folder, stacked(parts), ids, meta.bundle)
    return len(ids)


def scorer_graph(rows: EntityRows, data: Path | None = None) -> bytes:
    """Return the ONNX file of a scorer; it does what `scorer_spec` says.

    Args:
        rows: Of the N entities, at least one.
        data: A file to write the rows to, R and behind it G; the graph then refers to it by its bare name.
            None keeps them in the graph, which must stay below 2 GiB.
    """
    count, width = rows.head.shape
    tables = [_table("head", rows.head, data, 0), _table("scaled", rows.scaled, data, rows.head.nbytes)]
    if data is not None:
        with data.open("wb") as handle:
            for table in (rows.head, rows.scaled):
                handle.write(np.ascontiguousarray(table, "<f4").data)
    spec = scorer_spec(width)
    graph = helper.make_graph(
        _nodes(), "scorer", [_value(each) for each in spec.inputs], [_value(each) for each in spec.outputs],
        [*tables, *_constants(count)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return cleaned(model, spec) if data is None else cleaned(model, spec, data.name, TABLES)


def _table(name: str, table: Float32, data: Path | None, offset: int) -> Any:
    if data is None:
        return numpy_helper.from_array(np.ascontiguousarray(table, np.float32), name)
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=table.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", data.name), ("offset", offset), ("length", table.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _constants(count: int) -> list[Any]:
    values: dict[str, AnyArray] = {
        "zero": np.array(0, np.int64),
        "none": np.array(-1, np.int64),
        "count": np.array([count], np.int64),
        "first_axis": np.array([1], np.int64),
        "nothing": np.array(0, np.float32),
        "lowest": np.array(-np.inf, np.float32),
        "highest": np.array(np.inf, np.float32),
    }
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def _nodes() -> list[Any]:
    """Return the computation; seeds of place -1 are read at place 0 with weight 0."""
    node = helper.make_node
    with_features = helper.make_graph(
        [node("Gemm", ["backward_query", "scaled", "forward"], ["both"], transB=1)], "with_features", [],
        [helper.make_tensor_value_info("both", TensorProto.FLOAT, None)],
    )  # fmt: skip
    without = helper.make_graph(
        [node("Identity", ["forward"], ["alone"])], "without", [],
        [helper.make_tensor_value_info("alone", TensorProto.FLOAT, None)],
    )  # fmt: skip
    return [
        node("Max", ["seeds", "zero"], ["seed_place"]),
        node("Less", ["seeds", "zero"], ["absent"]),
        node("Where", ["absent", "nothing", "weights"], ["weight"]),
        node("Unsqueeze", ["weight", "first_axis"], ["weight_row"]),  # (B, 1, S)
        *_summed("scaled", "seed_scaled"),
        *_summed("head", "seed_head"),
        node("Mul", ["seed_head_sum", "both_directions"], ["seed_head_weighed"]),
        node("Concat", ["seed_scaled_sum", "seed_head_weighed"], ["of_seeds"], axis=1),
        node("Add", ["query", "of_seeds"], ["whole_query"]),  # (B, 2 W)
        node("Split", ["whole_query"], ["forward_query", "backward_query"], axis=1, num_outputs=2),
        node("Gemm", ["forward_query", "head"], ["forward"], transB=1),  # (B, N)
        # The paper's score needs no features of the candidates: half of the memory stays unread.
        node("Abs", ["backward_query"], ["size"]),
        node("ReduceMax", ["size"], ["largest"], keepdims=0),
        node("Greater", ["largest", "nothing"], ["has_backward"]),
        node("If", ["has_backward"], ["scored"], then_branch=with_features, else_branch=without),
        *_closed(),
        node("ReduceMax", ["k"], ["largest_k"], keepdims=0),
        node("Min", ["largest_k", "count"], ["length"]),
        node("TopK", ["open", "length"], ["scores", "best"], axis=1, largest=1, sorted=1),
        node("Equal", ["scores", "lowest"], ["left_out"]),
        node("Where", ["left_out", "none", "best"], ["positions"]),
    ]


def _summed(table: str, name: str) -> list[Any]:
    """Return the weighted sum (B, W) of the seeds' rows in a table."""
    return [
        helper.make_node("Gather", [table, "seed_place"], [name]),  # (B, S, W)
        helper.make_node("MatMul", ["weight_row", name], [f"{name}_kept"]),  # (B, 1, W)
        helper.make_node("Squeeze", [f"{name}_kept", "first_axis"], [f"{name}_sum"]),
    ]


def _closed() -> list[Any]:
    """Return the scores with -inf for seeds and what is excluded; place -1 lowers nothing."""
    node = helper.make_node
    return [
        node("Concat", ["seeds", "excluded"], ["closed"], axis=1),
        node("Max", ["closed", "zero"], ["closed_place"]),
        node("Less", ["closed", "zero"], ["open_place"]),
        node("Where", ["open_place", "highest", "lowest"], ["bound"]),
        node("ScatterElements", ["scored", "closed_place", "bound"], ["open"], axis=1, reduction="min"),
    ]


def _value(tensor: TensorSpec) -> Any:
    kind = TensorProto.INT64 if tensor.dtype == "int64" else TensorProto.FLOAT
    return helper.make_tensor_value_info(tensor.name, kind, list(tensor.axes))
