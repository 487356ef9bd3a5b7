"""The desk: so many at work, so many waiting, none of them longer than allowed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from entity_expand import DeadlineError, OverloadedError
from entity_expand.sending import Deadline
from entity_expand.serve.desk import Desk


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Open at the end, so that no thread is left behind."""
    event = threading.Event()
    yield event
    event.set()


def test_work_is_done_on_threads_and_its_errors_come_back() -> None:
    async def main() -> None:
        desk = Desk(2, 2)
        assert await desk.run(lambda _: threading.current_thread().name, Deadline.after(5)) != "MainThread"
        with pytest.raises(KeyError):
            await desk.run(lambda _: {}["x"], Deadline.after(5))
        assert desk.inside == 0
        desk.close()

    asyncio.run(main())


def test_more_than_are_taken_on_are_turned_away(gate: threading.Event) -> None:
    async def main() -> None:
        desk = Desk(1, 2)
        inside = [asyncio.create_task(desk.run(lambda _: gate.wait(5), Deadline.after(5))) for _ in range(3)]
        await asyncio.sleep(0)
        assert desk.inside == 3
        with pytest.raises(OverloadedError, match="3 calls"):
            await desk.run(lambda _: None, Deadline.after(5))
        gate.set()
        assert await asyncio.gather(*inside) == [True] * 3
        assert desk.inside == 0 and await desk.run(lambda _: 7, Deadline.after(5)) == 7
        desk.close()

    asyncio.run(main())


def test_whoever_waits_too_long_is_told_so_and_makes_room(gate: threading.Event) -> None:
    async def main() -> None:
        desk, done = Desk(1, 2), []
        slow = asyncio.create_task(desk.run(lambda _: gate.wait(5), Deadline.after(0.05)))
        late = asyncio.create_task(desk.run(lambda _: done.append("late"), Deadline.after(0.05)))
        for task in (slow, late):
            with pytest.raises(DeadlineError):
                await task
        assert desk.inside == 1  # the one at work goes on, the other is gone
        gate.set()
        assert await desk.run(lambda _: 7, Deadline.after(5)) == 7
        assert done == [] and desk.inside == 0
        desk.close()

    asyncio.run(main())
