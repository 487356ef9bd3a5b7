"""What goes wrong with a server: each is told by an error of its own kind, in time."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from entity_expand.bundle import Bundle, BundleContent, write_bundle
from entity_expand.bundle.fakes import fake_content
from entity_expand.bundle.graph import hollow_graph
from entity_expand.bundle.specs import encoder_spec
from entity_expand.encoder import EncoderInput
from entity_expand.errors import (
    DeadlineError,
    EncoderError,
    EntityExpandError,
    ModelMismatchError,
    OverloadedError,
    ServerError,
    UnreachableError,
)
from entity_expand.inputs.prepared import Prepared
from entity_expand.sending import Deadline
from entity_expand.triton.client import ANSWER_CAP
from entity_expand.triton.configuration import RepositorySettings
from entity_expand.triton.encoder import AsyncTritonEncoder, TritonEncoder
from entity_expand.triton.models import encoder_model
from entity_expand.triton.repository import encoder_models, write_repository
from servers.elasticsearch_node import ask, free_port
from servers.scripted import ScriptedServer, Step, hang, reply
from servers.triton_node import TritonNode

ONE = [EncoderInput("The old city of Oslo", ((16, 20),))]
PICTURE = io.BytesIO()
Image.new("RGB", (9, 9), (200, 200, 200)).save(PICTURE, "PNG")
SLOW_SECONDS = 0.4
# Takes its time; a row too wide where a picture is given, and no number at all where only that is.
SLOW = f"""
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        time.sleep({SLOW_SECONDS})
        return [self.answer(each) for each in requests]

    def answer(self, request):
        rows, length = pb_utils.get_input_tensor_by_name(request, "input_ids").as_numpy().shape
        picture = pb_utils.get_input_tensor_by_name(request, "image_present").as_numpy().any()
        width, value = (96 + int(picture), 0) if length > 3 else (96, np.nan if picture else 0)
        feature = np.full((rows, width), value, np.float32)
        return pb_utils.InferenceResponse([pb_utils.Tensor("feature", feature)])
"""
WAYS = ["triton", "triton+http", "triton+shm"]


def address(way: str, node: TritonNode) -> str:
    return f"{way}://127.0.0.1:{node.http_port if 'http' in way else node.grpc_port}"


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


def write(folder: Path, bundle: Bundle, **settings: int) -> Path:
    chosen = RepositorySettings(backend="python", **settings)  # type: ignore[arg-type]
    write_repository(folder, encoder_models(bundle, chosen), chosen)
    return folder


def content(bundle: Bundle, dimension: int = 96) -> BundleContent:
    """Of another bundle whose model has the same name and inputs, and with this width the same output."""
    made = replace(fake_content(bundle.entities, dimension), text=bundle.text, image=bundle.image)
    graph = bundle.read_graph() if dimension == bundle.dimension else hollow_graph(encoder_spec(dimension, 32))
    return replace(made, graph=graph)


@pytest.fixture(scope="module")
def other(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("other") / "b", content(bundle))


@pytest.fixture(scope="module")
def slow(other: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonNode]:
    """A server that takes its time, one request after the other, and lets two wait."""
    folder = write(tmp_path_factory.mktemp("slow") / "models", other, max_batch=1, queue=2)
    (program,) = folder.glob("*/*/model.py")
    program.write_text(SLOW)
    with TritonNode(folder) as node:
        yield node


# Nobody answers


def test_a_server_may_be_killed_and_started_again(bundle: Bundle, other: Bundle, tmp_path: Path) -> None:
    with TritonNode(write(tmp_path / "models", bundle)) as node, ThreadPoolExecutor(3) as threads:
        encoders = [TritonEncoder(bundle, address(way, node), timeout=1.5) for way in WAYS]
        before = [encoder.encode(ONE) for encoder in encoders]
        node.kill()

        def refused(encoder: TritonEncoder, kind: type[EntityExpandError], text: str) -> None:
            with pytest.raises(kind, match=text), within(2):
                encoder.encode(ONE)

        list(threads.map(refused, encoders, [UnreachableError] * 3, ["Is it running"] * 3))
        node.start()
        for encoder, feature in zip(encoders, before, strict=True):
            assert (encoder.encode(ONE) == feature).all()
        node.kill()
        write(tmp_path / "models", other)
        node.start()
        list(threads.map(refused, encoders, [ModelMismatchError] * 3, ["does not serve"] * 3))
        for encoder in encoders:
            encoder.close()
        node.kill()


def test_a_dead_helper_is_told(bundle: Bundle, tmp_path: Path) -> None:
    """The server goes on to say that it is ready; only a real request finds out."""
    with (
        TritonNode(write(tmp_path / "models", bundle)) as node,
        TritonEncoder(bundle, address("triton", node), timeout=1) as encoder,
    ):
        encoder.check()
        for pid in node.helpers():
            os.kill(pid, signal.SIGKILL)
        with pytest.raises((UnreachableError, DeadlineError)), within(1.5):
            encoder.check()
        assert ask("GET", f"{node.url}/v2/health/ready")[0] == 200
        node.kill()


@pytest.mark.parametrize("way", WAYS)
def test_nobody_there_is_told_in_time(way: str, bundle: Bundle) -> None:
    with (
        TritonEncoder(bundle, f"{way}://127.0.0.1:{free_port()}", timeout=0.5) as encoder,
        pytest.raises(UnreachableError),
        within(1),
    ):
        encoder.check()


def test_a_server_that_hangs_is_told_in_time(bundle: Bundle) -> None:
    with (
        ScriptedServer(hang) as server,
        TritonEncoder(bundle, f"triton+{server.url}", timeout=0.4) as encoder,
        pytest.raises(DeadlineError, match=r"limit 0\.4 s"),
        within(1),
    ):
        encoder.check()


@pytest.mark.parametrize("body", [{"inputs": 5}, [], b"<html>", b"\xff"])
def test_another_kind_of_server_is_told(body: object, bundle: Bundle) -> None:
    with (
        ScriptedServer(reply(200, body)) as server,
        TritonEncoder(bundle, f"triton+{server.url}", timeout=2) as encoder,
        pytest.raises((ServerError, ModelMismatchError), match=r"none of a Triton server|cannot be read"),
        within(1),
    ):
        encoder.check()


def chunked(connection: socket.socket, over: threading.Event) -> None:
    """Answer without saying how long the answer is."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply(302, {}, {"Location": "/elsewhere"}), "leads elsewhere"),
        (reply(200, {}, {"Content-Length": str(ANSWER_CAP + 1)}), "more than"),
        (reply(200, {}, {"Content-Encoding": "gzip"}), "compressed"),
        (chunked, "how long"),
    ],
    ids=["redirect", "length", "encoding", "chunked"],
)
def test_answers_that_could_be_anything_are_refused_unread(answer: Step, why: str, bundle: Bundle) -> None:
    with ScriptedServer(answer) as server:
        where = f"triton+{server.url}"
        with TritonEncoder(bundle, where, timeout=2) as encoder, pytest.raises(ServerError, match=why), within(1):
            encoder.check()
        assert len(server.requests) == 1


# The wrong model


@pytest.mark.parametrize("way", WAYS)
def test_the_model_of_another_bundle_is_refused(way: str, node: TritonNode, bundle: Bundle, other: Bundle) -> None:
    with (
        TritonEncoder(other, address(way, node), timeout=2) as encoder,
        pytest.raises(ModelMismatchError, match=r"does not serve entity-expand-encoder, version \d+"),
        within(1),
    ):
        encoder.encode(ONE)


@pytest.mark.parametrize("way", ["triton", "triton+http"])
def test_a_variant_that_is_not_served_is_told(way: str, node: TritonNode, bundle: Bundle) -> None:
    with (
        TritonEncoder(bundle, address(way, node), variant="int8") as encoder,
        pytest.raises(ModelMismatchError, match="does not serve entity-expand-encoder-int8"),
    ):
        encoder.check()


@pytest.mark.parametrize("way", ["triton", "triton+http"])
def test_other_shapes_than_the_bundles_are_told(way: str, node: TritonNode, bundle: Bundle, tmp_path: Path) -> None:
    narrow = write_bundle(tmp_path / "b", content(bundle, 8))

    async def ask() -> None:
        async with AsyncTritonEncoder(narrow, address(way, node)) as encoder:
            encoder.model = replace(encoder.model, version=encoder_model(bundle).version)
            await encoder.encode(ONE)

    with pytest.raises(ModelMismatchError, match=r"'feature': \('FP32', \(-1, 96\)\).*\(-1, 8\)"):
        asyncio.run(ask())


@pytest.mark.parametrize("way", WAYS)
def test_answers_of_a_wrong_shape_are_told(way: str, slow: TritonNode, other: Bundle) -> None:
    with TritonEncoder(other, address(way, slow)) as encoder:
        with pytest.raises(ServerError, match=r"in the shape \(1, 97\), not \(1, 96\)"):
            encoder.encode([replace(ONE[0], image=PICTURE.getvalue())])
        with pytest.raises(EncoderError, match="not finite"):
            encoder.encode([EncoderInput("", (), PICTURE.getvalue())])


@pytest.mark.parametrize("way", ["triton", "triton+http"])
def test_inputs_that_the_server_refuses_are_told(way: str, node: TritonNode, bundle: Bundle) -> None:
    (batch,) = Prepared(ONE, bundle.tokenizer, bundle.image).batches(1)
    feeds = {**batch.feeds, "input_ids": batch.feeds["input_ids"] + 10**6}

    async def ask() -> None:
        async with AsyncTritonEncoder(bundle, address(way, node)) as encoder:
            await encoder._connection.infer(encoder.model, feeds, Deadline.after(5))

    with pytest.raises(EncoderError, match="indices element out of data bounds"), within(2):
        asyncio.run(ask())


# Too slow


@pytest.mark.parametrize("way", WAYS)
def test_a_slow_answer_is_a_deadline(way: str, slow: TritonNode, other: Bundle) -> None:
    with TritonEncoder(other, address(way, slow), timeout=10) as encoder:
        encoder.check()
        encoder._shared.connection.timeout = SLOW_SECONDS / 2
        with pytest.raises((DeadlineError, OverloadedError)), within(SLOW_SECONDS / 2 + 0.2):
            encoder.encode(ONE)
    time.sleep(2 * SLOW_SECONDS)


@pytest.mark.parametrize("way", ["triton", "triton+http"])
def test_overload_is_told_to_those_for_whom_there_is_no_time(way: str, slow: TritonNode, other: Bundle) -> None:
    """Of twelve that come at once, three or so are answered within their time, and all others are told."""
    seconds = 4 * SLOW_SECONDS

    def ask(encoder: TritonEncoder) -> EntityExpandError | None:
        try:
            with within(seconds + 0.3):
                encoder.encode(ONE)
        except EntityExpandError as problem:
            return problem
        return None

    with TritonEncoder(other, address(way, slow), timeout=10) as encoder, ThreadPoolExecutor(12) as threads:
        encoder.check()
        encoder._shared.connection.timeout = seconds
        found = list(threads.map(ask, [encoder] * 12))
    problems = [each for each in found if each is not None]
    assert 1 <= len(found) - len(problems) < 12
    assert {type(each) for each in problems} <= {OverloadedError, DeadlineError}
    assert any("Exceeds maximum queue size" in str(each) for each in problems)


def test_a_request_that_waits_for_too_long_is_told(slow: TritonNode, other: Bundle) -> None:
    """The server knows the client's time: it refuses what is left over, and does not work for nobody."""
    with TritonEncoder(other, address("triton", slow), timeout=10) as encoder, ThreadPoolExecutor(3) as threads:
        encoder.check()
        running = [threads.submit(encoder.encode, ONE) for _ in range(2)]
        time.sleep(SLOW_SECONDS / 4)
        encoder._shared.connection.timeout = SLOW_SECONDS / 2
        with pytest.raises((OverloadedError, DeadlineError)), within(SLOW_SECONDS / 2 + 0.2):
            encoder.encode(ONE)
        assert all(each.result().shape == (1, 96) for each in running)
