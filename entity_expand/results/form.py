"""The one JSON form of an expansion, written; `reading.py` reads it."""

from __future__ import annotations

import base64
import copy
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entity_expand.config import to_mapping
from entity_expand.errors import QueryError
from entity_expand.files import read_capped
from entity_expand.query import ExpandQuery, NewSeed, opened_picture
from entity_expand.results.expansion import Expansion, History, Result, Seed
from entity_expand.stores.base import Evidence
from entity_expand.stores.filters import Filter

FORMAT, VERSION = "entity-expand expansion", 1
MOST_PICTURE_BYTES = 32 << 20


def to_form(expansion: Expansion) -> dict[str, Any]:
    """Return an expansion as what JSON can hold."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "query": query_form(expansion.query),
        "seeds": [seed_form(seed) for seed in expansion.seeds],
        "negatives": [seed_form(seed) for seed in expansion.negatives],
        "results": [result_form(result) for result in expansion.results],
        "cutoff": expansion.cutoff,
        "exact": expansion.exact,
        "fetches": expansion.fetches,
        "history": _history_form(expansion.history),
    }


def query_form(query: ExpandQuery) -> dict[str, Any]:
    """Return a query as what JSON can hold; pictures of new seeds are in it, as base64.

    Raises:
        QueryError: The picture of a new seed cannot be read.
    """
    return {
        "seeds": [_asked(seed) for seed in query.seeds],
        "size": int(query.size),
        "exclude": list(query.exclude),
        "filter": None if query.filter is None else _filter_form(query.filter),
        "settings": None if query.settings is None else to_mapping(query.settings),
        "negative": [_asked(seed) for seed in query.negative],
        "weights": None if query.weights is None else [float(weight) for weight in query.weights],
        "strategy": query.strategy,
        "modality": query.modality,
        "rerank": query.rerank,
    }


def _asked(seed: str | NewSeed) -> str | dict[str, Any]:
    if isinstance(seed, str):
        return seed
    picture = _picture(seed)
    image = None if picture is None else base64.b64encode(picture).decode()
    return {"text": seed.text, "image": image, "name": seed.name}


def _picture(seed: NewSeed) -> bytes | None:
    image = seed.image
    if image is None or isinstance(image, bytes):
        return image
    if isinstance(image, Path):
        return read_capped(image, MOST_PICTURE_BYTES, QueryError)
    opened = opened_picture(seed, image)
    opened.info.clear()  # only the pixels count; a colour profile would travel along
    stream = io.BytesIO()
    opened.save(stream, "PNG")
    return stream.getvalue()


def _filter_form(filtered: Filter) -> dict[str, Any]:
    return {
        "attributes": {key: list(values) for key, values in filtered.attributes.items()},
        "name_prefix": filtered.name_prefix,
        "query": None if filtered.query is None else copy.deepcopy(dict(filtered.query)),
    }


def seed_form(entity: Seed | Result) -> dict[str, Any]:
    """Return what is shown of an entity as what JSON can hold."""
    return {
        "id": entity.id,
        "name": entity.name,
        "attributes": dict(entity.attributes),
        "evidence": evidence_form(entity.evidence),
    }


def result_form(result: Result) -> dict[str, Any]:
    """Return a result as what JSON can hold."""
    return {
        "rank": result.rank,
        **seed_form(result),
        "score": result.score,
        "similarity": result.similarity,
        "confidence": result.confidence,
        "rank_before": result.rank_before,
    }


def evidence_form(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return sentences and pictures as what JSON can hold."""
    return [
        {"text": item.text, "mentions": [list(span) for span in item.mentions], "image": item.image}
        for item in evidence
    ]


def _history_form(history: History) -> dict[str, Any]:
    return {
        "decisions": [{"verdict": decision.verdict, "ids": list(decision.ids)} for decision in history.decisions],
        "shown": list(history.shown),
    }
