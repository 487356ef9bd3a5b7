"""How a model's features are aligned after the last epoch."""

from __future__ import annotations

from dataclasses import dataclass

from entity_expand.config import check, setting
from entity_expand.errors import ConfigError


@dataclass(frozen=True)
class AlignSettings:
    """A last phase without gradients: the metric and the rows of the head in closed form (`training.alignment`).

    Attributes:
        rounds: How often neighbours are taken from the model's own lists and the metric fitted to them; 0 leaves the
            model as the epochs have left it, unless `within`.
        within: Start anew from the scatter of the samples within their entities, whatever the epochs have trained of
            the metric and the head. Otherwise the first lists are the trained head's.
        neighbours: How many of the nearest entities are taken to be of an entity's class.
        within_regularisation: Share of the mean variance that is added to every direction of that scatter, for each
            block: the text's and the picture's, or one for both.
        regularisation: The same for the scatter between neighbours.
        picture_weight: How much the pictures' standardised score counts beside the text's.
    """

    rounds: int = setting(0, low=0, high=10)
    within: bool = False
    neighbours: int = setting(4, low=1)
    within_regularisation: tuple[float, ...] = setting((0.1, 1.0), low=1e-6)
    regularisation: float = setting(1.0, low=1e-6)
    picture_weight: float = setting(0.5, low=0.0)

    def __post_init__(self) -> None:
        check(self)
        if not self.within_regularisation:
            raise ConfigError("within_regularisation is empty; give a share for each block, or one for both.")

    @property
    def wanted(self) -> bool:
        """Whether there is such a phase."""
        return self.within or self.rounds > 0
