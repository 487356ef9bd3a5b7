"""Time loading an index by the project's loader beside the client's helpers.

    python benchmarks/elasticsearch_bulk.py OUT [--world 14489x768] [--repeats 3]
    python benchmarks/elasticsearch_bulk.py OUT --render docs/results/elasticsearch_bulk.md

Each load is a process of its own, so that its peak memory is its own: it makes the documents as they are needed, sends
them into a fresh index (flat vectors, no refresh, no replicas), and refreshes once. First every helper is tried with
several chunk sizes; then the best of each and the loader take turns. OUT as for `elasticsearch_recall.py`.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch import Elasticsearch, helpers
from elasticsearch_bench import Notes, Server, machine, put_into, server_at, table
from elasticsearch_worlds import World, kept_world

from entity_expand.elastic.address import parse_address
from entity_expand.elastic.bodies import VectorOptions, mapping
from entity_expand.elastic.connection import Connection
from entity_expand.elastic.documents import ROWS, Document, document, pack_rows, vector_text
from entity_expand.elastic.frame import Frame
from entity_expand.search.frame import PairFrame
from entity_expand.stores.base import Evidence, Record
from entity_expand.types import Entity
from indexer.elastic.bulk import Bulk, BulkReport
from indexer.elastic.documents import to_item
from indexer.settings import ElasticSettings

CHUNKS = (100, 300, 1_000, 3_000)
BLOCK = 1_024
TEXT = "It is one of many that are told of in sentences such as this one, and stands beside others of its kind. " * 8


@dataclass(frozen=True)
class Way:
    """A way of loading: "none", "streaming", "parallel" or "ours", and how."""

    name: str
    threads: int = 1
    packed: bool = True
    chunk: int = 0

    @property
    def title(self) -> str:
        """What the table calls it."""
        helper = {"none": "documents made, not sent", "streaming": "streaming_bulk", "ours": "the project's loader"}
        return helper.get(self.name, f"parallel_bulk, {self.threads} threads")


TRIED = (Way("streaming"), Way("parallel", 2), Way("parallel", 4))


def documents(world: World) -> Iterator[Document]:
    """Yield the documents of a world, made a block at a time as the indexer makes them."""
    frame = Frame(np.zeros(world.dimension), PairFrame(np.zeros(world.dimension + 1), 1.0))
    for start in range(0, len(world.rows), BLOCK):
        rows = world.rows.take(np.arange(start, min(start + BLOCK, len(world.rows))))
        vectors = frame.vectors(rows, ("head", "pair", "feature"))
        for number in range(len(rows)):
            place = start + number
            entity = Entity(f"Q{place}", f"Entity {place}", (f"The entity {place}",), {"kind": str(world.label[place])})
            evidence = (Evidence(f"Entity {place} is one of many.", ((0, 6),), f"images/{place}.jpg"),) * 3
            mine = {name: array[number] for name, array in vectors.items()}
            packed = {ROWS: pack_rows(rows, number)}
            yield document(place, Record(entity, True, 8, evidence), packed, TEXT, mine)


def actions(world: World, index: str, packed: bool) -> Iterator[dict[str, Any]]:
    """Yield what the helpers take."""
    for made in documents(world):
        vectors = {name: vector_text(v) if packed else v.tolist() for name, v in made.vectors.items()}
        yield {"_index": index, "_id": made.id, "_source": {**made.fields, **vectors}}


def by_helper(way: Way, url: str, index: str, world: World) -> int:
    """Load by a helper of the client; return how many documents were taken."""
    client = Elasticsearch(url, request_timeout=600)
    options: dict[str, Any] = {"chunk_size": way.chunk, "filter_path": "items.*.status,items.*.error"}
    source = actions(world, index, way.packed)
    if way.name == "streaming":
        done = helpers.streaming_bulk(client, source, **options)
    else:
        done = helpers.parallel_bulk(client, source, thread_count=way.threads, **options)
    return sum(ok for ok, _ in done)


def by_loader(way: Way, url: str, index: str, world: World) -> int:
    """Load by the project's loader with its defaults; return how many documents were taken."""
    settings = ElasticSettings()
    with Connection(parse_address(f"{url}/{index}")) as connection, tempfile.TemporaryDirectory() as folder:
        bulk = Bulk(
            connection,
            index,
            chunk_bytes=settings.chunk_bytes,
            in_flight=settings.in_flight,
            patience=settings.patience,
            source=random.Random(0),
            check=lambda: None,
        )
        items = (to_item(made, way.packed) for made in documents(world))
        report: BulkReport = bulk.load(items, Path(folder) / "dead", len(world.rows))
    return report.accepted


def one(way: Way, url: str, index: str, world: World) -> dict[str, Any]:
    """Load once, in this process; return seconds, those of this process's processor, and peak memory."""
    before, begun, used = peak_mib(), time.perf_counter(), time.process_time()
    if way.name == "none":
        taken = sum(1 for _ in documents(world))
    else:
        taken = (by_loader if way.name == "ours" else by_helper)(way, url, index, world)
        Server(url).call("POST", f"/{index}/_refresh")
    seconds = time.perf_counter() - begun
    if taken != len(world.rows):
        raise RuntimeError(f"{way}: {taken} of {len(world.rows)} documents were taken.")
    return {
        "seconds": round(seconds, 2),
        "own_seconds": round(time.process_time() - used, 2),
        "peak_mib": peak_mib(),
        "before_mib": before,
    }


def peak_mib() -> int:
    """Return the most memory that this process has held."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) >> 10


def in_a_process(way: Way, url: str, index: str, out: Path, world: tuple[int, int]) -> dict[str, Any]:
    """Load once in a process of its own into a fresh index."""
    server = Server(url)
    server.drop(index)
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1}
    server.call("PUT", f"/{index}", {"settings": settings, "mappings": mapping(world[1], VectorOptions("flat"))})
    told = json.dumps({"way": vars(way), "url": url, "index": index, "world": world})
    output = subprocess.run([sys.executable, __file__, str(out), "--one", told], check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(output.stdout.splitlines()[-1])
    if way.name != "none" and server.call("GET", f"/{index}/_count")["count"] != world[0]:
        raise RuntimeError(f"{way} did not load all.")
    server.drop(index)
    return found


def measure(notes: Notes, url: str, out: Path, world: tuple[int, int], repeats: int) -> None:
    """Try chunk sizes, then let the ways take turns, forward and backward."""
    kept_world(out, *world)
    run, label = len(notes.select(part="machine")), f"{world[0]}x{world[1]}"
    in_a_process(Way("streaming", chunk=300), url, "bench-bulk", out, world)  # warms the server
    best = []
    for way in TRIED:
        rates = {}
        for chunk in CHUNKS:
            tried = Way(way.name, way.threads, True, chunk)
            found = in_a_process(tried, url, "bench-bulk", out, world)
            rates[chunk] = found["seconds"]
            notes.add(part="chunk", run=run, world=label, way=vars(tried), **found)
        best.append(min(rates, key=lambda chunk: rates[chunk]))
    ways = [Way("none")]
    for packed in (True, False):
        ways += [Way(way.name, way.threads, packed, chunk) for way, chunk in zip(TRIED, best, strict=True)]
        ways.append(Way("ours", ElasticSettings().in_flight, packed))
    for turn in range(repeats):
        for way in ways if turn % 2 == 0 else ways[::-1]:
            found = in_a_process(way, url, "bench-bulk", out, world)
            notes.add(part="turn", run=run, turn=turn, world=label, way=vars(way), **found)


def rendered(notes: Notes) -> str:
    """Return the tables of the result page, of the latest run."""
    run = max(row["run"] for row in notes.select(part="turn"))
    total = int(notes.select(part="turn", run=run)[0]["world"].split("x")[0])
    chunks: dict[str, dict[int, float]] = collections.defaultdict(dict)
    for row in notes.select(part="chunk", run=run):
        chunks[Way(**row["way"]).title][row["way"]["chunk"]] = row["seconds"]
    tried = [[name, *(found[chunk] for chunk in CHUNKS)] for name, found in chunks.items()]
    turns: dict[Way, list[dict[str, Any]]] = collections.defaultdict(list)
    for row in notes.select(part="turn", run=run):
        turns[Way(**row["way"])].append(row)
    seconds = {way: statistics.median(row["seconds"] for row in found) for way, found in turns.items()}
    rows = []
    for way, found in turns.items():
        helpers_ = [seconds[other] for other in turns if other.name in ("streaming", "parallel")]
        span = f"{min(row['seconds'] for row in found):.1f} to {max(row['seconds'] for row in found):.1f}"
        own, peak = (statistics.median(row[name] for row in found) for name in ("own_seconds", "peak_mib"))
        sent = way.name != "none"
        rows.append(
            [
                way.title + (f", chunks of {way.chunk}" if way.chunk else ""),
                ("base64" if way.packed else "lists") if sent else "-",
                f"{seconds[way]:.1f}",
                span,
                f"{total / seconds[way]:,.0f}" if sent else "-",
                f"{min(helpers_) / seconds[way]:.2f}" if sent else "-",
                f"{own:.1f}",
                f"{peak:.0f}",
            ]
        )
    heads = [
        "load",
        "vectors",
        "s, median",
        "s, all",
        "documents / s",
        "rate / best helper's",
        "client's CPU s",
        "peak MiB",
    ]
    first = "Seconds by documents in a chunk, vectors as base64, one run each:"
    used = notes.select(part="machine")[-1]["machine"]
    return "\n\n".join([first, table(["", *CHUNKS], tried), "In turns:", table(heads, rows), f"Run on: {used}"])


def main() -> None:
    """Measure, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--world", default="14489x768")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--url")
    parser.add_argument("--heap", default="3g")
    parser.add_argument("--one", help="for the processes that this one starts")
    parser.add_argument("--render", type=Path, help="a page whose tables are to be replaced; nothing is measured")
    args = parser.parse_args()
    if args.one:
        told = json.loads(args.one)
        world = kept_world(args.out, *told["world"])
        print(json.dumps(one(Way(**told["way"]), told["url"], told["index"], world)))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    notes = Notes(args.out / "bulk.jsonl")
    if args.render:
        put_into(args.render, rendered(notes))
        return
    size, dimension = (int(part) for part in args.world.split("x"))
    with server_at(args.url, args.out / "node-bulk", args.heap) as url:
        notes.add(part="machine", machine=machine(url))
        measure(notes, url, args.out, (size, dimension), args.repeats)
    print(rendered(notes))


if __name__ == "__main__":
    main()
