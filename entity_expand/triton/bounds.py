"""What answers by HTTP may be: tritonclient itself reads whatever comes, and goes wherever it is sent."""

from __future__ import annotations

import importlib
from typing import Any


def bound(session: Any, cap: int) -> None:
    """Let a session refuse answers by their headers, before their bodies are read.

    Refused is what leads elsewhere, does not say how long it is, is longer than `cap` bytes, or is compressed, which
    requests no longer ask for. The request then fails with a ValueError.

    Args:
        session: An `aiohttp.ClientSession`.
        cap: Most bytes of an answer.
    """
    tracing: Any = importlib.import_module("aiohttp").TraceConfig()

    async def on_redirect(session: Any, context: Any, params: Any) -> None:
        _refuse(params.response, "it leads elsewhere")

    async def on_answer(session: Any, context: Any, params: Any) -> None:
        response = params.response
        length = response.content_length
        if length is None:
            _refuse(response, "it does not say how long it is")
        elif length > cap:
            _refuse(response, f"it has {length:,} bytes, more than {cap:,}")
        elif response.headers.get("Content-Encoding", "identity") != "identity":
            _refuse(response, "it is compressed")

    session.headers["Accept-Encoding"] = "identity"
    tracing.on_request_redirect.append(on_redirect)
    tracing.on_request_end.append(on_answer)
    tracing.freeze()
    session.trace_configs.append(tracing)


def _refuse(response: Any, why: str) -> None:
    response.close()
    raise ValueError(why)
