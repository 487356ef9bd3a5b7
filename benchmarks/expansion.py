"""Time an expansion over the embedded store, beside the paper's way of computing it, and its growth with V.

    python benchmarks/expansion.py [--growth 1000 10000 100000 1000000] [--dimension 768] [--list 105]

The world is a mixture of mixtures: classes of about 120 entities within groups of 12 classes, features that lean
towards their head rows. The slow path is the original's: in every round it standardises every member's row again,
sums, sorts all V scores, and computes each candidate's divergence over all V (NOTES.md sections 8 and 9, and 13 for
its cost); it is given the V x V matrices ready-made. Both paths must return the same list.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from entity_expand import Expander
from entity_expand._version import __version__
from entity_expand.search.scoring import EntityRows, entity_rows, head_rows, head_statistics
from entity_expand.search.window import WINDOW_TIERS, SearchSettings, tiers_at
from entity_expand.stores.base import Evidence, IndexMeta, Record
from entity_expand.stores.writing import use_version, write_version
from entity_expand.types import Entity

CLASS, GROUP = 120, 12


def classes_of(size: int) -> np.ndarray:
    """Return the class of each entity, (V,)."""
    return np.random.default_rng(1).integers(0, max(1, size // CLASS), size)


def world(size: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return head rows (V, D), biases (V,) and features (V, D), all float32."""
    rng = np.random.default_rng(0)
    label = classes_of(size)
    count = max(1, size // CLASS)
    groups = rng.standard_normal((count // GROUP + 1, width), np.float32)
    centres = 0.6 * groups[np.arange(count) // GROUP] + 0.6 * rng.standard_normal((count, width), np.float32)
    scale = np.float32(3 / np.sqrt(width))
    weight = np.empty((size, width), np.float32)
    features = np.empty((size, width), np.float32)
    for start in range(0, size, 65_536):
        part = slice(start, start + 65_536)
        centre = centres[label[part]]
        own = rng.standard_normal(centre.shape, np.float32)
        weight[part] = scale * (centre + own)
        features[part] = centre + np.float32(0.6) * own + np.float32(0.6) * rng.standard_normal(own.shape, np.float32)
    return weight, np.float32(0.3) * rng.standard_normal(size, np.float32), features


def blocks(weight: np.ndarray, bias: np.ndarray, features: np.ndarray) -> Iterator[EntityRows]:
    vocabulary = head_rows(weight, bias)
    statistics_of_head = head_statistics(vocabulary)
    for start in range(0, len(weight), 8_192):
        part = slice(start, start + 8_192)
        yield entity_rows(features[part], vocabulary[part], vocabulary, statistics_of_head)


def records(size: int) -> Iterator[Record]:
    """Yield what is shown of the entities of a world."""
    for n in range(size):
        evidence = Evidence(f"Entity {n} is one of many.", ((0, 6),), None)
        yield Record(Entity(str(n), f"Entity {n}"), True, 8, (evidence,) * 3)


def build(root: Path, size: int, width: int, **more: Any) -> None:
    """Write an index of a world, with what more `write_version` takes."""
    meta = IndexMeta("0", "0", str(root), "both", None, "", width, size, size, size, size, __version__)
    filled = root / "filled"
    filled.mkdir(parents=True)
    write_version(filled, meta, blocks(*world(size, width)), records(size), **more)
    use_version(root, filled, "benchmark")


def queries(size: int, count: int) -> list[list[str]]:
    """Return `count` times three seeds of one class."""
    rng, label = np.random.default_rng(2), classes_of(size)
    chosen = [rng.choice(np.flatnonzero(label == label[rng.integers(size)]), 3, replace=False) for _ in range(count)]
    return [[str(seed) for seed in seeds] for seeds in chosen]


def slow_path(log_q: np.ndarray, seeds: list[int], length: int, settings: SearchSettings) -> list[int]:
    """Expand one set as the original does, from log-probabilities (V, V) float32; without re-ranking."""
    members, taken = list(seeds), set(seeds)
    vocabulary = len(log_q)
    while len(members) < len(seeds) + length:
        scores = np.zeros(vocabulary)
        for member in members:
            row = log_q[member]
            scores += (row - row.mean()) / row.std()
        window = []
        for candidate in np.argsort(-scores, kind="stable").tolist():
            if candidate not in taken:
                window.append(candidate)
            if len(window) == settings.window_at(len(members) - len(seeds)):
                break
        divergences = []
        for candidate in window:
            q = np.exp(log_q[candidate].astype(np.float64))
            u = np.full(vocabulary, q.mean())
            u[candidate] = q[candidate]
            u[members] = tiers_at(len(members), WINDOW_TIERS).weights * q.mean()
            a, b = u / u.sum(), q / q.sum()
            divergences.append(float((a * np.log(a / b)).sum()))
        members.append(window[int(np.argmin(divergences))])
        taken.add(members[-1])
    return members[len(seeds) :]


def log_probabilities(weight: np.ndarray, bias: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return log softmax of each entity's logits, (V, V) float32."""
    logs = np.empty((len(weight), len(weight)), np.float32)
    for start in range(0, len(weight), 1_024):
        logits = features[start : start + 1_024] @ weight.T + bias
        logits -= logits.max(axis=1, keepdims=True)
        logs[start : start + 1_024] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logs


def timed(call: Callable[[list[str]], object], asked: list[list[str]], warm: int = 5) -> list[float]:
    """Return the milliseconds of each call after a few that do not count."""
    taken = []
    for seeds in asked[:warm] + asked:
        begun = time.perf_counter()
        call(seeds)
        taken.append(1e3 * (time.perf_counter() - begun))
    return taken[warm:]


def beside_the_slow_path(root: Path, size: int, width: int, length: int, slow_runs: int) -> dict[str, object]:
    """Time both ways in turn in one process, and compare their lists before re-ranking."""
    asked = queries(size, 60)
    log_q, settings = log_probabilities(*world(size, width)), SearchSettings(rerank=False)
    from entity_expand.search.plan import search_whole

    with Expander.open(root) as expander:
        pool = expander.store.whole(0.0)
        fast = timed(lambda seeds: expander.expand(seeds, length), asked)
        slow, same = [], 0
        for seeds in asked[:slow_runs]:
            places = [int(seed) for seed in seeds]
            begun = time.perf_counter()
            expected = slow_path(log_q, places, length, settings)
            slow.append(1e3 * (time.perf_counter() - begun))
            fast += timed(lambda seeds: expander.expand(seeds, length), [seeds], warm=0)
            assert pool is not None
            found = search_whole(pool, np.array(places), length, settings, np.empty(0, dtype=np.int64))
            same += found.positions.tolist() == expected
    return {
        "fast_ms_median": statistics.median(fast),
        "fast_ms_p95": sorted(fast)[int(0.95 * len(fast))],
        "slow_ms_median": statistics.median(slow),
        "ratio": statistics.median(slow) / statistics.median(fast),
        "lists_alike": f"{same} of {slow_runs}",
    }


def one_size(size: int, width: int, length: int) -> dict[str, object]:
    """Build an index, then time it in a process of its own, so that memory is that of expanding alone."""
    with tempfile.TemporaryDirectory() as folder:
        root, begun = Path(folder) / "index", time.perf_counter()
        build(root, size, width)
        built = time.perf_counter() - begun
        disk = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        command = [sys.executable, __file__, "--expand-only", str(root), "--list", str(length), "--size", str(size)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {"V": size, "build_s": round(built, 1), "disk_mib": disk >> 20, **json.loads(output)}


def peak_mib() -> int:
    """Return the most memory that this process has held, without what its parent held before it."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def expand_only(root: Path, size: int, length: int) -> dict[str, object]:
    with Expander.open(root) as expander:
        found = []
        runs = 30 if size <= 100_000 else 10
        taken = timed(lambda seeds: found.append(expander.expand(seeds, length)), queries(size, runs), warm=2)
    fetches = sorted(expansion.fetches for expansion in found)
    return {
        "ms_median": round(statistics.median(taken), 2),
        "ms_max": round(max(taken), 2),
        "fetches_median": statistics.median(fetches),
        "fetches_max": fetches[-1],
        "exact": all(expansion.exact for expansion in found),
        "peak_mib": peak_mib(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--size", type=int, default=14_489)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--list", type=int, default=105)
    parser.add_argument("--slow-runs", type=int, default=3)
    parser.add_argument("--growth", type=int, nargs="*", default=[])
    parser.add_argument("--expand-only", type=Path)
    args = parser.parse_args()
    if args.expand_only is not None:
        print(json.dumps(expand_only(args.expand_only, args.size, args.list)))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}")
    if args.slow_runs:
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder) / "index", args.size, args.dimension)
            found = beside_the_slow_path(Path(folder) / "index", args.size, args.dimension, args.list, args.slow_runs)
        print(f"V = {args.size}, D = {args.dimension}, list of {args.list}: {json.dumps(found)}")
    for size in args.growth:
        print(json.dumps(one_size(size, args.dimension, args.list)), flush=True)


if __name__ == "__main__":
    main()
