"""TLS before a server: both ways trust what the environment says, and nothing else."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from entity_expand.bundle import Bundle
from entity_expand.encoder import EncoderInput, OnnxEncoder
from servers.authority import Authority
from servers.triton_node import TritonNode

# In a process of its own: both clients read once what they trust.
ASK = """
import sys
from entity_expand.bundle import Bundle
from entity_expand.demo import bundle_path
from entity_expand.encoder import EncoderInput
from entity_expand.errors import EntityExpandError
from entity_expand.triton.encoder import TritonEncoder

with TritonEncoder(Bundle.open(bundle_path()), sys.argv[1], timeout=float(sys.argv[2])) as encoder:
    try:
        print(encoder.encode([EncoderInput("Oslo", ((0, 4),))])[0, 0])
    except EntityExpandError as problem:
        print(type(problem).__name__)
"""
TRUST = {"triton+https": "SSL_CERT_FILE", "triton+tls": "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"}


def ask(where: str, trusted: dict[str, str], seconds: float) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in TRUST.values()} | trusted
    done = subprocess.run(
        [sys.executable, "-c", ASK, where, str(seconds)], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def relay(context: ssl.SSLContext, port: int) -> Iterator[int]:
    """Speak TLS on a free port, which is yielded, and pass on to `port` what comes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, context, port), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        while True:
            threading.Thread(target=_pass_on, args=(listening.accept()[0], context, port), daemon=True).start()


def _pass_on(raw: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        suppress(OSError),
        context.wrap_socket(raw, server_side=True) as one,
        socket.create_connection(("127.0.0.1", port)) as other,
    ):
        back = threading.Thread(target=_copy, args=(other, one), daemon=True)
        back.start()
        _copy(one, other)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(1 << 16):
            target.sendall(content)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("way", sorted(TRUST))
def test_only_a_trusted_certificate_is_taken(way: str, node: TritonNode, bundle: Bundle, tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), node.http_port if way == "triton+https" else node.grpc_port
    authority.context.set_alpn_protocols(["http/1.1" if way == "triton+https" else "h2"])
    wanted = OnnxEncoder(bundle).encode([EncoderInput("Oslo", ((0, 4),))])[0, 0]
    with relay(authority.context, port) as port:
        where, trusted = f"{way}://localhost:{port}", {TRUST[way]: str(authority.ca_file)}
        assert float(ask(where, trusted, 20)) == pytest.approx(wanted, rel=1e-4)
        assert ask(where, {}, 1) in ("UnreachableError", "DeadlineError")
