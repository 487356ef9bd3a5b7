"""How a run is measured while it trains, and when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError
from entity_expand.search.window import SearchSettings


@dataclass(frozen=True)
class ValidationSettings:
    """Queries that choose the best checkpoint; those that are reported must be others.

    Classes are dealt out by a hash of their names: the first `share` of them validates, the rest is for reports.

    Attributes:
        queries: Folder with queries, relative to the corpus, its truth in `truth`; None measures nothing.
        truth: Folder with the members of the classes.
        classes: Names of the classes that validate; empty takes `share` of all.
        share: Share of the classes that validate.
        modality: What the model is shown: "text", "picture", "both" at once, or "apart": each alone, with the
            features averaged by `picture_weight`.
        picture_weight: Share of the picture's feature where "apart".
        space: "heads" scores by rows of the head, "features" by cosines of centred features, "projections" by those of
            what the contrast of texts and pictures compares, which are of a text or of a picture, never of "both".
        both_directions: λ of the score by heads.
        member_weight, rerank: How the sets grow and are ranked, as `SearchSettings` of the library has it.
        every: Epochs between two measurements.
        patience: Measurements without a better MAP@10 after which the run ends; None trains all epochs.
    """

    queries: str | None = None
    truth: str = "gt"
    classes: tuple[str, ...] = ()
    share: float = setting(0.5, low=0.0, high=1.0)
    modality: Literal["text", "picture", "both", "apart"] = "both"
    picture_weight: float = setting(0.25, low=0.0, high=1.0)
    space: Literal["heads", "features", "projections"] = "heads"
    both_directions: float = setting(1.0, low=0.0)
    member_weight: float = setting(1.0, low=0.0, high=1.0)
    rerank: bool = True
    every: int = setting(1, low=1)
    patience: int | None = setting(None, low=1)

    def __post_init__(self) -> None:
        check(self)
        if self.queries is None and self.patience is not None:
            raise ConfigError("patience needs validation.queries: without them nothing is measured.")
        if self.space == "projections" and self.modality == "both":
            raise ConfigError("Texts and pictures are projected each alone; set validation.modality = 'apart'.")

    @property
    def search(self) -> SearchSettings:
        """How sets grow and are ranked."""
        return SearchSettings(member_weight=self.member_weight, rerank=self.rerank)
