"""The outermost layer: request ids, refusals, bounded bodies, safe headers, the log and the metrics of each answer."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entity_expand.serve.gate import WORK, Gate, Head, too_large
from entity_expand.serve.http import problem_response
from entity_expand.serve.logs import REQUEST_ID
from entity_expand.serve.metrics import Metrics
from entity_expand.serve.problems import Problem, problem_of
from entity_expand.serve.settings import ServeSettings

_log = logging.getLogger(__name__)
_SAFE = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}
_UNLESS_SET = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}


class Guard:
    """Wraps an application.

    Args:
        app: What answers those that are let in.
        gate: Who is let in.
        metrics: Where answers are counted.
        settings: Limits.
    """

    def __init__(self, app: ASGIApp, gate: Gate, metrics: Metrics, settings: ServeSettings) -> None:
        self._app, self._gate, self._metrics, self._settings = app, gate, metrics, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = _head_of(scope)
        scope.setdefault("state", {})["request_id"] = request_id = self._gate.request_id(head)
        token, caller = REQUEST_ID.set(request_id), self._gate.caller(head)
        exchange = _Exchange(receive, send, request_id, self._settings)
        try:
            await self._answer(scope, head, caller, exchange)
        finally:
            self._account(scope, head, caller, exchange)
            REQUEST_ID.reset(token)

    async def _answer(self, scope: Scope, head: Head, caller: str | None, exchange: _Exchange) -> None:
        problem = self._gate.refusal(head, caller)
        counted = problem is None and caller is not None and head.path.startswith(WORK)
        if counted and caller is not None:
            problem = self._gate.enter(caller)
        if problem is not None:
            self._metrics.refused(problem.kind)
            await self._tell(scope, problem, exchange)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # whatever it was, the caller gets an answer and the log the reason
            _log.exception("A request ended with an error")
            if exchange.status:
                raise
            await self._tell(scope, problem_of(error), exchange)
        finally:
            if counted and caller is not None:
                self._gate.leave(caller)

    @staticmethod
    async def _tell(scope: Scope, problem: Problem, exchange: _Exchange) -> None:
        response = problem_response(problem, exchange.request_id)
        if problem.status == 401:
            response.headers["www-authenticate"] = "Bearer"
        await response(scope, exchange.receive, exchange.send)

    def _account(self, scope: Scope, head: Head, caller: str | None, exchange: _Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        route = getattr(scope.get("route"), "path", "")
        self._metrics.answered(scope["method"], route or "none", exchange.status, seconds)
        fields = {
            "method": scope["method"],
            "path": head.path,
            "route": route,
            "status": exchange.status,
            "milliseconds": round(1000 * seconds, 3),
            "bytes": exchange.sent,
            "caller": caller,
        }
        level = logging.DEBUG if head.path in ("/healthz", "/readyz", "/metrics") else logging.INFO
        _log.log(level, "answered", extra={"fields": fields})


class _Exchange:
    """One request and its answer on their way."""

    def __init__(self, receive: Receive, send: Send, request_id: str, settings: ServeSettings) -> None:
        self._receive, self._send, self._settings = receive, send, settings
        self.request_id = request_id
        self.began = time.perf_counter()
        self.status = 0
        self.sent = 0
        self._received = 0
        self._whole = False

    async def receive(self) -> Message:
        """Receive, no more than the cap, and the whole body within the time of a request."""
        if self._whole:
            return await self._receive()
        left = self.began + self._settings.seconds - time.perf_counter()
        try:
            async with asyncio.timeout(max(0.0, left)):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"The body did not come within {self._settings.seconds:g} s.") from None
        self._received += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._received > self._settings.body_bytes:
            raise HTTPException(413, too_large(self._settings.body_bytes).detail)
        return message

    async def send(self, message: Message) -> None:
        """Send, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            added = {**_SAFE, b"x-request-id": self.request_id.encode()}
            added |= {name: value for name, value in _UNLESS_SET.items() if name not in names}
            message = {**message, "headers": [*given, *added.items()]}
        self.sent += len(message.get("body", b""))
        await self._send(message)


def _head_of(scope: Scope) -> Head:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Head(scope["path"], headers, (scope.get("client") or ("", 0))[0])
