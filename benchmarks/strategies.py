"""Measure what each strategy, and negatives, do to MAP@10 over an embedded index.

    python benchmarks/strategies.py INDEX CORPUS [--seeds 3 5] [--share 0.5]

Single queries; seeds, and negatives, are taken out of list and truth. Negatives are what a person would reject: the
first 1 or 3 results that are wrong. The list that leaves them out is compared with the one that also penalises what is
like them, for several β, and with one whose query they were subtracted from. Half of the classes choose β, the others
are reported.
"""

import argparse
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from entity_expand import ExpandQuery, ExpandSettings, MemoryStore, SearchSettings
from entity_expand.corpus import Query, read_queries, read_truth, validation_classes
from entity_expand.drive import run
from entity_expand.evaluate import evaluate
from entity_expand.metrics import average_precision, recall
from entity_expand.search.scoring import unit_features
from entity_expand.seeds import SeedSet
from entity_expand.strategies.choice import ranked, settings_of
from entity_expand.strategies.negatives import DEEPER, PENALTY, corrected

SMALL_CLASSES = SearchSettings(member_weight=0.2, rerank=False)
WAYS: dict[str, dict[str, object]] = {
    "paper": {},
    "paper, not ranked again": {"rerank": False},
    "both": {"strategy": "both"},
    "both, members at 0.2, not ranked again": {
        "strategy": "both", "settings": ExpandSettings(both_directions=1.0, search=SMALL_CLASSES),
    },
    "mean": {"strategy": "mean"},
    "mean, λ = 1": {"strategy": "mean", "settings": ExpandSettings(both_directions=1.0)},
    "mean, ranked again": {"strategy": "mean", "rerank": True},
    "best": {"strategy": "best"},
    "best, λ = 1": {"strategy": "best", "settings": ExpandSettings(both_directions=1.0)},
    "sum": {"strategy": "sum"},
    "rank-fusion": {"strategy": "rank-fusion"},
    "rank-fusion, λ = 1": {"strategy": "rank-fusion", "settings": ExpandSettings(both_directions=1.0)},
}  # fmt: skip
WITH_NEGATIVES = ("paper", "both, members at 0.2, not ranked again", "mean", "sum", "rank-fusion")
PENALTIES = (0.0, 0.75, 1.5, 3.0, 6.0, 12.0)
SIZE, SEEN = 100, 20


class Lists:
    """What an index says, by position.

    Args:
        store: It keeps the scores of all pairs.
        truth: Class -> ids of its members.
    """

    def __init__(self, store: MemoryStore, truth: Mapping[str, frozenset[str]]) -> None:
        self.store, self.count = store, store.meta.entities
        self.ids = [record.entity.id for record in store.records(range(self.count))]
        self.place = {identifier: place for place, identifier in enumerate(self.ids)}
        self.features = unit_features(store.rows(np.arange(self.count)), store.facts.mean_feature).astype(float)
        self._truth = truth

    def members(self, query: Query) -> frozenset[str]:
        """Return who is to be found."""
        return self._truth[query.class_name] - set(query.seeds)

    def seeds(self, query: Query) -> SeedSet:
        """Return the seeds of a query."""
        return SeedSet(np.array([self.place[seed] for seed in query.seeds]))

    def list(self, query: Query, way: Mapping[str, object], size: int, excluded: Sequence[int] = ()) -> np.ndarray:
        """Return the positions that a strategy finds."""
        asked = ExpandQuery(query.seeds, size, **way)  # type: ignore[arg-type]
        whole = self.store.whole(settings_of(asked).both_directions)
        barred = np.array(sorted(excluded), dtype=np.int64)
        steps = ranked(asked, self.seeds(query), size, barred, self.store.facts, whole)
        return run(steps, self.store).positions

    def precision(self, query: Query, positions: Sequence[int], negatives: Sequence[int] = ()) -> float:
        """Return AP@10 of a list."""
        kept = [self.ids[position] for position in positions if position not in negatives]
        return average_precision(kept, self.members(query), 10)


def rejected(lists: Lists, query: Query, way: Mapping[str, object], count: int) -> list[int]:
    """Return the first wrong results that a person sees."""
    members = lists.members(query)
    return [place for place in lists.list(query, way, SEEN).tolist() if lists.ids[place] not in members][:count]


def with_negatives(lists: Lists, query: Query, way: Mapping[str, object], negatives: list[int]) -> Iterator[float]:
    """Yield AP@10 by penalty, then with the negatives subtracted from the query; then recall@50 without and with it."""
    seeds = lists.seeds(query).positions
    found = lists.list(query, way, 10 + DEEPER, negatives)
    features = lists.features
    likeness = [features[part] @ features[found].T for part in (seeds, negatives)]
    for penalty in PENALTIES:
        order = np.argsort(-corrected(likeness[0], likeness[1], penalty), kind="stable")
        yield lists.precision(query, found[order].tolist())
    whole = lists.store.whole(0.0)
    assert whole is not None
    plain = whole.gains(seeds).mean(axis=0)
    subtracted = plain - whole.gains(np.array(negatives)).mean(axis=0)
    orders = []
    for scores in (plain, subtracted):
        scores[[*seeds, *negatives]] = -np.inf
        orders.append(np.argsort(-scores, kind="stable").tolist())
    yield lists.precision(query, orders[1])
    for order in orders:
        yield recall([lists.ids[place] for place in order], lists.members(query), 50)


def negatives_table(lists: Lists, queries: Sequence[Query], share: float) -> Iterator[str]:
    """Yield the rows of the table: the classes that choose, then those that are reported."""
    choosing = validation_classes(frozenset(query.class_name for query in queries), share)
    heads = [f"β = {penalty:g}" for penalty in PENALTIES[1:]]
    yield f"| | queries | left out | {' | '.join(heads)} | subtracted | recall@50 of mean | subtracted |"
    yield f"|---|---|---|{'---|' * (len(heads) + 3)}"
    for part in ("chosen on", "reported"):
        for name in WITH_NEGATIVES:
            for count in (1, 3):
                values = []
                for query in queries:
                    if (query.class_name in choosing) == (part == "chosen on"):
                        negatives = rejected(lists, query, WAYS[name], count)
                        if negatives:
                            values.append(list(with_negatives(lists, query, WAYS[name], negatives)))
                means = [100 * fmean(column) for column in zip(*values, strict=True)]
                cells = [f"{means[0]:.1f}", *(f"{each - means[0]:+.1f}" for each in means[1:-2])]
                cells += [f"{means[-2]:.1f}", f"{means[-1]:.1f}"]
                yield f"| {part}: {name}, {count} rejected | {len(values)} | {' | '.join(cells)} |"


def strategies_table(
    store: MemoryStore, folder: Path, truth: Mapping[str, frozenset[str]], seeds: Sequence[int]
) -> Iterator[str]:
    """Yield the rows of the table of strategies."""
    yield f"| | {' | '.join(f'{number} seeds' for number in seeds)} |"
    yield f"|---|{'---|' * len(seeds)}"
    for name, way in WAYS.items():
        cells = []
        for number in seeds:
            queries = read_queries(folder_of(folder, number))
            found = evaluate(store, queries, truth, protocol="single", size=SIZE, **way)  # type: ignore[arg-type]
            cells.append(f"{100 * found.overall.map[10]:.1f}")
        yield f"| {name} | {' | '.join(cells)} |"


def folder_of(corpus: Path, seeds: int) -> Path:
    """Return where the queries of a number of seeds are."""
    return corpus / ("query" if seeds == 3 else f"query_seed={seeds}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[3, 5])
    parser.add_argument("--share", type=float, default=0.5, help="Of the classes that choose β.")
    args = parser.parse_args()
    store, truth = MemoryStore.open(args.index), read_truth(args.corpus / "gt")
    print(json.dumps({key: value for key, value in dataclasses.asdict(store.meta).items() if key != "corpus_folder"}))
    print(f"\nβ is {PENALTY}.\n", *strategies_table(store, args.corpus, truth, args.seeds), sep="\n", flush=True)
    lists = Lists(store, truth)
    for number in args.seeds:
        print(f"\n{number} seeds\n", flush=True)
        for line in negatives_table(lists, read_queries(folder_of(args.corpus, number)), args.share):
            print(line, flush=True)


if __name__ == "__main__":
    main()
