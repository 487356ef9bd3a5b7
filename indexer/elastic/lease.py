"""A lease on the name of an index, so that one run at a time writes under it, from whichever machine.

The lease is a document on the server whose number of beats the holder raises every few seconds by conditional writes.
Whoever finds one of another holder watches it: if it beats, the holder is alive; if it has not changed for the
time that it states, the holder is dead and the lease is taken over, conditionally again, so that one newcomer wins.
No clocks are compared. A dead process of this very machine is recognised at once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from entity_expand.elastic.connection import Answer, Call, Connection, Deadline
from entity_expand.errors import StoreBusyError, StoreError

LEASES = "entity-expand-leases"
_BEATS_PER_TERM = 6
_TRIES, _REMOVE_SECONDS = 3, 10.0


@dataclass(frozen=True, slots=True)
class _Found:
    source: dict[str, Any]
    seen: tuple[int, int]


class Lease:
    """A lease on a name, held from `__enter__` to `__exit__` and renewed by a thread.

    Args:
        connection: The server.
        name: The name of the index.
        seconds: This lease may be taken over when it has not been renewed for so long; another holder's is taken over
            after the longer of its own time and this one.
        patience: Seconds for which the server may fail.
    """

    def __init__(self, connection: Connection, name: str, seconds: float = 20.0, patience: float = 300.0) -> None:
        self._connection, self._name, self._seconds, self._patience = connection, name, seconds, patience
        self._own = {
            "owner": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "machine": _machine(),
            "process": _process(os.getpid()),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": seconds,
        }
        self._beat = 0
        self._seen = (-1, -1)
        self._renewed = 0.0
        self._lost: str | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_over, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Take the lease.

        Raises:
            StoreBusyError: Another run holds it; the message says who.
        """
        shape = {
            "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True},
            "mappings": {"dynamic": False},
        }
        self._send("PUT", f"/{LEASES}", shape, accept=frozenset({400}))
        self._acquire()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._lost is None:
            # Whatever keeps the lease from being removed now, it ends by itself.
            with contextlib.suppress(StoreError):
                self._remove()

    def _remove(self) -> None:
        """Remove the lease, also when a renewal arrived whose answer did not."""
        for _ in range(_TRIES):
            condition, gone = self._condition(self._seen), frozenset({404, 409})
            answer = self._send("DELETE", self._path(), params=condition, accept=gone, limit=_REMOVE_SECONDS)
            found = self._read(_REMOVE_SECONDS) if answer.status == 409 else None
            if found is None or found.source.get("owner") != self._own["owner"]:
                return
            self._seen = found.seen

    def check(self) -> None:
        """See that the lease is still held; call this before each change.

        Raises:
            StoreBusyError: It is not.
            ServerError: It could not be renewed within the patience.
        """
        with self._lock:
            if self._lost is None and time.monotonic() - self._renewed > self._seconds / 2:
                self._renew(self._patience)
        if self._lost is not None:
            raise StoreBusyError(f"This run no longer holds the lease on {self._name}: {self._lost}. It stops here.")

    def _acquire(self) -> None:
        watched, since = None, 0.0
        while True:
            found = self._create()
            if found is None:
                return
            if found.source.get("owner") == self._own["owner"]:  # the first try had arrived after all
                return self._hold(found.seen)
            dead = found.source.get("machine") == self._own["machine"] and not _is_running(found.source)
            term = max(self._seconds, found.source.get("seconds", 0.0))
            if dead or (watched == found.seen and time.monotonic() - since >= term):
                answer = self._write(found.seen, self._patience)
                if answer.status != 409:
                    return self._hold(_seen(answer))
            elif watched is None:
                watched, since = found.seen, time.monotonic()
            elif watched != found.seen:
                raise StoreBusyError(
                    f"Another run is at work on {self._name}: {_who(found.source)}. Wait for it to end."
                )
            time.sleep(min(0.5, self._seconds / 20))

    def _create(self) -> _Found | None:
        """Create the lease and return None, or return the one that is there."""
        while True:
            path = f"/{LEASES}/_create/{self._name}"
            answer = self._send("PUT", path, self._source(), accept=frozenset({409}))
            if answer.status != 409:
                self._hold(_seen(answer))
                return None
            if (found := self._read(self._patience)) is not None:
                return found

    def _read(self, limit: float) -> _Found | None:
        answer = self._send("GET", self._path(), accept=frozenset({404}), limit=limit)
        if answer.status == 404 or not answer.body.get("found"):
            return None
        return _Found(answer.body["_source"], _seen(answer))

    def _renew_until_over(self) -> None:
        interval = self._seconds / _BEATS_PER_TERM
        while not self._over.wait(interval):
            with self._lock:
                if self._lost is None:
                    with contextlib.suppress(StoreError):  # an outage; `check` decides when it lasts
                        self._renew(interval)

    def _renew(self, limit: float) -> None:
        """Raise the number of beats; find out whether the lease is lost if that is refused."""
        began = time.monotonic()
        answer = self._write(self._seen, limit)
        if answer.status != 409:
            return self._hold(_seen(answer), began)
        found = self._read(limit)
        if found is not None and found.source.get("owner") == self._own["owner"]:
            return self._hold(found.seen, began)
        self._lost = f"{_who(found.source)} has it" if found is not None else "it was removed"

    def _write(self, seen: tuple[int, int], limit: float) -> Answer:
        self._beat += 1
        conflict = frozenset({409})
        return self._send("PUT", self._path(), self._source(), self._condition(seen), conflict, limit)

    def _hold(self, seen: tuple[int, int], since: float | None = None) -> None:
        self._seen = seen
        self._renewed = time.monotonic() if since is None else since

    def _source(self) -> dict[str, Any]:
        return {**self._own, "beat": self._beat}

    def _path(self) -> str:
        return f"/{LEASES}/_doc/{self._name}"

    @staticmethod
    def _condition(seen: tuple[int, int]) -> dict[str, str]:
        return {"if_seq_no": str(seen[0]), "if_primary_term": str(seen[1])}

    def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        accept: frozenset[int] = frozenset(),
        limit: float | None = None,
    ) -> Answer:
        call = Call(method, path, body, params or {}, accept=accept)
        return self._connection.send(call, Deadline.after(limit or self._patience))


def _seen(answer: Answer) -> tuple[int, int]:
    return int(answer.body["_seq_no"]), int(answer.body["_primary_term"])


def _who(source: dict[str, Any]) -> str:
    return f"process {source.get('pid')} on {source.get('host')}, since {source.get('since')}"


def _machine() -> str:
    """Return what tells this machine, and where there are containers this one, from all others."""
    parts = [socket.gethostname(), str(uuid.getnode())]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _process(pid: int) -> str:
    """Return what tells a process from a later one of the same number; "" if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        fields = []
    except OSError:
        return str(pid)
    if fields:
        return "" if fields[0] == "Z" else f"{pid} {fields[19]}"
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return str(pid)


def _is_running(source: dict[str, Any]) -> bool:
    return _process(int(source.get("pid", 0))) == source.get("process")
