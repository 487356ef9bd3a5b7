"""Buffers that stay where they are, and what is captured; without a GPU the same buffers are bound on the CPU."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from core.test_encoder import MIXED, bundle, expected
from entity_expand.bundle import Bundle
from entity_expand.encoder import OnnxEncoder, cuda_graphs
from entity_expand.encoder import encoders as encoder_module
from entity_expand.encoder.cuda_graphs import CapturedGraph
from entity_expand.encoder.onnx_session import graph_session
from entity_expand.errors import EncoderError
from entity_expand.inputs.text import MaskedText

__all__ = ["bundle"]


def doubling() -> bytes:
    """2x, which fails for a batch that is not as wide as 3."""
    value = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["feature"])], "doubling",
        [value("x", shape=["batch", 3])], [value("feature", shape=["batch", 3])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def captured() -> CapturedGraph:
    return CapturedGraph(graph_session(doubling()), "cpu", most=2)


def rows(count: int, start: float) -> dict[str, np.ndarray]:
    return {"x": start + np.arange(3 * count, dtype=np.float32).reshape(count, 3)}


def test_each_answer_is_of_its_own_inputs_and_stays(captured: CapturedGraph) -> None:
    asked = [rows(count, start) for start in (0.0, 50.0, -7.0) for count in (1, 4, 2, 1)]
    kept = [{name: value.copy() for name, value in feeds.items()} for feeds in asked]
    found = [captured.run(feeds) for feeds in asked]
    for feeds, before, answer in zip(asked, kept, found, strict=True):
        np.testing.assert_array_equal(answer, 2 * before["x"])
        np.testing.assert_array_equal(feeds["x"], before["x"])


def test_no_more_shapes_are_held_than_allowed(captured: CapturedGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    options = cuda_graphs._options
    monkeypatch.setattr(
        cuda_graphs, "_options", lambda runtime, number: (numbers.append(number), options(runtime, number))[1]
    )
    for count in (1, 4, 2, 1, 4, 2, 9):
        captured.run(rows(count, 0.0))
    assert numbers == [1, 2, -1, -1, -1]


def test_what_is_refused_leaves_nothing_behind(captured: CapturedGraph) -> None:
    for _ in range(3):
        with pytest.raises(EncoderError, match="fixed buffers"):
            captured.run({"x": np.zeros((1, 2), np.float32)})
    np.testing.assert_array_equal(captured.run(rows(1, 1.0)), 2 * rows(1, 1.0)["x"])


def test_no_number_of_a_capture_is_used_again(captured: CapturedGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[int] = []
    options = cuda_graphs._options
    monkeypatch.setattr(cuda_graphs, "_options", lambda *given: (numbers.append(given[1]), options(*given))[1])
    captured.run(rows(1, 0.0))
    captured.run(rows(2, 0.0))
    monkeypatch.setattr(cuda_graphs._Held, "run", lambda *_: 1 // 0)
    with pytest.raises(EncoderError, match="fixed buffers"):
        captured.run(rows(1, 0.0))
    monkeypatch.undo()
    monkeypatch.setattr(cuda_graphs, "_options", lambda *given: (numbers.append(given[1]), options(*given))[1])
    for count in (1, 2, 4):
        np.testing.assert_array_equal(captured.run(rows(count, 5.0)), 2 * rows(count, 5.0)["x"])
    assert numbers == [1, 2, 3, -1]


def test_threads_take_turns(captured: CapturedGraph) -> None:
    wrong: list[int] = []

    def ask(number: int) -> None:
        for turn in range(50):
            feeds = rows(1 + turn % 3, 1_000.0 * number + turn)
            if not np.array_equal(captured.run(feeds), 2 * feeds["x"]):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_encoder_gives_the_same_features_over_few_shapes(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: set[tuple[int, ...]] = set()

    class Watched(CapturedGraph):
        def run(self, feeds: Any) -> Any:
            shapes.add(feeds["input_ids"].shape)
            return super().run(feeds)

    monkeypatch.setattr(encoder_module, "graph_session", lambda content, *_, **__: graph_session(content))
    monkeypatch.setattr(encoder_module, "CapturedGraph", partial(Watched, device="cpu"))
    encoder = OnnxEncoder(bundle, providers=("cuda",), batch_size=2, cuda_graphs=True)
    np.testing.assert_allclose(encoder.encode(MIXED), [expected(bundle, item) for item in MIXED], atol=1e-5)
    assert len(shapes) < 6 and all(length % 16 == 0 for _, length in shapes)


def test_they_need_a_gpu(bundle: Bundle) -> None:
    with pytest.raises(EncoderError, match="need the provider cuda"):
        OnnxEncoder(bundle, cuda_graphs=True)
    with pytest.raises(EncoderError, match="CUDAExecutionProvider is not available"):
        OnnxEncoder(bundle, providers=("cuda",), cuda_graphs=True)


def test_a_batch_is_padded_no_further_than_a_sentence_can_be_long(bundle: Bundle) -> None:
    longest = bundle.tokenizer.config.max_length
    for length, multiple, padded in ((3, 16, 16), (16, 16, 16), (17, 16, 32), (longest, 10_000, longest), (5, 1, 5)):
        batch = bundle.tokenizer.batch([MaskedText(tuple(range(1, length + 1)), 0)], multiple)
        assert batch.ids.shape == (1, padded) and batch.attention_mask.sum() == length
