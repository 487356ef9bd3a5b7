"""Run the service: refuse what would be unsafe, then hand over to uvicorn."""

from __future__ import annotations

import uvicorn

from entity_expand.errors import ConfigError
from entity_expand.expander import Expander
from entity_expand.serve.app import create_app
from entity_expand.serve.settings import ServeSettings


def serve(expander: Expander, settings: ServeSettings) -> None:
    """Answer requests until the process is told to end.

    Raises:
        ConfigError: Others than this machine would reach a service that needs no key.
    """
    if not settings.loopback:
        raise ConfigError(f"At {settings.host} others could ask without a key; listen at 127.0.0.1.")
    uvicorn.run(
        create_app(expander, settings), host=settings.host, port=settings.port, access_log=False, server_header=False
    )
