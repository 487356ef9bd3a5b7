"""The demo: 163 countries, sentences about them, their flags drawn by code, and a bundle that was trained on these."""

from __future__ import annotations

from pathlib import Path

from entity_expand.demo.build import write_demo_corpus

__all__ = ["LATE_FUSION", "bundle_path", "write_demo_corpus"]

LATE_FUSION = 0.2
"""Weight of the pictures in the demo's index: the best of those tried, docs/results/demo.md."""


def bundle_path() -> Path:
    """Return the folder of the bundle that comes with the package; `make demo-train` makes it anew.

    With it comes what was fitted on the demo's own classes, for indices made with `LATE_FUSION`.
    """
    return Path(__file__).parent / "bundle"
