"""Who is let in and when: a bounded number of calls is worked on, a bounded number waits, others come back later."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from entity_expand.errors import DeadlineError, OverloadedError
from entity_expand.sending import Deadline

T = TypeVar("T")


class Desk:
    """Runs work on threads.

    Args:
        workers: How many calls are worked on at once.
        waiting: How many more may wait.
    """

    def __init__(self, workers: int, waiting: int) -> None:
        self._workers = workers
        self._pool: ThreadPoolExecutor | None = None
        self._most = workers + waiting
        self._lock = threading.Lock()
        self._inside = 0

    @property
    def inside(self) -> int:
        """How many calls are worked on or wait."""
        return self._inside

    async def run(self, work: Callable[[Deadline], T], deadline: Deadline) -> T:
        """Run something on a thread and return its result.

        Work that has begun goes on after the deadline, unless it minds it, and takes up its place until it ends.

        Args:
            work: What is done, given the deadline.
            deadline: Of the whole call.

        Raises:
            OverloadedError: Too many are inside.
            DeadlineError: There was no result in time.
        """
        with self._lock:
            if self._inside >= self._most:
                raise OverloadedError(f"{self._inside} calls are under way, which is all that are taken on.")
            self._inside += 1
        context = contextvars.copy_context()
        try:
            future = self._open().submit(context.run, _begun, work, deadline)
        except BaseException:
            self._leave(None)
            raise
        future.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(deadline.remaining()):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DeadlineError(f"There was no result within {deadline.seconds:g} s.") from None

    def _leave(self, _: Future[T] | None) -> None:
        with self._lock:
            self._inside -= 1

    def _open(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="entity-expand-serve")
            return self._pool

    def close(self) -> None:
        """Forget whatever waits, and let the threads go; who comes later has new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _begun(work: Callable[[Deadline], T], deadline: Deadline) -> T:
    deadline.left()
    return work(deadline)
