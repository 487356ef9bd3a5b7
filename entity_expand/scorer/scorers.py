"""Scorers: sets of seeds in, their best candidates out, among entities whose rows a scorer holds.

A request carries seeds and exclusions, never rows of candidates; `bundle.specs.scorer_spec` has the formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from entity_expand.encoder.onnx_session import graph_session, run_session
from entity_expand.errors import EncoderError, QueryError
from entity_expand.scorer.folder import ScorerFolder
from entity_expand.types import AnyArray, Float32, Int64

MOST_SETS, MOST_SEEDS, MOST_RESULTS = 1_024, 1_000, 10_000


@dataclass(frozen=True, slots=True, eq=False)
class SeedSet:
    """One set that candidates are asked for.

    Attributes:
        seeds: Ids or places of entities that the scorer holds.
        weights: (S,) what each seed counts; None: each 1.
        query: What seeds that the scorer does not hold add, (W,) or (2 W,) as `scoring.query_vector` gives it.
        exclude: Ids or places of entities that are no candidates, beside the seeds.
        both_directions: λ; 0 scores as the paper does.
    """

    seeds: Sequence[str | int]
    weights: Sequence[float] | None = None
    query: AnyArray | None = None
    exclude: Sequence[str | int] = ()
    both_directions: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """The best candidates of one set, best first, equal scores by rising place.

    Attributes:
        ids: K ids.
        positions: (K,) int64 places among the scorer's entities.
        scores: (K,) float32, inner products of [R ; G] with the set's query.
    """

    ids: tuple[str, ...]
    positions: Int64
    scores: Float32


class Scorer(Protocol):
    """What ranks candidates for sets of seeds."""

    @property
    def roster(self) -> Roster:
        """The entities that are candidates, and the width of their rows."""
        ...

    def best(self, sets: Sequence[SeedSet], size: int) -> list[Ranked]:
        """Return at most `size` candidates for each set, in the order of the sets.

        Raises:
            QueryError: A seed or an exclusion is unknown, or sizes or weights are out of range.
            EncoderError: The scorer fails.
        """
        ...


@dataclass(frozen=True)
class Roster:
    """The entities of a scorer: what stands between ids and the tensors of its graph.

    Attributes:
        ids: N ids.
        width: W.
        bundle: Fingerprint of the bundle that made the rows.
    """

    ids: tuple[str, ...]
    width: int
    bundle: str

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Place of each id."""
        return {identifier: place for place, identifier in enumerate(self.ids)}

    def feeds(self, sets: Sequence[SeedSet], size: int) -> dict[str, AnyArray]:
        """Return the inputs of the graph by name, as `scorer_spec` declares them.

        Raises:
            QueryError: A seed or an exclusion is unknown, or sizes or weights are out of range.
        """
        if not 1 <= len(sets) <= MOST_SETS or not 1 <= size <= MOST_RESULTS:
            raise QueryError(
                f"A scorer takes 1 to {MOST_SETS:,} sets and a size of 1 to {MOST_RESULTS:,}, not {len(sets)} and "
                f"{size}."
            )
        seeds = [self._found(each.seeds, MOST_SEEDS) for each in sets]
        both = np.array([[each.both_directions] for each in sets], np.float32)
        if not (np.isfinite(both).all() and (both >= 0).all()):
            raise QueryError("both_directions must be a number of at least 0.")
        return {
            "seeds": _padded(seeds, -1, np.int64),
            "weights": _padded([_weights(each) for each in sets], 0, np.float32),
            "query": np.stack([self._query(each) for each in sets]),
            "excluded": _padded([self._found(each.exclude, len(self.ids)) for each in sets], -1, np.int64),
            "both_directions": both,
            "k": np.full((len(sets), 1), min(size, len(self.ids)), np.int64),
        }

    def ranked(self, positions: AnyArray, scores: AnyArray) -> list[Ranked]:
        """Read the outputs of the graph.

        Raises:
            EncoderError: They are no places and scores.
        """
        if positions.shape != scores.shape or positions.ndim != 2 or np.isnan(scores).any():
            raise EncoderError("The scorer yielded something else than places and scores; make it again.")
        if positions.size and not -1 <= positions.min() <= positions.max() < len(self.ids):
            raise EncoderError(f"The scorer yielded places outside of its {len(self.ids):,} entities; make it again.")
        found = []
        for row, values in zip(positions, scores, strict=True):
            kept = row[row >= 0]
            found.append(Ranked(tuple(self.ids[place] for place in kept), kept, values[row >= 0]))
        return found

    def _found(self, entities: Sequence[str | int], most: int) -> list[int]:
        if len(entities) > most:
            raise QueryError(f"A set has at most {most:,} seeds or exclusions here, not {len(entities):,}.")
        places = []
        for entity in entities:
            place = self.places.get(entity, -1) if isinstance(entity, str) else entity
            if not 0 <= place < len(self.ids):
                raise QueryError(f"The scorer has no entity {entity!r} among its {len(self.ids):,}.")
            places.append(int(place))
        return places

    def _query(self, asked: SeedSet) -> Float32:
        whole = np.zeros(2 * self.width, np.float32)
        if asked.query is None:
            if not asked.seeds:
                raise QueryError("A set needs seeds, a query or both.")
            return whole
        if asked.query.shape not in ((self.width,), (2 * self.width,)) or not np.isfinite(asked.query).all():
            raise QueryError(f"A query has {self.width} or {2 * self.width} finite numbers here.")
        whole[: len(asked.query)] = asked.query
        return whole


class OnnxScorer:
    """Runs a scorer's graph with onnxruntime; safe to use from several threads.

    Args:
        folder: As `entity-expand index scorer` writes it; sizes and hashes are checked.
        providers: Execution providers by short or long name, in order of preference.
        threads: Threads of one operator; None leaves it to onnxruntime.

    Raises:
        BundleError: The folder is missing, damaged or of another form, or points elsewhere.
        MissingExtraError: onnxruntime is not installed.
        EncoderError: A provider is not available, or the graph cannot be loaded.
    """

    def __init__(self, folder: Path | str, providers: Sequence[str] = ("cpu",), threads: int | None = None) -> None:
        read = ScorerFolder(Path(folder))
        self._roster = Roster(read.ids, read.width, read.bundle)
        self._tables = read.tables  # the session reads their memory and does not keep it
        self._session = graph_session(read.graph, providers, threads, self._tables)

    @property
    def roster(self) -> Roster:
        """The entities that are candidates, and the width of their rows."""
        return self._roster

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, by long name."""
        return tuple(self._session.get_providers())

    def best(self, sets: Sequence[SeedSet], size: int) -> list[Ranked]:
        """Return at most `size` candidates for each set, in the order of the sets; see `Scorer`."""
        positions, scores = run_session(self._session, ("positions", "scores"), self._roster.feeds(sets, size))
        return self._roster.ranked(positions, scores)


def _weights(asked: SeedSet) -> list[float]:
    weights = [1.0] * len(asked.seeds) if asked.weights is None else list(asked.weights)
    if len(weights) != len(asked.seeds) or not np.isfinite(weights).all():
        raise QueryError(f"weights must be {len(asked.seeds)} numbers, one per seed.")
    return weights


def _padded(rows: Sequence[Sequence[float]], filler: int, dtype: Any) -> AnyArray:
    """Return rows of different lengths as one array (B, longest)."""
    padded = np.full((len(rows), max(map(len, rows))), filler, dtype)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded
