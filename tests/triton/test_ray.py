"""Workers of a Ray cluster that ask a Triton server: the command joins the cluster by its address."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.encoder import OnnxEncoder
from entity_expand.stores.memory import MemoryStore
from indexer import index_corpus
from indexer.cluster.session import joined
from servers.triton_node import TritonNode


def test_workers_of_a_cluster_ask_a_server(node: TritonNode, bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    with Corpus.open(corpus) as samples:
        index_corpus(bundle, OnnxEncoder(bundle), samples, here)
    program = "from entity_expand.cli import main; main()"
    command = [sys.executable, "-c", program, "index", str(bundle.path), str(corpus), "--to", str(there)]
    command += ["--encoder", f"triton://127.0.0.1:{node.grpc_port}", "--workers", "2"]
    with joined("local", 2, 60.0) as ray:
        address = ray.get_runtime_context().gcs_address
        done = subprocess.run([*command, "--ray", address], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with closing(MemoryStore.open(here)) as one, closing(MemoryStore.open(there)) as other:
        assert one.meta == other.meta
        everyone = np.arange(one.meta.entities)
        assert one.records(everyone.tolist()) == other.records(everyone.tolist())
        np.testing.assert_allclose(other.rows(everyone).head, one.rows(everyone).head, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(other.rows(everyone).scaled, one.rows(everyone).scaled, rtol=1e-5, atol=1e-5)
