"""How good the automatic cut-off and the confidence are on classes that they were not fitted on.

    python benchmarks/cutoff.py INDEX TRUTH [INDEX TRUTH ...] [--draws 5] [--size 100]

prints, as Markdown, F1 of lists up to their cut-off beside every fixed length's best, by way of expanding and number of
seeds; what single features are worth; and the reliability of the confidence. Each list is judged by what was fitted on
other classes; see `entity_expand.calibration.quality.held_out`.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from entity_expand import MemoryStore
from entity_expand.calibration.draws import KINDS, Way, judged_lists
from entity_expand.calibration.quality import Held, Judged, held_out
from entity_expand.corpus import read_truth
from entity_expand.types import Float64

WAYS = ("the paper's search", "members at 0.2, not ranked again", "mean of the seeds' lists")


def named_ways() -> list[tuple[str, str, Way]]:
    """Return (kind, name, way) of all ways that are fitted."""
    return [
        (kind.name, name, way) for kind in KINDS for name, way in zip(WAYS[-len(kind.ways) :], kind.ways, strict=True)
    ]


def row(name: str, held: Held) -> str:
    percent = [f"{100 * value:.1f}" for value in (held.cut, held.fixed, held.best_fixed, held.perfect)]
    lengths = f"{held.length:.1f} | {held.best_length}"
    return f"| {name} | {' | '.join(percent)} | {lengths} | {held.brier / held.constant_brier:.2f} | {held.error:.3f} |"


def table(title: str, rows: Sequence[tuple[str, Held]]) -> None:
    print(f"\n{title}\n")
    print("| | cut-off | length of other classes | best length | best cut of each | mean cut | that length "
          "| Brier / constant | calibration error |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for name, held in rows:
        print(row(name, held))


def with_columns(lists: Sequence[Judged], change: Callable[[Float64], Float64]) -> list[Judged]:
    return [dataclasses.replace(each, features=change(each.features)) for each in lists]


FEATURES: dict[str, Callable[[Float64], Float64]] = {
    "rank alone": lambda features: features[:, [0, 5]],
    "similarity alone": lambda features: features[:, :2],
    "similarity and gain between seeds": lambda features: features[:, :5],
    "similarity and rank": lambda features: features[:, [0, 1, 5]],
    "all three": lambda features: features,
}


def report(index: Path, truth: Path, draws: int, size: int) -> None:
    store, members = MemoryStore.open(index), read_truth(truth)
    ways = named_ways()
    found = judged_lists(store, members, [way for _, _, way in ways], draws, size)
    by_kind: dict[str, list[Judged]] = {}
    print(f"\n## {store.meta.entities} entities, {len(members)} classes, shown {store.meta.modality}")
    for (kind, _, _), lists in zip(ways, found, strict=True):
        by_kind.setdefault(kind, []).extend(lists)
    rows = []
    for (kind, name, _), lists in zip(ways, found, strict=True):
        rows.append((f"{kind}: {name}", held_out(lists)))
    table("By way of expanding, each fitted alone:", rows)
    table(
        "All ways of a kind fitted together, as `entity-expand fit` does:",
        [(k, held_out(v)) for k, v in by_kind.items()],
    )
    both = by_kind["heads, both directions"]
    table("By feature, both directions:", [(name, held_out(with_columns(both, f))) for name, f in FEATURES.items()])
    print("\nReliability, both directions:\n\n| confidence | share of members | results |\n|---|---|---|")
    for each in held_out(both).bins:
        print(f"| {each.confidence:.2f} | {each.members:.2f} | {each.results:,} |")
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", type=Path, metavar="INDEX TRUTH")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--size", type=int, default=100)
    asked = parser.parse_args()
    for index, truth in zip(asked.pairs[::2], asked.pairs[1::2], strict=True):
        report(index, truth, asked.draws, asked.size)


if __name__ == "__main__":
    main()
