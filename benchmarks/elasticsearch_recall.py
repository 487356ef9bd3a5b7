"""Measure what each way of keeping vectors in Elasticsearch finds, costs and weighs.

    python benchmarks/elasticsearch_recall.py OUT [--part recall variants ...] [--world 14489x768 ...]
    python benchmarks/elasticsearch_recall.py OUT --render docs/results/elasticsearch_recall.md

OUT keeps the made worlds, the server's data and the results, one JSON object per line; a run that was ended goes on
where it stood. To measure something again, delete its lines. `--url` names a server instead of one started on OUT.
`--field head` leaves the pair field, and with it all of both directions, out: a graph over it takes long at 200,000.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticsearch_bench import Notes, Server, machine, put_into, server_at
from elasticsearch_measures import build, measure_expansions, measure_latency, measure_recall
from elasticsearch_queries import (
    EXPANSIONS,
    LIST,
    POOL,
    QUERIES,
    Asked,
    Effort,
    LocalReader,
    Pair,
    asked_of,
    exact_lists,
    searching,
    seeds_of,
)
from elasticsearch_tables import CLIENTS, name_of, rendered
from elasticsearch_variants import variants_of
from elasticsearch_worlds import World, kept_world, shape_of, statistics_of

from entity_expand.elastic.bodies import VectorOptions, mapping
from entity_expand.elastic.documents import padded
from entity_expand.stores.base import VectorField

OPTIONS = (
    VectorOptions("flat"),
    VectorOptions("hnsw"),
    VectorOptions("flat", "bfloat16"),
    VectorOptions("int8_flat"),
    VectorOptions("bbq_flat"),
    VectorOptions("bbq_hnsw"),
    VectorOptions("int8_hnsw"),
    VectorOptions("hnsw", "bfloat16"),
)


def efforts(option: VectorOptions, expanding: bool) -> list[Effort]:
    """Return the efforts to try, fewer for whole expansions."""
    graph, bits = option.method.endswith("hnsw"), option.quantised
    if expanding and bits:
        tried = {
            "int8_flat": [(1, 0), (1, 2)],
            "int8_hnsw": [(1, 0), (1, 2), (2, 2)],
            "bbq_flat": [(1, 0), (1, 2), (1, 4)],
            "bbq_hnsw": [(2, 0), (1, 4), (2, 4)],
        }
        return [Effort(POOL, multiple, rescore or None) for multiple, rescore in tried[option.method]]
    if expanding:
        return [Effort(POOL, m) for m in ((1, 2, 4) if graph else (1,))]
    if bits:
        return [Effort(POOL, m, rescore) for rescore in (None, 2, 4) for m in ((1, 2) if graph else (1,))]
    sizes = (LIST, POOL) if option.method == "hnsw" and option.element_type == "float" else (POOL,)
    return [Effort(size, m) for size in sizes for m in ((1, 2, 4) if graph else (1,))]


@dataclass(frozen=True)
class Run:
    """A world on a server.

    Attributes:
        notes: Where results go.
        server: The server.
        world: The world.
        label: Its name.
        folder: Where things are kept.
        options: The options to try.
        fields: The fields that the indices have.
        queries: How many queries of each kind.
        expansions: How many whole expansions.
    """

    notes: Notes
    server: Server
    world: World
    label: str
    folder: Path
    options: Sequence[VectorOptions]
    fields: tuple[VectorField, ...]
    queries: int
    expansions: int

    @property
    def directions(self) -> tuple[float, ...]:
        """The values of λ that the fields serve."""
        return (0.0, 1.0) if "pair" in self.fields else (0.0,)

    def asked(self, changed: bool = True) -> list[Asked]:
        """Return the queries."""
        return asked_of(self.world, self.queries, "pair" in self.fields, changed)

    def key(self, part: str, option: VectorOptions | None = None, **more: Any) -> dict[str, Any]:
        """Return what a result is known by."""
        return {"part": part, "world": self.label, **({"option": name_of(option)} if option else {}), **more}

    def note(self, key: dict[str, Any], measured: Callable[[], dict[str, Any]]) -> None:
        """Measure unless there is a result."""
        if not self.notes.has(**key):
            self.notes.add(**key, **measured())

    def ready(self, option: VectorOptions) -> str:
        """Return the name of the index of an option, filled if it is not there."""
        key, world = self.key("index", option), self.world
        index = f"bench-{self.label}-{name_of(option).replace(' ', '-')}"
        if not self.notes.has(**key) or not self.server.exists(index):
            fields = {"head": padded(world.rows.head)}
            if "pair" in self.fields:
                fields["pair"] = padded(Pair.of(world).stored(world))
            body = mapping(world.dimension, VectorOptions(option.method, option.element_type, None, self.fields))
            self.notes.add(**key, **build(self.server, index, body, fields))
        return index

    def expanding(self, index: str, effort: Effort, both: float) -> dict[str, Any]:
        """Measure whole expansions."""
        reader = LocalReader(self.world, False, searching(self.server, index, effort, Pair.of(self.world)))
        return measure_expansions(reader, seeds_of(self.world, self.expansions), both, self.exact(both))

    def exact(self, both: float) -> list[list[int]]:
        """Return the lists that exact searches give."""
        return exact_lists(self.folder, self.world, self.label, both, self.expansions)


def recall_part(run: Run) -> None:
    """Measure the recall of every option."""
    asked = run.asked()
    for option in run.options:
        index = run.ready(option)
        for effort, queries in itertools.product(efforts(option, expanding=False), asked):
            if name_of(option) == "hnsw" or not queries.kind.startswith("pair for"):
                key = run.key("recall", option, kind=queries.kind, **effort.key())
                run.note(key, functools.partial(measure_recall, run.server, index, queries, effort))


def fetches_part(run: Run) -> None:
    """Measure what fewer fetches do to expansions that search exactly, in memory."""
    reader = LocalReader(run.world, True)
    for both, limit in itertools.product(run.directions, (1, 2, 3, 4)):
        asked = seeds_of(run.world, run.expansions)
        key = run.key("fetches", both=both, limit=limit)
        run.note(key, functools.partial(measure_expansions, reader, asked, both, run.exact(both), limit))


def expansions_part(run: Run) -> None:
    """Measure whole expansions of every option."""
    for both, option in itertools.product(run.directions, run.options):
        index = run.ready(option)
        for effort in efforts(option, expanding=True):
            key = run.key("expansions", option, both=both, **effort.key())
            run.note(key, functools.partial(run.expanding, index, effort, both))


def latency_part(run: Run) -> None:
    """Measure the time of bare requests of every option."""
    asked = [queries for queries in run.asked() if queries.kind in ("head 3", "pair 3")]
    for option in run.options:
        index = run.ready(option)
        for effort in efforts(option, expanding=True):
            for queries, clients in itertools.product(asked, (1, CLIENTS)):
                key = run.key("latency", option, field=queries.field, clients=clients, **effort.key())
                run.note(key, functools.partial(measure_latency, run.server.url, index, queries, effort, clients))


def times_part(run: Run) -> None:
    """Measure the time of whole expansions of every option."""
    for option in run.options:
        index = run.ready(option)
        for effort in efforts(option, expanding=True):
            key = run.key("times", option, both=0.0, **effort.key())
            run.note(key, functools.partial(run.expanding, index, effort, 0.0))


def variants_part(run: Run) -> None:
    """Measure the recall of graphs over the same vectors stored in other ways, each in an index of its own."""
    asked = run.asked(changed=False)
    for name, (field, similarity, changed) in variants_of(run.world).items():
        key = run.key("variants", variant=name, method="hnsw")
        index = f"bench-{run.label}-variant"
        if run.notes.has(**key, done=True):
            continue
        queries = [each for each in asked if each.field == field]
        vectors = padded(changed(queries[0].vectors)[0])
        vector = {"type": "dense_vector", "dims": vectors.shape[1], "similarity": similarity, "index": True}
        properties = {"place": {"type": "long"}, field: {**vector, "index_options": {"type": "hnsw"}}}
        cost = build(run.server, index, {"dynamic": "strict", "properties": properties}, {field: vectors})
        for each, multiple in itertools.product(queries, (1.0, 2.0, 4.0)):
            shown = Asked(each.kind, field, each.members, changed(each.vectors)[1], each.truth)
            effort = Effort(LIST, multiple)
            found = measure_recall(run.server, index, shown, effort)
            run.notes.add(**key, kind=each.kind, **effort.key(), **found)
        run.notes.add(**key, done=True, **cost)
        run.server.drop(index)


PARTS = {
    "recall": recall_part,
    "variants": variants_part,
    "fetches": fetches_part,
    "expansions": expansions_part,
    "latency": latency_part,
    "times": times_part,
}


def main() -> None:
    """Measure, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--world", nargs="+", default=["14489x768", "200000x384"])
    parser.add_argument("--option", nargs="+", help='only these, such as "hnsw bfloat16"')
    parser.add_argument("--field", nargs="+", choices=["head", "pair"], default=["head", "pair"])
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--expansions", type=int, default=EXPANSIONS)
    parser.add_argument("--url")
    parser.add_argument("--heap", default="3g")
    parser.add_argument("--render", type=Path, help="a page whose tables are to be replaced; nothing is measured")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    notes = Notes(args.out / "results.jsonl")
    if args.render:
        put_into(args.render, rendered(notes))
        return
    options = [option for option in OPTIONS if not args.option or name_of(option) in args.option]
    with server_at(args.url, args.out / "node", args.heap) as url:
        notes.add(part="machine", machine=machine(url), parts=args.part)
        for label in args.world:
            world = kept_world(args.out, *shape_of(label))
            if not notes.has(part="shape", world=label):
                notes.add(part="shape", world=label, statistics=statistics_of(world.rows))
            for part in args.part:
                server, fields = Server(url), tuple(args.field)
                run = Run(notes, server, world, label, args.out, options, fields, args.queries, args.expansions)
                PARTS[part](run)


if __name__ == "__main__":
    main()
