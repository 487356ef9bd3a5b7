"""What `elasticsearch_recall.py` measures: the filling of an index, recall, whole expansions, latency."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from elasticsearch_bench import Server, load
from elasticsearch_queries import LIST, POOL, Asked, Effort, LocalReader, expanded, hits_of, request_body

REQUESTS, WARM = 120, 10
STALE = 11


def build(server: Server, index: str, body: dict[str, Any], fields: dict[str, np.ndarray]) -> dict[str, Any]:
    """Fill an index with one segment and return what that took."""
    server.drop(index)
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1}
    server.call("PUT", f"/{index}", {"settings": settings, "mappings": body})
    begun = time.perf_counter()
    load(server, index, fields)
    server.call("POST", f"/{index}/_flush")
    loaded = time.perf_counter()
    server.call("POST", f"/{index}/_forcemerge?max_num_segments=1&flush=true")
    merged = time.perf_counter()
    server.call("POST", f"/{index}/_refresh")
    time.sleep(STALE)  # the server measures its files no more often
    stats = server.call("GET", f"/{index}/_stats/store,docs,segments")["_all"]["primaries"]
    total = len(next(iter(fields.values())))
    if stats["docs"]["count"] != total or stats["segments"]["count"] != 1:
        raise RuntimeError(f"{index} holds {stats['docs']} in {stats['segments']['count']} segments, not {total} in 1.")
    return {
        "load_s": round(loaded - begun, 1),
        "merge_s": round(merged - loaded, 1),
        "mib": round(stats["store"]["size_in_bytes"] / 2**20, 1),
        "fields": list(fields),
    }


def measure_recall(server: Server, index: str, asked: Asked, effort: Effort) -> dict[str, Any]:
    """Return the share of the true 100 and 400 nearest that come back."""
    shares: dict[int, list[float]] = {LIST: [], POOL: []}
    for members, vector, truth in zip(asked.members, asked.vectors, asked.truth, strict=True):
        body = request_body(asked.field, vector, members.tolist(), effort, effort.size)
        places, _ = hits_of(server, index, body)
        for cut in shares:
            if cut <= effort.size:
                shares[cut].append(len(np.intersect1d(places[:cut], truth[:cut])) / cut)
    return {f"recall_{cut}": [round(v, 4) for v in of(found)] for cut, found in shares.items() if found}


def of(found: list[float]) -> tuple[float, float]:
    """Return the mean and the 5th percentile."""
    return float(np.mean(found)), float(np.percentile(found, 5))


def measure_expansions(
    reader: LocalReader, asked: list[np.ndarray], both: float, truth: list[list[int]], limit: int | None = None
) -> dict[str, Any]:
    """Return how much of the exact lists comes back, and what that takes."""
    expanded(reader, asked[0], both, limit)
    runs = [expanded(reader, seeds, both, limit) for seeds in asked]
    overlap = [len(set(found) & set(right)) / LIST for (found, _, _), right in zip(runs, truth, strict=True)]
    taken = [milliseconds for _, _, milliseconds in runs]
    return {
        "overlap": [round(v, 4) for v in of(overlap)],
        "lists": len(runs),
        "alike": sum(found == right for (found, _, _), right in zip(runs, truth, strict=True)),
        "fetches": float(np.mean([fetches for _, fetches, _ in runs])),
        "p50": round(float(np.percentile(taken, 50)), 1),
        "p95": round(float(np.percentile(taken, 95)), 1),
    }


def measure_latency(url: str, index: str, asked: Asked, effort: Effort, clients: int) -> dict[str, Any]:
    """Return the milliseconds of bare requests from some clients at once, each with a connection of its own."""
    bodies = [
        request_body(asked.field, vector, members.tolist(), effort, effort.size)
        for members, vector in zip(asked.members, asked.vectors, strict=True)
    ]
    taken: list[float] = []
    start = threading.Barrier(clients)

    def client(number: int) -> None:
        server, own = Server(url), []
        for body in bodies[:WARM]:
            server.raw("POST", f"/{index}/_search", body)
        start.wait()
        for turn in range(REQUESTS if clients == 1 else REQUESTS // 4):
            body = bodies[(number * 17 + turn) % len(bodies)]
            begun = time.perf_counter()
            server.raw("POST", f"/{index}/_search", body)
            own.append(1e3 * (time.perf_counter() - begun))
        taken.extend(own)

    begun = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    p50, p95 = (round(float(np.percentile(taken, cut)), 1) for cut in (50, 95))
    return {"p50": p50, "p95": p95, "requests": len(taken), "seconds": round(seconds, 1)}
