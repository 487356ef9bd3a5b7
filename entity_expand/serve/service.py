"""What the endpoints share: the expander, the settings, and the desk that calls pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from entity_expand.drive import run
from entity_expand.expander import Expander
from entity_expand.sending import Deadline
from entity_expand.serve.desk import Desk
from entity_expand.serve.metrics import Metrics
from entity_expand.serve.settings import ServeSettings
from entity_expand.stores.base import Steps

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """What the endpoints share.

    Attributes:
        settings: Limits.
        expander: The opened index.
        desk: Where work is done.
        metrics: What is counted.
    """

    settings: ServeSettings
    expander: Expander
    desk: Desk
    metrics: Metrics

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
