"""What an explanation says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entity_expand.results.expansion import Result, Seed
from entity_expand.results.form import evidence_form, result_form, seed_form
from entity_expand.stores.base import Evidence


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one seed, or one negative, says of an entity.

    Attributes:
        seed: The seed.
        share: What it adds to the entity's `similarity`: weight times (gives + λ takes) over the number of seeds; in
            feature space weight times likeness over that number. Of a negative: as if it were the only seed.
        gives: How well the seed's sentences predict the entity, in deviations over all entities.
        takes: How well the entity's sentences predict the seed, likewise.
        likeness: Cosine of their features less the mean of all entities.
    """

    seed: Seed
    share: float
    gives: float
    takes: float
    likeness: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one entity is in an expanded set.

    Attributes:
        result: The entity, with its rank before and after the list was ranked again.
        contributions: Of the seeds, by falling share, by what the query compares; the shares add up to
            `result.similarity`.
        against: Of the negatives, by falling share, by all that the index compares, as negatives count.
        words: Words that sentences of the entity share with sentences of seeds, the most telling first.
        evidence: The entity's sentences and pictures, those with the most telling words first.
    """

    result: Result
    contributions: tuple[Contribution, ...]
    against: tuple[Contribution, ...]
    words: tuple[str, ...]
    evidence: tuple[Evidence, ...]

    @property
    def nearest(self) -> Seed:
        """The seed that says most for the entity."""
        return self.contributions[0].seed

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "result": result_form(self.result),
            "contributions": [_contribution_form(each) for each in self.contributions],
            "against": [_contribution_form(each) for each in self.against],
            "words": list(self.words),
            "evidence": evidence_form(self.evidence),
        }


def _contribution_form(contribution: Contribution) -> dict[str, Any]:
    numbers = {name: getattr(contribution, name) for name in ("share", "gives", "takes", "likeness")}
    return {"seed": seed_form(contribution.seed), **numbers}


@dataclass(frozen=True, slots=True)
class Word:
    """A word that members of a set have in common.

    Attributes:
        text: In lower case.
        members: How many members have a sentence with it.
        elsewhere: The share of other entities that have one.
        weight: How telling it is: the likelihood ratio G² of both shares being one.
    """

    text: str
    members: int
    elsewhere: float
    weight: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A member near the centre of its set.

    Attributes:
        id: Key of the entity.
        name: What a person calls it.
        image: Its first picture, as `Evidence.image`.
        likeness: Cosine of its feature and the set's centre, both less the mean of all entities.
    """

    id: str
    name: str
    image: str | None
    likeness: float


@dataclass(frozen=True, slots=True)
class SetExplanation:
    """What holds a set together.

    Attributes:
        label: A short name for the class: what sentences of the corpus call its members; failing that, the two most
            telling words; "" if there are none.
        members: How many entities were looked at: the seeds and the likely results.
        words: What their sentences share and others' lack, the most telling first.
        neighbours: The members with pictures nearest to the centre of the set, by the features of the index; nearest
            first.
        cohesion: Mean cosine of the members' features and the centre; 1 if they are all alike.
    """

    label: str
    members: int
    words: tuple[Word, ...]
    neighbours: tuple[Neighbour, ...]
    cohesion: float

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "label": self.label,
            "members": self.members,
            "words": _forms(self.words),
            "neighbours": _forms(self.neighbours),
            "cohesion": self.cohesion,
        }


def _forms(values: Sequence[Word] | Sequence[Neighbour]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(value) for value in values]
