"""Scorers that ask a real Triton server: the same candidates as the graph's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.cli import group
from entity_expand.errors import BundleError, ModelMismatchError, QueryError
from entity_expand.scorer import OnnxScorer, Ranked, SeedSet
from entity_expand.scorer.folder import ScorerFolder
from entity_expand.search.scoring import EntityRows
from entity_expand.triton.configuration import RepositorySettings, configuration
from entity_expand.triton.models import scorer_model
from entity_expand.triton.pbtxt import written
from entity_expand.triton.repository import scorer_content
from entity_expand.triton.scorer import AsyncTritonScorer, TritonScorer
from export.scorer import write_scorer
from servers.triton_node import TritonNode

WAYS = ["triton", "triton+http", "triton+shm"]


def address(way: str, node: TritonNode) -> str:
    return f"{way}://127.0.0.1:{node.http_port if 'http' in way else node.grpc_port}"


@pytest.fixture(scope="module")
def sets(rows: EntityRows) -> list[SeedSet]:
    """Of one to nine seeds, with and without weights, exclusions, the other direction and a query of others."""
    found = [SeedSet(list(range(n)), [1.0 + seed for seed in range(n)], None, range(50, 50 + n)) for n in range(1, 9)]
    other = rows.scaled[77]
    found += [SeedSet([5, 9], both_directions=0.5), SeedSet([], query=other), SeedSet([3], query=other, exclude=[1, 2])]
    return found * 4  # more than one batch


def same(found: Sequence[Ranked], wanted: Sequence[Ranked]) -> None:
    assert [each.ids for each in found] == [each.ids for each in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_candidates_are_those_of_the_graph(
    way: str, node: TritonNode, scorer_folder: Path, sets: list[SeedSet]
) -> None:
    local = OnnxScorer(scorer_folder, threads=1)
    with TritonScorer(scorer_folder, address(way, node)) as scorer:
        scorer.check()
        assert scorer.roster == local.roster
        same(scorer.best(sets, 20), local.best(sets, 20))
        same(scorer.best(sets[9:10], 10_000), local.best(sets[9:10], 10_000))


@pytest.mark.parametrize("way", ["triton", "triton+http"])
def test_requests_that_are_put_together_get_as_many_as_each_asked_for(
    way: str, node: TritonNode, scorer_folder: Path, sets: list[SeedSet]
) -> None:
    async def ask() -> list[list[Ranked]]:
        async with AsyncTritonScorer(scorer_folder, address(way, node)) as scorer:
            await scorer.check()
            return await asyncio.gather(*(scorer.best([asked], 1 + n % 7) for n, asked in enumerate(sets)))

    local = OnnxScorer(scorer_folder, threads=1)
    for number, found in enumerate(asyncio.run(ask())):
        same(found, local.best([sets[number]], 1 + number % 7))


def test_what_cannot_be_asked_is_said(node: TritonNode, scorer_folder: Path) -> None:
    with TritonScorer(scorer_folder, address("triton", node)) as scorer:
        for sets in ([], [SeedSet(["nobody"])], [SeedSet([])]):
            with pytest.raises(QueryError):
                scorer.best(sets, 5)


def test_the_scorer_of_another_index_is_refused(node: TritonNode, rows: EntityRows, tmp_path: Path) -> None:
    write_scorer(tmp_path / "s", rows, [f"x{number}" for number in range(len(rows))], "f" * 64)
    with (
        TritonScorer(tmp_path / "s", address("triton", node), timeout=2) as scorer,
        pytest.raises(ModelMismatchError, match="does not serve entity-expand-scorer"),
    ):
        scorer.best([SeedSet([0])], 5)


def test_the_model_for_gpus_is_as_the_server_wants_it(scorer_folder: Path) -> None:
    settings = RepositorySettings(tensorrt=True)
    content = scorer_content(ScorerFolder(scorer_folder), settings)
    config = text_format.Parse(written(configuration(content, settings)), model_config_pb2.ModelConfig())
    assert {each.name: [*each.dims] for each in config.input} == {
        "seeds": [-1],
        "weights": [-1],
        "query": [2 * 97],
        "excluded": [-1],
        "both_directions": [1],
        "k": [1],
    }
    assert not any(each.HasField("reshape") for each in config.input) and not config.HasField("optimization")
    assert config.parameters["lengths"].string_value == "4,16,64,256,1024"
    assert config.parameters["fingerprint"].string_value == ScorerFolder(scorer_folder).fingerprint


def test_the_command_puts_a_scorer_beside_the_encoder(bundle: Bundle, scorer_folder: Path, tmp_path: Path) -> None:
    arguments = ["--triton", str(tmp_path / "models"), "--backend", "python", "--scorer", str(scorer_folder)]
    done = CliRunner().invoke(group, ["export", str(bundle.path), *arguments], catch_exceptions=False)
    assert done.exit_code == 0 and "entity-expand-scorer, version" in done.output
    model = scorer_model(ScorerFolder(scorer_folder))
    version = tmp_path / "models" / model.name / str(model.version)
    assert {each.name for each in version.iterdir()} == {"model.onnx", "model.py", "scorer.data"}
    other = fake_bundle(tmp_path / "b", bundle.entities)
    with pytest.raises(BundleError, match="another bundle"):
        CliRunner().invoke(group, ["export", str(other.path), *arguments], catch_exceptions=False)
