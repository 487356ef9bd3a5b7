"""`POST /v1/explain` and `POST /v1/explain/set`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from entity_expand.results import Expansion
from entity_expand.sending import Deadline
from entity_expand.serve.answers import ExplanationAnswer, SetExplanationAnswer
from entity_expand.serve.expansions import expanded_one
from entity_expand.serve.forms import ExplainForm, PageForm
from entity_expand.serve.http import PROBLEMS, Served, json_response
from entity_expand.serve.service import Service, to_json
from entity_expand.serve.telemetry import span

router = APIRouter(prefix="/v1/explain", tags=["explanation"])


@router.post("", summary="Why is it there?", responses={200: {"model": ExplanationAnswer}, **PROBLEMS})
async def explain(form: ExplainForm, service: Served) -> Response:
    """Return what each seed says of a result, and the words and sentences that tell.

    The page that the result is on is given as it was answered, or as the question for it, which is then asked again.
    """

    def work(deadline: Deadline) -> dict[str, Any]:
        page = _page(form, service, deadline)
        with span("entity_expand.explain"):
            return service.minding(deadline).explain(page, form.id, timeout=deadline.left()).to_dict()

    return json_response(await service.work(lambda deadline: to_json(work(deadline))))


@router.post("/set", summary="What holds it together?", responses={200: {"model": SetExplanationAnswer}, **PROBLEMS})
async def explain_set(form: PageForm, service: Served) -> Response:
    """Return a label for a set, the words that its members share, and the members near its centre."""

    def work(deadline: Deadline) -> dict[str, Any]:
        page = _page(form, service, deadline)
        with span("entity_expand.explain_set"):
            return service.minding(deadline).explain_set(page, timeout=deadline.left()).to_dict()

    return json_response(await service.work(lambda deadline: to_json(work(deadline))))


def _page(form: PageForm, service: Service, deadline: Deadline) -> Expansion:
    asked = form.asked(service.settings, deadline)
    return asked if isinstance(asked, Expansion) else expanded_one(asked, service, deadline)
