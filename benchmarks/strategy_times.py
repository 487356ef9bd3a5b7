"""Time what each way of expanding adds, beside the paper's search, in turns.

    python benchmarks/strategy_times.py [--url URL] [--entities 14489] [--width 256] [--size 100] [--rounds 30]

The world of `expansion.py` is indexed into a folder, with the table of all scores and without, and into a server, which
the tests' launcher starts if there is no --url. Each round expands one set in every way; the median of each is divided
by that of the paper's. New seeds are looked up instead of encoded: a model's time comes on top.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from elasticsearch_expansion import make, server
from expansion import queries

from entity_expand import Expander, ExpandQuery, ExpandSettings, NewSeed, SearchSettings
from entity_expand.corpus import Corpus
from entity_expand.encoder import Encoder
from indexer import ElasticSettings, IndexSettings, index_corpus

PLAIN = ExpandSettings(both_directions=1.0, search=SearchSettings(member_weight=0.2, rerank=False))
NEGATIVES = 3
WAYS: dict[str, Mapping[str, object]] = {
    "paper": {},
    "paper, not ranked again": {"rerank": False},
    "paper, weights": {"weights": [2.0, 1.0, 0.5]},
    "paper, three negatives": {"negative": NEGATIVES},
    "paper, one seed is new": {"new": True},
    "both": {"strategy": "both"},
    "both, members at 0.2, not ranked again": {"settings": PLAIN},
    "mean": {"strategy": "mean"},
    "mean, three negatives": {"strategy": "mean", "negative": NEGATIVES},
    "mean, ranked again": {"strategy": "mean", "rerank": True},
    "best": {"strategy": "best"},
    "sum": {"strategy": "sum"},
    "rank-fusion": {"strategy": "rank-fusion"},
}


def query_of(way: Mapping[str, object], seeds: Sequence[str], negatives: Sequence[str], size: int) -> ExpandQuery:
    """Return what is asked in some way."""
    given: list[str | NewSeed] = list(seeds)
    if way.get("new"):
        given[-1] = NewSeed(f"Entity {seeds[-1]} is one of many.", name="Entity")
    options = {key: value for key, value in way.items() if key not in ("new", "negative")}
    return ExpandQuery(given, size, negative=negatives if "negative" in way else (), **options)  # type: ignore[arg-type]


def measured(expander: Expander, asked: Sequence[Sequence[str]], others: Sequence[str], size: int) -> dict[str, float]:
    """Return the median milliseconds of each way, in turns, once what a store keeps of the set is warm."""
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn, seeds in enumerate(asked):
        negatives = [other for other in others if other not in seeds][:NEGATIVES]
        made = {name: query_of(way, seeds, negatives, size) for name, way in WAYS.items()}
        for query in made.values():
            expander.expand_many([query])
        for name in [*WAYS][turn % len(WAYS) :] + [*WAYS][: turn % len(WAYS)]:
            begun = time.perf_counter()
            expander.expand_many([made[name]])
            taken[name].append(1e3 * (time.perf_counter() - begun))
    return {name: statistics.median(each) for name, each in taken.items()}


def opened(folder: Path, url: str, size: int, width: int) -> dict[str, Expander]:
    """Index one world three times."""
    bundle, encoder, corpus = make(folder, size, width)
    encode: Encoder = encoder
    address = f"{url}/benchmark-strategies"
    with Corpus.open(corpus) as whole:
        index_corpus(bundle, encode, whole, folder / "table")
        index_corpus(bundle, encode, whole, folder / "fetched", IndexSettings(table_bytes=0))
        index_corpus(bundle, encode, whole, address, elastic=ElasticSettings(work=folder / "work"))
    places = {"table": folder / "table", "no table": folder / "fetched", "server": address}
    return {name: Expander.open(where, bundle=bundle, encoder=encode) for name, where in places.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--url")
    parser.add_argument("--entities", type=int, default=14_489)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    others = [str(n) for n in np.random.default_rng(3).choice(args.entities, 6, replace=False)]
    sets = queries(args.entities, args.rounds)
    with tempfile.TemporaryDirectory() as folder, server(args.url, Path(folder)) as url:
        expanders = opened(Path(folder), url, args.entities, args.width)
        columns = {name: measured(expander, sets, others, args.size) for name, expander in expanders.items()}
        for expander in expanders.values():
            expander.close()
    print(f"{args.entities:,} entities, D = {args.width}, {args.rounds} sets of 3 seeds, lists of {args.size}.\n")
    print(f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    one = {name: each["paper"] for name, each in columns.items()}
    for name in WAYS:
        print(f"| {name} | {' | '.join(f'{each[name] / one[where]:.2f}' for where, each in columns.items())} |")
    print(f"\n1.00 is {', '.join(f'{each:.1f} ms ({name})' for name, each in one.items())}.")


if __name__ == "__main__":
    main()
