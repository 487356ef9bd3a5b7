"""The application: endpoints over one opened index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from entity_expand._version import __version__
from entity_expand.expander import Expander
from entity_expand.serve import about, encoding, entities, expansions, explanations, pictures
from entity_expand.serve.desk import Desk
from entity_expand.serve.gate import Gate
from entity_expand.serve.guard import Guard
from entity_expand.serve.http import add_problems
from entity_expand.serve.keys import ApiKeys
from entity_expand.serve.metrics import Metrics
from entity_expand.serve.service import Service
from entity_expand.serve.settings import ServeSettings
from entity_expand.serve.static import add_page


def create_app(expander: Expander, settings: ServeSettings | None = None, keys: ApiKeys | None = None) -> FastAPI:
    """Return the application that answers from an opened index; it does not close it.

    Args:
        expander: The index, perhaps with a bundle for seeds that are not in it.
        settings: Limits; None for the usual ones.
        keys: Who may ask; None for whoever reaches it under a name of this machine.
    """
    settings = settings or ServeSettings()
    desk = Desk(settings.workers, settings.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()

    app = FastAPI(
        title="entity-expand",
        version=__version__,
        summary="Give three examples, get the rest of the set.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    metrics = Metrics(lambda: desk.inside, expander.store.begin().facts.meta.entities)
    app.state.service = Service(settings, expander, desk, metrics)
    app.add_middleware(Guard, gate=Gate(settings, keys), metrics=metrics, settings=settings)
    add_problems(app)
    for module in (expansions, explanations, encoding, entities, pictures, about):
        app.include_router(module.router)
    add_page(app)
    return app
