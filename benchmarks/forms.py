"""Compare the stores' form of the score with the paper's on the original's stored expansions.

    python benchmarks/forms.py FOLDER

FOLDER holds expand_index.json and the arrays beside it. The paper averages an entity's probabilities over sentences;
a store keeps the mean feature, from which one normalised distribution follows. Prints the overlap of the final lists,
and the mean average precision of both, seeds taken out.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean

import numpy as np

from entity_expand.metrics import average_precision
from entity_expand.search.paper import expand_jointly
from entity_expand.search.pools import TablePool
from entity_expand.search.scoring import entity_rows, head_rows, head_statistics, scores_between
from entity_expand.search.window import SearchSettings


def compared(folder: Path, problem: dict) -> tuple[list[float], list[float], list[float]]:
    """Return, by class, the overlap at 50, AP@50 of the paper's list and of the store's."""
    arguments = problem["expand_args"]
    settings = SearchSettings(
        arguments["init_win_size"], arguments["win_grow_rate"], arguments["win_grow_step"], arguments["ranking"],
        arguments["mu"], compatible_seeds=3,
    )  # fmt: skip
    with np.load(folder / problem["file"], allow_pickle=False) as stored:
        order = np.argsort(stored["eids"])
        eids, offsets, sentences = stored["eids"][order], stored["sent_offsets"], stored["g"]
        features = np.array([sentences[offsets[i] : offsets[i + 1]].mean(axis=0) for i in order])
        vocabulary = head_rows(stored["W"][order], stored["b"][order])
        label, seeds, expected = stored["label"][order], stored["seeds"], stored["final"]
    rows = entity_rows(features, vocabulary, vocabulary, head_statistics(vocabulary))
    pool = TablePool(scores_between(rows, rows), rows, len(rows))
    places = [np.searchsorted(eids, query) for query in seeds]
    searches = expand_jointly(pool, places, settings, arguments["target_size"])
    overlaps, paper, store = [], [], []
    for number, (search, query) in enumerate(zip(searches, seeds, strict=True)):
        found, wanted = eids[search.ranking()[0]].tolist(), expected[number].tolist()
        cut = min(50, len(wanted))
        overlaps.append(len(set(found[:cut]) & set(wanted[:cut])) / cut)
        truth = set(eids[label == number].tolist()) - set(query.tolist())
        if truth:
            paper.append(average_precision(wanted, truth, 50))
            store.append(average_precision(found, truth, 50))
    return overlaps, paper, store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    overlaps: list[float] = []
    paper: list[float] = []
    store: list[float] = []
    for problem in json.loads((folder / "expand_index.json").read_text())["problems"]:
        found = compared(folder, problem)
        print(f"{problem['name']}: overlap at 50 {fmean(found[0]):.3f}")
        overlaps += found[0]
        paper += found[1]
        store += found[2]
    print(f"{len(overlaps)} lists: overlap at 50 {fmean(overlaps):.3f}, lowest {min(overlaps):.2f}; ", end="")
    print(f"MAP@50 {100 * fmean(paper):.1f} (paper), {100 * fmean(store):.1f} (store)")


if __name__ == "__main__":
    main()
