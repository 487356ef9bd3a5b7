"""Scorers: sets of seeds in, their best candidates out, among entities whose rows a scorer holds."""

from entity_expand.scorer.scorers import OnnxScorer, Ranked, Roster, Scorer, SeedSet

__all__ = ["OnnxScorer", "Ranked", "Roster", "Scorer", "SeedSet"]
