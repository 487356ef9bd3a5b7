"""Expansions to save, show and go on from: made by hand, and over a small index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.world import World, make_world
from entity_expand import Evidence, Expander, ExpandQuery, ExpandSettings, Expansion, Filter, NewSeed, Result, Seed
from entity_expand.results import Decision, History
from entity_expand.search.window import SearchSettings


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def expander(world: World) -> Iterator[Expander]:
    with Expander.open(world.index) as opened:
        yield opened


def result(rank: int, name: str, sentence: str = "", image: str | None = None, **attributes: str) -> Result:
    spans = ((0, 1),) if sentence else ()
    return Result(rank, f"id{rank}", name, attributes, (Evidence(sentence, spans, image),), 1 / rank, 3.5, 0.5, rank)


@pytest.fixture
def full(tmp_path: Path) -> Expansion:
    """An expansion in which nothing is at its default."""
    query = ExpandQuery(
        seeds=("Ghana", NewSeed("The [[okapi]] eats.", b"\x89PNG", "okapi")),
        size=2,
        exclude=("Mali",),
        filter=Filter({"kind": ("a", "b")}, "pla", {"bool": {"must": [{"term": {"x": 1.5}}]}}),
        settings=ExpandSettings(both_directions=0.5, search=SearchSettings(compatible_seeds=3), max_fetches=2),
        negative=("Peru", NewSeed("Rain.")),
        weights=(1.0, 2.0),
        strategy="mean",
        modality="text",
        rerank=False,
    )
    return Expansion(
        seeds=(
            Seed("7", "Ghana", {"kind": "a"}, (Evidence("Ghana is here.", ((0, 5),), "g.png"),)),
            Seed("", "okapi", {}, ()),
        ),
        results=(result(1, "Togo", "Togo.", "a/t.png", kind="b"), result(2, "Benin", half="low")),
        exact=False,
        fetches=3,
        query=query,
        negatives=(Seed("9", "Peru", {}, ()), Seed("", "Rain.", {}, ())),
        history=History((Decision("accept", ("old", "id1")), Decision("reject", ("old",))), ("old", "older")),
        cutoff=1,
    )
