"""What Prometheus may read: how many calls, how long they took, how many are under way, what was refused and why."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one application, apart from those of any other in the process.

    Args:
        inside: Tells how many calls are worked on or wait.
        entities: How many the index holds, when it was opened.
    """

    def __init__(self, inside: Callable[[], int], entities: int) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        name = "entity_expand"
        self._requests = Counter(
            f"{name}_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            f"{name}_request_seconds", "Time to answer", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._refused = Counter(f"{name}_refused", "Requests refused without work", ["reason"], registry=self._registry)
        self._results = Counter(f"{name}_results", "Entities in expansions", registry=self._registry)
        working = Gauge(f"{name}_under_way", "Calls that are worked on or wait", registry=self._registry)
        working.set_function(inside)
        Gauge(f"{name}_entities", "Entities of the index at the start", registry=self._registry).set(entities)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer. `route` is a template, so that there are few of them."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a request that was turned away before any work."""
        self._refused.labels(reason).inc()

    def expanded(self, results: int) -> None:
        """Count the results of an expansion."""
        self._results.inc(results)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
