"""Index into Elasticsearch and expand from it while processes die, servers die, and answers get lost; look each time.

    python benchmarks/fault_sweep.py [--runs 200] [--seed 0] [--kinds kill server ...] [--out TABLE.md]

A made world is indexed once undisturbed: what is then on the server must be there after every disturbed run, under an
alias that never stood for anything unfinished. Kinds of runs:

- kill: the indexing process kills itself (SIGKILL) at its n-th request, n swept over all of them; then it runs again.
- proxy: connections break before or after the work was done, answers are late, cut, 429 or 503, items of bulk requests
  are refused, each with probabilities drawn for the run.
- both: two kills at random requests, and such faults.
- server: the server is killed and started again while it is loaded; the indexing process must live on.
- answers: threads expand sets through a proxy with such faults: the right list, or a typed error in time.
- nodes: the same while one of three nodes is killed and started again.

Prints a table; ends with 1 if anything was not as it should be. Starts its own servers, up to three at a time.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fault_expansions import (
    answers,
    cluster,
    index_undisturbed,
    make_queries,
    run_with_faults,
    run_with_kill,
)
from fault_findings import Found, Truth
from fault_runs import MOMENTS, Disturbance, Worker, draw_faults, find_truth, run_indexing
from fault_worker import ENTITIES

from servers.elasticsearch_node import Node

KINDS = {"kill": 0.38, "proxy": 0.22, "both": 0.18, "server": 0.06, "answers": 0.12, "nodes": 0.04}
"""Each kind's share of the runs."""
HEAP = "400m"


def counts_of(runs: int, kinds: Sequence[str]) -> dict[str, int]:
    """Return how many runs of each kind, at least `runs` in all."""
    whole = sum(KINDS[kind] for kind in kinds)
    return {kind: -(-int(1000 * runs * KINDS[kind] / whole) // 1000) for kind in kinds}


def disturbances(kind: str, count: int, seed: int, truth: Truth) -> Iterator[Disturbance]:
    """Yield what is to happen to each run of a kind; every other run begins with an older version in place."""
    for number in range(count):
        source = random.Random(f"{seed}/{kind}/{number}")
        name, older, faults, kills = f"faults-{kind}-{number}", number % 2 == 1, None, ()
        crash = source.uniform(0.0, truth.seconds) if kind == "server" else None
        if kind == "kill":
            kills = ((1 + number * truth.requests // count, source.choice(MOMENTS)),)
        elif kind == "both":
            kills = tuple((source.randint(1, truth.requests), source.choice(MOMENTS)) for _ in range(2))
        if kind in ("proxy", "both"):
            faults = draw_faults(source)
        yield Disturbance(name, older, kills, faults, crash, forget=source.random() < 0.3)


def sweep(counts: dict[str, int], seed: int, root: Path, bar: tqdm) -> Iterator[tuple[str, Found]]:
    """Do all runs; yield what each came to."""
    with Worker(root / "world") as worker:
        alone = [kind for kind in counts if kind != "nodes"]
        if alone:
            with Node(root / "n0", name="n0", heap="512m") as node:
                truth = find_truth(worker, node.url, "faults-truth")
                bar.write(f"undisturbed: {truth.requests} requests, {truth.seconds:.2f} s", file=sys.stderr)
                for kind in alone:
                    if kind != "answers":
                        for what in disturbances(kind, counts[kind], seed, truth):
                            yield kind, run_indexing(worker, node, truth, what)
                        continue
                    index_undisturbed(worker, node.url, "faults-right")
                    queries = make_queries(ENTITIES)
                    right = answers(f"{node.url}/faults-right", queries)
                    for number in range(counts[kind]):
                        yield kind, run_with_faults(node.url, "faults-right", right, queries, seed * 1000 + number)
        if "nodes" in counts:
            with cluster(root / "cluster", HEAP) as nodes:
                index_undisturbed(worker, nodes[0].url, "faults-right", shards=2, replicas=1)
                queries = make_queries(ENTITIES)
                right = answers(f"{nodes[0].url}/faults-right", queries)
                for number in range(counts["nodes"]):
                    # Not the one that is asked, more often than not.
                    victim = nodes[(1, 2, 0, 2, 1)[number % 5]]
                    yield "nodes", run_with_kill(nodes, victim, "faults-right", right, queries, seed * 1000 + number)


def listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()) if count) or "-"


def table(totals: dict[str, Found]) -> str:
    """Return the result as Markdown."""
    indexing = {kind: found for kind, found in totals.items() if kind not in ("answers", "nodes")}
    asking = {kind: found for kind, found in totals.items() if kind in ("answers", "nodes")}
    lines = []
    if indexing:
        lines += [
            "| indexing | runs | kills | beginnings again | faults on the way | ended by | wrong contents "
            "| wrong states of the alias | looks at the alias | seconds a run, mean and most |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {kind} | {each.runs} | {each.kills} | {each.again} | {listed(each.injected)} | {listed(each.errors)} "
            f"| {each.wrong} | {each.states} | {each.looks:,} | {each.seconds / each.runs:.1f}, {each.longest:.1f} |"
            for kind, each in indexing.items()
        ]
    if asking:
        lines += [
            "",
            "| expanding | runs | kills | faults on the way | expansions | right lists | wrong lists | typed errors "
            "| too late | most over the limit, s |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {kind} | {each.runs} | {each.kills} | {listed(each.injected)} | {each.expansions:,} "
            f"| {each.expansions - each.wrong - each.errors.total():,} | {each.wrong} | {listed(each.errors)} "
            f"| {each.late} | {each.over:.2f} |"
            for kind, each in asking.items()
        ]
    return "\n".join(lines).strip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    counts, began = counts_of(options.runs, options.kinds), time.monotonic()
    totals = {kind: Found() for kind in counts}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary,
        tqdm(total=sum(counts.values()), unit="run", disable=None) as bar,
    ):
        (Path(temporary) / "world").mkdir()
        for kind, found in sweep(counts, options.seed, Path(temporary), bar):
            for problem in found.problems:
                bar.write(f"PROBLEM: {kind}: {problem}", file=sys.stderr)
            totals[kind].add(found)
            bar.update()
    text = table(totals)
    print(text)
    print(f"{sum(counts.values())} runs in {time.monotonic() - began:.0f} s", flush=True)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return 1 if any(found.problems for found in totals.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
