"""`GET /v1/index`, and how the service is."""

from __future__ import annotations

from fastapi import APIRouter, Response

from entity_expand._version import __version__
from entity_expand.drive import run
from entity_expand.query import STRATEGIES, Strategy
from entity_expand.sending import Deadline
from entity_expand.serve.answers import HealthAnswer, IndexAnswer
from entity_expand.serve.http import PROBLEMS, Served, json_response
from entity_expand.serve.metrics import MEDIA_TYPE
from entity_expand.serve.service import Service, to_json
from entity_expand.stores.base import Facts, Steps, ask
from entity_expand.stores.facets import Facet, Facets

router = APIRouter()

_VALUES = 200


@router.get("/v1/index", tags=["index"], summary="The index", responses={200: {"model": IndexAnswer}, **PROBLEMS})
async def index(service: Served) -> Response:
    """Return what the service answers from, and how much may be asked."""
    return json_response(await service.work(lambda deadline: to_json(_facts(service, deadline))))


def _facts(service: Service, deadline: Deadline) -> dict[str, object]:
    reader = service.expander.store.begin(deadline.left())
    facts, settings = reader.facts, service.settings
    return {
        "title": settings.title,
        "entities": facts.meta.entities,
        "modality": facts.meta.modality,
        "modalities": [facts.meta.modality, *facts.parts],
        "exact": facts.exact,
        "written_by": facts.meta.written_by,
        "version": __version__,
        "strategies": [each for each in STRATEGIES if _possible(each, facts)],
        "new_seeds": service.expander.encoder is not None,
        "attributes": [_attribute(facet) for facet in service.facets.get(lambda: run(_facets(), reader))],
        "limits": {
            "seeds": settings.seeds,
            "results": settings.size,
            "batch": settings.batch,
            "filter_values": settings.filter_values,
            "picture_bytes": settings.picture_bytes,
            "body_bytes": settings.body_bytes,
        },
    }


def _possible(strategy: Strategy, facts: Facts) -> bool:
    needs: dict[Strategy, bool] = {"both": "pair" in facts.largest_norms, "hybrid": "lexical" in facts.channels}
    return needs.get(strategy, True)


def _facets() -> Steps[tuple[Facet, ...]]:
    return (yield from ask(Facets(_VALUES)))


def _attribute(facet: Facet) -> dict[str, object]:
    values = [{"value": value, "entities": count} for value, count in facet.counts.items()]
    return {"key": facet.key, "values": values, "distinct": facet.distinct}


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
