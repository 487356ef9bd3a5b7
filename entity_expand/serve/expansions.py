"""`POST /v1/expand`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from entity_expand.sending import Deadline
from entity_expand.serve.answers import ExpansionAnswer, expansion_form
from entity_expand.serve.forms import ExpandForm
from entity_expand.serve.http import PROBLEMS, Served, json_response
from entity_expand.serve.service import Service, to_json

router = APIRouter(prefix="/v1", tags=["expansion"])


@router.post("/expand", summary="Expand a set", responses={200: {"model": ExpansionAnswer}, **PROBLEMS})
async def expand(form: ExpandForm, service: Served) -> Response:
    """Return the rest of the set that the seeds are examples of."""
    return json_response(await service.work(lambda deadline: to_json(_expanded(form, service, deadline))))


def _expanded(form: ExpandForm, service: Service, deadline: Deadline) -> dict[str, Any]:
    query = form.query(service.settings)
    (found,) = service.expander.expand_many([query], timeout=deadline.left())
    if isinstance(found, Exception):
        raise found
    return expansion_form(found)
