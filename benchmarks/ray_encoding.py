"""Time the encoding of a corpus by one process and by Ray Data with one and two workers, side by side.

    python benchmarks/ray_encoding.py {encoding,partitions,alone} [--bundle FOLDER] [--turns 3] [--groups 8]

The corpus is made for it: made-up entities, in groups of 32, with some sentences and one of the demo's flags each. The
encoder has one thread in every process. `encoding` compares the rates; `partitions` times what a partition costs beside
encoding, by an encoder that does nothing; `alone` times what the indexer does by itself however many workers there are.
"""

import argparse
import contextlib
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.demo import bundle_path, write_demo_corpus
from entity_expand.encoder import Encoder, OnnxEncoder
from entity_expand.types import Entity
from indexer import IndexSettings, index_corpus
from indexer.cluster import RayEncoder, RaySettings
from indexer.cluster.session import joined
from indexer.features import Group, group_means, select


class Nothing:
    """An encoder that takes no time."""

    def __init__(self, bundle: Bundle) -> None:
        self.dimension = bundle.dimension

    def encode(self, inputs: list) -> np.ndarray:
        """Return ones."""
        return np.ones((len(inputs), self.dimension), np.float32)


def make_corpus(folder: Path, entities: int, samples: int, flags: list[Path]) -> Path:
    known = [Entity(str(number), f"Place {number}") for number in range(entities)]
    rows = (
        OwnRow(
            f"{entity.name} lies {turn} days from the sea and has a flag of its own colours.",
            ((entity.id, 0, len(entity.name)),),
            f"images/{int(entity.id) % len(flags)}.jpg",
        )
        for entity in known
        for turn in range(samples)
    )
    write_corpus(folder, known, rows)
    (folder / "images").mkdir()
    for number, flag in enumerate(flags):
        (folder / "images" / f"{number}.jpg").write_bytes(flag.read_bytes())
    return folder


def groups_of(corpus: Corpus) -> list[Group]:
    samples = select(corpus, "both", None).samples
    return [samples[start : start + 32] for start in range(0, len(samples), 32)]


def alone(encoder: Encoder, corpus: Corpus, groups: list[Group]) -> Iterator[np.ndarray]:
    return (group_means(encoder, corpus, group, "both") for group in groups)


def under_ray(
    bundle: Bundle, workers: int, opening: Callable | None, corpus: Corpus, groups: list[Group]
) -> Iterator[np.ndarray]:
    with RayEncoder(bundle, RaySettings(workers=workers), opening) as encoder:
        yield from encoder.encode_groups(corpus, groups, "both")


@dataclass
class Timing:
    """What was seen of one run, from the first group to the last but for `first` and `whole`."""

    first: float  # seconds until the first group was there
    whole: float  # seconds until the last one was
    steady: float  # seconds between
    cpu: float  # CPU seconds between, of this process and all that it started
    memory: float  # MiB that a worker has resident at the end
    features: np.ndarray


def timed(means: Iterator[np.ndarray], count: int) -> Timing:
    """Take all groups and time them."""
    started, found = time.perf_counter(), []
    for group in means:
        found.append(group)
        if len(found) == 1:
            first, before = time.perf_counter() - started, cpu_seconds()
        if len(found) == count:
            whole, memory = time.perf_counter() - started, worker_memory()
            cpu = sum(seconds - before.get(process, 0.0) for process, seconds in cpu_seconds().items())
    return Timing(first, whole, whole - first, cpu, memory, np.concatenate(found))


def cpu_seconds() -> dict[int, float]:
    """Return the CPU time of this process and of all that it started and that are still there, by number."""
    own, found = psutil.Process(), {}
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    return found


def worker_memory() -> float:
    """Return the median resident MiB of the workers of a pool."""
    found = []
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        command = (process.info["cmdline"] or [""])[0]
        if command.startswith("ray::") and "MapWorker" in command:
            found.append(process.info["memory_info"].rss / 2**20)
    return median(found) if found else float("nan")


def told(name: str, runs: list[Timing], later: int, samples: int) -> None:
    """Print a row: medians over the runs."""
    rate, whole = median(later / run.steady for run in runs), median(samples / run.whole for run in runs)
    cpu, first = median(1e3 * run.cpu / later for run in runs), median(run.first for run in runs)
    memory = median(run.memory for run in runs)
    print(f"| {name} | {rate:.1f} | {whole:.1f} | {cpu:.2f} | {first:.1f} | {memory:.0f} |", flush=True)


def compare(bundle: Bundle, corpus: Corpus, turns: int, encoder: Encoder, opening: Callable | None) -> None:
    """Print what the three ways take, in turns; the first turn warms caches and is printed by itself."""
    groups = groups_of(corpus)
    ways: dict[str, tuple[int, Callable]] = {
        "one process": (1, partial(alone, encoder)),
        "Ray, 1 worker": (1, partial(under_ray, bundle, 1, opening)),
        "Ray, 2 workers": (2, partial(under_ray, bundle, 2, opening)),
    }
    found: dict[str, list[Timing]] = {name: [] for name in ways}
    expected = None
    print(f"{len(corpus):,} samples in {len(groups)} partitions; {turns} turns after one that warms up, medians")
    print("| way | steady, samples/s | with the pool's start | CPU ms per sample | first after, s | worker, MiB |")
    print("|---|---|---|---|---|---|")
    for turn in range(turns + 1):
        for name, (workers, way) in ways.items():
            run = timed(way(corpus, groups), len(groups))
            expected = run.features if expected is None else expected
            apart = float(np.abs(run.features - expected).max())
            if apart > 1e-5:
                raise SystemExit(f"{name}: the features differ by {apart}")
            later = sum(len(own) for group in groups[workers:] for own in group)
            if turn:
                found[name].append(run)
            told(f"{name}, turn {turn}", [run], later, len(corpus))
    for name, (workers, _) in ways.items():
        told(f"**{name}**", found[name], sum(len(own) for group in groups[workers:] for own in group), len(corpus))
    print(f"load {os.getloadavg()}")


def by_itself(folder: Path, bundle: Bundle) -> None:
    """Print the rates of what is done by one process however many workers there are."""
    started = time.perf_counter()
    with Corpus.open(folder) as corpus:
        opened = time.perf_counter() - started
        started = time.perf_counter()
        assert corpus.content_hash
        hashed = time.perf_counter() - started
        started = time.perf_counter()
        sent = pickle.dumps(corpus)
        pickle.loads(sent).close()
        moved = time.perf_counter() - started
        started = time.perf_counter()
        groups = groups_of(corpus)
        nothing = timed(alone(Nothing(bundle), corpus, groups), len(groups)).whole
        started = time.perf_counter()
        index_corpus(bundle, Nothing(bundle), corpus, folder.parent / "index", IndexSettings(table_bytes=0))
        rest = time.perf_counter() - started - nothing
        samples, entities = len(corpus), len(corpus.entities)
        print(f"{samples:,} samples of {entities:,} entities, one run:")
        print(f"opening {samples / opened:,.0f} samples/s; hashing {samples / hashed:,.0f} samples/s; ", end="")
        print(
            f"sent to a worker: {len(sent) / samples:.0f} bytes per sample, {samples / moved:,.0f} samples/s; ", end=""
        )
        print(f"rows, texts and names of the index: {entities / rest:,.0f} entities/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("part", choices=["encoding", "partitions", "alone"])
    parser.add_argument("--bundle", type=Path, default=bundle_path())
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--samples", type=int, default=2, help="Of each entity.")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_demo_corpus(folder / "demo")
        flags = sorted((folder / "demo").rglob("*.jpg"))[:200]
        made = make_corpus(folder / "made", 32 * options.groups, options.samples, flags)
        if options.part == "alone":
            by_itself(made, bundle)
            return
        started = time.perf_counter()
        with joined("local", 2, 60.0), Corpus.open(made) as corpus:
            print(f"Ray starts on this machine in {time.perf_counter() - started:.1f} s")
            if options.part == "encoding":
                compare(bundle, corpus, options.turns, OnnxEncoder(bundle, threads=1), None)
            else:
                compare(bundle, corpus, options.turns, Nothing(bundle), Nothing)


if __name__ == "__main__":
    main()
