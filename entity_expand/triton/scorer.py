"""Scorers that ask a Triton server: a request carries places of seeds, never rows of candidates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from entity_expand.errors import QueryError
from entity_expand.scorer import Ranked, Roster, SeedSet
from entity_expand.scorer.folder import ScorerFolder
from entity_expand.scorer.scorers import MOST_SETS
from entity_expand.triton.address import TritonAddress
from entity_expand.triton.asking import TIMEOUT, Asking, Waiting, side_by_side
from entity_expand.triton.models import scorer_model

IN_FLIGHT = 4


class AsyncTritonScorer(Asking):
    """A scorer on a Triton server, for one event loop.

    Args:
        folder: The scorer that the server's model was written from; only its manifest and ids are read here.
        where: The server; see `parse_triton`.
        timeout: Seconds for the answer to one request, all tries together.

    Raises:
        BundleError: The folder is missing, damaged or of another form.
        ConfigError: The address or the time limit is wrong.
        MissingExtraError: tritonclient is not installed.
    """

    def __init__(self, folder: Path | str, where: str | TritonAddress, *, timeout: float = TIMEOUT) -> None:
        read = ScorerFolder(Path(folder))
        super().__init__(scorer_model(read), where, timeout)
        self._roster = Roster(read.ids, read.width, read.bundle)

    @property
    def roster(self) -> Roster:
        """The entities that are candidates, and the width of their rows."""
        return self._roster

    async def check(self) -> None:
        """Make sure that the server has the model of this scorer and answers: it is asked for a candidate.

        Raises:
            ModelMismatchError: It has another model, or none.
            ServerError: It does not answer, or not in time.
        """
        self._served.clear()
        await self.best([SeedSet([0])], 1)

    async def best(self, sets: Sequence[SeedSet], size: int) -> list[Ranked]:
        """Return at most `size` candidates for each set, in the order of the sets.

        Raises:
            QueryError: A seed or an exclusion is unknown, or sizes or weights are out of range.
            EncoderError: The server refuses the inputs, or answers something else than places and scores.
            ServerError: The server does not answer, or not in time, or has too much to do.
        """
        if not 1 <= len(sets) <= MOST_SETS:
            raise QueryError(f"A scorer takes 1 to {MOST_SETS:,} sets, not {len(sets)}.")
        step = (await self._described(self.model)).max_batch
        found: dict[int, list[Ranked]] = {}

        async def ask(start: int) -> None:
            answer = await self._infer(self.model, self._roster.feeds(sets[start : start + step], size))
            # Requests that the server puts together are answered with the largest k among them.
            found[start] = self._roster.ranked(answer["positions"][:, :size], answer["scores"][:, :size])

        async def starts() -> AsyncIterator[int]:
            for start in range(0, len(sets), step):
                yield start

        await side_by_side(starts(), ask, IN_FLIGHT)
        return [ranked for start in sorted(found) for ranked in found[start]]


class TritonScorer(Waiting[AsyncTritonScorer]):
    """A scorer on a Triton server, for threads, which may share it; see `AsyncTritonScorer` for the arguments."""

    def __init__(self, folder: Path | str, where: str | TritonAddress, *, timeout: float = TIMEOUT) -> None:
        super().__init__(lambda: AsyncTritonScorer(folder, where, timeout=timeout))

    @property
    def roster(self) -> Roster:
        """The entities that are candidates, and the width of their rows."""
        return self._shared.connection.roster

    def check(self) -> None:
        """Make sure that the server has the model of this scorer and answers; see `AsyncTritonScorer.check`."""
        self._shared.run(lambda scorer: scorer.check(), self._limit(1))

    def best(self, sets: Sequence[SeedSet], size: int) -> list[Ranked]:
        """Return at most `size` candidates for each set, in their order; see `AsyncTritonScorer.best`."""
        return self._shared.run(lambda scorer: scorer.best(sets, size), self._limit(len(sets)))
