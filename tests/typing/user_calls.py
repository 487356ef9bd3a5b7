"""Calls as users write them: never run, but mypy --strict must accept every line."""

from collections.abc import Sequence
from pathlib import Path

import entity_expand
from entity_expand import (
    AmbiguousSeedError,
    Entity,
    EntityExpandError,
    Evidence,
    Expander,
    ExpandSettings,
    Expansion,
    MemoryStore,
    NewSeed,
    QueryError,
    Result,
    SearchSettings,
    Seed,
    UnknownSeedError,
)
from entity_expand.bundle import Bundle
from entity_expand.bundle.fakes import fake_bundle
from entity_expand.corpus import Corpus, OwnRow, Query, import_rows, read_queries, read_truth, write_corpus
from entity_expand.encoder import Encoder, EncoderInput, FakeEncoder, OnnxEncoder, open_encoder
from entity_expand.evaluate import Evaluation, evaluate
from entity_expand.scorer import Scorer, SeedSet
from entity_expand.triton.encoder import TritonEncoder
from entity_expand.triton.scorer import TritonScorer
from indexer import IndexReport, IndexSettings, index_corpus

version: str = entity_expand.__version__


def expand_a_set() -> list[str]:
    with Expander.open("index") as expander:
        expansion: Expansion = expander.expand(["Norway", "Sweden", "Denmark"])
        ids: list[str] = expansion.ids
        exact: bool = expansion.exact
        seeds: tuple[Seed, ...] = expansion.seeds
    print(ids, exact, seeds[0].name, seeds[0].attributes.get("continent"))
    return expansion.names


def expand_with_settings(index: Path, seeds: Sequence[str]) -> tuple[Result, ...]:
    settings = ExpandSettings(
        both_directions=1.0,
        space="heads",
        search=SearchSettings(window=1, rerank=False, compatible_seeds=None),
        pool_size=200,
        max_fetches=4,
    )
    expander = Expander.open(index, pictures="pictures")
    try:
        return expander.expand(seeds, 50, exclude=("Finland",), settings=settings).results
    finally:
        expander.close()


def read_a_result(expander: Expander, result: Result) -> str:
    evidence: Sequence[Evidence] = result.evidence
    picture: Path | None = expander.picture(evidence)
    shown = evidence[0].text if evidence else ""
    return f"{result.rank} {result.id} {result.name} {result.score:.3f} {result.similarity:.2f} {shown} {picture}"


def ask_again(expander: Expander, seed: str) -> Sequence[str]:
    try:
        return expander.expand([seed]).names
    except UnknownSeedError as error:
        return error.suggestions
    except AmbiguousSeedError as error:
        return [identifier for identifier, _ in error.readings]
    except QueryError as error:
        return [str(error)]


def index_a_corpus(folder: Path) -> IndexReport:
    bundle: Bundle = Bundle.open(folder / "bundle")
    encoder: Encoder = OnnxEncoder(bundle, providers=("cpu",), threads=2)
    with Corpus.open(folder / "corpus", strict=True) as corpus:
        print(len(corpus), corpus.entities[0].name, corpus.sample(0).text, corpus.report, corpus.content_hash)
        index_corpus(bundle, encoder, corpus, folder / "index")
        return index_corpus(bundle, encoder, corpus, folder / "texts", IndexSettings(modality="text", split="train"))


def encode_inputs(bundle: Bundle, image: bytes) -> tuple[int, ...]:
    inputs = [EncoderInput("Oslo lies by the sea.", ((0, 4),), image), EncoderInput("", (), Path("oslo.png"))]
    return OnnxEncoder(bundle).encode(inputs).shape


def ask_a_triton_server(bundle: Bundle, scorer: Path) -> Sequence[str]:
    encoder: Encoder = TritonEncoder(bundle, "triton://localhost:8001", variant="fp16", timeout=5)
    ranks: Scorer = TritonScorer(scorer, "triton+http://localhost:8000")
    with Expander.open("index", bundle=bundle, encoder=encoder) as expander:
        print(expander.expand([NewSeed("The [[okapi]] eats leaves.")]).names, open_encoder("cpu", bundle).dimension)
    return ranks.best([SeedSet(["1", "2"])], 10)[0].ids


def evaluate_an_index(index: Path, corpus: Path) -> float:
    queries: Sequence[Query] = read_queries(corpus / "query")
    truth = read_truth(corpus / "gt")
    store = MemoryStore.open(index)
    found: Evaluation = evaluate(store, queries, truth, protocol="single", size=50, settings=ExpandSettings())
    store.close()
    return found.overall.map[10] + found.by_class["nordic"]


def make_a_corpus(folder: Path) -> None:
    entities = [Entity("1", "Oslo"), Entity("2", "Bergen", ("Bjørgvin",), {"country": "Norway"})]
    write_corpus(folder, entities, [OwnRow("Oslo lies by the sea.", (("1", 0, 4),), "oslo.png", "train")])
    import_rows(Path("rows.jsonl"), folder / "imported", strict=True)


def test_without_a_model(folder: Path, entities: Sequence[Entity], corpus: Corpus) -> None:
    bundle = fake_bundle(folder / "bundle", entities)
    index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, folder / "index")


def handle_any_error(seeds: list[str]) -> str | None:
    try:
        Expander.open(Path("index")).expand(seeds)
    except EntityExpandError as error:
        return str(error)
    return None


def curate(expander: Expander, folder: Path) -> tuple[str, ...]:
    first: Expansion = expander.expand(["Norway", "Sweden"], 10)
    second = first.accept(first.ids[0], "Iceland").reject("Greenland").undo().more(20)
    second.to_json(folder / "set.json")
    second.to_csv("set.csv")
    table = Expansion.from_json(folder / "set.json").to_pandas()
    rows: list[dict[str, object]] = expander.more(Expansion.from_dict(second.to_dict())).to_dicts()
    print(len(table), rows[0]["name"], second.cutoff, second.results[0].confidence, second.results[0].rank_before)
    return second.history.accepted + second.history.rejected + second.shown
