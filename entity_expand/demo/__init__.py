"""The demo corpus: 163 countries, sentences about them, and their flags drawn by code."""

from __future__ import annotations

from entity_expand.demo.build import write_demo_corpus

__all__ = ["write_demo_corpus"]
