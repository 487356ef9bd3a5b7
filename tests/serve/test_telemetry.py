"""Spans: recorded where OpenTelemetry is installed and set up, nothing where it is not."""

from __future__ import annotations

import subprocess
import sys

RECORDED = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from entity_expand.serve.telemetry import span, trace_id

exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
assert trace_id() == ""
with span("entity_expand.expand", {"sets": 2}):
    assert len(trace_id()) == 32 and int(trace_id(), 16)
print(*[(each.name, dict(each.attributes)) for each in exporter.get_finished_spans()])
"""
ABSENT = """
import sys
sys.modules["opentelemetry"] = None
from entity_expand.serve.telemetry import span, trace_id

with span("entity_expand.expand"):
    print(repr(trace_id()))
"""


def printed(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


def test_spans_are_recorded() -> None:
    assert printed(RECORDED) == "('entity_expand.expand', {'sets': 2})\n"


def test_without_opentelemetry_nothing_happens() -> None:
    assert printed(ABSENT) == "''\n"
