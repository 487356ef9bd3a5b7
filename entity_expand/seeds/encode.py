"""Seeds that are not in the index, as requests: a reader that has them encoded, and hands on all else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from entity_expand.errors import QueryError
from entity_expand.query import ExpandQuery, NewSeed, new_among
from entity_expand.search.pools import Pool
from entity_expand.search.scoring import EntityRows
from entity_expand.stores.base import AsyncReader, Facts, IndexMeta, Reader, Request, part_meta
from entity_expand.threads import in_thread
from entity_expand.types import Modality


@dataclass(frozen=True, slots=True)
class Encode(Request[EntityRows]):
    """The rows of seeds that are not in the index, in this order, as it or a part would hold them; at least one."""

    seeds: tuple[NewSeed, ...]
    part: Modality | None = None


class EncodesSeeds(Protocol):
    """What makes rows of seeds that are not in the index; see `newcomers.SeedEncoder`."""

    def rows(self, seeds: Sequence[NewSeed], meta: IndexMeta) -> EntityRows:
        """Return the rows of new seeds, in their order, as an index that `meta` describes would hold them."""


def new_seeds(query: ExpandQuery) -> tuple[NewSeed, ...]:
    """Return the seeds of a query that are not in the index, and behind them such negatives."""
    return new_among((*query.seeds, *query.negative))


def shows(seed: NewSeed, modality: Modality) -> bool:
    """Return whether a new seed has what a modality compares."""
    has = {"text": bool(seed.text.strip()), "picture": seed.image is not None}
    return has[modality] if modality != "both" else True


class EncodingReader:
    """A reader that also answers `Encode`.

    Args:
        reader: Answers all else.
        encoder: None if there is none: then such a request is refused.
    """

    def __init__(self, reader: Reader, encoder: EncodesSeeds | None) -> None:
        self._reader, self._encoder = reader, encoder

    @property
    def facts(self) -> Facts:
        """What an expansion must know of the index."""
        return self._reader.facts

    def whole(self, both_directions: float) -> Pool | None:
        """Return all entities as one pool; as the reader's."""
        return self._reader.whole(both_directions)

    def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests; new seeds of all of them are encoded together."""
        wanted, others = _parted(requests)
        rows = _encoded(wanted, self._encoder, self.facts.meta)
        return _merged(requests, rows, self._reader.answer(others))


class AsyncEncodingReader:
    """The same, awaited; new seeds are encoded in a thread."""

    def __init__(self, reader: AsyncReader, encoder: EncodesSeeds | None) -> None:
        self._reader, self._encoder = reader, encoder

    @property
    def facts(self) -> Facts:
        """What an expansion must know of the index."""
        return self._reader.facts

    async def answer(self, requests: Sequence[Request[Any]]) -> list[Any]:
        """Return the answers to requests; new seeds of all of them are encoded together."""
        wanted, others = _parted(requests)
        rows = await in_thread(_encoded, wanted, self._encoder, self.facts.meta) if wanted else []
        return _merged(requests, rows, await self._reader.answer(others))


def _parted(requests: Sequence[Request[Any]]) -> tuple[list[Encode], list[Request[Any]]]:
    wanted = [request for request in requests if isinstance(request, Encode)]
    return wanted, [request for request in requests if not isinstance(request, Encode)]


def _encoded(wanted: Sequence[Encode], encoder: EncodesSeeds | None, meta: IndexMeta) -> list[EntityRows]:
    """Return the rows of the seeds of each request."""
    if not wanted:
        return []
    if encoder is None:
        raise QueryError(
            "A seed is not in the index, and there is nothing to encode it with: open the expander with the bundle "
            "that the index was made with."
        )
    found: dict[int, EntityRows] = {}
    for part in dict.fromkeys(request.part for request in wanted):
        numbers = [number for number, request in enumerate(wanted) if request.part == part]
        seeds = [seed for number in numbers for seed in wanted[number].seeds]
        rows = encoder.rows(seeds, meta if part is None else part_meta(meta, part))
        ends = np.cumsum([len(wanted[number].seeds) for number in numbers]).tolist()
        for number, end in zip(numbers, ends, strict=True):
            found[number] = rows.take(np.arange(end - len(wanted[number].seeds), end))
    return [found[number] for number in range(len(wanted))]


def _merged(requests: Sequence[Request[Any]], rows: Sequence[EntityRows], others: Sequence[Any]) -> list[Any]:
    """Return both kinds of answers in the order of the requests."""
    encoded, answered = iter(rows), iter(others)
    return [next(encoded) if isinstance(request, Encode) else next(answered) for request in requests]
