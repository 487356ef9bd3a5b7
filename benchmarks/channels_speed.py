"""Time "hybrid" beside the model alone over an index folder of random rows and words, and measure the file of words.

python benchmarks/channels_speed.py [--size 14489] [--width 384] [--words 400]
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from expansion import blocks, queries, world

from entity_expand import Expander
from entity_expand._version import __version__
from entity_expand.stores.base import IndexMeta, Record
from entity_expand.stores.memory import WORDS
from entity_expand.stores.writing import use_version, write_version
from entity_expand.types import Entity

VOCABULARY = 50_000


def sentences(size: int, words: int) -> Iterator[str]:
    """Yield texts of words as frequent as words are: the r-th in proportion to 1 / r."""
    shares = 1 / np.arange(1, VOCABULARY + 1)
    random, total = np.random.default_rng(3), np.cumsum(shares) / shares.sum()
    for _ in range(size):
        yield " ".join(f"w{number}" for number in np.searchsorted(total, random.random(words)))


def seconds(expander: Expander, seeds: list[list[str]], strategy: str) -> float:
    """Return the median time of an expansion."""
    times = []
    for each in seeds:
        begun = time.perf_counter()
        expander.expand(each, 100, strategy=strategy)
        times.append(time.perf_counter() - begun)
    return median(times[len(times) // 4 :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--size", type=int, default=14_489)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--words", type=int, default=400)
    args = parser.parse_args()
    size = args.size
    with tempfile.TemporaryDirectory() as folder:
        root, meta = Path(folder), IndexMeta("0", "0", folder, "both", None, "", args.width, *[size] * 4, __version__)
        (root / "filled").mkdir()
        shown = (Record(Entity(str(n), f"Entity {n}"), True, 8, ()) for n in range(size))
        rows = blocks(*world(size, args.width))
        write_version(root / "filled", meta, rows, shown, 0, sentences(size, args.words))
        print(f"{size:,} entities of {args.words} words: {(root / 'filled' / WORDS).stat().st_size / 2**20:.0f} MiB")
        use_version(root, root / "filled", "benchmark")
        seeds = queries(size, 40)
        with Expander.open(root) as expander:
            for _ in range(2):
                model, hybrid = (seconds(expander, seeds, strategy) for strategy in ("mean", "hybrid"))
                print(
                    f"mean {1e3 * model:.1f} ms, hybrid {1e3 * hybrid:.1f} ms, {hybrid / model:.2f} times", flush=True
                )


if __name__ == "__main__":
    main()
