"""What is refused before anything is encoded, in time; and a run on a Ray of its own that leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.encoder import OnnxEncoder
from entity_expand.errors import ConfigError, DeadlineError, EncoderError, MissingExtraError, UnreachableError
from entity_expand.stores.memory import current_version
from indexer import index_corpus
from indexer.cluster import RayEncoder, RaySettings, session

DEMO = Path(__file__).parents[3] / "entity_expand" / "demo" / "bundle"


@pytest.mark.parametrize(
    "address",
    ["", "head", "head:0", "head:65536", "ray://head:10001", "head:6379/x", "a b:1", "http://head:8265", ":1"],
)
def test_an_address_is_local_or_host_and_port(address: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        RaySettings(address)
    assert RaySettings("[::1]:6379").address == "[::1]:6379"


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"workers": 0}, {"timeout": 0}, {"patience": float("nan")}])
def test_settings_are_in_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        RaySettings(**wrong)


def test_gpus_are_for_encoders_that_use_them() -> None:
    named = ("cpu", "CPUExecutionProvider", "triton://host:8001", "triton+http://host", "cuda", "tensorrt")
    assert [RaySettings(where=where).gpus for where in named] == [0, 0, 0, 0, 1, 1]


def test_ray_is_an_extra(small_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"entity-expand\[ray\]"), RayEncoder(small_bundle):
        pass


def test_nobody_at_the_address_is_told_in_time(small_bundle: Bundle) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = RaySettings(f"127.0.0.1:{taken.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(UnreachableError, match="No Ray cluster answers"), RayEncoder(small_bundle, settings):
            pass
    assert time.monotonic() - started < 60  # importing Ray is the most of it


def test_one_that_is_no_cluster_is_told_in_time(small_bundle: Bundle) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = RaySettings(f"127.0.0.1:{silent.getsockname()[1]}", timeout=2.0)
        started = time.monotonic()
        with pytest.raises(DeadlineError, match="within 2 s"), RayEncoder(small_bundle, settings):
            pass
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(("failures", "calls"), [(0, "is"), (1, "isis"), (2, "isis")])
def test_a_local_cluster_gets_a_second_try(monkeypatch: pytest.MonkeyPatch, failures: int, calls: str) -> None:
    done: list[str] = []

    class Ray:
        def is_initialized(self) -> bool:
            return False

        def init(self, **options: object) -> None:
            done.append("i")
            if done.count("i") <= failures:
                raise Exception("The current node timed out during startup.")  # as Ray does

        def shutdown(self) -> None:
            done.append("s")

    monkeypatch.setattr(session, "load_ray", Ray)
    refused = pytest.raises(UnreachableError, match="timed out during") if failures == 2 else nullcontext()
    with refused, session.joined("local", 2, 1.0) as ray:
        assert isinstance(ray, Ray) and done[-1] == "i"
    assert "".join(done) == calls


def test_it_is_entered_before_it_encodes(many: Path, small_bundle: Bundle, tmp_path: Path) -> None:
    with Corpus.open(many) as corpus, pytest.raises(EncoderError, match="context manager"):
        index_corpus(small_bundle, RayEncoder(small_bundle), corpus, tmp_path / "index")


def test_the_command_makes_the_same_index_and_leaves_nothing(tmp_path: Path) -> None:
    bundle = Bundle.open(DEMO)
    rows = [
        OwnRow(f"{entity.name} has a flag of {turn} colours.", ((entity.id, 0, len(entity.name)),))
        for entity in bundle.entities[:40]
        for turn in (2, 3)
    ]
    write_corpus(tmp_path / "corpus", bundle.entities[:40], rows)
    with Corpus.open(tmp_path / "corpus") as corpus:
        index_corpus(bundle, OnnxEncoder(bundle, threads=1), corpus, tmp_path / "here")
    with tempfile.TemporaryDirectory(prefix="e", dir="/tmp") as scratch:
        program = "from entity_expand.cli import main; main()"
        command = [sys.executable, "-c", program, "index", str(DEMO), "corpus", "--to", "there"]
        done = subprocess.run(
            [*command, "--ray", "local", "--workers", "2"],
            cwd=tmp_path, env=os.environ | {"TMPDIR": scratch}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Indexed 40 entities from 80 samples" in done.stdout
        assert {file.name for file in Path(scratch).iterdir()} <= {".ses"}  # which onnxruntime leaves everywhere
    one, other = (current_version(tmp_path / name) for name in ("here", "there"))
    for file in one.iterdir():
        assert (other / file.name).read_bytes() == file.read_bytes(), file.name
