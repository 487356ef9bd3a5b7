"""Encoders that ask a real Triton server: the same features as the graph's own, whatever the way."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from entity_expand.bundle import Bundle
from entity_expand.encoder import EncoderInput, OnnxEncoder
from entity_expand.errors import ConfigError, EncoderError, StoreError
from entity_expand.triton.encoder import AsyncTritonEncoder, TritonEncoder
from entity_expand.triton.models import Served, encoder_model
from servers.triton_node import TritonNode


def sentence(words: int, colour: int | None = None) -> EncoderInput:
    text = "The old city of Oslo" + " and the sea" * words
    return EncoderInput(text, ((16, 20),), None if colour is None else png(colour))


def png(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (colour, 255 - colour, 9)).save(buffer, "PNG")
    return buffer.getvalue()


INPUTS = [sentence(5, 3), sentence(0), EncoderInput("", (), png(9)), sentence(2, 200), EncoderInput("", ())] * 9


@pytest.fixture(scope="module")
def wanted(bundle: Bundle) -> np.ndarray:
    return OnnxEncoder(bundle, threads=1).encode(INPUTS)


@pytest.fixture(scope="module", params=["triton", "triton+http", "triton+shm"])
def encoder(request: pytest.FixtureRequest, node: TritonNode, bundle: Bundle) -> Iterator[TritonEncoder]:
    port = node.http_port if "http" in request.param else node.grpc_port
    with TritonEncoder(bundle, f"{request.param}://127.0.0.1:{port}", batch_size=8) as opened:
        yield opened


def test_features_are_those_of_the_graph(encoder: TritonEncoder, wanted: np.ndarray) -> None:
    found = encoder.encode(INPUTS)
    assert found.dtype == np.float32 and encoder.dimension == found.shape[1]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_nothing_yields_nothing(encoder: TritonEncoder) -> None:
    assert encoder.encode([]).shape == (0, 96)


def test_threads_share_an_encoder(encoder: TritonEncoder, wanted: np.ndarray) -> None:
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(encoder.encode(INPUTS[:10]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        np.testing.assert_allclose(result, wanted[:10], atol=1e-5)


def test_a_broken_picture_counts_as_missing(node: TritonNode, bundle: Bundle) -> None:
    with TritonEncoder(bundle, f"triton://127.0.0.1:{node.grpc_port}") as encoder:
        features = encoder.encode([replace(sentence(2), image=b"none")] * 3 + [sentence(2)])
        np.testing.assert_allclose(features, [features[3]] * 4, atol=1e-6)
        assert encoder.missing_pictures == 1


@pytest.mark.parametrize("way", ["triton", "triton+http"])
def test_tasks_share_an_encoder(way: str, node: TritonNode, bundle: Bundle, wanted: np.ndarray) -> None:
    async def ask() -> list[np.ndarray]:
        port = node.http_port if "http" in way else node.grpc_port
        async with AsyncTritonEncoder(bundle, f"{way}://127.0.0.1:{port}") as encoder:
            await encoder.check()
            return await asyncio.gather(*(encoder.encode(INPUTS[:n]) for n in range(9)))

    for number, found in enumerate(asyncio.run(ask())):
        np.testing.assert_allclose(found, wanted[:number], atol=1e-5)


def test_a_wrong_mention_is_told_before_anything_is_sent(node: TritonNode, bundle: Bundle) -> None:
    with (
        TritonEncoder(bundle, f"triton://127.0.0.1:{node.grpc_port}") as encoder,
        pytest.raises(EncoderError, match="Input 1"),
    ):
        encoder.encode([sentence(1), EncoderInput("Oslo", ((2, 9),))])


def test_a_closed_encoder_says_so(node: TritonNode, bundle: Bundle) -> None:
    encoder = TritonEncoder(bundle, f"triton://127.0.0.1:{node.grpc_port}")
    encoder.check()
    encoder.close()
    encoder.close()
    with pytest.raises(StoreError, match="was closed"):
        encoder.encode([sentence(1)])


FORK = """
import os, sys
from entity_expand.bundle import Bundle
from entity_expand.demo import bundle_path
from entity_expand.encoder import EncoderInput
from entity_expand.errors import ConfigError
from entity_expand.triton.encoder import TritonEncoder

encoder, one = TritonEncoder(Bundle.open(bundle_path()), sys.argv[1], timeout=10), [EncoderInput("", ())]
before = encoder.encode(one)
child = os.fork()
if child == 0:
    try:
        os._exit(3 if (encoder.encode(one) == before).all() else 4)
    except ConfigError as problem:
        os._exit(5 if "forked" in str(problem) else 6)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code, (encoder.encode(one) == before).all())
"""


@pytest.mark.parametrize(("way", "code"), [("triton+http", 3), ("triton", 5)])
def test_after_a_fork_http_goes_on_and_grpc_is_refused(way: str, code: int, node: TritonNode) -> None:
    """In a process of its own: what runs the tests has threads that a fork would not bring along."""
    where = f"{way}://127.0.0.1:{node.http_port if 'http' in way else node.grpc_port}"
    done = subprocess.run([sys.executable, "-c", FORK, where], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(code), "True"], done.stderr


def test_numbers_out_of_range_are_refused(bundle: Bundle) -> None:
    for wrong in ({"batch_size": 0}, {"in_flight": 0}, {"timeout": 0.0}, {"timeout": float("nan")}):
        with pytest.raises((EncoderError, ConfigError), match=r"at least 1|above 0"):
            TritonEncoder(bundle, "triton://localhost", **wrong)


def test_sentences_are_filled_up_where_the_server_wants_it(bundle: Bundle) -> None:
    model = encoder_model(bundle)
    feeds = {"input_ids": np.full((2, 9), 5), "attention_mask": np.ones((2, 9), np.int64), "pixels": np.ones((2, 3))}
    found = Served(32, (8, 16)).filled_up(model, feeds)
    assert found["input_ids"].tolist() == [[5] * 9 + [bundle.tokenizer.padding_id] * 7] * 2
    assert found["attention_mask"].sum() == 2 * 9 and found["pixels"] is feeds["pixels"]
    assert Served(32, ()).filled_up(model, feeds) == feeds
    assert Served(32, (8,)).filled_up(model, feeds)["input_ids"].shape == (2, 9), "longer than any: as it is"
