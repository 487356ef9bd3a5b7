"""The JSON form of an expansion, read: from anyone, so that everything is checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from entity_expand.config import from_mapping
from entity_expand.errors import ConfigError, ExpansionError, QueryError
from entity_expand.query import MOST_RESULTS, MOST_SEEDS, ExpandQuery, NewSeed
from entity_expand.results.checks import distinct, each, number, plain, table, text, texts, truth, whole, wrong
from entity_expand.results.expansion import Decision, Expansion, History, Result, Seed, Verdict
from entity_expand.results.form import FORMAT, MOST_PICTURE_BYTES, VERSION
from entity_expand.search.plan import ExpandSettings
from entity_expand.stores.base import Evidence
from entity_expand.stores.filters import Filter

_KEYS = ("query", "seeds", "negatives", "results", "cutoff", "exact", "fetches", "history")
_ENTITY = ("id", "name", "attributes", "evidence")
_MOST_IDS = 1_000_000
_MOST_SENTENCES, _MOST_MENTIONS = 10_000, 10_000
_MOST_VALUES = 10_000


def from_form(content: Any) -> Expansion:
    """Read an expansion.

    Raises:
        ExpansionError: It is not of that form, or of another version.
    """
    found = content if isinstance(content, dict) else {}
    if found.get("format") != FORMAT:
        raise wrong("format", found.get("format"), repr(FORMAT))
    if found.get("version") != VERSION:
        raise wrong("version", found.get("version"), f"{VERSION}, which this release reads")
    table(found, ("format", "version", *_KEYS), "The expansion")
    results = each(found["results"], MOST_RESULTS, "results", read_result)
    distinct([result.id for result in results], "results")
    if [result.rank for result in results] != list(range(1, len(results) + 1)):
        raise ExpansionError("The ranks of the results are not 1, 2, 3 and so on.")
    cutoff = None if found["cutoff"] is None else whole(found["cutoff"], 0, "cutoff")
    if cutoff is not None and cutoff > len(results):
        raise wrong("cutoff", cutoff, f"at most {len(results)}, the number of results")
    query = read_query(found["query"])
    seeds = each(found["seeds"], MOST_SEEDS, "seeds", read_seed)
    negatives = each(found["negatives"], MOST_SEEDS, "negatives", read_seed)
    distinct([given.id for given in (*seeds, *negatives) if given.id], "seeds or negatives")
    _check_new(seeds, query.seeds, "seeds")
    _check_new(negatives, query.negative, "negatives")
    return Expansion(
        seeds=seeds,
        results=results,
        exact=truth(found["exact"], "exact"),
        fetches=whole(found["fetches"], 0, "fetches"),
        query=query,
        negatives=negatives,
        history=_history(found["history"], results),
        cutoff=cutoff,
    )


def _check_new(given: Sequence[Seed], asked: Sequence[str | NewSeed], where: str) -> None:
    """Check that those without an id are as many as the query has that are not in the index."""
    count, expected = sum(not each.id for each in given), sum(isinstance(each, NewSeed) for each in asked)
    if count != expected:
        raise ExpansionError(f"Of the {where} {count} have no id; by the query {expected} are not in the index.")


def read_query(content: Any, where: str = "query") -> ExpandQuery:
    """Read a query.

    Raises:
        ExpansionError: It is not of that form, or asks for something impossible.
    """
    keys = ["seeds", "size", "exclude", "filter", "settings", "negative", "weights", "strategy", "modality", "rerank"]
    found = table(content, keys, where)
    weights = found["weights"]
    try:
        return ExpandQuery(
            seeds=each(found["seeds"], MOST_SEEDS, f"{where}.seeds", _asked),
            size=whole(found["size"], 1, f"{where}.size"),
            exclude=each(found["exclude"], _MOST_IDS, f"{where}.exclude", text),
            filter=None if found["filter"] is None else _filter(found["filter"], f"{where}.filter"),
            settings=None if found["settings"] is None else _settings(found["settings"], f"{where}.settings"),
            negative=each(found["negative"], MOST_SEEDS, f"{where}.negative", _asked),
            weights=None if weights is None else each(weights, MOST_SEEDS, f"{where}.weights", number),
            strategy=None if found["strategy"] is None else text(found["strategy"], f"{where}.strategy"),  # type: ignore[arg-type]
            modality=None if found["modality"] is None else text(found["modality"], f"{where}.modality"),  # type: ignore[arg-type]
            rerank=None if found["rerank"] is None else truth(found["rerank"], f"{where}.rerank"),
        )
    except QueryError as problem:
        raise ExpansionError(f"{where} asks for what cannot be: {problem}") from problem


def _asked(value: Any, where: str) -> str | NewSeed:
    if isinstance(value, str):
        return text(value, where)
    found = table(value, ("text", "image", "name"), where)
    image = None if found["image"] is None else _picture(found["image"], f"{where}.image")
    return NewSeed(text(found["text"], f"{where}.text"), image, text(found["name"], f"{where}.name"))


def _picture(value: Any, where: str) -> bytes:
    if not isinstance(value, str) or len(value) > MOST_PICTURE_BYTES * 4 // 3 + 4:
        raise wrong(where, type(value).__name__, f"base64 of at most {MOST_PICTURE_BYTES:,} bytes")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise ExpansionError(f"{where} is not base64: {problem}.") from problem


def _filter(value: Any, where: str) -> Filter:
    found = table(value, ("attributes", "name_prefix", "query"), where)
    if not isinstance(found["attributes"], dict):
        raise wrong(f"{where}.attributes", found["attributes"], "a table")
    attributes = {
        text(key, where): each(values, _MOST_VALUES, f"{where}.attributes.{key}", text)
        for key, values in found["attributes"].items()
    }
    prefix, query = found["name_prefix"], found["query"]
    if query is not None and not isinstance(query, dict):
        raise wrong(f"{where}.query", query, "a table")
    return Filter(
        attributes, None if prefix is None else text(prefix, f"{where}.name_prefix"), plain(query, f"{where}.query")
    )


def _settings(value: Any, where: str) -> ExpandSettings:
    try:
        return from_mapping(ExpandSettings, value if isinstance(value, dict) else {"": value}, where)
    except ConfigError as problem:
        raise ExpansionError(str(problem)) from problem


def _entity(found: Mapping[str, Any], where: str) -> Seed:
    return Seed(
        text(found["id"], f"{where}.id"),
        text(found["name"], f"{where}.name"),
        texts(found["attributes"], f"{where}.attributes"),
        each(found["evidence"], _MOST_SENTENCES, f"{where}.evidence", read_evidence),
    )


def read_seed(value: Any, where: str) -> Seed:
    """Read a seed; `where` says in messages where it stands."""
    return _entity(table(value, _ENTITY, where), where)


def read_result(value: Any, where: str) -> Result:
    """Read a result; `where` says in messages where it stands."""
    found = table(value, ("rank", *_ENTITY, "score", "similarity", "confidence", "rank_before"), where)
    entity, confidence, before = _entity(found, where), found["confidence"], found["rank_before"]
    if confidence is not None and not 0 <= number(confidence, f"{where}.confidence") <= 1:
        raise wrong(f"{where}.confidence", confidence, "a number from 0 to 1")
    return Result(
        whole(found["rank"], 1, f"{where}.rank"),
        entity.id,
        entity.name,
        entity.attributes,
        entity.evidence,
        number(found["score"], f"{where}.score"),
        number(found["similarity"], f"{where}.similarity"),
        None if confidence is None else float(confidence),
        None if before is None else whole(before, 1, f"{where}.rank_before"),
    )


def read_evidence(value: Any, where: str) -> Evidence:
    """Read a piece of evidence; `where` says in messages where it stands."""
    found = table(value, ("text", "mentions", "image"), where)
    sentence, image = text(found["text"], f"{where}.text"), found["image"]

    def span(value: Any, where: str) -> tuple[int, int]:
        ends = each(value, 2, where, lambda end, where: whole(end, 0, where))
        if len(ends) != 2 or not ends[0] < ends[1] <= len(sentence):
            raise wrong(where, value, f"two places that rise, the second at most {len(sentence)}")
        return ends[0], ends[1]

    if image is not None and not _inside(text(image, f"{where}.image")):
        raise wrong(f"{where}.image", image, "a path that stays inside the folder of the pictures")
    return Evidence(sentence, each(found["mentions"], _MOST_MENTIONS, f"{where}.mentions", span), image)


def _inside(path: str) -> bool:
    return bool(path) and not path.startswith("/") and not {"\\", "\0"} & set(path) and ".." not in path.split("/")


def _history(value: Any, results: tuple[Result, ...]) -> History:
    found = table(value, ("decisions", "shown"), "history")
    shown = each(found["shown"], _MOST_IDS, "history.shown", text)
    known = {*shown, *(result.id for result in results)}
    if len(known) != len(shown) + len(results):
        raise ExpansionError("history.shown names something twice, or a result of this page.")

    def decision(value: Any, where: str) -> Decision:
        found = table(value, ("verdict", "ids"), where)
        verdict: Verdict = "accept" if found["verdict"] == "accept" else "reject"
        ids = each(found["ids"], _MOST_IDS, f"{where}.ids", text)
        if found["verdict"] != verdict or not ids or not known.issuperset(ids):
            raise wrong(where, value, '"accept" or "reject" and ids of results that were shown')
        return Decision(verdict, ids)

    return History(each(found["decisions"], _MOST_IDS, "history.decisions", decision), shown)
