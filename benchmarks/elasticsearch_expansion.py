"""Time whole expansions on Elasticsearch beside one bare kNN request, and say where the time goes.

    python benchmarks/elasticsearch_expansion.py [--url URL] [--entities 14489] [--width 768] [--out docs/results/...]

The same content is indexed into a folder and into the server; every list is compared with the embedded store's.
Without --url a server is started by the tests' launcher.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).parent)]

from expansion import queries, world  # noqa: E402

from entity_expand import Expander, ExpandSettings  # noqa: E402
from entity_expand.bundle import Bundle, write_bundle  # noqa: E402
from entity_expand.bundle.fakes import fake_content  # noqa: E402
from entity_expand.corpus import Corpus, OwnRow, write_corpus  # noqa: E402
from entity_expand.elastic.address import parse_address  # noqa: E402
from entity_expand.elastic.bodies import VectorOptions  # noqa: E402
from entity_expand.elastic.connection import Call, Connection, Deadline  # noqa: E402
from entity_expand.elastic.documents import padded  # noqa: E402
from entity_expand.elastic.store import ElasticStore  # noqa: E402
from entity_expand.encoder import EncoderInput  # noqa: E402
from entity_expand.types import Entity, Float32  # noqa: E402
from indexer import index_corpus  # noqa: E402
from indexer.settings import ElasticSettings, IndexSettings  # noqa: E402

LENGTH, SENTENCES = 100, 3


class TableEncoder:
    """Yields the feature of the entity whose number stands in the text."""

    def __init__(self, features: Float32) -> None:
        self._features = features
        self.dimension = features.shape[1]

    def encode(self, inputs: Sequence[EncoderInput]) -> Float32:
        """Return the features of the entities that the texts name, (B, D)."""
        numbers = [int(each.text.split()[1]) for each in inputs]
        rows: Float32 = self._features[numbers]
        return rows


def make(folder: Path, size: int, width: int) -> tuple[Bundle, TableEncoder, Path]:
    """Write a bundle and a corpus of a world."""
    weight, bias, features = world(size, width)
    entities = [Entity(str(n), f"Entity {n}") for n in range(size)]
    content = fake_content(entities, width)
    content = type(content)(**{**{f: getattr(content, f) for f in content.__dataclass_fields__},
                               "head_weight": weight, "head_bias": bias})  # fmt: skip
    rows = (
        OwnRow(f"Entity {n} is one of many, as sentence {turn} says.", ((str(n), 0, len(f"Entity {n}")),))
        for n in range(size)
        for turn in range(SENTENCES)
    )
    write_corpus(folder / "corpus", entities, rows)
    return write_bundle(folder / "bundle", content), TableEncoder(features), folder / "corpus"


@contextlib.contextmanager
def server(url: str | None, folder: Path) -> Iterator[str]:
    if url is not None:
        yield url
        return
    from servers.elasticsearch_node import Node

    with Node(folder / "node", heap="2g") as node:
        yield node.url


class Meter:
    """Counts the calls of a connection, and the time that the server says it took."""

    def __init__(self, connection: Connection) -> None:
        self._send = connection.send
        connection.send = self.send  # type: ignore[method-assign]
        self.reset()

    def reset(self) -> None:
        """Begin to count anew."""
        self.calls, self.waited, self.took = 0, 0.0, 0.0

    def send(self, call: Call, deadline: Deadline) -> Any:
        """Send a call and take note of it."""
        begun = time.perf_counter()
        answer = self._send(call, deadline)
        self.waited += 1e3 * (time.perf_counter() - begun)
        self.took += answer.body.get("took", 0) if isinstance(answer.body, dict) else 0
        self.calls += 1
        return answer


def bare(connection: Connection, index: str, field: str, query: np.ndarray, k: int) -> None:
    """Send the kNN request that anyone would write."""
    section = {"field": field, "query_vector": padded(query).tolist(), "k": k, "num_candidates": k}
    body = {"knn": section, "size": k, "_source": False}
    answer = connection.send(Call("POST", f"/{index}/_search", body), Deadline.after(10))
    if len(answer.body["hits"]["hits"]) != k:
        raise SystemExit(f"the bare request found {len(answer.body['hits']['hits'])} of {k}")


def milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun)


def measured(address: str, root: Path, size: int, settings: ExpandSettings, runs: int) -> dict[str, object]:
    """Take turns with bare requests, warm and cold expansions, and compare the lists with the embedded store's."""
    asked, field = queries(size, runs), "pair" if settings.both_directions else "head"
    where, k = parse_address(address), settings.pool_size
    warm, cold = ElasticStore.open(address), ElasticStore.open(address, cache_bytes=0)
    meter, plain = Meter(warm._connection), Connection(where)
    times: dict[str, list[float]] = {name: [] for name in ("bare", "warm", "cold", "embedded", "waited", "took")}
    calls, fetches, alike, exact = [], [], 0, 0
    with Expander.open(root) as embedded:
        rows = embedded.store.begin().answer([_rows(size)])[0]  # type: ignore[attr-defined]
        for seeds in asked:  # fills the cache, warms both sides
            Expander(warm).expand(seeds, LENGTH, settings=settings)
        for seeds in asked:
            places = np.array([int(seed) for seed in seeds])
            query = rows.scaled[places].sum(axis=0, dtype=np.float64)
            if field == "pair":
                query = np.concatenate([query, settings.both_directions * rows.head[places].sum(axis=0)])
            times["bare"].append(milliseconds(lambda q=query: bare(plain, where.index, field, q, k)))
            meter.reset()
            begun = time.perf_counter()
            found = Expander(warm).expand(seeds, LENGTH, settings=settings)
            times["warm"].append(1e3 * (time.perf_counter() - begun))
            times["waited"].append(meter.waited)
            times["took"].append(meter.took)
            calls.append(meter.calls)
            fetches.append(found.fetches)
            times["cold"].append(milliseconds(lambda s=seeds: Expander(cold).expand(s, LENGTH, settings=settings)))
            begun = time.perf_counter()
            expected = embedded.expand(seeds, LENGTH, settings=settings)
            times["embedded"].append(1e3 * (time.perf_counter() - begun))
            alike += found.ids == expected.ids
            exact += found.exact
    for store in (warm, cold):
        store.close()
    plain.close()
    p50 = {name: statistics.median(values) for name, values in times.items()}
    return {
        "both_directions": settings.both_directions, "pool_size": k, "runs": len(asked),
        "lists_alike": alike, "certified": exact,
        "fetches_median": statistics.median(fetches), "fetches_most": max(fetches),
        "requests_median": statistics.median(calls),
        "bare_knn_ms": p50["bare"], "warm_ms": p50["warm"], "cold_ms": p50["cold"], "embedded_ms": p50["embedded"],
        "warm_p95_ms": sorted(times["warm"])[int(0.95 * len(asked))],
        "ratio_warm": p50["warm"] / p50["bare"], "ratio_cold": p50["cold"] / p50["bare"],
        "server_ms": p50["took"], "transfer_ms": p50["waited"] - p50["took"], "local_ms": p50["warm"] - p50["waited"],
    }  # fmt: skip


def _rows(size: int) -> object:
    from entity_expand.stores.base import Rows

    return Rows(np.arange(size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url")
    parser.add_argument("--entities", type=int, default=14_489)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--pools", type=int, nargs="+", default=[400])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name, server(arguments.url, Path(name)) as url:
        folder = Path(name)
        bundle, encoder, corpus = make(folder, arguments.entities, arguments.width)
        address = f"{url}/benchmark-expansion"
        with Corpus.open(corpus) as opened:
            index_corpus(bundle, encoder, opened, folder / "index")
            elastic = ElasticSettings(vectors=VectorOptions(), work=folder / "work")
            index_corpus(bundle, encoder, opened, address, IndexSettings(), elastic=elastic)
        for weight in (0.0, 1.0):
            for pool in arguments.pools:
                settings = ExpandSettings(both_directions=weight, pool_size=pool)
                results.append(measured(address, folder / "index", arguments.entities, settings, arguments.runs))
                print(json.dumps(results[-1]), flush=True)
    if arguments.out is not None:
        about = {"machine": platform.platform(), "entities": arguments.entities, "width": arguments.width}
        arguments.out.write_text(json.dumps({**about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
