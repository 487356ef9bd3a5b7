"""New seeds, encoded within the time of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entity_expand.query import NewSeed
from entity_expand.search.scoring import EntityRows, stacked
from entity_expand.seeds.encode import EncodesSeeds
from entity_expand.sending import Deadline
from entity_expand.stores.base import IndexMeta


@dataclass(frozen=True, slots=True)
class Minding:
    """Encodes as another does, and minds a deadline; a picture of a few kilobytes may take seconds to decode.

    Attributes:
        encoder: Does the work.
        deadline: Of the request.
    """

    encoder: EncodesSeeds
    deadline: Deadline

    def rows(self, seeds: Sequence[NewSeed], meta: IndexMeta) -> EntityRows:
        """Return the rows of new seeds, in their order; where there are pictures, one seed is encoded at a time.

        Raises:
            DeadlineError: It is over before the last of them.
        """
        step, parts = 1 if any(seed.image is not None for seed in seeds) else len(seeds), list[EntityRows]()
        for start in range(0, len(seeds), step):
            self.deadline.left()
            parts.append(self.encoder.rows(seeds[start : start + step], meta))
        return stacked(parts)
