"""What an experiment is: variants of a configuration, ways to ask the trained models, and how the answers are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal, TypeAlias

from entity_expand.config import from_mapping, to_mapping
from entity_expand.errors import ConfigError
from training.config import TrainingConfig
from training.features import Shown

Value: TypeAlias = bool | int | float | str | None
Changes: TypeAlias = tuple[tuple[str, Value], ...]
Pictures: TypeAlias = Literal["own", "centre", "surround", "noise 25", "noise 50", "noise 75", "noise 100"]
View: TypeAlias = Literal["table", "margins", "classes", "parameters", "seeds", "ranks", "shares", "senses"]
Space: TypeAlias = Literal["heads", "features", "hidden", "projections"]
"""By rows of the head; or by cosines: of trunk features, of rows at the mask before the trunk, or of what the contrast
of texts and pictures compares, which a model without that task does not have."""


@dataclass(frozen=True)
class Variant:
    """One training configuration.

    Attributes:
        name: As tables show it.
        changes: Dotted names of settings and their values, such as ("tasks.instance", 0.0); None = the default.
        parameter, value: Which parameter this is a point of, and where; "" for none.
    """

    name: str
    changes: Changes = ()
    parameter: str = ""
    value: float | None = None

    @property
    def described(self) -> str:
        """The changes in words; of a setting that is named twice the last value counts."""
        return ", ".join(f"{name} = {value!r}" for name, value in dict(self.changes).items()) or "none"


@dataclass(frozen=True)
class Way:
    """One way to ask a trained model.

    Attributes:
        family: Ways of one family are candidates for one row; the classes that validate choose among them.
        shown: What the model is shown of a sample.
        space: What it scores by.
        both_directions: λ. Cosines are the same from both sides, so here they are standardised as those of baselines
            are, see `training.baselines.ranking`; with 0 they stay as they are.
        picture_weight: Share of the picture's feature where "apart".
        pictures: The samples' own pictures, their centres, what surrounds these, or so many percent of noise in them.
        missing, wrong: Share of the samples that lose their picture, and that get that of another entity.
        series, share: Line of a plot of shares and place on it; None for no plot.
    """

    family: str
    shown: Shown
    space: Space = "heads"
    both_directions: float = 0.0
    picture_weight: float = 0.25
    pictures: Pictures = "own"
    missing: float = 0.0
    wrong: float = 0.0
    series: str = ""
    share: float | None = None

    @property
    def name(self) -> str:
        """The score in words."""
        how = f"λ = {self.both_directions:g}" if self.space == "heads" else self.space
        if self.standardised:
            how += f", standardised, λ = {self.both_directions:g}"
        return f"{how}, picture weight {self.picture_weight:g}" if self.shown == "apart" else how

    @property
    def standardised(self) -> bool:
        """Whether it scores by standardised cosines."""
        return self.space != "heads" and self.both_directions > 0


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        name: Of the command and the files.
        title, question: Of the document.
        variants: The first is the reference of all differences.
        ways: How each trained model is asked.
        families: The baselines beside it, of `training.baselines.FAMILIES` and "pretrained".
        views: What the document shows.
        rates: Learning rates that every variant is tried at, see `training.experiments.tuning`; without any all
            have that of the configuration.
        reference: How the family begins, of the first variant, that rows of other families are compared with.
        kind: "domains" and "cost" have runners of their own.
    """

    name: str
    title: str
    question: str
    variants: tuple[Variant, ...]
    ways: tuple[Way, ...]
    families: tuple[str, ...] = ()
    views: tuple[View, ...] = ("table",)
    rates: tuple[float, ...] = ()
    reference: str = "both at once"
    kind: Literal["queries", "domains", "cost"] = "queries"


def ways_of(
    family: str, shown: Shown, *, picture_weights: tuple[float, ...] = (0.25,), **others: Any
) -> tuple[Way, ...]:
    """Return a family of ways with every score that it has, cosines as they are."""
    scores: list[tuple[Space, float]] = [("heads", 0.0), ("heads", 1.0), ("features", 0.0), ("hidden", 0.0)]
    if shown != "both":
        scores.append(("projections", 0.0))
    weights = picture_weights if shown == "apart" else (0.25,)
    return tuple(
        Way(family, shown, space, both, weight, **others) for weight, (space, both) in product(weights, scores)
    )


def with_standardised(ways: tuple[Way, ...]) -> tuple[Way, ...]:
    """Return ways, and behind them those of cosines once more, standardised in both directions."""
    return (*ways, *(replace(way, both_directions=1.0) for way in ways if way.space != "heads"))


def changed(config: TrainingConfig, changes: Changes | Mapping[str, Value]) -> TrainingConfig:
    """Return a configuration with other settings.

    Raises:
        ConfigError: A setting is unknown, of a wrong type or out of range.
    """
    mapping = to_mapping(config)
    for name, value in dict(changes).items():
        table, dot, key = name.partition(".")
        if not dot or table not in mapping:
            raise ConfigError(f"{name!r} is no setting; give TABLE.NAME, with a table of {', '.join(mapping)}.")
        mapping[table].pop(key, None)
        if value is not None:
            mapping[table][key] = value
    return from_mapping(TrainingConfig, mapping)


def trained_config(base: TrainingConfig, variant: Variant, seed: int) -> TrainingConfig:
    """Return the configuration of one training: the best epoch is chosen on the classes that validate.

    Raises:
        ConfigError: A change does not fit, or contrasts would learn from the queries or classes that are reported.
    """
    validation = {} if base.validation.queries is not None else {"validation.queries": "query"}
    found = changed(base, {**validation, **dict(variant.changes), "loop.seed": seed})
    if found.tasks.contrasts and found.mining.seeds == "queries":
        raise ConfigError(
            f"{variant.name!r} would be trained with mining.seeds = 'queries': the seeds of a query count as of one "
            "class, those of the classes that are reported too, so their numbers would be too good. Set mining.seeds = "
            "'entities'."
        )
    if found.tasks.contrasts and found.mining.oracle:
        raise ConfigError(
            f"{variant.name!r} would be trained with mining.oracle: it confirms pairs by the truth of all classes, "
            "of those that are reported too, so their numbers would be too good. Set mining.oracle = false."
        )
    return found
