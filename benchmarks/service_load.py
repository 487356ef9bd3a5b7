"""Load the HTTP service over the embedded store, overload it, and time what each option of an expansion adds.

    python benchmarks/service_load.py INDEX [--seconds 60] [--clients 8] [--size 14489] [--dimension 768]

INDEX is made of random rows if it is not there (`benchmarks/expansion.py` says how), with random words, and with the
same rows once more as its texts and its pictures. Server and clients share the
machine's cores; a client sends its next request when it has its answer, and waits 50 ms after a refusal.
"""

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from channels_speed import sentences
from expansion import blocks, build, queries, world

from entity_expand import Expander, ExpandQuery
from entity_expand.stores.base import PARTS

COMMAND = (sys.executable, "-c", "from entity_expand.cli import main; main()", "serve")
PAUSE = 0.05
ALL = {"model": 1.0, "lexical": 0.2, "text": 0.5, "picture": 0.5}


@dataclass
class Seen:
    """What clients saw: milliseconds by kind of request, and how often each status came."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)


@contextmanager
def server(index: Path, *options: str) -> Iterator[tuple[int, int]]:
    """Yield the port and the process id of a service."""
    process = subprocess.Popen([*COMMAND, str(index), "--port", "0", *options], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    try:
        match = re.search(r":(\d+)$", process.stdout.readline())
        yield int(match[1]), process.pid
    finally:
        process.terminate()
        process.wait(30)


def memory(process: int) -> float:
    """Return the memory of a process that is no mapped file, in MiB."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", text)[1]) / 1024


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, path: str, body: object = None) -> tuple[int, bytes]:
        """Send a request; return status and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"content-length: (\d+)", answer, re.IGNORECASE)[1])
        found = await reader.readexactly(length)
        if "connection: close" in answer.lower():
            self.close()
        return int(answer.split(" ", 2)[1]), found

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def requests(seed: int, asked: list[list[str]]) -> Iterator[tuple[str, str, object]]:
    """Yield kind, path and body without end: of ten, seven expansions, two of type-ahead, one entity."""
    drawn = random.Random(seed)
    while True:
        seeds = drawn.choice(asked)
        for _ in range(7):
            yield "expand", "/v1/expand", {"seeds": drawn.choice(asked), "size": 100}
        for _ in range(2):
            yield "type-ahead", f"/v1/entities?prefix=entity%20{drawn.choice(seeds)[:2]}&limit=10", None
        yield "entity", f"/v1/entities/{seeds[0]}", None


async def load(port: int, clients: int, seconds: float, asked: list[list[str]], only: str | None = None) -> Seen:
    """Send from so many clients for so long."""
    seen, end = Seen(), time.perf_counter() + seconds

    async def one(number: int) -> None:
        client = Client(port)
        for kind, path, body in requests(number, asked):
            if only is not None and kind != only:
                continue
            if time.perf_counter() >= end:
                break
            began = time.perf_counter()
            try:
                status, _ = await client.send(path, body)
            except (OSError, asyncio.IncompleteReadError):
                status = 0  # no answer
                client.close()
            seen.statuses[status] += 1
            where = kind if status == 200 else f"status {status}"
            seen.taken.setdefault(where, []).append(1e3 * (time.perf_counter() - began))
            if status != 200:
                await asyncio.sleep(PAUSE)
        client.close()

    await asyncio.gather(*[one(number) for number in range(clients)])
    return seen


def told(name: str, seen: Seen, seconds: float) -> None:
    """Print what clients saw."""
    print(f"\n{name}: {seen.statuses.total() / seconds:.0f} answers/s, by status {dict(seen.statuses)}")
    print("| kind | answers | median | p95 | p99 | slowest |\n|---|---|---|---|---|---|")
    for kind, taken in sorted(seen.taken.items()):
        cuts = statistics.quantiles(taken, n=100) if len(taken) > 1 else taken * 99
        numbers = (cuts[49], cuts[94], cuts[98], max(taken))
        print(f"| {kind} | {len(taken)} | {' | '.join(f'{number:.1f} ms' for number in numbers)} |")


async def watched(port: int, process: int, clients: int, seconds: float, asked: list[list[str]]) -> None:
    """Load, and sample the memory of the server once a second."""
    samples: list[float] = []

    async def sample() -> None:
        while True:
            samples.append(memory(process))
            await asyncio.sleep(1)

    sampling = asyncio.create_task(sample())
    seen = await load(port, clients, seconds, asked)
    sampling.cancel()
    told(f"{clients} clients for {seconds:g} s", seen, seconds)
    third = max(1, len(samples) // 3)
    parts = [statistics.fmean(samples[start : start + third]) for start in (0, third, 2 * third)]
    print(f"\nmemory in MiB, means of the three thirds: {', '.join(f'{part:.1f}' for part in parts)}")


def variants(asked: list[list[str]], others: list[list[str]]) -> dict[str, Callable[[int], dict[str, object]]]:
    """Return by name what is asked beside the plain expansion, from the number of a turn."""
    plain = {"size": 100}
    extra: dict[str, dict[str, object]] = {
        "plain: 3 seeds, 100 results": {},
        "20 results": {"size": 20},
        "1,000 results": {"size": 1_000},
        "weights": {"weights": [1, 2, 3]},
        "3 negatives": {"negative": None},
        "excluding 100": {"exclude": [str(number) for number in range(100)]},
        "filter by the beginning of names": {"filter": {"name_prefix": "entity 1"}},
        "not ranked again": {"rerank": False},
        **{f"strategy {name}": {"strategy": name} for name in ("both", "mean", "best", "sum", "rank-fusion")},
        "features": {"settings": {"space": "features"}},
        "strategy hybrid: model and words": {"strategy": "hybrid"},
        "strategy hybrid: model, words, text, picture": {"strategy": "hybrid", "settings": {"channels": ALL}},
        "modality picture": {"modality": "picture"},
    }

    def made(options: dict[str, object]) -> Callable[[int], dict[str, object]]:
        def form(turn: int) -> dict[str, object]:
            given = {**plain, **options, "seeds": asked[turn % len(asked)]}
            given["exclude"] = [each for each in given.get("exclude", ()) if each not in given["seeds"]]
            return given | ({"negative": others[turn % len(others)]} if "negative" in options else {})

        return form

    return {name: made(options) for name, options in extra.items()}


async def features(port: int, index: Path, asked: list[list[str]], turns: int) -> None:
    """Time each option in turns by one client, and the library on the same sets in this process."""
    client, forms = Client(port), variants(asked, asked[::-1])
    taken: dict[str, list[float]] = {}

    def note(name: str, began: float) -> None:
        taken.setdefault(name, []).append(1e3 * (time.perf_counter() - began))

    with Expander.open(index) as expander:
        for turn in range(turns + 3):
            for name, form in forms.items():
                began = time.perf_counter()
                status, content = await client.send("/v1/expand", form(turn))
                note(name, began)
                if status != 200:
                    raise RuntimeError(f"{name}: {status} {content[:300]!r}")
            page = json.loads((await client.send("/v1/expand", forms["plain: 3 seeds, 100 results"](turn)))[1])
            for name, path, more in (
                ("explain a result of an answered page", "/v1/explain", {"id": page["results"][50]["id"]}),
                ("explain an answered page", "/v1/explain/set", {}),
            ):
                began = time.perf_counter()
                status, content = await client.send(path, {"expansion": page, **more})
                note(name, began)
                if status != 200:
                    raise RuntimeError(f"{name}: {status} {content[:300]!r}")
            batch = {"queries": [forms["plain: 3 seeds, 100 results"](turn + number) for number in range(8)]}
            began = time.perf_counter()
            await client.send("/v1/expand/batch", batch)
            note("a batch of 8", began)
            began = time.perf_counter()
            (found,) = expander.expand_many([ExpandQuery(asked[turn % len(asked)], 100)])
            note("the library, in this process", began)
            found.to_dict()
            note("the library, and its result as a dictionary", began)
    client.close()
    base = statistics.median(taken["plain: 3 seeds, 100 results"][3:])
    print("\n| asked | median | beside the plain one |\n|---|---|---|")
    for name, each in taken.items():
        median = statistics.median(each[3:])
        print(f"| {name} | {median:.1f} ms | {median / base:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--size", type=int, default=14_489)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--turns", type=int, default=30)
    options = parser.parse_args()
    if not (options.index / "CURRENT").exists():
        made = world(options.size, options.dimension)
        parts = {part: blocks(*made) for part in PARTS}
        build(options.index, options.size, options.dimension, texts=sentences(options.size, 400), parts=parts)
    asked = queries(options.size, 200)
    print(f"{options.size:,} entities, D = {options.dimension}, {os.cpu_count()} cores")
    with server(options.index) as (port, process):
        asyncio.run(load(port, options.clients, 5, asked))
        asyncio.run(watched(port, process, options.clients, options.seconds, asked))
        asyncio.run(features(port, options.index, asked, options.turns))
        told("64 clients of one caller for 10 s", asyncio.run(load(port, 64, 10, asked, "expand")), 10)
        told("2 clients for 5 s after that", asyncio.run(load(port, 2, 5, asked, "expand")), 5)
        print(f"\nmemory in MiB after all that: {memory(process):.1f}")
    with server(options.index, "--per-caller", "1000") as (port, _):
        asyncio.run(load(port, 2, 2, asked))
        told("100 clients for 10 s", asyncio.run(load(port, 100, 10, asked, "expand")), 10)
        told("2 clients for 5 s after that", asyncio.run(load(port, 2, 5, asked, "expand")), 5)


if __name__ == "__main__":
    main()
