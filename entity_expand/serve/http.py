"""What endpoints are made of: the service behind an application, responses, and errors as problems."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from entity_expand.errors import EntityExpandError
from entity_expand.serve.answers import ProblemAnswer
from entity_expand.serve.problems import MEDIA_TYPE, Problem, invalid, problem_of
from entity_expand.serve.service import Service

Described: TypeAlias = dict[int | str, dict[str, Any]]
"""Answers by status, as FastAPI takes them."""

_log = logging.getLogger(__name__)
_STATUSES = {
    400: "The request cannot be read.",
    401: "An API key is needed.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    421: "Without API keys the service answers to names of this machine alone.",
    422: "The request is not of the described form, or cannot be answered.",
    429: "Too many requests of this caller at once; `Retry-After` says when to come back.",
    500: "Something went wrong; the service's log says what, under the request's id.",
    502: "What the service asks, a search server or an encoder, failed.",
    503: "Too much to do; `Retry-After` says when to come back.",
    504: "It took longer than allowed.",
}
_HTTP_KINDS = {
    400: ("unreadable", "The request cannot be read"),
    404: ("not-found", "There is no such thing"),
    405: ("method", "This is not done here"),
    408: ("slow", "The body did not come in time"),
    413: ("too-large", "The body is too large"),
}


def _described(statuses: Mapping[int, str]) -> Described:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
    return {status: {"description": text, "content": content} for status, text in statuses.items()}


PROBLEMS = _described(_STATUSES)
"""What any endpoint may answer, for OpenAPI."""
NOT_FOUND = _described({404: "There is no such thing."})


def service_of(request: Request) -> Service:
    """Return the service behind the application of a request."""
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(service_of)]


def json_response(content: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer of JSON that was written already."""
    return Response(content, media_type="application/json", headers=dict(headers or {}))


def problem_response(problem: Problem, request_id: str = "") -> Response:
    """Return a problem as an answer."""
    content = Problem(
        problem.status, problem.kind, problem.title, problem.detail, {**problem.more, "request_id": request_id}
    )
    return Response(content.body(), problem.status, problem.headers, MEDIA_TYPE)


def add_problems(app: FastAPI) -> None:
    """Have an application answer all errors with problems, and describe these."""
    app.add_exception_handler(EntityExpandError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schemas = described().setdefault("components", {}).setdefault("schemas", {})
        own = ProblemAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= {**own.pop("$defs", {}), "ProblemAnswer": own}
        return described()

    app.openapi = openapi  # type: ignore[method-assign]


def request_id(request: Request) -> str:
    """Return the id under which a request is found in the log."""
    found: str = request.scope.get("state", {}).get("request_id", "")
    return found


async def _ours(request: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem.status >= 500:
        _log.warning("%s: %s", type(error).__name__, error)
    return problem_response(problem, request_id(request))


async def _invalid(request: Request, error: Exception) -> Response:
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else []
    return problem_response(invalid([(_place(each["loc"]), each["msg"]) for each in found]), request_id(request))


def _place(parts: Sequence[str | int]) -> str:
    where, *inside = parts or ("body",)
    return f"#/{'/'.join(map(str, inside))}" if where == "body" else ".".join(map(str, (where, *inside)))


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind, title = _HTTP_KINDS.get(status, ("http", "The request was refused"))
    detail = str(getattr(error, "detail", "")) or title
    response = problem_response(Problem(status, kind, title, detail), request_id(request))
    response.headers.update(getattr(error, "headers", None) or {})
    return response
