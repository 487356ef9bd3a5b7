"""What a store asks of a server, as generators of calls: written once, driven by waiting and by awaiting.

All requests of one round go together: one search if one is enough, else several in one `_msearch`.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from entity_expand.elastic import searches
from entity_expand.elastic.address import Address
from entity_expand.elastic.exchange import Answer, Call
from entity_expand.elastic.hits import RANKED, RANKED_PATHS, Body, Found
from entity_expand.elastic.lexical import lexical_nearest, lexical_scores
from entity_expand.elastic.rows import rows
from entity_expand.elastic.searches import Searches, SearchOptions, View
from entity_expand.elastic.state import IndexState, missing, read_state
from entity_expand.errors import IndexMissingError, ServerError
from entity_expand.stores.base import Describe, Find, Lookup, Matching, Nearest, Request, Rows, Suggest
from entity_expand.stores.facets import Facets
from entity_expand.stores.lexical import LexicalNearest, LexicalScores
from entity_expand.types import Modality

T = TypeVar("T")
Calls: TypeAlias = Generator[Call, Answer, T]

_MOST_TOGETHER = 128
_REFUSED = 400


def look(address: Address, bundle: str | None) -> Calls[IndexState]:
    """Find the index behind an alias; arguments and errors as for `read_state`."""
    try:
        answer = yield Call("GET", f"/{address.index}/_mapping")
    except IndexMissingError:
        raise missing(address) from None
    return read_state(address, answer.body, bundle)


def answers(requests: Sequence[Request[Any]], view: View, options: SearchOptions, copies: str) -> Calls[list[Any]]:
    """Answer requests that do not depend on one another.

    Args:
        requests: What is asked.
        view: The index, as the run sees it.
        options: How to search.
        copies: Any text; the same one reaches the same copies of the shards, which are not refreshed all at once.

    Raises:
        QueryError: A caller's query holds a script.
        IndexChangedError: An entity was removed since it was found.
        StoreError: A document is not of our form, or the server did not do what it was asked.
    """
    path, found = f"/{view.state.physical}", dict[int, Any]()
    kinds = _kinds(requests, view, options)
    results = yield from _together([steps for _, steps in kinds], path, copies)
    for (numbers, _), answered in zip(kinds, results, strict=True):
        found.update(zip(numbers, answered, strict=True))
    unknown = [number for number, each in enumerate(requests) if isinstance(each, Suggest)]
    found.update(zip(unknown, (yield from _suggested([requests[i] for i in unknown], path, copies)), strict=True))
    return [found[number] for number in range(len(requests))]


def _kinds(
    requests: Sequence[Request[Any]], view: View, options: SearchOptions
) -> list[tuple[list[int], Searches[list[Any]]]]:
    """Return generators and the numbers of the requests that each answers, suggestions aside."""
    kinds: list[tuple[list[int], Searches[list[Any]]]] = []
    grouped: dict[tuple[type[Request[Any]], Modality | None], list[int]] = {}
    for number, request in enumerate(requests):
        match request:
            case Nearest():
                kinds.append(([number], _single(searches.nearest(request, view, options))))
            case LexicalNearest():
                kinds.append(([number], _single(lexical_nearest(request, view, options.allow_scripts))))
            case LexicalScores():
                kinds.append(([number], _single(lexical_scores(request, view))))
            case Matching():
                kinds.append(([number], _single(searches.matching(request, options.allow_scripts))))
            case Find():
                kinds.append(([number], _single(searches.find(request))))
            case Facets():
                kinds.append(([number], _single(searches.facets(request))))
            case Rows(_, part):
                grouped.setdefault((Rows, part), []).append(number)
            case Lookup() | Describe():
                grouped.setdefault((type(request), None), []).append(number)
            case Suggest():
                pass
            case _:
                raise TypeError(f"{type(request).__name__} is no request of a store")
    several: dict[type[Request[Any]], Any] = {Rows: rows, Lookup: searches.lookup, Describe: searches.describe}
    for (kind, _), numbers in grouped.items():
        kinds.append((numbers, several[kind]([requests[number] for number in numbers], view)))
    return kinds


def _single(steps: Searches[T]) -> Searches[list[T]]:
    return [(yield from steps)]


def _suggested(asked: Sequence[Request[Any]], path: str, copies: str) -> Calls[list[tuple[str, ...]]]:
    """Find similar names; none where the server forbids queries that are expensive."""
    try:
        return (
            yield from _together([searches.suggest(each) for each in asked if isinstance(each, Suggest)], path, copies)
        )
    except ServerError as problem:
        if problem.status == _REFUSED and "expensive" in problem.reason:
            return [()] * len(asked)
        raise


def _together(steps: Sequence[Searches[T]], path: str, copies: str) -> Calls[list[T]]:
    """Run searches side by side: all bodies of one round are sent together."""
    done: dict[int, T] = {}
    wanted: dict[int, list[Body]] = {}

    def advance(number: int, found: list[Found] | None) -> None:
        try:
            wanted[number] = steps[number].send(found)  # type: ignore[arg-type]
        except StopIteration as end:
            done[number] = end.value

    for number in range(len(steps)):
        advance(number, None)
    while wanted:
        found = yield from _searched([body for bodies in wanted.values() for body in bodies], path, copies)
        asked, wanted = wanted, {}
        for number, bodies in asked.items():
            advance(number, [found.pop(0) for _ in bodies])
    return [done[number] for number in range(len(steps))]


def _searched(bodies: Sequence[Body], path: str, copies: str) -> Calls[list[Found]]:
    """Return the hits of searches."""
    ranked = all(RANKED.items() <= body.items() for body in bodies)
    if len(bodies) == 1:
        params = {"allow_partial_search_results": "false", "preference": copies}
        params |= {"filter_path": ",".join(RANKED_PATHS)} if ranked else {}
        answer = yield Call("POST", f"{path}/_search", bodies[0], params)
        return [_hits_in(answer.body)]
    header = _line({"allow_partial_search_results": False, "preference": copies})
    paths = ["took", *(f"responses.{name}" for name in RANKED_PATHS)]
    params = {"filter_path": ",".join(paths)} if ranked else {}
    found: list[Found] = []
    for start in range(0, len(bodies), _MOST_TOGETHER):
        lines = [line for body in bodies[start : start + _MOST_TOGETHER] for line in (header, _line(body))]
        answer = yield Call("POST", f"{path}/_msearch", lines, params)
        found += [_hits_in(each) for each in answer.body["responses"]]
    return found


def _hits_in(answer: Any) -> Found:
    """Return the hits of an answer; one of which only `RANKED_PATHS` are left has no entry for none."""
    if "hits" not in answer and answer.get("timed_out") is False:
        return []
    found: Found = answer["hits"]["hits"]
    return found


def _line(content: Body) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
