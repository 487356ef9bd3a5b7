"""The tables of the result page of `elasticsearch_recall.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elasticsearch_bench import Notes, table
from elasticsearch_queries import LIST, POOL, Effort
from elasticsearch_worlds import shape_of

from entity_expand.elastic.bodies import VectorOptions

CLIENTS = 8


def name_of(option: VectorOptions) -> str:
    """Return "hnsw" or "hnsw bfloat16"."""
    return option.method + ("" if option.element_type == "float" else " bfloat16")


def rendered(notes: Notes) -> str:
    """Return the tables of the result page."""
    worlds = list(dict.fromkeys(row["world"] for row in notes.found if "world" in row))
    machines = [f"- {row['machine']}: {', '.join(row['parts'])}" for row in notes.select(part="machine")]
    texts = ["## The worlds", _shape_table(notes, worlds)]
    texts += [text for world in worlds for text in _world_tables(notes, world)]
    return "\n\n".join([*texts, "## Runs", "\n".join(dict.fromkeys(machines))])


def _shape_table(notes: Notes, worlds: Sequence[str]) -> str:
    found = {world: notes.select(part="shape", world=world)[-1]["statistics"] for world in worlds}
    rows = [[name, *(found[world][name] for world in worlds)] for name in next(iter(found.values()))]
    return table(["", *worlds], rows)


def _effort(row: dict[str, Any]) -> str:
    graph = "hnsw" in row.get("option", row.get("method", ""))
    parts = [f"{row['candidates']:g} k"] if graph else []
    return ", ".join([*parts, *([f"rescore {row['rescore']:g}"] if row["rescore"] else [])]) or "-"


def _pairs(row: dict[str, Any], name: str) -> str:
    return " / ".join(f"{value:.3f}" for value in row[name]) if name in row else "-"


def _world_tables(notes: Notes, world: str) -> list[str]:
    built = notes.select(part="index", world=world)
    costs = [[row["option"], row["mib"], row["load_s"], row["merge_s"]] for row in built]
    size, dimension, _ = shape_of(world)
    texts = [f"## {size:,} entities, D = {dimension}"]
    if costs:
        texts.append(f"Building, with {' and '.join(built[-1]['fields'])}:")
        texts.append(table(["option", "MiB", "loading s", "merging s"], costs))
    for asked in (LIST, POOL):
        texts += _recall_table(notes, world, asked)
    runs = []
    for row in notes.select(part="expansions", world=world, both=0.0):
        same = {name: row[name] for name in ("part", "world", "option", *Effort().key())}
        also = notes.select(**same, both=1.0)
        cells = [f"{_pairs(each, 'overlap')}, {each['alike']}, {each['fetches']:.1f}" for each in (row, *also)]
        runs.append([row["option"], _effort(row), *cells])
    if runs:
        texts.append("Whole expansions: share of the exact list, mean / 5th percentile; lists wholly alike; fetches:")
        texts.append(table(["option", "effort", "λ = 0", "λ = 1"], runs))
    limits = []
    for row in notes.select(part="fetches", world=world, both=0.0):
        also = notes.select(part="fetches", world=world, both=1.0, limit=row["limit"])
        limits.append([row["limit"], *(f"{_pairs(each, 'overlap')}, {each['alike']}" for each in (row, *also))])
    if limits:
        texts.append("Exact searches, but no more than so many fetches; share of the exact list, lists wholly alike:")
        texts.append(table(["fetches", "λ = 0", "λ = 1"], limits))
    texts += _latency_table(notes, world)
    variants = []
    for row in notes.select(part="variants", world=world, done=True):
        mine = notes.select(part="variants", world=world, variant=row["variant"], method=row["method"])
        for asked in ("head", "pair", "pair for head"):
            kinds = [f"{asked} {count}" for count in (3, 30)]
            cells = [_pairs(each, "recall_100") for kind in kinds for each in mine if each.get("kind") == kind]
            if cells:
                variants.append([row["variant"], row["method"], "λ = 1" if asked == "pair" else "λ = 0", *cells])
    if variants:
        heads = [f"{count} members, {m:g} k" for count in (3, 30) for m in (1, 2, 4)]
        texts.append("Other ways of storing, each in an index of its own, k = 100; recall@100:")
        texts.append(table(["stored as", "method", "asked", *heads], variants))
    return texts


def _recall_table(notes: Notes, world: str, size: int) -> list[str]:
    kinds = ["head 3", "head 30", "pair 3", "pair 30", "pair for head 3", "pair for head 30"]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in notes.select(part="recall", world=world, k=size):
        rows.setdefault((row["option"], _effort(row)), {})[row["kind"]] = _pairs(row, "recall_100")
    if not rows:
        return []
    body = [[*key, *(found.get(kind, "-") for kind in kinds)] for key, found in rows.items()]
    return ["Recall@100, mean / 5th percentile:", table([f"k = {size}", "effort", *kinds], body)]


def _latency_table(notes: Notes, world: str) -> list[str]:
    rows = []
    for one in notes.select(part="latency", world=world, field="head", clients=1):
        same = {name: one[name] for name in ("world", "option", *Effort().key())}
        cells = []
        for field, clients in (("head", 1), ("head", CLIENTS), ("pair", 1), ("pair", CLIENTS)):
            found = notes.select(part="latency", field=field, clients=clients, **same)
            cells.append(f"{found[-1]['p50']} / {found[-1]['p95']}" if found else "-")
        times = notes.select(part="times", **same)
        cells += [f"{times[-1]['p50']} / {times[-1]['p95']}"] if times else []
        rows.append([one["option"], _effort(one), *cells])
    heads = ["head, 1 client", "head, 8", "pair, 1", "pair, 8"]
    heads += ["expansion, 1"] if any(len(row) > 2 + len(heads) for row in rows) else []
    title = "Milliseconds, 50 % / 95 %, of one search for 400 and, where measured, of whole expansions:"
    return [title, table(["option", "effort", *heads], rows)] if rows else []
