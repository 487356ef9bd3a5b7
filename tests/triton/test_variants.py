"""Every graph of a bundle is a model of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from entity_expand import EntityExpandError, Expander, NewSeed
from entity_expand.bundle import Bundle, write_bundle
from entity_expand.bundle.fakes import fake_content
from entity_expand.bundle.specs import GraphSpec, encoder_spec, graph_file
from entity_expand.corpus import Corpus
from entity_expand.encoder import EncoderInput, OnnxEncoder, open_encoder
from entity_expand.seeds.newcomers import SeedEncoder
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.encoder import AsyncTritonEncoder, TritonEncoder
from entity_expand.triton.repository import encoder_content, encoder_models, write_repository
from entity_expand.types import MODALITIES, Modality
from indexer import index_corpus
from servers.triton_node import TritonNode

PICTURE = Image.new("RGB", (9, 9), (200, 100, 50))
INPUTS = [EncoderInput("The old city of Oslo", ((16, 20),), PICTURE), EncoderInput("Oslo", ((0, 4),), PICTURE)]
TYPES = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}
WIDTH, SIZE = 6, 8


def first_input_times(spec: GraphSpec, scale: float) -> bytes:
    """A graph that reads only its first input: the sum of each row, times numbers."""
    numbers = scale * np.arange(1, WIDTH + 1, dtype=np.float32)[None]
    first = spec.inputs[0]
    rank = len(first.axes)
    nodes = [
        helper.make_node("Cast", [first.name], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=0),
        helper.make_node("Unsqueeze", ["sum", "one"], ["column"]),
        helper.make_node("MatMul", ["column", "numbers"], ["feature"]),
    ]
    constants = [("axes", np.arange(1, rank)), ("one", np.array([1])), ("numbers", numbers)]
    values = [[helper.make_tensor_value_info(t.name, TYPES[t.dtype], list(t.axes)) for t in side]
              for side in (spec.inputs, spec.outputs)]  # fmt: skip
    graph = helper.make_graph(nodes, "g", *values, [numpy_helper.from_array(value, name) for name, value in constants])
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    )


@pytest.fixture(scope="module")
def several(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with graphs that all give something else."""
    graphs = {
        graph_file(modality, variant): first_input_times(encoder_spec(WIDTH, SIZE, modality), 1 + place + 10 * scale)
        for place, modality in enumerate(MODALITIES)
        for scale, variant in enumerate(("fp32", "int8"))
    }
    made = replace(fake_content(bundle.entities, WIDTH), graph=graphs.pop(graph_file()), further=graphs)
    return write_bundle(tmp_path_factory.mktemp("several") / "b", made)


@pytest.fixture(scope="module")
def server(several: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonNode]:
    folder, settings = tmp_path_factory.mktemp("several") / "models", RepositorySettings(backend="python")
    write_repository(folder, encoder_models(several, settings), settings)
    with TritonNode(folder) as node:
        yield node


def test_each_graph_is_asked_by_what_it_sees_and_how_it_computes(several: Bundle, server: TritonNode) -> None:
    where, found = f"triton://127.0.0.1:{server.grpc_port}", []
    for modality, variant in several.graphs:
        local = OnnxEncoder(several, modality=modality, variant=variant)
        wanted = local.encode(INPUTS)
        with TritonEncoder(several, where, modality=modality, variant=variant) as encoder:
            found.append(encoder.encode(INPUTS))
            assert encoder.variant == local.variant == variant
        np.testing.assert_allclose(found[-1], wanted, rtol=1e-5)
    assert len(several.graphs) == 6 and len({each.tobytes() for each in found}) == 6


def test_an_encoder_is_opened_by_its_variant(several: Bundle, server: TritonNode) -> None:
    encoder = open_encoder(f"triton+http://127.0.0.1:{server.http_port}", several, variant="int8")
    assert isinstance(encoder, TritonEncoder) and encoder.encode(INPUTS)[0, 0] > 0
    encoder.close()


def test_new_seeds_are_encoded_as_the_index_was(
    several: Bundle, server: TritonNode, corpus: Path, tmp_path: Path
) -> None:
    seeds = [NewSeed("[[Oslo]] lies by the sea.", PICTURE)]
    with Corpus.open(corpus) as samples:
        index_corpus(several, OnnxEncoder(several, variant="int8"), samples, tmp_path / "index")
    for encoder in (None, "cpu", f"triton+http://127.0.0.1:{server.http_port}", OnnxEncoder(several)):
        with Expander.open(tmp_path / "index", bundle=several, encoder=encoder) as expander:
            meta, chosen = expander.store.begin().facts.meta, expander.encoder
            assert chosen is not None and meta.variant == "int8"
            found = chosen.rows(seeds, meta).scaled
        if isinstance(encoder, str) and "://" in encoder:
            with pytest.raises(EntityExpandError):
                chosen.rows(seeds, meta)  # its connection was closed with the index
        variant = "fp32" if isinstance(encoder, OnnxEncoder) else "int8"
        right = SeedEncoder(several, OnnxEncoder(several, variant=variant)).rows(seeds, meta).scaled  # type: ignore[arg-type]
        other = SeedEncoder(several, OnnxEncoder(several, variant="fp32" if variant == "int8" else "int8"))
        np.testing.assert_allclose(found, right, rtol=1e-5)
        assert not np.allclose(found, other.rows(seeds, meta).scaled, rtol=1e-2)


@pytest.mark.parametrize("missing", [(), ("text",), ("text", "picture")], ids=["all", "no text", "both alone"])
def test_what_lacks_a_modality_goes_to_the_model_without_it_if_it_is_served(
    missing: tuple[Modality, ...], several: Bundle, tmp_path: Path
) -> None:
    mixed = [*INPUTS, EncoderInput("Oslo", ((0, 4),)), EncoderInput("", (), PICTURE)]
    settings = RepositorySettings(backend="python")
    models = [encoder_content(several, seen, "fp32", settings) for seen in MODALITIES if seen not in missing]
    write_repository(tmp_path / "models", models, settings)
    lean = replace(fake_content(several.entities, WIDTH), graph=several.read_graph())
    alone = OnnxEncoder(write_bundle(tmp_path / "lean", lean)).encode(mixed)
    wanted = OnnxEncoder(several).encode(mixed)
    for number, modality in ((2, "text"), (3, "picture")):
        assert wanted[number, 0] != alone[number, 0]
        wanted[number] = alone[number] if modality in missing else wanted[number]
    with (
        TritonNode(tmp_path / "models") as node,
        TritonEncoder(several, f"triton://127.0.0.1:{node.grpc_port}") as encoder,
    ):
        for _ in range(2):
            np.testing.assert_allclose(encoder.encode(mixed), wanted, rtol=1e-5)
        first, second = asyncio.run(together(several, encoder.url, INPUTS * 20 + mixed, mixed[2:3]))
        np.testing.assert_allclose(first[-len(mixed) :], wanted, rtol=1e-5)
        np.testing.assert_allclose(second, wanted[2:3], rtol=1e-5)


async def together(bundle: Bundle, where: str, *calls: list[EncoderInput]) -> list[np.ndarray]:
    """Encode by calls that share an encoder which does not know yet what the server lacks."""
    async with AsyncTritonEncoder(bundle, where, batch_size=1) as encoder:
        await encoder.check()
        return await asyncio.gather(*(encoder.encode(inputs) for inputs in calls))
