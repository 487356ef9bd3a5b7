"""The demo: 163 countries, sentences about them, their flags drawn by code, and a bundle that was trained on these."""

from __future__ import annotations

from pathlib import Path

from entity_expand.demo.build import write_demo_corpus

__all__ = ["bundle_path", "write_demo_corpus"]


def bundle_path() -> Path:
    """Return the folder of the bundle that comes with the package; `make demo-train` makes it anew."""
    return Path(__file__).parent / "bundle"
