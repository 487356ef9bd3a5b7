"""Work that blocks, off the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Found = TypeVar("Found")


async def in_thread(work: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
    """Return what a call gives that is made in a thread, as `asyncio.to_thread` does.

    Whoever awaits this has loaded asyncio; whoever only imports the package is spared it, a tenth of the time.
    """
    from asyncio import to_thread

    return await to_thread(work, *args, **kwargs)
