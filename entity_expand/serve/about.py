"""`GET /v1/index`, and how the service is."""

from __future__ import annotations

from fastapi import APIRouter, Response

from entity_expand._version import __version__
from entity_expand.sending import Deadline
from entity_expand.serve.answers import HealthAnswer, IndexAnswer
from entity_expand.serve.http import PROBLEMS, Served, json_response
from entity_expand.serve.metrics import MEDIA_TYPE
from entity_expand.serve.service import Service, to_json

router = APIRouter()


@router.get("/v1/index", tags=["index"], summary="The index", responses={200: {"model": IndexAnswer}, **PROBLEMS})
async def index(service: Served) -> Response:
    """Return what the service answers from, and how much may be asked."""
    return json_response(await service.work(lambda deadline: to_json(_facts(service, deadline))))


def _facts(service: Service, deadline: Deadline) -> dict[str, object]:
    facts = service.expander.store.begin(deadline.left()).facts
    return {
        "title": service.settings.title,
        "entities": facts.meta.entities,
        "modality": facts.meta.modality,
        "exact": facts.exact,
        "written_by": facts.meta.written_by,
        "version": __version__,
        "most_seeds": service.settings.seeds,
        "most_results": service.settings.size,
    }


@router.get("/metrics", include_in_schema=False)
async def metrics(service: Served) -> Response:
    """Return what Prometheus reads."""
    return Response(service.metrics.text(), media_type=MEDIA_TYPE)


@router.get("/healthz", tags=["health"], summary="Alive", responses={200: {"model": HealthAnswer}})
async def alive() -> Response:
    """Say that the process answers."""
    return json_response(to_json({"status": "ok"}))


@router.get("/readyz", tags=["health"], summary="Ready", responses={200: {"model": HealthAnswer}, **PROBLEMS})
async def ready(service: Served) -> Response:
    """Say that the index can be asked."""
    await service.work(lambda deadline: service.expander.store.begin(deadline.left()).facts)
    return json_response(to_json({"status": "ok"}))
