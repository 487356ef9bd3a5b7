"""What the endpoints share: the expander, the settings, and the desk that calls pass."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from entity_expand.drive import run
from entity_expand.expander import Expander
from entity_expand.sending import Deadline
from entity_expand.serve.desk import Desk
from entity_expand.serve.metrics import Metrics
from entity_expand.serve.minding import Minding
from entity_expand.serve.settings import ServeSettings
from entity_expand.stores.base import Steps
from entity_expand.stores.facets import Facet

T = TypeVar("T")


class Kept(Generic[T]):
    """Something that is made anew when it is older than so many seconds; safe for use from several threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._found: tuple[float, T] | None = None

    def get(self, make: Callable[[], T]) -> T:
        """Return what is kept, or else what `make` returns."""
        with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > self._seconds:
                self._found = time.monotonic(), make()
            return self._found[1]


@dataclass(frozen=True, slots=True)
class Service:
    """What the endpoints share.

    Attributes:
        settings: Limits.
        expander: The opened index.
        desk: Where work is done.
        metrics: What is counted.
        facets: The attributes, as of lately.
    """

    settings: ServeSettings
    expander: Expander
    desk: Desk
    metrics: Metrics
    facets: Kept[tuple[Facet, ...]] = field(default_factory=lambda: Kept(60.0))

    def minding(self, deadline: Deadline) -> Expander:
        """Return an expander over the index that minds a deadline while it encodes new seeds."""
        encoder = self.expander.encoder
        return Expander(self.expander.store, encoder=None if encoder is None else Minding(encoder, deadline))

    async def work(self, what: Callable[[Deadline], T]) -> T:
        """Do something on a thread, within the time that a request has; errors as for `Desk.run`."""
        return await self.desk.run(what, Deadline.after(self.settings.seconds))

    async def ask(self, steps: Callable[[], Steps[T]]) -> T:
        """Run an algorithm against the store."""
        store = self.expander.store
        return await self.work(lambda deadline: run(steps(), store.begin(deadline.left())))


def to_json(content: object) -> bytes:
    """Return content as bytes of JSON; characters that no encoding has are replaced."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
