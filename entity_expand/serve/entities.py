"""`GET /v1/entities` and `GET /v1/entities/{id}`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.exceptions import HTTPException

from entity_expand import finding
from entity_expand.serve.answers import EntitiesAnswer, WholeEntityAnswer, entity_form, whole_entity_form
from entity_expand.serve.http import NOT_FOUND, PROBLEMS, Served, json_response
from entity_expand.serve.service import to_json

router = APIRouter(prefix="/v1", tags=["entities"])

Name = Annotated[str, Query(max_length=1_000)]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]


@router.get("/entities", summary="Find entities", responses={200: {"model": EntitiesAnswer}, **PROBLEMS})
async def entities(service: Served, prefix: Name = "", name: Name | None = None, limit: Limit = 20) -> Response:
    """Return entities of which a name or an alias begins with `prefix`, those that are called just so first.

    With `name` instead: the entity with this id, or all that are called exactly so. Neither minds case and accents.
    """
    steps = (lambda: finding.find(prefix, limit)) if name is None else (lambda: finding.lookup(name))
    records = await service.ask(steps)
    return json_response(to_json({"entities": [entity_form(record) for record in records[:limit]]}))


@router.get(
    "/entities/{id:path}", summary="One entity", responses={200: {"model": WholeEntityAnswer}, **PROBLEMS, **NOT_FOUND}
)
async def entity(service: Served, id: Annotated[str, Path(max_length=1_000)]) -> Response:
    """Return an entity with its evidence, by its id."""
    records = await service.ask(lambda: finding.lookup(id))
    for record in records:
        if record.entity.id == id:
            return json_response(to_json(whole_entity_form(record)))
    raise HTTPException(404, f"No entity has the id {id!r}.")
