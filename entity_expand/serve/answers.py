"""The bodies of answers: what is described in OpenAPI, and the plain dictionaries that are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from entity_expand.results import Expansion, Result, Seed
from entity_expand.results.form import evidence_form
from entity_expand.stores.base import Evidence, Record

PICTURES = "/v1/pictures/"


class EvidenceAnswer(BaseModel):
    """A sentence that names the entity, with its picture; either may be missing."""

    text: str
    mentions: list[tuple[int, int]] = Field(description="Character spans [start, end) of the entity's mentions.")
    image: str | None = Field(description="Path of the picture; `pictures` and `picture` have its address.")


class SeedAnswer(BaseModel):
    """What a seed was resolved to."""

    id: str = Field(description='"" for a seed that is not in the index.')
    name: str
    attributes: dict[str, str]
    evidence: list[EvidenceAnswer]


class ResultAnswer(SeedAnswer):
    """One entity of an expanded set."""

    rank: int = Field(ge=1)
    score: float = Field(description="What the list is sorted by.")
    similarity: float = Field(description="Mean over the seeds of what each adds to the score.")
    confidence: float | None = Field(ge=0, le=1, description="Calibrated; null without a calibration.")
    rank_before: int | None = Field(ge=1, description="Before the list was ranked again.")


class DecisionAnswer(BaseModel):
    """What a person said of some results at once."""

    verdict: Literal["accept", "reject"]
    ids: list[str]


class HistoryAnswer(BaseModel):
    """What happened before and on a page of results."""

    decisions: list[DecisionAnswer]
    shown: list[str]


class ExpansionAnswer(BaseModel):
    """The rest of the set, in the form that `Expansion.from_dict` reads once `pictures` is left out."""

    format: Literal["entity-expand expansion"]
    version: Literal[1]
    query: dict[str, Any] = Field(description="What was asked.")
    seeds: list[SeedAnswer]
    negatives: list[SeedAnswer]
    results: list[ResultAnswer]
    cutoff: int | None = Field(description="How many of the first results are likely members; null for unknown.")
    exact: bool = Field(description="Whether the list is the one that a full scan at every step gives.")
    fetches: int = Field(ge=0)
    history: HistoryAnswer
    pictures: dict[str, str] = Field(description="Id of a seed, negative or result -> address of its picture.")


class ContributionAnswer(BaseModel):
    """What one seed, or one negative, says of an entity."""

    seed: SeedAnswer
    share: float = Field(description="What it adds to the entity's similarity.")
    gives: float = Field(description="How well the seed's sentences predict the entity, in deviations.")
    takes: float = Field(description="How well the entity's sentences predict the seed, in deviations.")
    likeness: float = Field(description="Cosine of their features.")


class ExplanationAnswer(BaseModel):
    """Why one entity is in a set."""

    result: ResultAnswer
    contributions: list[ContributionAnswer] = Field(description="Of the seeds, by falling share.")
    against: list[ContributionAnswer] = Field(description="Of the negatives.")
    words: list[str] = Field(description="What its sentences share with those of seeds, the most telling first.")
    evidence: list[EvidenceAnswer]


class WordAnswer(BaseModel):
    """A word that members of a set have in common."""

    text: str
    members: int
    elsewhere: float = Field(description="The share of other entities that have a sentence with it.")
    weight: float


class NeighbourAnswer(BaseModel):
    """A member near the centre of its set."""

    id: str
    name: str
    image: str | None
    likeness: float


class SetExplanationAnswer(BaseModel):
    """What holds a set together."""

    label: str = Field(description='A short name for the class; "" for none.')
    members: int
    words: list[WordAnswer]
    neighbours: list[NeighbourAnswer]
    cohesion: float


class FeaturesAnswer(BaseModel):
    """Features of what was encoded, as those of the index are."""

    bundle: str = Field(description="Fingerprint of the bundle that encoded.")
    dimension: int
    features: list[list[float]]


class EntityAnswer(BaseModel):
    """One entity, as a list shows it."""

    id: str
    name: str
    aliases: list[str]
    attributes: dict[str, str]
    picture: str | None = Field(description="Address of its first picture.")


class EntitiesAnswer(BaseModel):
    """Some entities."""

    entities: list[EntityAnswer]


class WholeEntityAnswer(EntityAnswer):
    """One entity with its evidence."""

    trained: bool = Field(description="Whether the model knew it when it was trained.")
    samples: int = Field(description="How many samples its numbers come from.")
    evidence: list[EvidenceAnswer]
    pictures: list[str | None] = Field(description="Address of the picture of each piece of evidence.")


class ValueAnswer(BaseModel):
    """A value of an attribute."""

    value: str
    entities: int


class AttributeAnswer(BaseModel):
    """An attribute that filters can use."""

    key: str
    values: list[ValueAnswer] = Field(description="The most frequent first.")
    distinct: int = Field(description="How many values there are; `values` may hold fewer.")


class LimitsAnswer(BaseModel):
    """How much may be asked at once."""

    seeds: int
    results: int
    batch: int
    filter_values: int
    picture_bytes: int
    body_bytes: int


class IndexAnswer(BaseModel):
    """What the service answers from."""

    title: str
    entities: int
    modality: str
    modalities: list[str] = Field(description="What `modality` may be; the first is what null stands for.")
    exact: bool = Field(description="Whether nearest entities are always the true ones.")
    written_by: str = Field(description="Version that wrote the index.")
    version: str = Field(description="Version of the service.")
    strategies: list[str] = Field(description="What `strategy` may be; the first is what null stands for.")
    new_seeds: bool = Field(description="Whether seeds that are not in the index can be encoded.")
    attributes: list[AttributeAnswer]
    limits: LimitsAnswer


class HealthAnswer(BaseModel):
    """How the service is."""

    status: Literal["ok"]


class WrongAnswer(BaseModel):
    """One part of a request that is not of the described form."""

    where: str
    detail: str


class ReadingAnswer(BaseModel):
    """One of the entities that a seed may mean."""

    id: str
    name: str


class ProblemAnswer(BaseModel):
    """What went wrong, by RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str = ""
    seed: str | None = None
    suggestions: list[str] | None = None
    readings: list[ReadingAnswer] | None = None
    errors: list[WrongAnswer] | None = None


class BatchAnswer(BaseModel):
    """One expansion per query, in their order, or what was wrong with the query."""

    results: list[ExpansionAnswer | ProblemAnswer]


def picture_address(evidence: Sequence[Evidence]) -> str | None:
    """Return the address of the first picture among some evidence."""
    return next((PICTURES + quote(item.image) for item in evidence if item.image is not None), None)


def expansion_form(expansion: Expansion) -> dict[str, Any]:
    """Return an expansion as `ExpansionAnswer` describes it."""
    shown: tuple[Seed | Result, ...] = (*expansion.seeds, *expansion.negatives, *expansion.results)
    addresses = ((each.id, picture_address(each.evidence)) for each in shown)
    return {**expansion.to_dict(), "pictures": {key: address for key, address in addresses if address is not None}}


def entity_form(record: Record) -> dict[str, Any]:
    """Return an entity as `EntityAnswer` describes it."""
    entity = record.entity
    return {
        "id": entity.id,
        "name": entity.name,
        "aliases": list(entity.aliases),
        "attributes": dict(entity.attributes),
        "picture": picture_address(record.evidence),
    }


def whole_entity_form(record: Record) -> dict[str, Any]:
    """Return an entity as `WholeEntityAnswer` describes it."""
    return {
        **entity_form(record),
        "trained": record.trained,
        "samples": record.samples,
        "evidence": evidence_form(record.evidence),
        "pictures": [picture_address([item]) for item in record.evidence],
    }
