"""A torch model to the bytes of an ONNX file that holds nothing but the computation."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import onnx
import onnx_ir
import torch
from onnxscript.rewriter.ort_fusions import optimize_for_ort
from torch import Tensor, nn

from entity_expand.bundle.graph import read_spec
from entity_expand.bundle.specs import GraphSpec
from entity_expand.errors import BundleError, ParityError
from entity_expand.types import AnyArray, Float32

OPSET = 20
IR_VERSION = 10
_ATTENTION = ("Attention", "MultiHeadAttention")


class FeatureModel(Protocol):
    """What is exported: a module like `training.model.MultiExpan`, in evaluation mode."""

    def feature(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        mask_position: Tensor,
        pixels: Tensor,
        image_present: Tensor,
    ) -> Tensor:
        """Return the trunk feature (B, D)."""
        ...

    def head_rows(self) -> tuple[Tensor, Tensor]:
        """Return W (V, D) and b (V,)."""
        ...


def run_torch(model: FeatureModel, feeds: Mapping[str, AnyArray]) -> Float32:
    """Return the feature (B, D) float32 of the five named inputs."""
    with torch.inference_mode():
        feature = model.feature(**{name: torch.from_numpy(value) for name, value in feeds.items()})
    found: Float32 = feature.float().numpy()
    return found


def export_graph(module: nn.Module, spec: GraphSpec, example: Mapping[str, AnyArray], longest: int) -> Any:
    """Export the feature as one ONNX graph.

    Args:
        module: On the CPU, in evaluation mode; its forward pass takes the inputs by name and gives the feature.
        spec: What the graph must declare; its named axes are left free.
        example: Inputs to trace with: two rows of different lengths, all axes longer than one.
        longest: Most ids of a sentence, the bound of the axis "length".

    Returns:
        An `onnx.ModelProto` with shapes and traces of its origin.

    Raises:
        ParityError: The model cannot be traced with these axes free.
    """
    free = {"batch": torch.export.Dim("batch"), "length": torch.export.Dim("length", max=longest)}
    shapes = {
        tensor.name: {place: free[axis] for place, axis in enumerate(tensor.axes) if isinstance(axis, str)}
        for tensor in spec.inputs
    }
    arguments = {name: torch.from_numpy(value) for name, value in example.items()}
    with warnings.catch_warnings():
        # The exporter warns about axes that share a name, which is what is wanted, and about itself.
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module.eval(),
                (),
                kwargs=arguments,
                input_names=list(arguments),
                output_names=[tensor.name for tensor in spec.outputs],
                dynamic_shapes=shapes,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except (torch.onnx.OnnxExporterError, RuntimeError, ValueError, TypeError) as problem:
            reason = str(problem.__cause__ or problem).strip().splitlines()
            raise ParityError(f"The model cannot be exported: {' '.join(reason[:4])}") from problem
    if program is None:
        raise ParityError("The model cannot be exported: the exporter gave no graph.")
    return program.model_proto


def fused(model: Any) -> tuple[Any, dict[str, int]]:
    """Fuse operators into those of onnxruntime; the result is to be verified before it is used.

    Args:
        model: An `onnx.ModelProto` as `export_graph` gives it: without the shapes in it nothing is recognised.

    Returns:
        Another `onnx.ModelProto`, and how often each fusion was made; "attention" counts those that are one node now.

    Raises:
        ParityError: The graph cannot be fused, or holds attention of which nothing was recognised.
    """
    attending = sum(node.op_type == "Softmax" for node in model.graph.node)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found, made = optimize_for_ort(onnx_ir.serde.deserialize_model(model))
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as problem:
            raise ParityError(f"The operators of the graph cannot be fused: {problem}") from problem
    result = onnx_ir.serde.serialize_model(found)
    attention = sum(node.op_type in _ATTENTION for node in result.graph.node)
    if attending and not attention:
        raise ParityError(
            f"None of the {attending} attentions of the graph was recognised, so it would be slow; export it with "
            "`--plain` if that is what is wanted."
        )
    counts = {name: count for name, count in made.items() if count}
    return result, counts | ({"attention": attention} if attention else {})


def cleaned(model: Any, spec: GraphSpec, file: str = "", outside: Sequence[str] = ()) -> bytes:
    """Strip all text about the model's origin, and check what the graph declares.

    Args:
        model: An `onnx.ModelProto`; it is not changed.
        spec: What it must declare.
        file: The one other file that may hold tensors, by its bare name.
        outside: Names of exactly the tensors that it holds.

    Returns:
        An ONNX file without names of source files, times or other traces of this machine.

    Raises:
        ParityError: It declares something else.
    """
    stripped = onnx.ModelProto()
    stripped.CopyFrom(model)
    stripped.ir_version = IR_VERSION
    stripped.ClearField("producer_version")
    stripped.ClearField("metadata_props")
    stripped.ClearField("doc_string")
    _strip_graph(stripped.graph)
    for function in stripped.functions:
        function.ClearField("metadata_props")
        function.ClearField("doc_string")
        _strip_nodes(function.node)
    content = cast(bytes, stripped.SerializeToString(deterministic=True))
    try:
        differences = spec.differences(read_spec(content, file, outside))
    except BundleError as problem:
        raise ParityError(f"The exported graph cannot be used: {problem}") from problem
    if differences:
        raise ParityError(f"The exported graph is not as declared: {'; '.join(differences)}.")
    return content


def _strip_graph(graph: Any) -> None:
    graph.ClearField("metadata_props")
    graph.ClearField("doc_string")
    graph.ClearField("value_info")
    for part in (*graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    _strip_nodes(graph.node)


def _strip_nodes(nodes: Iterable[Any]) -> None:
    for node in nodes:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _strip_graph(graph)
            if attribute.HasField("t"):
                attribute.t.ClearField("metadata_props")
                attribute.t.ClearField("doc_string")
