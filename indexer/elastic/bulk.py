"""Bulk requests: bounded memory, tried again item by item, and nothing dropped in silence."""

from __future__ import annotations

import dataclasses
import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType

from tqdm import tqdm

from entity_expand.elastic.connection import Call, Connection, Deadline
from entity_expand.elastic.documents import LONGEST_ID
from entity_expand.errors import (
    DeadlineError,
    OverloadedError,
    ServerError,
    StoreError,
    UnreachableError,
)
from indexer.elastic.items import Item, Rejection, sort_out

_PASSING = (UnreachableError, DeadlineError, OverloadedError)
_BASE, _LONGEST_WAIT = 0.1, 10.0
_LARGEST_REQUEST = 100 << 20
_TRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What a load did: `sent` is `accepted` and `rejected` together; `retried` counts items sent again."""

    sent: int
    accepted: int
    rejected: int
    retried: int
    bytes: int
    seconds: float
    dead_letters: Path | None

    def rejected_ids(self) -> list[str]:
        """Return the ids that the file of rejected items lists."""
        if self.dead_letters is None:
            return []
        with self.dead_letters.open(encoding="utf-8") as handle:
            return [json.loads(line)["id"] for line in handle]


class Bulk:
    """Writes items into one index by bulk requests.

    Items are written under their ids, so that sending one twice changes nothing. What fails for now (429, 5xx, no
    answer) is sent again after a random, growing time, until nothing has moved for `patience` seconds.
    """

    def __init__(
        self,
        connection: Connection,
        index: str,
        *,
        chunk_bytes: int,
        in_flight: int,
        patience: float,
        source: random.Random,
        check: Callable[[], None],
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            connection: The server.
            index: The physical index.
            chunk_bytes: Largest request.
            in_flight: Requests under way at once in `load`.
            patience: Seconds without progress after which it gives up.
            source: Of the times between tries.
            check: Called before each request; raises when the run must not write any more.
        """
        self._connection, self._index, self._check, self._random = connection, index, check, source
        self._chunk_bytes, self._in_flight, self._patience = chunk_bytes, in_flight, patience
        self._largest: int | None = None
        self._progress = time.monotonic()
        self._stopped = Event()
        self.retried = 0

    def load(self, items: Iterable[Item], dead_letters: Path, total: int | None = None) -> BulkReport:
        """Write a stream of items; list those that the server rejects in a file.

        Args:
            items: Documents, made as they are needed; no more than a few requests' worth is held.
            dead_letters: JSON Lines with id, status and reason of each rejected item; removed if there are none.
            total: Number of items, for the progress bar.

        Raises:
            ServerError: The server failed for longer than the patience, or for good.
            StoreError: An item was lost on the way.
        """
        dead_letters.unlink(missing_ok=True)
        began, count, size, rejected, settled = time.monotonic(), 0, 0, 0, 0
        self._progress = began
        under_way: deque[tuple[int, Future[list[Rejection]]]] = deque()
        with ExitStack() as stack:
            bar = stack.enter_context(tqdm(total=total, desc="load", unit="entity", disable=None))
            pool = stack.enter_context(ThreadPoolExecutor(self._in_flight))
            stack.push(self._stop_if_failed)  # before the pool waits for its threads

            def settle() -> None:
                nonlocal rejected, settled
                number, future = under_way.popleft()
                found = future.result()
                _write_letters(dead_letters, found)
                rejected, settled = rejected + len(found), settled + number
                bar.update(number)

            for chunk, length in self._chunks(items):
                if len(under_way) >= self._in_flight:
                    settle()
                under_way.append((len(chunk), pool.submit(self.write, chunk)))
                count, size = count + len(chunk), size + length
            while under_way:
                settle()
        if settled != count:
            raise StoreError(f"{count:,} documents were sent, but the fate of {count - settled:,} is unknown.")
        seconds, letters = time.monotonic() - began, dead_letters if rejected else None
        return BulkReport(count, count - rejected, rejected, self.retried, size, seconds, letters)

    def _stop_if_failed(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stopped.set()

    def _chunks(self, items: Iterable[Item]) -> Iterator[tuple[list[Item], int]]:
        chunk, size = list[Item](), 0
        for item in items:
            length = len(item.source or b"") + len(item.id) + 100
            if chunk and size + length > self._chunk_bytes:
                yield chunk, size
                chunk, size = [], 0
            chunk.append(item)
            size += length
        if chunk:
            yield chunk, size

    def write(self, items: Sequence[Item]) -> list[Rejection]:
        """Write items and return those that are rejected for good; deleting what is not there is no rejection.

        Raises:
            ServerError: See `load`.
        """
        pending, rejected, tries, began = list[Item](), list[Rejection](), 0, time.monotonic()
        for item in items:
            problem = self._unfit(item)
            pending.append(item) if problem is None else rejected.append(problem)
        while pending:
            self._check()
            try:
                again, found = self._send(pending, _TRY_SECONDS * 2 ** min(tries, 4))
            except ServerError as problem:
                if problem.status in (400, 413):
                    return rejected + self._halves(pending, problem)
                self._wait(problem, tries, began)
                self.retried += len(pending)
                tries += 1
                continue
            rejected += found
            if len(again) < len(pending):
                self._progress, tries = time.monotonic(), 0
            if again:
                self.retried += len(again)
                self._wait(OverloadedError(_busy(self._index, again[0][1]), 429), tries, began)
                tries += 1
            pending = [item for item, _ in again]
        return rejected

    def _halves(self, items: list[Item], problem: ServerError) -> list[Rejection]:
        """Write the halves of a request that was refused as a whole; a single item that is refused is rejected."""
        if len(items) == 1:
            return [Rejection(items[0].id, problem.status or 400, problem.reason)]
        if problem.status == 413:
            self._chunk_bytes = max(self._chunk_bytes // 2, 1 << 16)
        middle = len(items) // 2
        return self.write(items[:middle]) + self.write(items[middle:])

    def _unfit(self, item: Item) -> Rejection | None:
        size = len(item.id.encode("utf-8", "surrogatepass"))
        if not 0 < size <= LONGEST_ID:
            return Rejection(item.id, 400, f"The id has {size} bytes; the server takes 1 to {LONGEST_ID}.")
        length = len(item.source or b"") + size + 200
        if length > self._chunk_bytes and length > self._largest_request():
            return Rejection(item.id, 413, f"The document has {length:,} bytes; the server takes {self._largest:,}.")
        return None

    def _largest_request(self) -> int:
        """Ask the server for its limit: above it the server cuts the connection instead of answering."""
        if self._largest is None:
            path, only = "/_nodes/http", {"filter_path": "nodes.*.http.max_content_length_in_bytes"}
            call = Call("GET", path, params=only, accept=frozenset({400, 403, 404}))
            answer = self._connection.send(call, Deadline.after(self._patience))
            nodes = answer.body.get("nodes", {}) if answer.status == 200 and answer.body else {}
            limits = [node["http"]["max_content_length_in_bytes"] for node in nodes.values()]
            self._largest = min(limits, default=_LARGEST_REQUEST)
        return self._largest

    def _send(self, items: list[Item], seconds: float) -> tuple[list[tuple[Item, str]], list[Rejection]]:
        """Send once; return the items to be sent again, with what was said, and those rejected."""
        # Without the answers' other parts, which are larger than many a document.
        only = {"filter_path": "items.*.status,items.*.error"}
        call = Call("POST", f"/{self._index}/_bulk", [item.lines() for item in items], only)
        deadline = Deadline.after(min(seconds, max(self._patience, 1.0)))
        return sort_out(self._index, items, self._connection.send(call, deadline).body.get("items", []))

    def _wait(self, problem: ServerError, tries: int, began: float) -> None:
        """Wait before the next try; raise the problem if it does not pass, or the patience is over."""
        delay = self._random.uniform(0.5, 1.0) * min(_LONGEST_WAIT, _BASE * 2 ** min(tries, 20))
        stalled = time.monotonic() - max(self._progress, began)
        if not isinstance(problem, _PASSING) or stalled + delay > self._patience:
            raise problem
        if self._stopped.wait(delay):
            raise problem


def _write_letters(path: Path, found: list[Rejection]) -> None:
    if found:
        with path.open("a", encoding="utf-8") as handle:
            handle.writelines(json.dumps(dataclasses.asdict(each)) + "\n" for each in found)


def _busy(index: str, reason: str) -> str:
    return f"The server has been refusing documents of {index} for now, without any progress: {reason}"
