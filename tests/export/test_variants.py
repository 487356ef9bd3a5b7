"""Graphs in other numbers, against the products by hand and against the model."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_tokenizer
from entity_expand.bundle.specs import graph_file
from entity_expand.corpus import Corpus
from entity_expand.encoder import EncoderInput, OnnxEncoder
from entity_expand.encoder.onnx_session import graph_session, run_session
from entity_expand.errors import ConfigError, EncoderError, ParityError
from export import ExportSettings, Source, export_source
from export.parity import BOUNDS
from export.variants import fp16, int8
from training.model import MultiExpan

from .conftest import ENTITIES, IMAGE, TEXT

RANDOM = np.random.default_rng(3)
FIRST, SECOND = RANDOM.standard_normal((5, 6), np.float32), RANDOM.standard_normal((8, 6), np.float32)
BIAS = RANDOM.standard_normal(8, np.float32)


@pytest.fixture
def small() -> onnx.ModelProto:
    """A product, a product in Gemm's form, a product of two activations, and a convolution."""
    values = {"first": FIRST, "second": SECOND, "bias": BIAS, "filter": np.ones((1, 1, 1, 2), np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Gemm", ["a", "second", "bias"], ["y"], transB=1),
        helper.make_node("MatMul", ["y", "x"], ["z"]),
        helper.make_node("Unsqueeze", ["z", "axes"], ["maps"]),
        helper.make_node("Conv", ["maps", "filter"], ["w"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 5])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "w")]
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    constants.append(numpy_helper.from_array(np.array([0, 1]), "axes"))
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    return run_session(graph_session(model.SerializeToString(), threads=1), ("y", "w"), {"x": x})


def test_products_with_constants_become_integers_and_nothing_else(small: onnx.ModelProto) -> None:
    before = small.SerializeToString()
    made, count = int8(small)
    assert count == 2 and small.SerializeToString() == before
    kinds = Counter(node.op_type for node in made.graph.node)
    assert (kinds["DynamicQuantizeMatMul"], kinds["MatMul"], kinds["Gemm"], kinds["Conv"]) == (2, 1, 0, 1)
    assert {tensor.name for tensor in made.graph.initializer}.isdisjoint({"first", "second"})
    x = RANDOM.standard_normal((8, 5), np.float32)
    wanted = x @ FIRST @ SECOND.T + BIAS
    (found, _), (exact, _) = run(made, x), run(small, x)
    np.testing.assert_allclose(exact, wanted, rtol=1e-4, atol=1e-5)
    assert 0 < np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()


def test_no_product_of_integers_overflows(small: onnx.ModelProto) -> None:
    """The largest weights and activations there are: signed 8-bit ones would overflow on some processors."""
    model = onnx.ModelProto()
    model.CopyFrom(small)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((5, 6), 3.0, np.float32), "first"))
    x = np.full((8, 5), 2.0, np.float32)
    (found, _), (wanted, _) = run(int8(model)[0], x), run(model, x)
    assert np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()


def test_rows_do_not_depend_on_their_neighbours(small: onnx.ModelProto) -> None:
    made = int8(small)[0]
    x = RANDOM.standard_normal((8, 5), np.float32)
    x[:, 0], x[:, 1] = 1.0, -1.5  # so that every row has the same range once it is scaled
    x = np.clip(x, -1.5, 1.0)
    other = x.copy()
    other[4:] *= 1000
    np.testing.assert_allclose(run(made, other)[0][:4], run(made, x)[0][:4], rtol=1e-5, atol=1e-5)


def test_products_that_narrow_stay_float(small: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(small)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(SECOND[:5], "second"))
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(BIAS[:5], "bias"))
    assert int8(model)[1] == 1


def test_half_precision_keeps_inputs_and_outputs(small: onnx.ModelProto) -> None:
    made = fp16(small)
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert kinds["first"] == TensorProto.FLOAT16
    x = RANDOM.standard_normal((8, 5), np.float32)
    for found, wanted in zip(run(made, x), run(small, x), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=0.02, atol=0.02)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, tiny_model: MultiExpan) -> Bundle:
    source = Source(tiny_model, ENTITIES, fake_tokenizer(), TEXT, IMAGE, corpus.content_hash, "train")
    settings = ExportSettings(variants=("int8", "fp16"), modalities=("text", "picture"))
    with pytest.MonkeyPatch.context() as patch:
        # So tiny and untrained a model is not bound to keep its lists with 8 bits.
        patch.setitem(BOUNDS, "int8", replace(BOUNDS["int8"], overlap=0.8))  # type: ignore[misc]
        return export_source(source, corpus, tmp_path_factory.mktemp("bundles") / "b", settings)


def test_every_graph_is_there_and_has_its_numbers(exported: Bundle) -> None:
    assert len(exported.graphs) == 9
    stated = exported.manifest.parity["graphs"]
    assert set(stated) == {graph_file(*what) for what in exported.graphs}
    for measured in stated.values():
        assert measured["expansions"]["expansions"] == len(ENTITIES) and measured["expansions"]["overlap"] > 0.8
        assert measured["samples"]["rows"] == 3 * len(ENTITIES) and measured["samples"]["min_cosine"] > 0.9
        assert measured["provider"] == "CPUExecutionProvider"
        assert measured["probes"]["rows"] == (1 + 2 + 5 + 3) * 5
    assert stated["encoder.onnx"]["changes"]["attention"] == 4
    assert stated["encoder-int8.onnx"]["changes"]["int8_products"] > 10
    assert stated["encoder-picture.onnx"]["bytes"] < stated["encoder.onnx"]["bytes"]


def test_graphs_of_one_modality_equal_that_of_both(exported: Bundle, corpus: Corpus) -> None:
    samples = [corpus.sample(number) for number in range(len(corpus))]
    images = [corpus.image_path(sample) for sample in samples]
    shown = {
        "text": [EncoderInput(sample.text, sample.mentions) for sample in samples],
        "picture": [EncoderInput("", (), image) for image in images],
    }
    whole = OnnxEncoder(exported, threads=1)
    full = [EncoderInput(sample.text, sample.mentions, image) for sample, image in zip(samples, images, strict=True)]
    for modality, inputs in shown.items():
        alone = OnnxEncoder(exported, threads=1, modality=modality)  # type: ignore[arg-type]
        np.testing.assert_allclose(alone.encode(inputs), whole.encode(inputs), atol=1e-5)
        np.testing.assert_allclose(alone.encode(full), alone.encode(inputs), atol=1e-6)


def test_a_variant_that_loses_too_much_leaves_no_bundle(
    tmp_path: Path, corpus: Corpus, tiny_model: MultiExpan, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(tiny_model, ENTITIES, fake_tokenizer(), TEXT, IMAGE, corpus.content_hash, "train")
    monkeypatch.setitem(BOUNDS, "int8", replace(BOUNDS["int8"], cosine=0.9999999))  # type: ignore[misc]
    with pytest.raises(ParityError, match=r"differs from the model on made-up inputs \(encoder-int8\.onnx\)"):
        export_source(source, corpus, tmp_path / "b", ExportSettings(variants=("int8",)))
    assert list(tmp_path.iterdir()) == []


def test_models_of_another_kind_have_no_parts(tmp_path: Path, corpus: Corpus, make_source: object) -> None:
    with pytest.raises(ParityError, match="StandIn can only be exported for texts and pictures together"):
        export_source(make_source(), corpus, tmp_path / "b", ExportSettings(modalities=("text",)))  # type: ignore


def test_unknown_variants_are_refused() -> None:
    for changes in ({"variants": ("int4",)}, {"modalities": ("sound",)}):
        with pytest.raises(ConfigError):
            ExportSettings(**changes)  # type: ignore[arg-type]


def test_a_gpu_that_is_not_there_is_an_error_that_says_why(exported: Bundle) -> None:
    with pytest.raises(EncoderError, match=r"CUDAExecutionProvider is not available; this onnxruntime has .*CPU"):
        OnnxEncoder(exported, providers=("cuda",), variant="fp16")
