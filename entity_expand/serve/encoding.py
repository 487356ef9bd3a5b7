"""`POST /v1/encode`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from entity_expand.errors import QueryError
from entity_expand.query import NewSeed
from entity_expand.sending import Deadline
from entity_expand.serve.answers import FeaturesAnswer
from entity_expand.serve.forms import EncodeForm
from entity_expand.serve.http import PROBLEMS, Served, json_response
from entity_expand.serve.service import Service, to_json
from entity_expand.serve.telemetry import span

router = APIRouter(prefix="/v1", tags=["encoding"])


@router.post("/encode", summary="Encode", responses={200: {"model": FeaturesAnswer}, **PROBLEMS})
async def encode(form: EncodeForm, service: Served) -> Response:
    """Return the features of sentences and pictures, as the index would hold them of an entity with nothing else."""
    return json_response(
        await service.work(
            lambda deadline: to_json(_encoded(form.seeds(service.settings, deadline), service, deadline))
        )
    )


def _encoded(seeds: list[NewSeed], service: Service, deadline: Deadline) -> dict[str, Any]:
    encoder = service.minding(deadline).encoder
    if encoder is None:
        raise QueryError("The service was started without --bundle, so that it encodes nothing.")
    meta = service.expander.store.begin(deadline.left()).facts.meta
    with span("entity_expand.encode", {"inputs": len(seeds)}):
        rows = encoder.rows(seeds, meta)
    features = rows.scaled[:, :-1] * rows.deviation[:, None]  # (S, D)
    return {"bundle": meta.bundle, "dimension": features.shape[1], "features": features.round(7).tolist()}
