"""One run's hold on a name: a connection, the local lock, the lease, and calls that outlast an outage."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from entity_expand.elastic.address import Address, Credentials, parse_address
from entity_expand.elastic.address import credentials as find_credentials
from entity_expand.elastic.connection import Answer, Call, Connection, Deadline
from entity_expand.errors import StoreBusyError
from entity_expand.files import locked
from indexer.elastic.bulk import Bulk
from indexer.elastic.lease import Lease
from indexer.settings import ElasticSettings


@dataclass(frozen=True, slots=True)
class Session:
    """A connection to a server and, for runs that change something, the lease on the name.

    Attributes:
        connection: The server.
        settings: How to write.
        lease: None for a session that only reads.
    """

    connection: Connection
    settings: ElasticSettings
    lease: Lease | None = None

    @property
    def address(self) -> Address:
        """The server and the name."""
        return self.connection.address

    @property
    def name(self) -> str:
        """The name."""
        return self.connection.address.index

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[bytes] | None = None,
        params: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
        seconds: float | None = None,
    ) -> Answer:
        """Send a call that changes nothing, or the same if it is sent twice."""
        call = Call(method, path, body, params or {}, accept=frozenset(accept))
        return self.connection.send(call, Deadline.after(seconds or self.settings.patience))

    def check(self) -> None:
        """See that this run still holds the name; call this before each change.

        Raises:
            StoreBusyError: It does not.
        """
        if self.lease is not None:
            self.lease.check()

    def bulk(self, physical: str) -> Bulk:
        """Return a writer into an index."""
        chosen = self.settings
        return Bulk(
            self.connection,
            physical,
            chunk_bytes=chosen.chunk_bytes,
            in_flight=chosen.in_flight,
            patience=chosen.patience,
            source=random.Random(chosen.seed),
            check=self.check,
        )


@contextlib.contextmanager
def reading(address: Address | str, credentials: Credentials | None, settings: ElasticSettings) -> Iterator[Session]:
    """Open a session that only reads; without credentials those of the environment are used."""
    found = find_credentials(None, os.environ) if credentials is None else credentials
    with Connection(as_address(address), found, seed=settings.seed) as connection:
        yield Session(connection, settings)


@contextlib.contextmanager
def writing(address: Address | str, credentials: Credentials | None, settings: ElasticSettings) -> Iterator[Session]:
    """Open a session that holds the name, here and on the server.

    Raises:
        StoreBusyError: Another run holds it.
    """
    address = as_address(address)
    folder = work_folder(address, settings)
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / ".holder"
    who = holder.read_text(errors="replace") if holder.is_file() else "a process of this machine"
    with (
        reading(address, credentials, settings) as session,
        locked(folder / ".lock", StoreBusyError(f"Another run is at work on {address}: {who}. Wait for it to end.")),
    ):
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}, since {since}")
        with Lease(session.connection, address.index, settings.lease_seconds, settings.patience) as lease:
            yield Session(session.connection, settings, lease)


def as_address(address: Address | str) -> Address:
    """Return an address that may have come as a text such as https://host:9200/NAME."""
    return parse_address(address) if isinstance(address, str) else address


def work_folder(address: Address, settings: ElasticSettings) -> Path:
    """Return the folder for what must survive a kill."""
    if settings.work is not None:
        return settings.work
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "entity-expand" / hashlib.sha256(str(address).encode()).hexdigest()[:16]
