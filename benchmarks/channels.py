"""Measure each channel of an index alone and "hybrid" by weights fitted on half of the classes, on the other half.

    python benchmarks/channels.py INDEX CORPUS [--both-directions 0 1] [--draws 3]

INDEX should keep the modalities (`entity-expand index build --modalities`). The classes are dealt out by a hash of
their names, as in training; each half is fitted on and reported once, and MAP@10 is the mean over the classes of both.
Queries are those of the corpus, each on its own, seeds taken out of the truth. Weights are fitted on other draws.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from entity_expand import ExpandSettings
from entity_expand.channels.fit import channel_lists
from entity_expand.channels.fitting import best_weights
from entity_expand.channels.fusion import CHANNELS, ChannelWeights
from entity_expand.channels.weights import DEFAULT
from entity_expand.corpus import Query, read_queries, read_truth, validation_classes
from entity_expand.evaluate import evaluate
from entity_expand.front.common import open_store
from entity_expand.stores.base import PARTS, Store
from entity_expand.strategies.lists import ListStrategy

Truth = Mapping[str, frozenset[str]]
FOLDERS = {3: "query", 5: "query_seed=5"}


def fitted(store: Store, truth: Truth, classes: frozenset[str], draws: int, weight: float) -> ChannelWeights:
    """Return the weights that are best for some classes."""
    facts = store.begin().facts
    names = tuple(name for name in CHANNELS if name == "model" or name in facts.channels)
    own = {name: members for name, members in truth.items() if name in classes}
    lists = channel_lists(store, own, names, draws, ExpandSettings(both_directions=weight))
    found = best_weights(lists, np.array([getattr(DEFAULT, name) for name in names]))
    return ChannelWeights(**dict.fromkeys(CHANNELS, 0.0) | dict(zip(names, found.tolist(), strict=True)))


def score(
    store: Store, queries: list[Query], truth: Truth, strategy: ListStrategy | None, settings: ExpandSettings
) -> float:
    """Return the sum over the classes of their MAP@10."""
    if not queries:
        return 0.0
    found = evaluate(store, queries, truth, protocol="single", size=100, settings=settings, strategy=strategy)
    return sum(found.by_class.values())


def ways(weight: float, default: ChannelWeights) -> dict[str, tuple[str, ExpandSettings]]:
    """Return what is measured beside fitted weights: name -> strategy and settings."""
    base = ExpandSettings(both_directions=weight)
    alone = {name: ChannelWeights(**dict.fromkeys(CHANNELS, 0.0) | {name: 1.0}) for name in CHANNELS}
    found = {"paper": ("paper", base), "mean (the model alone)": ("mean", base)}
    for name in (*PARTS, "lexical"):
        found[f"{name} alone"] = ("hybrid", ExpandSettings(both_directions=weight, channels=alone[name]))
    found["hybrid, default weights"] = ("hybrid", ExpandSettings(both_directions=weight, channels=default))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("index")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--both-directions", type=float, nargs="*", default=[0.0, 1.0])
    parser.add_argument("--draws", type=int, default=3)
    args = parser.parse_args()
    store, truth = open_store(args.index), read_truth(args.corpus / "gt")
    first = validation_classes(truth, 0.5)
    halves = (first, frozenset(truth) - first)
    queries = {count: read_queries(args.corpus / folder) for count, folder in FOLDERS.items()}
    for weight in args.both_directions:
        weights = [fitted(store, truth, half, args.draws, weight) for half in halves]
        print(f"\nλ = {weight:g}; fitted: {'; '.join(str(each.counting()) for each in weights)}\n")
        print("| | 3 seeds | 5 seeds |\n|---|---|---|")
        for name, (strategy, settings) in ways(weight, DEFAULT).items():
            cells = [score(store, asked, truth, strategy, settings) / len(truth) for asked in queries.values()]
            print(f"| {name} | {' | '.join(f'{100 * cell:.1f}' for cell in cells)} |", flush=True)
        cells = []
        for asked in queries.values():
            parts = [
                score(
                    store,
                    [query for query in asked if query.class_name in half],
                    truth,
                    "hybrid",
                    ExpandSettings(both_directions=weight, channels=weights[1 - number]),
                )
                for number, half in enumerate(halves)
            ]
            cells.append(sum(parts) / len(truth))
        print(f"| hybrid, fitted on the other half | {' | '.join(f'{100 * cell:.1f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
