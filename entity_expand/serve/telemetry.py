"""OpenTelemetry spans, where it is installed; nothing otherwise.

Providers and exporters are set up by whoever runs the service, as `opentelemetry-instrument` does.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_NAME = "entity_expand"


@functools.cache
def _tracer() -> Tracer | None:
    try:
        from opentelemetry import trace
    except ModuleNotFoundError:
        return None
    return trace.get_tracer(_NAME)


@contextlib.contextmanager
def span(name: str, attributes: Mapping[str, int | float | str | bool] | None = None) -> Iterator[None]:
    """Have what happens inside recorded as a span."""
    tracer = _tracer()
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(name, attributes=attributes):
        yield


def trace_id() -> str:
    """Return the id of the trace that goes on, as 32 hexadecimal digits; "" for none."""
    if _tracer() is None:
        return ""
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else ""
