"""What an expansion returns."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from entity_expand.errors import QueryError
from entity_expand.query import ExpandQuery
from entity_expand.stores.base import Evidence

if TYPE_CHECKING:
    import pandas as pd

Verdict: TypeAlias = Literal["accept", "reject"]


@dataclass(frozen=True, slots=True)
class Seed:
    """What a seed was resolved to.

    Attributes:
        id: Key of the entity; "" for a seed that is not in the index.
        name: What a person calls it.
        attributes: Of the entity.
        evidence: Sentences that name it, with pictures.
    """

    id: str
    name: str
    attributes: Mapping[str, str]
    evidence: Sequence[Evidence]


@dataclass(frozen=True, slots=True)
class Result:
    """One entity of an expanded set.

    Attributes:
        rank: From 1.
        id: Key of the entity.
        name: What a person calls it.
        attributes: Of the entity.
        evidence: Sentences that name it, with pictures; the first of them is the one to show.
        score: What the list is sorted by: ranked again it is μ / place before + 1 / rank of divergence, in the paper's
            search without that 1 / place of joining, with negatives 1 / place times the penalty, else what the
            strategy combines the seeds' gains to (`strategies/combine.py`).
        similarity: Mean over the seeds, by their weights, of what each adds to the score: their standardised
            log-probability of this entity, in deviations; in feature space the cosine.
        confidence: Calibrated probability that it is a member; None without a calibration.
        rank_before: Its rank before the list was ranked again, from 1; None if that is not known.
    """

    rank: int
    id: str
    name: str
    attributes: Mapping[str, str]
    evidence: Sequence[Evidence]
    score: float
    similarity: float
    confidence: float | None = None
    rank_before: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of some results at once.

    Attributes:
        verdict: "accept" or "reject".
        ids: Of whom; at least one.
    """

    verdict: Verdict
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class History:
    """What happened before and on a page of results.

    Attributes:
        decisions: In the order in which they were made.
        shown: Ids of the results of earlier pages, in the order in which they were shown.
    """

    decisions: tuple[Decision, ...] = ()
    shown: tuple[str, ...] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """The accepted ids, in the order of their last decision."""
        return self._decided("accept")

    @property
    def rejected(self) -> tuple[str, ...]:
        """The rejected ids, in the order of their last decision."""
        return self._decided("reject")

    def _decided(self, verdict: Verdict) -> tuple[str, ...]:
        last: dict[str, Verdict] = {}
        for decision in self.decisions:
            for identifier in decision.ids:
                last.pop(identifier, None)
                last[identifier] = decision.verdict
        return tuple(identifier for identifier, said in last.items() if said == verdict)


class Maker(Protocol):
    """What an expansion may be made by, and ask again."""

    def more(self, expansion: Expansion, size: int | None = None) -> Expansion:
        """Return the next page."""

    def picture(self, evidence: Sequence[Evidence]) -> Path | None:
        """Return the file of the first picture among some evidence."""


class Origin:
    """Who made an expansion, so long as it lives; a copy that is sent to another process forgets it.

    Args:
        maker: None for unknown.
    """

    __slots__ = ("_reference",)

    def __init__(self, maker: Maker | None = None) -> None:
        self._reference = None if maker is None else weakref.ref(maker)

    def __reduce__(self) -> tuple[type[Origin], tuple[()]]:
        return Origin, ()

    @property
    def maker(self) -> Maker | None:
        """The maker, or None if it is unknown or gone."""
        return None if self._reference is None else self._reference()


_UNKNOWN = Origin()


@dataclass(frozen=True, slots=True)
class Expansion:
    """The rest of the set: one page of results, and what was decided about them. Two are equal if they say the same.

    Attributes:
        seeds: What the seeds were resolved to, in the order given; on later pages the accepted entities follow.
        results: By falling score.
        exact: Whether the list is the one that a full scan at every step gives.
        fetches: How many pools were fetched from the store; 0 if it handed over all its entities.
        query: What was asked for the first page; not compared.
        negatives: What the negatives were resolved to; on later pages the rejected entities follow.
        history: Earlier pages, and what was accepted and rejected.
        cutoff: How many of the first results are likely members; None without a calibration.
        origin: Who made it; not compared.
    """

    seeds: tuple[Seed, ...]
    results: tuple[Result, ...]
    exact: bool
    fetches: int
    query: ExpandQuery = field(compare=False)
    negatives: tuple[Seed, ...] = ()
    history: History = History()
    cutoff: int | None = None
    origin: Origin = field(default=_UNKNOWN, compare=False, repr=False)

    @property
    def names(self) -> list[str]:
        """The names of the results, best first."""
        return [result.name for result in self.results]

    @property
    def ids(self) -> list[str]:
        """The ids of the results, best first."""
        return [result.id for result in self.results]

    @property
    def shown(self) -> tuple[str, ...]:
        """The ids of the results of all pages up to this one."""
        return (*self.history.shown, *self.ids)

    def accept(self, *ids_or_names: str) -> Expansion:
        """Return the expansion with results accepted; on the next page they are seeds.

        Args:
            *ids_or_names: Results of this page by id or name, those of earlier pages by id.

        Raises:
            QueryError: None is given, or one that was not shown, or a name that several results have.
        """
        from entity_expand.results.session import decided

        return decided(self, "accept", ids_or_names)

    def reject(self, *ids_or_names: str) -> Expansion:
        """Return the expansion with results rejected; on the next page they are negatives. As `accept`."""
        from entity_expand.results.session import decided

        return decided(self, "reject", ids_or_names)

    def undo(self) -> Expansion:
        """Return the expansion without the last decision, whichever page it was made on.

        Raises:
            QueryError: There is none.
        """
        from entity_expand.results.session import undone

        return undone(self)

    def more(self, size: int | None = None) -> Expansion:
        """Return the next page, from the `Expander` that made this one; see `Expander.more`.

        Raises:
            QueryError: It is unknown, as after reading a file, or no longer there.
        """
        maker = self.origin.maker
        if maker is None:
            raise QueryError("This expansion does not know its expander (any more); call `expander.more(expansion)`.")
        return maker.more(self, size)

    def to_dict(self) -> dict[str, Any]:
        """Return the expansion as what JSON can hold; `from_dict` reads it."""
        from entity_expand.results.form import to_form

        return to_form(self)

    @classmethod
    def from_dict(cls, content: Any) -> Expansion:
        """Read what `to_dict` returned, from anyone: everything is checked.

        Raises:
            ExpansionError: It is not of that form, or of another version.
        """
        from entity_expand.results.reading import from_form

        return from_form(content)

    def to_json(self, path: Path | str) -> None:
        """Write the expansion to a file, which `from_json` reads."""
        from entity_expand.results.files import write_expansion

        write_expansion(self, Path(path))

    @classmethod
    def from_json(cls, path: Path | str) -> Expansion:
        """Read a file that `to_json` wrote, from anyone.

        Raises:
            ExpansionError: It cannot be read, is too large, or not of that form.
        """
        from entity_expand.results.files import read_expansion

        return read_expansion(Path(path))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a flat dictionary per result, all with the same keys; attributes stand under "attribute.KEY"."""
        from entity_expand.results.tables import to_rows

        return to_rows(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return `to_dicts` as a table; needs the extra `pandas`."""
        from entity_expand.results.tables import to_frame

        return to_frame(self)

    def to_csv(self, path: Path | str) -> None:
        """Write `to_dicts` to a CSV file in which no text is a formula to a spreadsheet: such get a ' in front."""
        from entity_expand.results.tables import write_table

        write_table(self, Path(path))

    def _repr_html_(self) -> str:
        """Return a table with pictures for a notebook."""
        from entity_expand.results.notebook import as_html

        return as_html(self)
