"""Time the encoding of a corpus by one process and by Ray Data with one and two workers, side by side.

    python benchmarks/ray_encoding.py {encoding,partitions,alone} [--bundle FOLDER] [--turns 3] [--groups 8]

The corpus is made for it: made-up entities, in groups of 32, with some sentences and one of the demo's flags each. The
encoder has one thread in every process. `encoding` compares the rates; `partitions` times what a partition costs beside
encoding, by an encoder that does nothing; `alone` times what the indexer does by itself however many workers there are.
"""

import argparse
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
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


def timed(means: Iterator[np.ndarray]) -> tuple[list[float], np.ndarray]:
    """Return the seconds after which each group was there, and all features."""
    started, seconds, found = time.perf_counter(), [], []
    for group in means:
        seconds.append(time.perf_counter() - started)
        found.append(group)
    return seconds, np.concatenate(found)


def worker_memory() -> float:
    """Return the median resident MiB of the workers of a pool."""
    found = []
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        command = (process.info["cmdline"] or [""])[0]
        if command.startswith("ray::") and "MapWorker" in command:
            found.append(process.info["memory_info"].rss / 2**20)
    return median(found) if found else float("nan")


def encoding(bundle: Bundle, corpus: Corpus, turns: int) -> None:
    """Print the rates of the three ways, in turns."""
    groups, encoder = groups_of(corpus), OnnxEncoder(bundle, threads=1)
    ways = {
        "one process": (1, partial(alone, encoder)),
        "Ray, 1 worker": (1, partial(under_ray, bundle, 1, None)),
        "Ray, 2 workers": (2, partial(under_ray, bundle, 2, None)),
    }
    steady: dict[str, list[float]] = {name: [] for name in ways}
    whole: dict[str, list[float]] = {name: [] for name in ways}
    begin: dict[str, list[float]] = {name: [] for name in ways}
    expected = None
    for turn in range(turns + 1):
        for name, (workers, way) in ways.items():
            seconds, features = timed(way(corpus, groups))
            expected = features if expected is None else expected
            apart = float(np.abs(features - expected).max())
            if apart > 1e-5:
                raise SystemExit(f"{name}: the features differ by {apart}")
            if turn:  # the first one warms caches
                later = sum(len(own) for group in groups[workers:] for own in group)
                steady[name].append(later / (seconds[-1] - seconds[0]))
                whole[name].append(len(corpus) / seconds[-1])
                begin[name].append(seconds[0])
    base = {kind: median(found["one process"]) for kind, found in (("steady", steady), ("whole", whole))}
    print(
        f"{len(corpus):,} samples in {len(groups)} partitions; {turns} turns, medians (range); load {os.getloadavg()}"
    )
    print("| way | steady, samples/s | ratio | with the start of the pool | ratio | first partition after |")
    print("|---|---|---|---|---|---|")
    for name in ways:
        rate, all_of_it = median(steady[name]), median(whole[name])
        print(
            f"| {name} | {rate:.0f} ({min(steady[name]):.0f}-{max(steady[name]):.0f}) | {rate / base['steady']:.2f} "
            f"| {all_of_it:.0f} | {all_of_it / base['whole']:.2f} | {median(begin[name]):.1f} s |"
        )


def overhead(bundle: Bundle, corpus: Corpus, turns: int) -> None:
    """Print what a partition costs beside encoding."""
    groups, found = groups_of(corpus), {1: [], 2: []}
    memory, here = [], []
    for _ in range(turns):
        here.append(timed(alone(Nothing(bundle), corpus, groups))[0][-1] / len(groups))
        for workers, each in found.items():
            means = under_ray(bundle, workers, Nothing, corpus, groups)
            seconds = []
            for _ in means:
                seconds.append(time.perf_counter())
                if len(seconds) == len(groups) // 2:
                    memory.append(worker_memory())
            each.append((seconds[-1] - seconds[workers - 1]) / (len(groups) - workers))
    print(f"{len(groups)} partitions of {len(corpus) // len(groups)} samples, encoded by nothing, ms per partition:")
    print(f"one process {1e3 * median(here):.1f}, Ray with 1 worker {1e3 * median(found[1]):.1f}, with 2 ", end="")
    print(f"{1e3 * median(found[2]):.1f}; a worker without a model has {median(memory):.0f} MiB")


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
        index_corpus(bundle, Nothing(bundle), corpus, folder.parent / "index", IndexSettings(table_bytes=0))
        rest = time.perf_counter() - started - timed(alone(Nothing(bundle), corpus, groups_of(corpus)))[0][-1]
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
            (encoding if options.part == "encoding" else overhead)(bundle, corpus, options.turns)


if __name__ == "__main__":
    main()
