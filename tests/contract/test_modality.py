"""What the texts alone and the pictures alone say: just what an index of that modality says."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.world import KINDS
from entity_expand import (
    AsyncExpander,
    ConfigError,
    Expander,
    ExpandQuery,
    ExpandSettings,
    Filter,
    NewSeed,
    QueryError,
)
from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.calibration.draws import fit_index
from entity_expand.channels.fit import channel_lists, fit_channels
from entity_expand.channels.fusion import Channel, ChannelWeights, standardised
from entity_expand.corpus import Corpus, OwnRow, Query, write_corpus
from entity_expand.encoder import FakeEncoder
from entity_expand.evaluate import evaluate
from entity_expand.seeds.newcomers import SeedEncoder
from entity_expand.stores.base import Nearest, Rows
from entity_expand.types import Entity, Modality
from indexer import ElasticSettings, IndexSettings, index_corpus, keep_fitted
from servers.fixtures import delete_all

COUNT = 24
TEXTLESS, BLIND = ("5", "11"), ("6", "12", "13")
"""Ids of entities without a text, and without a picture."""
NAMES = ["0", "4", "8"]
CHANNELS: tuple[Channel, ...] = ("model", "text", "picture")
SETTINGS_OF = {
    "both": IndexSettings("both"),
    "text": IndexSettings("text"),
    "picture": IndexSettings("picture"),
    "all": IndexSettings(modalities=True, table_bytes=0),
    "late": IndexSettings(late_fusion=0.3, modalities=True),
}
KEPT = ["all", "late", "served-all", "served-late"]
ALL = ["all", "served-all"]


Index = Callable[[str], Path | str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Indices made with all modalities, and with each of them alone."""
    root = tmp_path_factory.mktemp("modality")
    entities = [Entity(str(n), f"Thing {n}", (), {"kind": f"k{n % 3}"}) for n in range(COUNT)]
    (root / "corpus" / "images").mkdir(parents=True)
    rows = []
    for number, entity in enumerate(entities):
        image = f"images/{number}.png"
        Image.new("RGB", (8, 8), (number * 10, 255 - number * 10, number)).save(root / "corpus" / image)
        text = f"{entity.name} has {KINDS[number % 3]} word{number}."
        mention = ((entity.id, 0, len(entity.name)),)
        if entity.id in TEXTLESS:
            rows.append(OwnRow("", ((entity.id, 0, 0),), image))
        else:
            rows.append(OwnRow(text, mention, None if entity.id in BLIND else image))
    write_corpus(root / "corpus", entities, rows)
    bundle = fake_bundle(root / "bundle", entities[:20])
    with Corpus.open(root / "corpus") as corpus:
        for name, settings in SETTINGS_OF.items():
            index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, root / name, settings)
    return root


@pytest.fixture(scope="module")
def index(folder: Path, elasticsearch_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Where an index is: KEPT in a folder, or served-KEPT on a server, with the same content."""
    name, bundle = f"parts-{uuid.uuid4().hex[:12]}", Bundle.open(folder / "bundle")
    elastic = ElasticSettings(work=tmp_path_factory.mktemp("work"), merge=False)
    made: dict[str, Path | str] = {}

    def at(kept: str) -> Path | str:
        plain = kept.removeprefix("served-")
        if plain == kept:
            return folder / kept
        if kept not in made:
            made[kept] = f"{elasticsearch_url}/{name}-{plain}"
            with Corpus.open(folder / "corpus") as corpus:
                encoder = FakeEncoder(bundle.dimension)
                index_corpus(bundle, encoder, corpus, made[kept], SETTINGS_OF[plain], elastic=elastic)
        return made[kept]

    try:
        yield at
    finally:
        for each in made:
            delete_all(elasticsearch_url, f"{name}-{each.removeprefix('served-')}")


PICTURES = ExpandSettings(channels=ChannelWeights(1.0, picture=1.0))
WEIGHTS = [1.0, 2.0, 0.5, 0.7]
SETTINGS = [ExpandSettings(), ExpandSettings(both_directions=1.0), ExpandSettings(space="features")]


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("modality", ["text", "picture", "both"])
@pytest.mark.parametrize("settings", SETTINGS, ids=["heads", "both", "features"])
def test_a_part_says_what_an_index_of_that_modality_says(folder, index, kept, modality, settings) -> None:
    if "late" in kept and modality == "both":
        return
    with Expander.open(index(kept)) as parts, Expander.open(folder / modality) as alone:
        for strategy in ("paper", "mean", "rank-fusion"):
            asked = {"strategy": strategy, "settings": settings}
            found, right = parts.expand(NAMES, 30, modality=modality, **asked), alone.expand(NAMES, 30, **asked)
            assert found.ids == right.ids and found.exact
            assert [r.score for r in found.results] == pytest.approx([r.score for r in right.results], rel=1e-4)
            lacking = {"text": TEXTLESS, "picture": BLIND, "both": ()}[modality]
            assert len(found.ids) == COUNT - 3 - len(lacking) and not set(found.ids) & set(lacking)


def test_the_modality_of_the_index_needs_nothing(folder) -> None:
    with Expander.open(folder / "text") as text:
        assert text.expand(NAMES, modality="text").ids == text.expand(NAMES).ids
        with pytest.raises(QueryError, match=r"knows the modality 'text', not 'picture'.*--modalities"):
            text.expand(NAMES, modality="picture")


@pytest.mark.parametrize("kept", ALL)
def test_seeds_that_a_part_lacks_are_named(folder, index, kept) -> None:
    with Expander.open(index(kept)) as expander:
        with pytest.raises(QueryError, match="seeds Thing 12, Thing 6 have no picture"):
            expander.expand(["0", "12", "6"], modality="picture")
        assert "6" not in expander.expand(NAMES, modality="picture", negative=["6"]).ids


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (number, 99, 7))


OX = NewSeed("An [[ox]] has rock, snow and goat.", picture(3), "ox")
TOLD, SEEN = NewSeed("The [[eel]] has salt, wave and tide."), NewSeed(image=picture(70), name="this one")


@pytest.fixture
def encoding(folder: Path) -> SeedEncoder:
    bundle = Bundle.open(folder / "bundle")
    return SeedEncoder(bundle, FakeEncoder(bundle.dimension))


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize(("modality", "new"), [("text", TOLD), ("picture", SEEN)])
def test_new_seeds_are_compared_as_by_an_index_of_that_modality(
    folder: Path, index: Index, encoding: SeedEncoder, kept: str, modality: Modality, new: NewSeed
) -> None:
    asked = [([new, "4", OX, "0"], [0.5, 2.0, 1.0, 1.0], [SEEN]), ([OX], None, [])]
    with Expander.open(index(kept)) as parts, Expander.open(folder / modality) as alone:
        parts.encoder = alone.encoder = encoding
        for seeds, weights, negative in asked:
            for strategy in ("paper", "mean", "rank-fusion"):
                given = {"strategy": strategy, "weights": weights, "settings": SETTINGS[1]}
                found, right = parts.expand(seeds, 30, modality=modality, **given), alone.expand(seeds, 30, **given)
                assert found.ids == right.ids and len(found.ids) > 15
                assert [r.score for r in found.results] == pytest.approx([r.score for r in right.results], rel=1e-4)
                assert [seed.name for seed in found.seeds] == [seed.name for seed in right.seeds]
            assert parts.expand(seeds, 5, modality=modality, negative=negative).results
        other = {"text": SEEN, "picture": TOLD}[modality]
        with pytest.raises(QueryError, match=f"seeds Thing (5|6), {other.called} have no {modality}; ask without them"):
            parts.expand([OX, {"text": "5", "picture": "6"}[modality], other], modality=modality)


@pytest.mark.parametrize("kept", ALL)
def test_new_seeds_are_heard_by_the_channels_of_what_they_have(
    folder: Path, index: Index, encoding: SeedEncoder, kept: str
) -> None:
    only = {part: ExpandSettings(channels=ChannelWeights(**{"model": 0.0, part: 1.0})) for part in ("text", "picture")}
    with Expander.open(index(kept)) as parts:
        parts.encoder = encoding
        for part, settings in only.items():
            with Expander.open(folder / part) as alone:
                alone.encoder = encoding
                found = parts.expand(["0", OX, TOLD, SEEN], 10, strategy="hybrid", settings=settings, weights=WEIGHTS)
                heard = {"text": ["0", OX, TOLD], "picture": ["0", OX, SEEN]}[part]
                weights = [WEIGHTS[number] for number in ({"text": (0, 1, 2), "picture": (0, 1, 3)}[part])]
                assert found.ids == alone.expand(heard, 10, strategy="mean", weights=weights).ids
        deaf = ExpandSettings(channels=ChannelWeights(1.0, picture=5.0))
        told = parts.expand([TOLD], 10, strategy="hybrid", settings=deaf)
        assert told.ids == parts.expand([TOLD], 10, strategy="mean").ids


@pytest.mark.parametrize("kept", ALL)
@pytest.mark.parametrize(("modality", "new"), [("text", TOLD), ("picture", SEEN)])
def test_results_are_explained_by_what_was_compared(
    folder: Path, index: Index, encoding: SeedEncoder, kept: str, modality: Modality, new: NewSeed
) -> None:
    with Expander.open(index(kept)) as parts, Expander.open(folder / modality) as alone:
        parts.encoder = alone.encoder = encoding
        for settings in SETTINGS:
            asked = {"settings": settings, "weights": [0.5, 2.0, 1.0], "negative": ["6", SEEN]}
            found = parts.expand([new, "4", "0"], 9, modality=modality, **asked)
            why = parts.explain(found, 4)
            shares = {each.seed.name: each.share for each in why.contributions}
            assert sum(shares.values()) == pytest.approx(why.result.similarity, abs=1e-4)
            assert len(why.against) == 2
            right = alone.explain(
                alone.expand([new, "4", "0"], 30, weights=asked["weights"], settings=settings), why.result.id
            )
            assert shares == pytest.approx({each.seed.name: each.share for each in right.contributions}, abs=1e-4)


def test_a_service_without_an_encoder_says_so(folder: Path) -> None:
    with Expander.open(folder / "all") as expander, pytest.raises(QueryError, match="nothing to encode it with"):
        expander.expand([OX], modality="text")


@pytest.mark.parametrize("kept", ALL)
def test_parts_are_channels(folder, index, kept) -> None:
    with Expander.open(index(kept)) as expander, Expander.open(folder / "picture") as pictures:
        only = ExpandSettings(channels=ChannelWeights(0.0, picture=1.0))
        found = expander.expand(NAMES, 10, strategy="hybrid", settings=only)
        assert found.ids == pictures.expand(NAMES, 10, strategy="mean").ids
        deaf = ExpandSettings(channels=ChannelWeights(1.0, picture=5.0))
        # Of these seeds one has no picture and is not heard there; the others are.
        one, blind = (expander.expand(seeds, 10, strategy="hybrid", settings=deaf) for seeds in (["0"], ["6", "12"]))
        assert one.exact and blind.ids == expander.expand(["6", "12"], 10, strategy="mean").ids


@pytest.mark.parametrize("kept", ALL)
def test_channels_are_fused_over_what_they_know(folder, index, kept) -> None:
    weights = ChannelWeights(1.0, 0.0, 0.5, 2.0)
    seeds, others = np.array([0, 4, 8]), np.setdiff1d(np.arange(COUNT), [0, 4, 8])
    with Expander.open(index(kept)) as expander:
        reader = expander.store.begin()
        values = 0.0
        for part, weight in ((None, 1.0), ("text", 0.5), ("picture", 2.0)):
            chosen, rows = reader.answer([Rows(seeds, part), Rows(others, part)])
            scores = (chosen.scaled.astype(float) @ rows.head.astype(float).T).mean(axis=0)
            scores[rows.deviation == 0] = np.nan
            values = values + weight * standardised(scores) / 3.5
        found = expander.expand(NAMES, 30, strategy="hybrid", settings=ExpandSettings(channels=weights))
        assert [result.score for result in found.results] == pytest.approx(np.sort(values)[::-1], rel=1e-4)


@pytest.mark.parametrize("kept", ALL)
def test_nobody_absent_is_near(folder, index, kept) -> None:
    with Expander.open(index(kept)) as expander:
        reader = expander.store.begin()
        assert reader.facts.channels == {"lexical", "text", "picture"} and set(reader.facts.parts) == {
            "text",
            "picture",
        }
        part: Modality = "picture"
        (hits,) = reader.answer([Nearest("head", np.zeros(17), COUNT, np.empty(0, np.int64), part=part)])
        assert set(hits.positions.tolist()) == set(range(COUNT)) - {int(n) for n in BLIND} and hits.floor == -np.inf


def test_modalities_go_with_both() -> None:
    with pytest.raises(ConfigError, match="beside the modality 'both'"):
        IndexSettings("text", modalities=True)


@pytest.mark.parametrize("kept", ALL)
def test_many_at_once_keep_their_parts_apart(folder: Path, index: Index, kept: str) -> None:
    filtered = Filter(attributes={"kind": ["k1"]})
    queries = [
        ExpandQuery(seeds, 30, modality=modality, filter=filtered if modality == "text" else None, strategy=strategy)
        for modality in ("picture", None, "text")
        for seeds in (("0", "4"), ("8",))
        for strategy in ("paper", "mean")
    ]
    queries.append(ExpandQuery(NAMES, 30, strategy="hybrid", settings=PICTURES))
    with Expander.open(index(kept)) as expander:
        together = expander.expand_many(queries)
        assert [each.ids for each in together] == [expander.expand_many([query])[0].ids for query in queries]
    for query, found in zip(queries, together, strict=True):
        if query.strategy != "hybrid":
            with Expander.open(folder / (query.modality or "both")) as alone:
                assert found.ids == alone.expand(query.seeds, 30, filter=query.filter, strategy=query.strategy).ids

    async def awaited() -> list[list[str]]:
        async with await AsyncExpander.open(index(kept)) as expander:
            return [each.ids for each in await expander.expand_many(queries)]

    assert asyncio.run(awaited()) == [each.ids for each in together]


@pytest.mark.parametrize("kept", ALL)
def test_modalities_are_evaluated(folder: Path, index: Index, kept: str) -> None:
    queries = [Query(f"k{k}", 0, (str(k), str(k + 3))) for k in range(3)]
    truth = {f"k{k}": frozenset(str(n) for n in range(k, COUNT, 3)) for k in range(3)}
    with Expander.open(index(kept)) as parts, Expander.open(folder / "picture") as alone:
        found = evaluate(parts.store, queries, truth, protocol="single", modality="picture")
        assert found.rankings == evaluate(alone.store, queries, truth, protocol="single").rankings
        with pytest.raises(QueryError, match="a modality"):
            evaluate(parts.store, queries, truth, modality="picture")


def test_weights_of_parts_are_fitted_on_a_server_as_over_a_folder(index: Index) -> None:
    truth, found, names = {f"k{k}": frozenset(str(n) for n in range(k, COUNT, 3)) for k in range(3)}, [], CHANNELS
    for kept in ALL:
        with Expander.open(index(kept)) as expander:
            fusion, _ = fit_channels(expander.store, truth, draws=1)
            assert (fusion.classes, fusion.lists) == (3, 3 * 4)
            found.append(channel_lists(expander.store, truth, names, 1, ExpandSettings(both_directions=1.0)))
    for folded, served in zip(*found, strict=True):
        assert folded.class_name == served.class_name and (folded.members == served.members).all()
        np.testing.assert_allclose(served.scores, folded.scores, rtol=1e-4, atol=1e-5)


def test_parts_are_as_sure_as_indices_of_that_modality(folder: Path, index: Index) -> None:
    truth = {f"k{k}": frozenset(str(n) for n in range(k, COUNT, 3)) for k in range(3)}
    with Expander.open(folder / "all") as expander:
        fitted, quality = fit_index(expander.store, truth, draws=2, size=20)
    assert len(quality) == len(fitted.confidence) == 3 * 3 and {"features", "picture: features"} < set(quality)
    for address in (folder / "all", index("served-all")):
        keep_fitted(address, fitted)
    for modality in ("text", "picture"):
        with Expander.open(folder / modality) as alone:
            right, its = fit_index(alone.store, truth, draws=2, size=20)
            for own in right.confidence:
                found = fitted.confidence_in(own.space, own.both_directions, modality, None)
                assert found is not None and found.coefficients == pytest.approx(own.coefficients, rel=1e-3, abs=1e-4)
            assert {name: quality[f"{modality}: {name}"].lists for name in its} == {n: q.lists for n, q in its.items()}
        keep_fitted(folder / modality, right)
        with Expander.open(folder / modality) as alone:
            wanted = alone.expand(NAMES, 10)
        for address in (folder / "all", index("served-all")):
            with Expander.open(address) as parts:
                shown = parts.expand(NAMES, 10, modality=modality)
                assert shown.cutoff == wanted.cutoff is not None
                sure = [each.confidence for each in shown.results]
                assert sure == pytest.approx([each.confidence for each in wanted.results], abs=1e-3)
                assert parts.expand(NAMES, 10).cutoff is not None
                assert parts.expand(NAMES, 10, modality=modality, strategy="hybrid").cutoff is None


def test_a_part_with_too_few_members_is_not_fitted(folder: Path) -> None:
    truth = {"a": frozenset([*TEXTLESS, *BLIND[:2]]), "b": frozenset(["0", "1", "2", "3", "4"])}
    with Expander.open(folder / "all") as expander:
        fitted, _ = fit_index(expander.store, truth, draws=1, size=20)
    assert {each.modality for each in fitted.confidence} == {"both"}


def test_a_server_says_what_it_knows(served: str) -> None:
    with Expander.open(served) as expander:
        assert expander.expand(["0"], 3, modality="both").ids == expander.expand(["0"], 3).ids
        for asked in ({"modality": "text"}, {"strategy": "hybrid", "settings": PICTURES}):
            with pytest.raises(QueryError, match="modalit"):
                expander.expand(["0"], 3, **asked)
