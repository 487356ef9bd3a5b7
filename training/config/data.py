"""Which samples are trained on, and what is hidden of them."""

from __future__ import annotations

from dataclasses import dataclass

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError

ALL_SPLITS = "*"


@dataclass(frozen=True)
class DataSettings:
    """Which samples are trained on.

    Attributes:
        split: Split of the corpus; rows without one belong to "train". "*" takes all rows.
        min_samples: Entities with fewer samples are left out; the paper has 2.
        samples_per_entity: Samples drawn of every entity in each epoch; the paper has 64. None takes each sample
            once per epoch.
        per_mention: One sample per mention with only that mention masked, as in the paper's code.
        hide_picture, hide_text: Share of the samples of a step that lose their picture or their text. None means
            0.4 and 0.1 in the corrected form, or what the other one leaves of 1, and 0 in the paper's.
        hide_words: Probability with which each word piece around the mentions is hidden in a step; None means 0.
        distort: Strength of small random changes of the pictures in a step: place, size, turn, brightness, colour,
            noise. For a trained vision backbone alone; None means 0.
        wrong_picture: Share of the samples of a step that are shown the picture of any sample, now and then their own,
            one of their entity's, or none where that sample has none: so a picture that gives its entity away is
            trusted less, and the text is read too; None means 0.
        other_picture: Share of the samples of a step that are shown any picture of their entity, a second view of
            it, in the place of their own; None means 0.
        held_out: Split on which loss and accuracy are measured after each epoch, for entities that are trained; text
            alone and picture alone on the samples that have one.
    """

    split: str = "train"
    min_samples: int = setting(1, low=1)
    samples_per_entity: int | None = setting(None, low=1)
    per_mention: bool = False
    hide_picture: float | None = setting(None, low=0.0, high=1.0)
    hide_text: float | None = setting(None, low=0.0, high=1.0)
    hide_words: float | None = setting(None, low=0.0, high=1.0)
    distort: float | None = setting(None, low=0.0, high=1.0)
    wrong_picture: float | None = setting(None, low=0.0, high=1.0)
    other_picture: float | None = setting(None, low=0.0, high=1.0)
    held_out: str | None = None

    def __post_init__(self) -> None:
        check(self)
        if self.held_out is not None and (self.held_out == ALL_SPLITS or self.split in (ALL_SPLITS, self.held_out)):
            raise ConfigError(f"held_out is {self.held_out!r}, but that is trained on; name another split.")
        if (self.hide_picture or 0.0) + (self.hide_text or 0.0) > 1.0:
            raise ConfigError("hide_picture and hide_text may not add up to more than 1.")

    def hiding(self, form: str) -> tuple[float, float]:
        """Return the shares of hidden pictures and hidden texts under a form of the model; defaults give way."""
        default = (0.4, 0.1) if form == "corrected" else (0.0, 0.0)
        picture, text = self.hide_picture, self.hide_text
        if picture is None:
            picture = min(default[0], 1.0 - (text or 0.0))
        return picture, min(default[1], 1.0 - picture) if text is None else text
