"""The declared inputs and outputs of an ONNX file, read and checked without onnx or onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entity_expand.bundle.specs import GraphSpec, TensorSpec
from entity_expand.errors import BundleError


def read_spec(content: bytes, file: str = "", outside: Sequence[str] = ()) -> GraphSpec:
    """Read the inputs and outputs of an ONNX file.

    Args:
        content: The file.
        file: The one other file that may hold tensors, by its bare name.
        outside: Names of exactly the tensors that it holds; none by default.

    Raises:
        BundleError: The bytes are no ONNX file, point to other files than allowed (external data, compiled contexts),
            or use operators that do not come with onnxruntime.
    """
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    domains: set[str] = set()
    functions: set[str] = set()
    external: list[str] = []
    for kind, number, value in _walk(memoryview(content), "model", 0):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number, value) == _EXTERNAL_LOCATION) and not outside:
            raise BundleError("The graph keeps tensors in other files; a bundle's graph must hold all its data.")
        if outside and _MESSAGES[kind].get(number) == "tensor" and isinstance(value, memoryview):
            external += _external_name(value, file)
        if (kind, number) == ("node", 4) and isinstance(value, memoryview) and bytes(value) == b"EPContext":
            raise BundleError("The graph points to a compiled context; a bundle's graph must hold all its nodes.")
        if (kind, number) in (("node", 7), ("function", 10)):
            (domains if kind == "node" else functions).add(_text(value))
        if kind == "graph" and number in (11, 12) and isinstance(value, memoryview):
            (inputs if number == 11 else outputs).append(_tensor_spec(value))
    foreign = domains - functions - _OPERATORS
    if foreign:
        raise BundleError(f"The graph uses custom operators, of {', '.join(sorted(foreign))}; a bundle's must not.")
    if sorted(external) != sorted(outside):
        raise BundleError(f"The graph keeps the tensors {external[:9]} in {file}, expected {list(outside)}.")
    return GraphSpec(tuple(inputs), tuple(outputs))


def hollow_graph(spec: GraphSpec) -> bytes:
    """Return an ONNX file that declares `spec` and computes nothing: for bundles that are used with a fake encoder."""
    named = {name: number for number, name in _DTYPES.items()}

    def value(tensor: TensorSpec) -> bytes:
        axes = b"".join(
            _put(1, _put(2, axis.encode()) if isinstance(axis, str) else _put(1, axis)) for axis in tensor.axes
        )
        kind = _put(1, _put(1, named[tensor.dtype]) + _put(2, axes))
        return _put(1, tensor.name.encode()) + _put(2, kind)

    graph = _put(2, b"hollow") + b"".join(_put(11, value(tensor)) for tensor in spec.inputs)
    graph += b"".join(_put(12, value(tensor)) for tensor in spec.outputs)
    return _put(1, 10) + _put(7, graph) + _put(8, _put(2, 20))


# The parts of ONNX's protobuf messages that can hold a tensor or a graph: message -> field -> message.
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_OPERATORS = {"", "ai.onnx", "com.microsoft"}
"""The domains of the operators that come with onnxruntime."""
_EXTERNAL_DATA = 13
_EXTERNAL_LOCATION = (14, 1)
_DTYPES = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64", 16: "bfloat16"}
_MAX_DEPTH = 32


def _walk(data: memoryview, kind: str, depth: int) -> Iterator[tuple[str, int, int | memoryview]]:
    """Yield (message, field, value) of every message that `_MESSAGES` knows; inner graphs' inputs are left out."""
    if depth > _MAX_DEPTH:
        raise BundleError(f"The graph is nested deeper than {_MAX_DEPTH} levels.")
    for number, value in _fields(data):
        if kind != "graph" or depth == 1 or number not in (11, 12):
            yield kind, number, value
        inner = _MESSAGES[kind].get(number)
        if inner is not None and isinstance(value, memoryview):
            yield from _walk(value, inner, depth + 1)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of one protobuf message: a number for a varint, the bytes of anything else."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        wire = key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise BundleError("The graph is no ONNX file, or a broken one.")
        if position + length > len(data):
            raise BundleError("The graph is no ONNX file, or it ends early.")
        yield key >> 3, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise BundleError("The graph is no ONNX file, or it ends early.")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise BundleError("The graph is no ONNX file, or a broken one.")


def _external_name(data: memoryview, file: str) -> list[str]:
    """Return the name of a tensor that lies in another file, or []; that file must be `file`."""
    name, is_outside = "", False
    for number, value in _fields(data):
        if number == 8:
            name = _text(value)
        is_outside |= number == _EXTERNAL_DATA or (number, value) == _EXTERNAL_LOCATION
        if number == _EXTERNAL_DATA and isinstance(value, memoryview):
            entry = {key: _text(text) for key, text in _fields(value)}
            if entry.get(1) == "location" and entry.get(2) != file:
                raise BundleError(f"The graph keeps tensors in {entry.get(2)!r}; only {file} is allowed.")
    return [name] if is_outside else []


def _tensor_spec(data: memoryview) -> TensorSpec:
    """Read one ValueInfoProto."""
    name, dtype = "", "no tensor"
    axes: list[str | int] = []
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        for kind in _inner(value, 1) if number == 2 else ():
            for part, content in _fields(kind):
                if part == 1 and isinstance(content, int):
                    dtype = _DTYPES.get(content, f"type {content}")
                axes += [_axis(axis) for axis in _inner(content, 1)] if part == 2 else []
    return TensorSpec(name, dtype, tuple(axes))


def _axis(data: memoryview) -> str | int:
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            return value
        if number == 2:
            return _text(value)
    return "?"


def _inner(value: int | memoryview, number: int) -> Iterator[memoryview]:
    for found, content in _fields(value) if isinstance(value, memoryview) else ():
        if found == number and isinstance(content, memoryview):
            yield content


def _text(value: int | memoryview) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, memoryview) else str(value)


def _put(number: int, value: int | bytes) -> bytes:
    """Write one protobuf field."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    return _number(number << 3 | 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
