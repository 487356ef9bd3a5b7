"""What a service answered, as expansions, entities and errors of this project; pure functions."""

from __future__ import annotations

import json
from typing import Any

from entity_expand.errors import (
    AccessError,
    AmbiguousSeedError,
    DeadlineError,
    EntityExpandError,
    ExpansionError,
    IndexChangedError,
    OverloadedError,
    QueryError,
    ServerError,
    UnknownSeedError,
    UnreachableError,
)
from entity_expand.query import ExpandQuery
from entity_expand.results import Expansion
from entity_expand.results.checks import each, table, text, texts
from entity_expand.results.form import query_form
from entity_expand.sending import Again, Failure
from entity_expand.types import Entity

_URN = "urn:entity-expand:problem:"
_LONGEST = 1_000
_MOST_ENTITIES = 1_000
_OF_THE_CALLER = {"query", "invalid", "picture", "too-large", "not-found"}
_KINDS: dict[str, tuple[type[EntityExpandError], Again]] = {
    "key-missing": (AccessError, Again.NEVER),
    "host": (AccessError, Again.NEVER),
    "overloaded": (OverloadedError, Again.ALWAYS),
    "too-many": (OverloadedError, Again.ALWAYS),
    "index-changed": (IndexChangedError, Again.ALWAYS),
    "unreachable": (UnreachableError, Again.SAFE),
    "slow": (UnreachableError, Again.SAFE),
    "deadline": (DeadlineError, Again.NEVER),
}


def sent_query(query: ExpandQuery) -> dict[str, Any]:
    """Return a query as a service takes it.

    Raises:
        QueryError: It has a filter in the language of a search server, or the picture of a new seed cannot be read.
    """
    form = query_form(query)
    filtered = form["filter"]
    if filtered is not None and filtered.pop("query") is not None:
        raise QueryError("A service takes no query of a search server; filter by attributes or names.")
    return form


def read_expansion(content: Any) -> Expansion:
    """Read an expansion from the answer to a query.

    Raises:
        ExpansionError: It is none.
    """
    found = {key: value for key, value in content.items() if key != "pictures"} if isinstance(content, dict) else {}
    return Expansion.from_dict(found)


def read_entities(content: Any) -> list[Entity]:
    """Read a list of entities.

    Raises:
        ExpansionError: It is none.
    """

    def one(value: Any, where: str) -> Entity:
        found = table(value, ("id", "name", "aliases", "attributes", "picture"), where)
        aliases = each(found["aliases"], _MOST_ENTITIES, f"{where}.aliases", text)
        return Entity(text(found["id"], where), text(found["name"], where), aliases, texts(found["attributes"], where))

    return list(each(table(content, ("entities",), "The answer")["entities"], _MOST_ENTITIES, "entities", one))


def is_problem(content: Any) -> bool:
    """Say whether a member of a batch is a problem rather than an expansion."""
    return isinstance(content, dict) and str(content.get("type", "")).startswith(_URN)


def problem_error(content: dict[str, Any], where: str, status: int | None = None) -> EntityExpandError:
    """Return the error that a problem stands for.

    Args:
        content: The problem; whatever is not as expected in it is left aside.
        where: The service's address, for messages.
        status: HTTP status.
    """
    kind = str(content.get("type", "")).removeprefix(_URN)
    detail = str(content.get("detail") or content.get("title") or "It gave no reason.")[:_LONGEST]
    seed = str(content.get("seed", ""))[:_LONGEST]
    if kind == "unknown-seed":
        return UnknownSeedError(seed, tuple(map(str, _listed(content, "suggestions"))))
    if kind == "ambiguous-seed":
        readings = [each for each in _listed(content, "readings") if isinstance(each, dict)]
        return AmbiguousSeedError(seed, tuple((str(each.get("id")), str(each.get("name"))) for each in readings))
    if kind in _OF_THE_CALLER:
        return QueryError(detail)
    error, message = _KINDS.get(kind, (ServerError, None))[0], f"{where}: {detail}"
    return error(message, status, detail) if issubclass(error, ServerError) else error(message)


def _listed(content: dict[str, Any], name: str) -> list[Any]:
    found = content.get(name)
    return found[:100] if isinstance(found, list) else []


def refused(where: str, status: int, content: bytes) -> Failure:
    """Return what failed, for an answer that is no success."""
    found = parsed(content)
    if not is_problem(found):
        text = f"{where} answered with status {status}; is it a service of entity-expand?"
        return Failure(ServerError(text, status), Again.SAFE if status in (502, 503, 504) else Again.NEVER)
    again = _KINDS.get(found["type"].removeprefix(_URN), (ServerError, Again.NEVER))[1]
    return Failure(problem_error(found, where, status), again)


def parsed(content: bytes) -> Any:
    """Return the JSON that a body holds; None if it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def foreign(where: str, problem: ExpansionError) -> ServerError:
    """Return the error for an answer that is of another form."""
    return ServerError(f"{where} answered in a form that this release does not know: {problem}")
