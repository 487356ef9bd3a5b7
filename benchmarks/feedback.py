"""What a second page gains from what was accepted and rejected on the first, over embedded indices.

    python benchmarks/feedback.py INDEX CORPUS [INDEX CORPUS ...] [--size 10]

A curator who knows the class decides about every result of the first page. Prints, as Markdown, what share the second
page finds of the members that the first page left, by what the next question is told.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

from entity_expand import Expander, ExpandSettings, Expansion, SearchSettings
from entity_expand.corpus import Query, read_queries, read_truth

WAYS = {
    "the paper's": {},
    "both directions, members at 0.2, not ranked again": {
        "settings": ExpandSettings(both_directions=1.0, search=SearchSettings(member_weight=0.2, rerank=False))
    },
    "mean, both directions": {"strategy": "mean", "settings": ExpandSettings(both_directions=1.0)},
}


def told(page: Expansion, members: frozenset[str], accept: bool, reject: bool) -> Expansion:
    right = [each for each in page.ids if each in members]
    wrong = [each for each in page.ids if each not in members]
    if accept and right:
        page = page.accept(*right)
    if reject and wrong:
        page = page.reject(*wrong)
    return page


TOLD: dict[str, Callable[[Expansion, frozenset[str]], Expansion]] = {
    "nothing": lambda page, members: page,
    "accepted": lambda page, members: told(page, members, True, False),
    "rejected": lambda page, members: told(page, members, False, True),
    "both": lambda page, members: told(page, members, True, True),
}


def second_pages(
    expander: Expander, queries: list[Query], truth: dict[str, frozenset[str]], size: int, options: dict
) -> list[float]:
    """Return the mean share of the findable rest that the second page finds, by what it is told."""
    shares: dict[str, list[float]] = {name: [] for name in TOLD}
    for query in queries:
        page = expander.expand(query.seeds, size, **options)
        members = truth[query.class_name]
        rest = members - set(query.seeds) - set(page.ids)
        if not rest:
            continue
        for name, tell in TOLD.items():
            found = expander.more(tell(page, members), size).ids
            shares[name].append(len(rest & set(found)) / min(size, len(rest)))
    return [fmean(each) for each in shares.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", type=Path, metavar="INDEX CORPUS")
    parser.add_argument("--size", type=int, default=10)
    asked = parser.parse_args()
    print(f"| | {' | '.join(TOLD)} |\n|---|{'---|' * len(TOLD)}")
    for index, corpus in zip(asked.pairs[::2], asked.pairs[1::2], strict=True):
        queries, truth = list(read_queries(corpus / "query")), dict(read_truth(corpus / "gt"))
        with Expander.open(index) as expander:
            for name, options in WAYS.items():
                found = second_pages(expander, queries, truth, asked.size, options)
                cells = " | ".join(f"{100 * each:.1f}" for each in found)
                print(f"| {expander.store.begin().facts.meta.entities} entities, {name} | {cells} |")


if __name__ == "__main__":
    main()
