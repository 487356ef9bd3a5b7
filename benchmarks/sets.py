"""Time what can be done with an expansion beside the expansion itself, over an embedded index of a made-up world.

    python benchmarks/sets.py [--entities 14489] [--dimension 256]

Prints, as Markdown, medians in milliseconds and their ratio to a plain expansion of 100 results.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from expansion import build, classes_of

from entity_expand import Expander, Expansion
from entity_expand.calibration.draws import fit_index
from indexer import keep_fitted

QUERIES, CLASSES = 30, 12


def medians_ms(works: dict[str, Callable[[int], object]]) -> dict[str, float]:
    """Return the median over the queries of each work, all of them in turn for each query, after one that warms up."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(-QUERIES, QUERIES):
        for name, work in works.items():
            begun = time.perf_counter()
            work(number % QUERIES)
            if number >= 0:
                taken[name].append(time.perf_counter() - begun)
    return {name: 1000 * statistics.median(each) for name, each in taken.items()}


def measure(index: Path, truth: dict[str, frozenset[str]]) -> None:
    random, members = np.random.default_rng(0), [sorted(each) for each in truth.values()]
    seeds = [random.choice(members[n % CLASSES], 3, replace=False).tolist() for n in range(QUERIES)]
    with Expander.open(index) as plain:
        fitted, _ = fit_index(plain.store, truth, draws=1, size=100)
        keep_fitted(index, fitted)  # which an index that is open does not notice
        with Expander.open(index) as expander:
            pages = [expander.expand(each, 100) for each in seeds]
            decided = [page.accept(*page.ids[:3]) for page in pages]
            refused = [page.reject(*page.ids[-3:]) for page in decided]
            forms = [json.dumps(page.to_dict()) for page in pages]
            works: dict[str, Callable[[int], object]] = {
                "expand, 100 results": lambda n: plain.expand(seeds[n], 100),
                "the same with confidence and cut-off": lambda n: expander.expand(seeds[n], 100),
                "accept three results": lambda n: pages[n].accept(*pages[n].ids[:3]),
                "more, three accepted": lambda n: expander.more(decided[n]),
                "more, three accepted and three rejected": lambda n: expander.more(refused[n]),
                "explain one result": lambda n: expander.explain(pages[n], 1 + n),
                "explain the set": lambda n: expander.explain_set(pages[n]),
                "to JSON": lambda n: json.dumps(pages[n].to_dict()),
                "from JSON, checked": lambda n: Expansion.from_dict(json.loads(forms[n])),
                "as rows of a table": lambda n: pages[n].to_dicts(),
            }
            found = medians_ms(works)
    print("| | ms | of an expansion |\n|---|---|---|")
    for name, taken in found.items():
        print(f"| {name} | {taken:.2f} | {taken / found['expand, 100 results']:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=14_489)
    parser.add_argument("--dimension", type=int, default=256)
    asked = parser.parse_args()
    labels = classes_of(asked.entities)
    truth = {f"class {n}": frozenset(map(str, np.flatnonzero(labels == n).tolist())) for n in range(CLASSES)}
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "index", asked.entities, asked.dimension)
        measure(Path(folder) / "index", truth)


if __name__ == "__main__":
    main()
