"""An index that is made through a server is the one that is made here; the command takes either encoder."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.cli import group
from entity_expand.corpus import Corpus
from entity_expand.encoder import OnnxEncoder, open_encoder
from entity_expand.errors import ConfigError, ModelMismatchError
from entity_expand.expander import Expander
from entity_expand.stores.memory import MemoryStore
from entity_expand.triton.encoder import TritonEncoder
from indexer import index_corpus
from servers.scripted import ScriptedServer, reply
from servers.triton_node import TritonNode


def test_the_index_of_a_server_is_that_of_the_bundle(
    node: TritonNode, bundle: Bundle, corpus: Path, tmp_path: Path
) -> None:
    """Entities, evidence and expansions are the same; vectors differ by the rounding of other batches at most."""
    here = tmp_path / "here"
    with Corpus.open(corpus) as samples:
        index_corpus(bundle, OnnxEncoder(bundle), samples, here)
    arguments = ["index", str(bundle.path), str(corpus), "--encoder"]
    for way, port in (("triton", node.grpc_port), ("triton+http", node.http_port)):
        there = tmp_path / way
        done = CliRunner().invoke(group, [*arguments, f"{way}://127.0.0.1:{port}", "--to", str(there)])
        assert done.exit_code == 0, done.output
        with closing(MemoryStore.open(here)) as one, closing(MemoryStore.open(there)) as other:
            assert one.meta == other.meta
            everyone = np.arange(one.meta.entities)
            mine, theirs = one.rows(everyone), other.rows(everyone)
            np.testing.assert_allclose(mine.head, theirs.head, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(mine.scaled, theirs.scaled, rtol=1e-5, atol=1e-5)
            assert one.records(everyone.tolist()) == other.records(everyone.tolist())
            seeds = [entity.id for entity in bundle.entities[:3]]
            found = [[each.id for each in Expander(store).expand(seeds, 50).results] for store in (one, other)]
            assert found[0] == found[1] and len(found[0]) == 50


def test_encoders_are_opened_by_where_they_are(node: TritonNode, bundle: Bundle) -> None:
    assert isinstance(open_encoder(None, bundle), OnnxEncoder)
    assert isinstance(open_encoder("CPU", bundle, threads=1), OnnxEncoder)
    with open_encoder(f"triton://127.0.0.1:{node.grpc_port}", bundle) as encoder:  # type: ignore[union-attr]
        assert isinstance(encoder, TritonEncoder)
    with pytest.raises(ConfigError):
        open_encoder("triton://", bundle)


def test_a_server_that_does_not_fit_is_told_at_once(node: TritonNode, bundle: Bundle, tmp_path: Path) -> None:
    other = fake_bundle(tmp_path / "b", bundle.entities)
    with pytest.raises(ModelMismatchError, match="does not serve"):
        open_encoder(f"triton://127.0.0.1:{node.grpc_port}", other)


def test_the_command_tells_of_a_server_without_the_model(bundle: Bundle, corpus: Path, tmp_path: Path) -> None:
    with ScriptedServer(reply(404, {"error": "Request for unknown model"})) as server:
        arguments = ["index", str(bundle.path), str(corpus), "--to", str(tmp_path / "index")]
        done = CliRunner().invoke(group, [*arguments, "--encoder", f"triton+{server.url}"])
    assert isinstance(done.exception, ModelMismatchError) and not (tmp_path / "index").exists()
