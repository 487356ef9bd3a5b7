"""What is asked of a service, as generators of requests: written once, driven by waiting and by awaiting."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

from entity_expand.config import is_whole
from entity_expand.errors import ExpansionError, QueryError, ServerError
from entity_expand.explain.about import Explanation, SetExplanation
from entity_expand.explain.reading import read_explanation, read_set_explanation
from entity_expand.finding import check_name
from entity_expand.query import ExpandQuery
from entity_expand.remote.answers import foreign, is_problem, problem_error, read_entities, read_expansion, sent_query
from entity_expand.remote.connection import Asked
from entity_expand.results import Expansion
from entity_expand.results.session import result_of
from entity_expand.types import Entity

T = TypeVar("T")
Calls: TypeAlias = Generator[Asked, Any, T]

MOST_TOGETHER = 16
Found: TypeAlias = Expansion | QueryError


def greet(where: str) -> Calls[int]:
    """See that there is a service, and return how many expansions to ask it for together.

    Raises:
        ServerError: There is another.
    """
    facts = yield Asked("/v1/index")
    if not isinstance(facts, dict) or not {"entities", "strategies", "limits"} <= facts.keys():
        raise ServerError(f"{where} answers, but not as a service of entity-expand does.")
    most = facts["limits"].get("batch") if isinstance(facts["limits"], dict) else None
    return min(MOST_TOGETHER, most) if is_whole(most, 1) else MOST_TOGETHER


def expansions(
    queries: Sequence[ExpandQuery], keep_errors: bool, where: str, together: int = MOST_TOGETHER
) -> Calls[list[Found]]:
    """Ask for expansions: one alone, several up to `together` at a time.

    Raises:
        QueryError: A query cannot be answered, unless such errors are kept in the places of results.
        ServerError: The answer is of another form.
    """
    found: list[Found] = []
    for start in range(0, len(queries), together):
        part = queries[start : start + together]
        found += yield from (_one(part[0], where) if len(queries) == 1 else _several(part, where))
        wrong = next((each for each in found[start:] if isinstance(each, QueryError)), None)
        if wrong is not None and not keep_errors:
            raise wrong
    return found


def _one(query: ExpandQuery, where: str) -> Calls[list[Found]]:
    try:
        content = yield Asked("/v1/expand", sent_query(query))
    except QueryError as problem:
        return [problem]
    return [_read(content, query, where)]


def _several(queries: Sequence[ExpandQuery], where: str) -> Calls[list[Found]]:
    forms = [_form(query) for query in queries]
    good = [(form, query) for form, query in zip(forms, queries, strict=True) if not isinstance(form, QueryError)]
    content: Any = {"results": []}
    if good:
        try:
            content = yield Asked("/v1/expand/batch", {"queries": [form for form, _ in good]})
        except QueryError:  # of one of them, or of all together; which shows when each is asked alone
            alone = list[Found]()
            for query in queries:
                alone += yield from _one(query, where)
            return alone
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list) or len(results) != len(good):
        raise foreign(where, ExpansionError("there is not one result for each query."))
    found = iter([_read(each, query, where) for each, (_, query) in zip(results, good, strict=True)])
    return [form if isinstance(form, QueryError) else next(found) for form in forms]


def _form(query: ExpandQuery) -> dict[str, Any] | QueryError:
    try:
        return sent_query(query)
    except QueryError as problem:
        return problem


def _read(content: Any, query: ExpandQuery, where: str) -> Found:
    if is_problem(content):
        problem = problem_error(content, where)
        if isinstance(problem, QueryError):
            return problem
        raise problem
    return _checked(lambda: dataclasses.replace(read_expansion(content), query=query), where)


def entities(where: str, **asked: str | int) -> Calls[list[Entity]]:
    """Ask for entities by `prefix`, or by `name`, at most `limit`.

    Raises:
        QueryError: What is asked for is no text, or too long.
        ServerError: The answer is of another form.
    """
    check_name(asked.get("prefix", asked.get("name")))
    content = yield Asked(f"/v1/entities?{urlencode(asked, errors='surrogatepass')}")
    return _checked(lambda: read_entities(content), where)


def explanation(expansion: Expansion, which: str | int, where: str) -> Calls[Explanation]:
    """Ask why a result is in a set; arguments and errors as for `Expander.explain`."""
    asked = {"expansion": expansion.to_dict(), "id": result_of(expansion, which).id}
    content = yield Asked("/v1/explain", asked)
    return _checked(lambda: read_explanation(content), where)


def set_explanation(expansion: Expansion, where: str) -> Calls[SetExplanation]:
    """Ask what holds a set together; arguments and errors as for `Expander.explain_set`."""
    content = yield Asked("/v1/explain/set", {"expansion": expansion.to_dict()})
    return _checked(lambda: read_set_explanation(content), where)


def _checked(read: Callable[[], T], where: str) -> T:
    try:
        return read()
    except ExpansionError as problem:
        raise foreign(where, problem) from problem


def picture(path: str) -> Calls[bytes | None]:
    """Ask for a picture by its path in the corpus; None if there is none that can be shown."""
    try:
        content: bytes = yield Asked(f"/v1/pictures/{quote(path)}", raw=True)
    except QueryError:
        return None
    return content
