"""The bodies of requests: typed, closed against unknown keys, with ceilings on everything."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from entity_expand.config import from_mapping
from entity_expand.errors import ConfigError, QueryError
from entity_expand.inputs.image import media_type_of
from entity_expand.query import MOST_RESULTS, MOST_SEEDS, ExpandQuery, NewSeed, Strategy
from entity_expand.results import Expansion
from entity_expand.search.plan import ExpandSettings
from entity_expand.sending import Deadline
from entity_expand.serve.settings import ServeSettings
from entity_expand.stores.filters import Filter
from entity_expand.types import LARGEST_WEIGHT, Modality

_USUAL = 100
_LONGEST_BASE64 = 4 * (32 << 20) // 3 + 4

Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=1_000)]
Weight: TypeAlias = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class Form(BaseModel):
    """A JSON object without keys that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NewSeedForm(Form):
    """A seed that is not in the index: a sentence, a picture, or both."""

    text: str = Field("", max_length=100_000, description='A sentence that names it: "The [[okapi]] eats leaves."')
    image: str | None = Field(None, max_length=_LONGEST_BASE64, description="A picture of it, as base64.")
    name: str = Field("", max_length=1_000, description="What it is called in the results.")

    def seed(self, settings: ServeSettings, deadline: Deadline) -> NewSeed:
        """Return it as the library takes it.

        Raises:
            QueryError: There is neither text nor picture, or the picture is no base64.
            ImageError: The picture is too large, or begins as none.
            DeadlineError: It is over.
        """
        if self.image is None:
            return NewSeed(self.text, None, self.name)
        try:
            content = base64.b64decode(self.image, validate=True)
        except (binascii.Error, ValueError) as problem:
            raise QueryError(f"The picture of a new seed is no base64: {problem}.") from None
        _check_picture(content, settings, deadline)
        return NewSeed(self.text, content, self.name)


Name: TypeAlias = Annotated[str, Field(max_length=1_000)]
SeedForm: TypeAlias = Name | NewSeedForm
Seeds: TypeAlias = Annotated[list[SeedForm], Field(max_length=MOST_SEEDS)]


class FilterForm(Form):
    """Which entities may be results; all that is given must hold."""

    attributes: dict[Text, Annotated[list[Annotated[str, Field(max_length=1_000)]], Field(max_length=10_000)]] = Field(
        default_factory=dict, max_length=50, description="Key -> values, one of which the entity has under that key."
    )
    name_prefix: str | None = Field(None, max_length=1_000, description="What a name or an alias begins with.")

    def filter(self, settings: ServeSettings) -> Filter:
        """Return it as the library takes it.

        Raises:
            QueryError: It has too many values.
        """
        count = sum(map(len, self.attributes.values()))
        if count > settings.filter_values:
            raise QueryError(f"A filter has at most {settings.filter_values:,} values here, not {count:,}.")
        return Filter(dict(self.attributes), self.name_prefix)


class SearchForm(Form):
    """How the set grows and is ranked; see `SearchSettings`."""

    window: int = Field(default=1, ge=1, le=100)
    window_growth: float = Field(default=2.5, ge=0, le=100)
    window_step: int = Field(default=20, ge=1, le=10_000)
    rerank: bool = True
    rank_weight: float = Field(default=9.0, ge=0, le=LARGEST_WEIGHT)
    member_weight: float = Field(default=1.0, ge=0, le=1)


ChannelWeight: TypeAlias = Annotated[float, Field(ge=0, le=LARGEST_WEIGHT, allow_inf_nan=False)]


class ChannelsForm(Form):
    """How much each channel counts in the strategy "hybrid"; see `ChannelWeights`."""

    model: ChannelWeight = 1.0
    lexical: ChannelWeight = 0.0
    text: ChannelWeight = 0.0
    picture: ChannelWeight = 0.0


class SettingsForm(Form):
    """How the expansion is computed; see `ExpandSettings`."""

    both_directions: float = Field(default=0.0, ge=0, le=LARGEST_WEIGHT)
    space: Literal["heads", "features"] = "heads"
    search: SearchForm = SearchForm()
    pool_size: int = Field(default=1_000, ge=1, le=10_000)
    max_fetches: int | None = Field(default=None, ge=1, le=100)
    channels: ChannelsForm | None = Field(None, description='For "hybrid"; null for what was fitted for the index.')

    def settings(self) -> ExpandSettings:
        """Return them as the library takes them.

        Raises:
            QueryError: No channel counts.
        """
        try:
            return from_mapping(ExpandSettings, self.model_dump())
        except ConfigError as problem:
            raise QueryError(str(problem)) from problem


class ExpandForm(Form):
    """What is asked of an expansion."""

    seeds: Annotated[Seeds, Field(min_length=1, description="Ids, names or aliases, or seeds not in the index.")]
    size: int | None = Field(None, ge=1, le=MOST_RESULTS, description="How many results; null for 100 at most.")
    negative: Seeds = Field(default_factory=list, description="Examples of what is not wanted.")
    weights: list[Weight] | None = Field(None, max_length=MOST_SEEDS, description="How much each seed counts.")
    exclude: list[Name] = Field(default_factory=list, max_length=10_000, description="What must not come back.")
    filter: FilterForm | None = None
    settings: SettingsForm | None = Field(None, description="How it is computed; null for the paper's way.")
    strategy: Strategy | None = Field(None, description="How the seeds make a list; null for the paper's way.")
    modality: Modality | None = Field(None, description="What is compared; null for what the index was made with.")
    rerank: bool | None = Field(None, description="Whether the list is ranked again at the end.")

    def query(self, settings: ServeSettings, deadline: Deadline) -> ExpandQuery:
        """Return it as the library takes it; the limits on pictures are checked here, nothing is decoded.

        Raises:
            QueryError: It is above the limits of the service, or cannot be answered.
            ImageError: A picture is too large, or begins as none.
            DeadlineError: It is over.
        """
        size = min(_USUAL, settings.size) if self.size is None else self.size
        if size > settings.size:
            raise QueryError(f"An expansion has at most {settings.size:,} results here, not {size:,}.")
        for name, given in (("seeds", self.seeds), ("negatives", self.negative)):
            if len(given) > settings.seeds:
                raise QueryError(f"An expansion has at most {settings.seeds:,} {name} here, not {len(given):,}.")
        return ExpandQuery(
            _seeds(self.seeds, settings, deadline),
            size,
            tuple(self.exclude),
            None if self.filter is None else self.filter.filter(settings),
            None if self.settings is None else self.settings.settings(),
            negative=_seeds(self.negative, settings, deadline),
            weights=self.weights,
            strategy=self.strategy,
            modality=self.modality,
            rerank=self.rerank,
        )


class BatchForm(Form):
    """Several expansions, which a search server is asked for together."""

    queries: list[ExpandForm] = Field(min_length=1, max_length=1_000)


class PageForm(Form):
    """A page of results: the question that it answers, or the very page as an expansion was answered."""

    query: ExpandForm | None = Field(None, description="Is expanded first.")
    expansion: dict[str, Any] | None = Field(None, description="In the form of `Expansion.to_dict()`.")

    def asked(self, settings: ServeSettings, deadline: Deadline) -> ExpandQuery | Expansion:
        """Return it as the library takes it; further errors as for `ExpandForm.query`.

        Raises:
            QueryError: Not one of both is given, or it is above the limits of the service.
            ExpansionError: The page is none.
        """
        if (self.query is None) == (self.expansion is None):
            raise QueryError("Give either a query or an expansion.")
        if self.query is not None:
            return self.query.query(settings, deadline)
        content = self.expansion or {}
        found = Expansion.from_dict({key: value for key, value in content.items() if key != "pictures"})
        if max(len(found.seeds), len(found.negatives)) > settings.seeds or len(found.results) > settings.size:
            raise QueryError(f"A page has at most {settings.seeds:,} seeds and {settings.size:,} results here.")
        for given in (*found.query.seeds, *found.query.negative):
            if isinstance(given, NewSeed) and isinstance(given.image, bytes):
                _check_picture(given.image, settings, deadline)
        return found


class ExplainForm(PageForm):
    """Why is an entity in a set?"""

    id: Text = Field(description="Id or name of a result of the page.")


class EncodeForm(Form):
    """What is encoded."""

    inputs: list[NewSeedForm] = Field(min_length=1, max_length=1_000)

    def seeds(self, settings: ServeSettings, deadline: Deadline) -> list[NewSeed]:
        """Return them as the library takes them; errors as for `NewSeedForm.seed`."""
        if len(self.inputs) > settings.batch:
            raise QueryError(f"A request has at most {settings.batch:,} inputs here, not {len(self.inputs):,}.")
        return [each.seed(settings, deadline) for each in self.inputs]


def _seeds(given: list[SeedForm], settings: ServeSettings, deadline: Deadline) -> tuple[str | NewSeed, ...]:
    return tuple(each if isinstance(each, str) else each.seed(settings, deadline) for each in given)


def _check_picture(content: bytes, settings: ServeSettings, deadline: Deadline) -> None:
    """Check the limits on a picture by its length and its header."""
    deadline.left()
    media_type_of(content, max_bytes=settings.picture_bytes, max_pixels=settings.picture_pixels)
