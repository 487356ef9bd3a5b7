"""What an expansion returns, and what can be done with it."""

from __future__ import annotations

from entity_expand.results.expansion import Decision, Expansion, History, Result, Seed

__all__ = ["Decision", "Expansion", "History", "Result", "Seed"]
