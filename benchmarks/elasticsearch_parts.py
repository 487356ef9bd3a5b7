"""Measure what the parts of an index cost on a search server: room, and time of the lists that do not ask for them.

    python benchmarks/elasticsearch_parts.py [--url URL] [--entities 3000] [--width 768] [--rounds 40]

One made world, of which one entity in four has no picture, is indexed twice, with and without `modalities`. Each round
expands one set in every way over both, in turns; medians are divided by that of the index without them. Without --url a
server is started by the tests' launcher.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from elasticsearch_expansion import TableEncoder, server
from expansion import queries, world

from entity_expand import Expander, ExpandSettings
from entity_expand.bundle import write_bundle
from entity_expand.bundle.fakes import fake_content
from entity_expand.channels.fusion import ChannelWeights
from entity_expand.corpus import Corpus, OwnRow, write_corpus
from entity_expand.elastic.store import ElasticStore
from entity_expand.encoder import EncoderInput
from entity_expand.types import Entity, Float32
from indexer import ElasticSettings, IndexSettings, index_corpus, list_versions

NAMES = {False: "benchmark-parts-without", True: "benchmark-parts-with"}
VOICES = ChannelWeights(1.0, 0.0, 0.5, 0.5)
WAYS: dict[str, tuple[bool, Mapping[str, object]]] = {
    "both, index without": (False, {}),
    "both, index with": (True, {}),
    "text": (True, {"modality": "text"}),
    "picture": (True, {"modality": "picture"}),
    "hybrid of model and words, index without": (False, {"strategy": "hybrid"}),
    "hybrid of model and words, index with": (True, {"strategy": "hybrid"}),
    "hybrid of model, text and picture": (True, {"strategy": "hybrid", "settings": ExpandSettings(channels=VOICES)}),
}


class PathEncoder(TableEncoder):
    """Yields the feature of the entity whose number stands in the text, or in the name of the picture."""

    def encode(self, inputs: Sequence[EncoderInput]) -> Float32:
        """Return the features of the entities, (B, D)."""
        named = [
            each if each.text else EncoderInput(f"Entity {Path(str(each.image)).stem} .", (), None) for each in inputs
        ]
        return super().encode(named)


def indexed(folder: Path, url: str, size: int, width: int) -> None:
    """Index the world twice."""
    weight, bias, features = world(size, width)
    entities = [Entity(str(n), f"Entity {n}") for n in range(size)]
    content = fake_content(entities, width)
    content = type(content)(**{**{f: getattr(content, f) for f in content.__dataclass_fields__},
                               "head_weight": weight, "head_bias": bias})  # fmt: skip
    (folder / "corpus").mkdir()
    rows = []
    for n in range(size):
        (folder / "corpus" / f"{n}.png").write_bytes(b"no encoder reads this")
        text = f"Entity {n} is one of many, as its only sentence says of number {n}."
        rows.append(OwnRow(text, ((str(n), 0, len(f"Entity {n}")),), f"{n}.png" if n % 4 else None))
    write_corpus(folder / "corpus", entities, rows)
    bundle = write_bundle(folder / "bundle", content)
    with Corpus.open(folder / "corpus") as corpus:
        for kept, name in NAMES.items():
            index_corpus(
                bundle, PathEncoder(features), corpus, f"{url}/{name}", IndexSettings(late_fusion=0.2, modalities=kept),
                elastic=ElasticSettings(work=folder / "work"),
            )  # fmt: skip


def measured(url: str, asked: Sequence[Sequence[str]], cache_bytes: int | None, size: int) -> dict[str, float]:
    """Return the median milliseconds of each way, in turns."""
    options = {} if cache_bytes is None else {"cache_bytes": cache_bytes}
    opened = {kept: Expander(ElasticStore.open(f"{url}/{name}", **options)) for kept, name in NAMES.items()}
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    for turn, seeds in enumerate(asked):
        for again in (False, True):  # the first fills the cache, if there is one
            for name in [*WAYS][turn % len(WAYS) :] + [*WAYS][: turn % len(WAYS)]:
                kept, options_of = WAYS[name]
                begun = time.perf_counter()
                opened[kept].expand(seeds, size, **options_of)  # type: ignore[arg-type]
                if again:
                    taken[name].append(1e3 * (time.perf_counter() - begun))
    for each in opened.values():
        each.close()
    return {name: statistics.median(each) for name, each in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--url")
    parser.add_argument("--entities", type=int, default=3000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(args.url, Path(folder)) as url:
        indexed(Path(folder), url, args.entities, args.width)
        bytes_of = {kept: list_versions(f"{url}/{name}")[-1].bytes / args.entities for kept, name in NAMES.items()}
        print(f"bytes per entity: {bytes_of[False]:,.0f} without, {bytes_of[True]:,.0f} with, "
              f"{bytes_of[True] / bytes_of[False]:.2f} times")  # fmt: skip
        asked = [each for each in queries(args.entities, 8 * args.rounds) if all(int(n) % 4 for n in each)]
        for cache in (None, 0):
            found = measured(url, asked[: args.rounds], cache, args.size)
            usual = found["both, index without"]
            print(f"\n| {'warm' if cache is None else 'without a cache'} | ms | ratio |\n|---|---|---|")
            for name, value in found.items():
                print(f"| {name} | {value:.1f} | {value / usual:.2f} |")


if __name__ == "__main__":
    main()
