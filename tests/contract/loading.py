"""Loads what an embedded index holds into Elasticsearch, without the indexer."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from entity_expand.elastic.bodies import VectorOptions, encode_floats, mapping
from entity_expand.elastic.documents import document, vector_text, vectors_of
from entity_expand.elastic.exchange import Call
from entity_expand.elastic.state import FORMAT, KEY, VERIFIED, VERSION
from entity_expand.stores.memory import MemoryStore


def load(send, store: MemoryStore, name: str, version: str = "1", options: VectorOptions | None = None) -> str:
    """Load an index; `send` is asked with calls. Return the physical name."""
    options, facts = options or VectorOptions(), store.facts
    positions = np.arange(facts.meta.entities)
    rows, records = store.rows(positions), store.records(positions.tolist())
    vectors = vectors_of(rows, facts.mean_feature, options.fields)
    meta: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "state": VERIFIED,
        "index": dataclasses.asdict(facts.meta),
        "vectors": {**dataclasses.asdict(options), "fields": list(options.fields)},
        "largest_norms": dict(facts.largest_norms),
        "mean_feature": encode_floats(facts.mean_feature),
        "evidence": 3,
        "next_place": facts.meta.entities,
        "changes": 0,
        "packed": True,
    }
    physical = f"{name}-{version}"
    body = {
        "mappings": mapping(facts.meta.dimension, options, {KEY: meta}),
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    }
    send(Call("PUT", f"/{physical}", body))
    lines = []
    for n, record in enumerate(records):
        made = document(n, record, rows, n, record.entity.name, {k: v[n] for k, v in vectors.items()})
        lines.append(json.dumps({"index": {"_id": made.id}}).encode())
        lines.append(json.dumps({**made.fields, **{k: vector_text(v) for k, v in made.vectors.items()}}).encode())
        if len(lines) > 1000:
            assert not send(Call("POST", f"/{physical}/_bulk", lines)).body["errors"]
            lines = []
    if lines:
        answer = send(Call("POST", f"/{physical}/_bulk", lines)).body
        assert not answer["errors"], answer
    send(Call("POST", f"/{physical}/_refresh"))
    send(
        Call(
            "POST",
            "/_aliases",
            {
                "actions": [
                    {"remove": {"index": f"{name}-*", "alias": name, "must_exist": False}},
                    {"add": {"index": physical, "alias": name}},
                ]
            },
        )
    )
    return physical
