"""The commands and the Python of docs/triton.md run, against a real server."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from entity_expand.bundle import Bundle
from entity_expand.cli import group
from servers.triton_node import TritonNode

DOCUMENT = Path(__file__).parents[2] / "docs" / "triton.md"
BLOCK = re.compile(r"```(console|python)\n(.*?)```", re.DOTALL)


def test_the_examples_run(
    bundle: Bundle, corpus: Path, node: TritonNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bundle").symlink_to(bundle.path)
    Path("corpus").symlink_to(corpus)
    printed = []
    for language, block in BLOCK.findall(DOCUMENT.read_text()):
        code = block.replace("localhost:8001", f"127.0.0.1:{node.grpc_port}")
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(code, DOCUMENT.name, "exec"), names := {})
            names["encoder"].close()
            printed.append(output.getvalue())
            continue
        for line in code.splitlines():
            if line.startswith("$ entity-expand "):
                done = CliRunner().invoke(group, shlex.split(line)[2:], catch_exceptions=False)
                assert done.exit_code == 0, done.output
                printed.append(done.output)
    exported, indexed, expanded, shape = printed
    assert exported in DOCUMENT.read_text(), "what the command prints is what the document says"
    assert "Indexed 163 entities" in indexed and "Bergen" in expanded and shape == "(1, 96)\n"
