"""The same graph in other numbers: matrix products of 8-bit integers, or float16 throughout."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from entity_expand.errors import ParityError
from entity_expand.types import AnyArray, Float32

_MS = "com.microsoft"
_LARGEST = 127
"""Largest absolute 8-bit weight, around the zero point of 128."""
_TINY = np.float32(1e-12)


def int8(model: Any) -> tuple[Any, int]:
    """Let products with constant matrices compute with 8-bit integers; convolutions and all else stay float.

    Weights get one scale per column. They are unsigned with a zero point of 128: signed ones overflow in the products
    of processors without VNNI, so that the same file would give other numbers elsewhere. Activations are scaled row by
    row before they are quantised, so that one outlier does not coarsen all rows. Products that narrow, as the second
    one of a perceptron does, stay float: their inputs have outliers in few columns, which 8 bits do not hold.

    Args:
        model: An `onnx.ModelProto`; it is not changed.

    Returns:
        Another `onnx.ModelProto`, and how many products were changed.
    """
    made = ModelProto()
    made.CopyFrom(model)
    quantiser = _Quantiser(made)
    nodes = [after for node in made.graph.node for after in quantiser.replaced(node)]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(quantiser.added)
    _drop_unused(made)
    if not any(opset.domain == _MS for opset in made.opset_import):
        made.opset_import.append(helper.make_opsetid(_MS, 1))
    return made, quantiser.count


def fp16(model: Any) -> Any:
    """Let all compute in float16, but for inputs, outputs and operators that know no float16.

    Args:
        model: An `onnx.ModelProto`; it is not changed.

    Returns:
        Another `onnx.ModelProto`.

    Raises:
        ParityError: The graph cannot be converted.
    """
    made = ModelProto()
    made.CopyFrom(model)
    converter = importlib.import_module("onnxruntime.transformers.float16")
    try:
        return converter.convert_float_to_float16(made, keep_io_types=True, disable_shape_infer=True)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as problem:
        raise ParityError(f"The graph cannot be converted to float16: {problem}") from problem


class _Quantiser:
    """Rewrites the nodes of one graph.

    Attributes:
        added: Initialisers that the new nodes need.
        count: How many products were changed.
    """

    def __init__(self, model: Any) -> None:
        self._values = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self.added: list[Any] = []
        self.count = 0

    def replaced(self, node: Any) -> Iterator[Any]:
        """Yield what a node becomes: itself, or nodes that give the same output."""
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        weight = self._constant(node.input[1]) if len(node.input) > 1 else None
        if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
            yield node
        elif node.op_type == "MatMul" and weight.shape[0] <= weight.shape[1]:
            yield from self._product(node.input[0], weight, node.output[0])
        elif node.op_type == "Gemm" and (attributes.get("alpha", 1), attributes.get("beta", 1)) == (1, 1):
            matrix = weight.T if attributes.get("transB") else weight
            if attributes.get("transA") or matrix.shape[0] > matrix.shape[1]:
                yield node
                return
            bias = node.input[2] if len(node.input) > 2 else ""
            yield from self._product(node.input[0], matrix, f"{node.output[0]}_product" if bias else node.output[0])
            if bias:
                yield helper.make_node("Add", [f"{node.output[0]}_product", bias], list(node.output))
        elif (node.domain, node.op_type) == (_MS, "Attention") and not any(node.input[3:5]):
            yield from self._attention(node, weight, attributes)
        else:
            yield node

    def _attention(self, node: Any, weight: Float32, attributes: dict[str, Any]) -> Iterator[Any]:
        """Take the product with the weights out of an attention; its own 8-bit form knows no additive mask."""
        name, third = node.output[0], weight.shape[1] // 3
        if attributes.get("qkv_hidden_sizes", [third] * 3) != [third] * 3 or len(node.output) > 1:
            yield node
            return
        parts = [f"{name}_{part}" for part in ("query", "key", "value")]
        kept = {key: value for key, value in attributes.items() if key in ("num_heads", "scale", "mask_filter_value")}
        mask = node.input[5] if len(node.input) > 5 else ""
        yield from self._product(node.input[0], weight, f"{name}_projected")
        yield helper.make_node("Split", [f"{name}_projected"], parts, axis=-1, num_outputs=3)
        yield helper.make_node("MultiHeadAttention", [*parts, node.input[2], "", mask], [name], domain=_MS, **kept)

    def _product(self, activation: str, weight: Float32, name: str) -> Iterator[Any]:
        """Yield what multiplies an activation with the quantised weight (K, N)."""
        self.count += 1
        scale = np.maximum(np.abs(weight).max(axis=0), _TINY) / np.float32(_LARGEST)
        numbers = (np.clip(np.rint(weight / scale), -_LARGEST, _LARGEST) + 128).astype(np.uint8)
        tables = {"weight": numbers, "scale": scale, "zero": np.full(len(scale), 128, np.uint8)}
        tables |= {"tiny": np.array(_TINY), "axis": np.array([-1])}
        self.added += [numpy_helper.from_array(value, f"{name}_{part}") for part, value in tables.items()]
        yield helper.make_node("Abs", [activation], [f"{name}_sizes"])
        yield helper.make_node("ReduceMax", [f"{name}_sizes", f"{name}_axis"], [f"{name}_maximum"], keepdims=1)
        yield helper.make_node("Max", [f"{name}_maximum", f"{name}_tiny"], [f"{name}_largest"])
        yield helper.make_node("Div", [activation, f"{name}_largest"], [f"{name}_scaled"])
        inputs = [f"{name}_scaled", *(f"{name}_{part}" for part in ("weight", "scale", "zero"))]
        yield helper.make_node("DynamicQuantizeMatMul", inputs, [f"{name}_quantised"], domain=_MS)
        yield helper.make_node("Mul", [f"{name}_quantised", f"{name}_largest"], [name])

    def _constant(self, name: str) -> AnyArray | None:
        """Return the value of a constant, also of one that is joined from others; None if it is none."""
        if name in self._values:
            found: AnyArray = numpy_helper.to_array(self._values[name])
            return found
        maker = self._makers.get(name)
        if maker is None or maker.op_type != "Concat":
            return None
        parts = [self._constant(each) for each in maker.input]
        known = [part for part in parts if part is not None]
        axis = next(helper.get_attribute_value(each) for each in maker.attribute if each.name == "axis")
        return np.concatenate(known, axis) if len(known) == len(parts) else None


def _drop_unused(model: Any) -> None:
    """Remove nodes and initialisers that nothing reads any more."""
    while True:
        read = {name for node in model.graph.node for name in _reads(node)}
        read |= {value.name for value in model.graph.output}
        nodes = [node for node in model.graph.node if read.intersection(node.output)]
        if len(nodes) == len(model.graph.node):
            break
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _reads(node: NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node if attribute.HasField("g") else ():
            yield from _reads(inner)
