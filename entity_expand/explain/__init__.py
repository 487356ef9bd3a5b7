"""Why an entity is in a set, and what holds a set together."""

from __future__ import annotations

from entity_expand.explain.about import Contribution, Explanation, Neighbour, SetExplanation, Word

__all__ = ["Contribution", "Explanation", "Neighbour", "SetExplanation", "Word"]
