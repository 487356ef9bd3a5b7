"""Calls as users write them: never run, but mypy --strict must accept every line."""

import entity_expand

version: str = entity_expand.__version__
