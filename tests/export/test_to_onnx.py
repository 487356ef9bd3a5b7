"""Graphs that are as declared, carry no traces of their origin, or are refused."""

import re
from dataclasses import replace

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor

from entity_expand.bundle.graph import read_spec
from entity_expand.bundle.specs import GraphSpec, encoder_spec
from entity_expand.encoder.onnx_session import graph_session, run_graph
from entity_expand.errors import ParityError
from entity_expand.inputs.text import MaskedTokenizer
from export.modalities import feature_module
from export.parity import difference
from export.probes import example, probes
from export.to_onnx import cleaned, export_graph, fused, run_torch
from training.model import MultiExpan

from .conftest import IMAGE, TEXT, WIDTH, StandIn

SPEC = encoder_spec(WIDTH, IMAGE.size)


def exported(model: object, tokenizer: MaskedTokenizer) -> onnx.ModelProto:
    module = feature_module(model, "both", tokenizer, IMAGE.size)  # type: ignore[arg-type]
    return export_graph(module, SPEC, example(tokenizer, IMAGE.size, 0), TEXT.max_length)


@pytest.fixture(scope="module")
def made(tiny_model: MultiExpan, tokenizer: MaskedTokenizer) -> onnx.ModelProto:
    return exported(tiny_model, tokenizer)


@pytest.mark.parametrize("fuse", [False, True])
def test_the_tiny_model_is_exported_as_declared_and_without_traces(
    tiny_model: MultiExpan, tokenizer: MaskedTokenizer, made: onnx.ModelProto, fuse: bool
) -> None:
    graph, counts = fused(made) if fuse else (made, {})
    content = cleaned(graph, SPEC)
    assert counts.get("attention", 0) == (4 if fuse else 0)
    assert read_spec(content) == SPEC
    assert not re.search(rb"[/\\][\w. -]+[/\\]|\.py|stack_trace|aten", names(content))
    kinds = {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert ("Attention" in kinds) == fuse
    session = graph_session(content, threads=1)
    for feeds in probes(tokenizer, IMAGE.size, seed=3):
        assert difference(run_torch(tiny_model, feeds), run_graph(session, feeds)).max_abs < 1e-5


def names(content: bytes) -> bytes:
    """All of the file but the numbers."""
    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
    return bytes(model.SerializeToString())


def bake_batch(feature: Tensor) -> Tensor:
    return feature.reshape(2, WIDTH)


def narrow(feature: Tensor) -> Tensor:
    return feature[:, : WIDTH - 1]


def half(feature: Tensor) -> Tensor:
    return feature.half()


def look(feature: Tensor) -> Tensor:
    return feature if feature.sum() > 0 else -feature


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (bake_batch, r"input is input_ids int64 \(2, length\), expected input_ids int64 \(batch, length\)"),
        (narrow, r"not as declared: output is feature float32 \(batch, 15\), expected .* \(batch, 16\)"),
        (half, "not as declared: output is feature float16"),
        (look, "cannot be exported"),
    ],
)
def test_models_that_do_not_fit_are_refused(tokenizer: MaskedTokenizer, bend: object, message: str) -> None:
    model = StandIn(tokenizer.vocabulary, bend).eval()  # type: ignore[arg-type]
    with pytest.raises(ParityError, match=message):
        cleaned(exported(model, tokenizer), SPEC)


def test_attention_that_is_not_recognised_is_an_error(made: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.to_onnx.optimize_for_ort", lambda model: (model, {}))
    with pytest.raises(ParityError, match=r"None of the 4 attentions of the graph was recognised.*--plain"):
        fused(made)


def test_an_axis_that_is_not_free_is_named() -> None:
    def declared(spec: GraphSpec) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(
                tensor.name,
                TensorProto.INT64 if tensor.dtype == "int64" else TensorProto.FLOAT,
                list(tensor.axes),
            )
            for tensor in spec.inputs
        ]
        output = helper.make_tensor_value_info("feature", TensorProto.FLOAT, ["batch", WIDTH])
        return helper.make_model(helper.make_graph([], "g", inputs, [output]))

    cleaned(declared(SPEC), SPEC)
    ids = replace(SPEC.inputs[0], axes=("batch", 7))
    baked = GraphSpec((ids, *SPEC.inputs[1:]), SPEC.outputs)
    with pytest.raises(ParityError, match=r"input_ids int64 \(batch, 7\), expected input_ids int64 \(batch, length\)"):
        cleaned(declared(baked), SPEC)


def test_cleaning_reaches_inner_graphs_and_functions() -> None:
    def marked(node: onnx.NodeProto) -> onnx.NodeProto:
        node.doc_string = "/home/me/secret.py"
        entry = node.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.stack_trace", "/home/me/secret.py"
        return node

    inner = helper.make_graph([marked(helper.make_node("Identity", ["x"], ["y"]))], "inner", [], [])
    inner.doc_string = "/home/me/secret.py"
    outer = marked(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))
    value = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    value.doc_string = "/home/me/secret.py"
    constant = helper.make_node("Constant", [], ["k"], value=value)
    graph = helper.make_graph([outer, constant], "g", [], [], [value])
    opset = [helper.make_opsetid("", 20)]
    function = helper.make_function("d", "f", [], [], [marked(helper.make_node("Relu", ["x"], ["y"]))], opset)
    model = helper.make_model(graph, functions=[function], doc_string="/home/me/secret.py")
    before = model.SerializeToString()
    assert b"/home" not in cleaned(model, GraphSpec((), ()))
    assert model.SerializeToString() == before, "the argument is not changed"


def test_torch_runs_on_arrays(tokenizer: MaskedTokenizer) -> None:
    feeds = example(tokenizer, IMAGE.size, 0)
    model = StandIn(tokenizer.vocabulary).eval()
    with torch.no_grad():
        wanted = model.feature(*(torch.from_numpy(value) for value in feeds.values()))
    assert torch.equal(torch.from_numpy(run_torch(model, feeds)), wanted)
