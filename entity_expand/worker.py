"""A thread with an event loop, on which synchronous callers run what is asynchronous, and which they share."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Generic, Protocol, TypeVar

from entity_expand.errors import ConfigError, DeadlineError, StoreError, UnreachableError
from entity_expand.sending import Deadline

T = TypeVar("T")


class Closable(Protocol):
    """What lives on a worker's event loop: a connection to a server."""

    @property
    def url(self) -> str:
        """Where it goes, for messages."""

    async def close(self) -> None:
        """Close; calls under way fail. May be called again."""

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""


C = TypeVar("C", bound=Closable)


class OneLoop:
    """Keeps a connection to one event loop, that of its first use, until it is closed.

    Args:
        url: Where the connection goes, for messages.
        what: What belongs to the loop, for messages.

    Attributes:
        closed: Whether it is not to be used any more.
    """

    def __init__(self, url: str, what: str = "A connection") -> None:
        self._url, self._what = url, what
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    def check(self) -> None:
        """See that the connection may be used here and now.

        Raises:
            StoreError: It was closed.
            ConfigError: It belongs to another event loop.
        """
        if self.closed:
            raise StoreError(f"The connection to {self._url} was closed; open another.")
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._loop is not loop:
            raise ConfigError(f"{self._what} belongs to one event loop; open another one for this loop.")


_GRACE = 0.1
_CLOSING = 2.0


class Worker(Generic[C]):
    """A thread with an event loop for one connection, in one process.

    Attributes:
        connection: The connection, which nobody else uses.
        process: The process that made it; no thread survives a fork.
        finish: Closes the connection and stops the thread; also done when this object goes, or the interpreter.
    """

    def __init__(self, connection: C) -> None:
        self.connection = connection
        self.process = os.getpid()
        self.finish: Callable[[], object] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the thread if there is none."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            thread = threading.Thread(target=self._loop.run_forever, name="entity-expand-worker", daemon=True)
            thread.start()
            self.finish = weakref.finalize(self, _finish, self._loop, thread, self.connection, self.process)

    def run(self, work: Coroutine[Any, Any, T], deadline: Deadline) -> T:
        """Run something on the thread, wait for its result and return it.

        Raises:
            UnreachableError: The connection was closed meanwhile.
            DeadlineError: The thread did not answer in time, as when it reads a very large answer of another call.
        """
        if self._loop is None:
            raise RuntimeError("start() comes first")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        url = self.connection.url
        try:
            return future.result(deadline.remaining() + _GRACE)
        except CancelledError:
            raise UnreachableError(f"The connection to {url} was closed while it was in use.") from None
        except TimeoutError:
            raise DeadlineError(f"The time limit of {deadline.seconds:g} s is over for {url}.") from None
        finally:
            future.cancel()


class SharedWorker(Generic[C]):
    """A worker that threads share. It may be used after a fork: the child makes a connection of its own.

    Args:
        make: Makes the connection; nothing is sent yet.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._worker = Worker(make())
        self._closed = False

    @property
    def connection(self) -> C:
        """The connection of this process."""
        return self._worker.connection

    def run(self, work: Callable[[C], Coroutine[Any, Any, T]], deadline: Deadline) -> T:
        """Run something with the connection on the thread, wait for its result and return it.

        Raises:
            StoreError: This was closed.
            UnreachableError: It was closed meanwhile.
            DeadlineError: The thread did not answer in time.
        """
        with self._lock:
            if self._closed:
                raise StoreError(f"The connection to {self.connection.url} was closed; open another.")
            if self._worker.process != os.getpid():
                self._worker.finish()
                self._worker = Worker(self._make())
            worker = self._worker
            worker.start()
        return worker.run(work(worker.connection), deadline)

    def close(self) -> None:
        """Close the connection; what is under way fails. May be called again."""
        with self._lock:
            self._closed = True
            self._worker.finish()


def _finish(loop: asyncio.AbstractEventLoop, thread: threading.Thread, connection: Closable, process: int) -> None:
    """Close the connection, then stop and close its loop; in a child process, leave both to the parent."""
    if process != os.getpid():
        connection.abandon()
        return

    async def close() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await connection.close()

    asyncio.run_coroutine_threadsafe(close(), loop).add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
    if thread is not threading.current_thread():  # the garbage collector runs on any thread
        thread.join(_CLOSING)
    if not thread.is_alive():
        loop.close()
