"""Drive algorithms without I/O against readers: one or many at once, waiting or awaiting."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

from entity_expand.errors import EntityExpandError, QueryError
from entity_expand.stores.base import AsyncReader, Reader, Request, Steps, Together

A = TypeVar("A")
C = TypeVar("C")
T = TypeVar("T")


class Lockstep(Generic[T]):
    """Several runs side by side: their requests of one round are answered together.

    Args:
        runs: The generators.
        keep_errors: Whether a `QueryError` of one run takes the place of its result instead of ending all.
    """

    def __init__(self, runs: Sequence[Steps[T]], keep_errors: bool = False) -> None:
        self._runs = list(runs)
        self._keep_errors = keep_errors
        self._done: dict[int, T | QueryError] = {}
        self._waiting: dict[int, Request[Any]] = {}
        for number in range(len(self._runs)):
            self._advance(number, None)

    def _advance(self, number: int, answer: Any) -> None:
        steps = self._runs[number]
        try:
            self._waiting[number] = steps.throw(answer) if isinstance(answer, QueryError) else steps.send(answer)
        except StopIteration as end:
            self._done[number] = end.value
        except QueryError as problem:
            if not self._keep_errors:
                raise
            self._done[number] = problem

    @property
    def requests(self) -> list[Request[Any]]:
        """What the runs wait for; empty when all have ended."""
        return [each for waiting in self._waiting.values() for each in _parts(waiting)]

    def send(self, answers: Sequence[Any]) -> None:
        """Hand over the answers, in the order of `requests`; a `QueryError` is raised in the run that asked."""
        waiting, self._waiting = self._waiting, {}
        given = iter(answers)
        for number, request in waiting.items():
            own = list(itertools.islice(given, len(_parts(request))))
            refused = next((answer for answer in own if isinstance(answer, QueryError)), None)
            self._advance(number, refused or (own if isinstance(request, Together) else own[0]))

    def results(self) -> list[T | QueryError]:
        """Return what the runs returned, in their order."""
        return [self._done[number] for number in range(len(self._runs))]


def _parts(request: Request[Any]) -> tuple[Request[Any], ...]:
    return request.requests if isinstance(request, Together) else (request,)


def run_many(runs: Sequence[Steps[T]], reader: Reader, keep_errors: bool = False) -> list[T | QueryError]:
    """Run generators side by side against a reader; arguments as for `Lockstep`."""
    lockstep = Lockstep(runs, keep_errors)
    while requests := lockstep.requests:
        try:
            answers = reader.answer(requests)
        except QueryError:  # of one of them; which one shows when each is asked alone
            answers = [_alone(reader, request) for request in requests]
        lockstep.send(answers)
    return lockstep.results()


def _alone(reader: Reader, request: Request[Any]) -> Any:
    try:
        return reader.answer([request])[0]
    except QueryError as problem:
        return problem


async def run_many_async(
    runs: Sequence[Steps[T]], reader: AsyncReader, keep_errors: bool = False
) -> list[T | QueryError]:
    """Run generators side by side against a reader that is awaited."""
    lockstep = Lockstep(runs, keep_errors)
    while requests := lockstep.requests:
        try:
            answers = await reader.answer(requests)
        except QueryError:
            answers = [await _alone_async(reader, request) for request in requests]
        lockstep.send(answers)
    return lockstep.results()


async def _alone_async(reader: AsyncReader, request: Request[Any]) -> Any:
    try:
        return (await reader.answer([request]))[0]
    except QueryError as problem:
        return problem


def run(steps: Steps[T], reader: Reader) -> T:
    """Run one generator against a reader."""
    (result,) = run_many([steps], reader)
    if isinstance(result, QueryError):
        raise result
    return result


def one_by_one(operation: Generator[C, A, T], send: Callable[[C], A]) -> T:
    """Send what an operation yields, one after the other, and return what it returns.

    Args:
        operation: Is sent the answers; the error of a sending is raised at its `yield`.
        send: Sends one, and returns its answer.
    """
    with contextlib.closing(operation):
        try:
            asked = next(operation)
            while True:
                try:
                    answer = send(asked)
                except EntityExpandError as problem:
                    asked = operation.throw(problem)
                else:
                    asked = operation.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


async def one_by_one_async(operation: Generator[C, A, T], send: Callable[[C], Awaitable[A]]) -> T:
    """Do as `one_by_one` does with a sending that is awaited."""
    with contextlib.closing(operation):
        try:
            asked = next(operation)
            while True:
                try:
                    answer = await send(asked)
                except EntityExpandError as problem:
                    asked = operation.throw(problem)
                else:
                    asked = operation.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
