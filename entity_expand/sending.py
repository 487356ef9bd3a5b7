"""Sending to a server under a deadline, and again where that is safe; what is sent is up to others.

The rules, for one `persist`:

- A sending that failed is followed by another if nothing was done (no connection was made, the server refused for lack
  of room), or if what is sent is safe and the outcome unknown (a broken connection or answer, no answer in its share of
  time). Nothing else is sent twice.
- Between two sendings lies a random time between 0 and 0.05 s x 2^n, at most 2 s; never less than the server asked for.
- A safe sending may use half of the time that is left, though never less than a quarter of the whole, so that one
  connection that hangs does not use up the deadline: allow a call twice the time that it takes. Another one may use all
  of it.
- When less than a tenth of the whole time would be left for the next sending, the last failure is raised.
- At the deadline whatever goes on is cancelled, also in the middle of a name look-up, a handshake or a body.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from entity_expand.errors import DeadlineError, EntityExpandError

A = TypeVar("A")
C = TypeVar("C")
T = TypeVar("T")

_BASE, _LONGEST = 0.05, 2.0


class Again(enum.Enum):
    """When the same may be sent once more."""

    ALWAYS = "nothing was done"
    SAFE = "nobody knows what was done"
    NEVER = "it would fail again"


@dataclass(frozen=True, slots=True)
class Failure:
    """One sending that failed.

    Attributes:
        error: What to raise when no further sending follows.
        again: When another may follow.
        wait: Least seconds until then, as the server asked for.
    """

    error: EntityExpandError
    again: Again
    wait: float = 0.0


class FailedError(Exception):
    """One sending failed; whoever sends decides what follows."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure.error))
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time after which nobody waits any more.

    Attributes:
        seconds: How long it was at the start.
        end: When it is over, on the monotonic clock.
    """

    seconds: float
    end: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that ends after so many seconds from now."""
        return cls(seconds, time.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds left; 0 when it is over."""
        return max(self.end - time.monotonic(), 0.0)

    def left(self) -> float:
        """Return the seconds left.

        Raises:
            DeadlineError: It is over.
        """
        left = self.remaining()
        if left <= 0:
            raise DeadlineError(f"The time limit of {self.seconds:g} s is over; allow more, or ask for less.")
        return left


async def persist(
    send: Callable[[float], Awaitable[T]], what: str, deadline: Deadline, random: random.Random, *, safe: bool = True
) -> T:
    """Send until there is an answer, and return it.

    Args:
        send: Sends once, given the seconds that it may take; raises `FailedError`.
        what: Who gave no answer to what, for the message: "HOST gave no answer to GET /x".
        deadline: When to give up.
        random: For the times between two sendings.
        safe: Whether it may be sent again when nobody knows what became of the first sending.

    Raises:
        DeadlineError: The time was over.
        EntityExpandError: The error of the last failure.
    """
    whole, last = deadline.left(), ""
    for number in itertools.count():
        left = deadline.left() if number == 0 else deadline.remaining()
        share = min(max(left / 2, whole / 4), left) if safe else left
        try:
            async with asyncio.timeout(share):
                return await send(share)
        except FailedError as problem:
            failure = problem.failure
        except TimeoutError:
            text = f"{what} within {share:.3g} s (limit {deadline.seconds:g} s)."
            failure = Failure(DeadlineError(text + last), Again.SAFE)
        wait = max(failure.wait, random.uniform(0, min(_LONGEST, _BASE * 2 ** min(number, 20))))
        again = failure.again is Again.ALWAYS or (failure.again is Again.SAFE and safe)
        if not again or deadline.remaining() - wait < whole / 10:
            break
        last = f" Before that: {failure.error}"[:500]
        await asyncio.sleep(wait)
    raise failure.error
