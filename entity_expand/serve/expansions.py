"""`POST /v1/expand` and `POST /v1/expand/batch`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from entity_expand.errors import ImageError, QueryError
from entity_expand.query import ExpandQuery
from entity_expand.results import Expansion
from entity_expand.sending import Deadline
from entity_expand.serve.answers import BatchAnswer, ExpansionAnswer, expansion_form
from entity_expand.serve.forms import BatchForm, ExpandForm
from entity_expand.serve.http import PROBLEMS, Served, json_response
from entity_expand.serve.problems import problem_of
from entity_expand.serve.service import Service, to_json
from entity_expand.serve.telemetry import span

_TOGETHER = 8

router = APIRouter(prefix="/v1/expand", tags=["expansion"])


@router.post("", summary="Expand a set", responses={200: {"model": ExpansionAnswer}, **PROBLEMS})
async def expand(form: ExpandForm, service: Served) -> Response:
    """Return the rest of the set that the seeds are examples of."""
    return json_response(await service.work(lambda deadline: to_json(_one(form, service, deadline))))


@router.post("/batch", summary="Expand several sets", responses={200: {"model": BatchAnswer}, **PROBLEMS})
async def expand_batch(form: BatchForm, service: Served) -> Response:
    """Return one expansion per query, in their order; a query that cannot be answered has a problem in its place."""
    return json_response(await service.work(lambda deadline: to_json(_several(form, service, deadline))))


def _one(form: ExpandForm, service: Service, deadline: Deadline) -> dict[str, Any]:
    return expansion_form(expanded_one(form.query(service.settings, deadline), service, deadline))


def expanded_one(query: ExpandQuery, service: Service, deadline: Deadline) -> Expansion:
    """Expand one set; errors as for `Expander.expand`."""
    (found,) = _expanded([query], service, deadline)
    if isinstance(found, QueryError):
        raise found
    return found


def _several(form: BatchForm, service: Service, deadline: Deadline) -> dict[str, Any]:
    count, most = len(form.queries), service.settings.batch
    if count > most:
        raise QueryError(f"A request has at most {most:,} expansions here, not {count:,}.")
    read = [_read(each, service, deadline) for each in form.queries]
    found = iter(_expanded([each for each in read if isinstance(each, ExpandQuery)], service, deadline))
    return {"results": [_form(next(found) if isinstance(each, ExpandQuery) else each) for each in read]}


def _read(form: ExpandForm, service: Service, deadline: Deadline) -> ExpandQuery | QueryError | ImageError:
    try:
        return form.query(service.settings, deadline)
    except (QueryError, ImageError) as problem:
        return problem


def _form(found: Expansion | QueryError | ImageError) -> dict[str, Any]:
    return expansion_form(found) if isinstance(found, Expansion) else problem_of(found).to_dict()


def _expanded(queries: list[ExpandQuery], service: Service, deadline: Deadline) -> list[Expansion | QueryError]:
    found, expander = list[Expansion | QueryError](), service.minding(deadline)
    with span("entity_expand.expand", {"sets": len(queries), "seeds": sum(len(query.seeds) for query in queries)}):
        for start in range(0, len(queries), _TOGETHER):  # so that the deadline is minded in between
            part = queries[start : start + _TOGETHER]
            found += expander.expand_many(part, return_errors=True, timeout=deadline.left())
    service.metrics.expanded(sum(len(each.results) for each in found if isinstance(each, Expansion)))
    return found
