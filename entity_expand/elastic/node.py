"""One HTTP request, bounded in bytes, for the official client."""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

from elastic_transport import ApiResponseMeta, BaseAsyncNode, HttpHeaders, NodeConfig, NodePool

from entity_expand.web.pool import LIBRARY, Pool

JSON = "application/json"
NDJSON = "application/x-ndjson"
CAP_KEY = "_entity_expand_cap"
_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """The server's answer is not a success; not the client's own error, so that the client just passes it on."""

    def __init__(self, status: int, content: bytes, wait: float) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.content = content
        self.wait = wait


class SingleNode(NodePool):
    """A pool of one: putting the only node aside would change nothing but the log."""

    def mark_dead(self, node: Any, _now: float | None = None) -> None:
        """Do nothing."""

    def mark_live(self, node: Any) -> None:
        """Do nothing."""


class _NodeAnswer(NamedTuple):
    meta: ApiResponseMeta
    body: bytes


class Node(BaseAsyncNode):
    """One HTTP request by aiohttp; no redirects, no second try, no more than the cap."""

    _CLIENT_META_HTTP_CLIENT = LIBRARY

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._cap: int = config._extras[CAP_KEY]
        self._pool = Pool(config.ssl_context, config.ssl_assert_fingerprint)

    async def perform_request(  # type: ignore[override]
        self, method: str, target: str, body: bytes | None = None, headers: HttpHeaders | None = None, **_: Any
    ) -> _NodeAnswer:
        """Send one request and return its successful answer.

        Raises:
            RefusedError: The answer's status is no success.
            BrokenError: No whole answer came.
        """
        sent = self._headers.copy()
        sent.update(headers or {})
        reply = await self._pool.request(method, self.base_url + target, body, sent, self._cap)
        for warning in re.findall(r'"([^"]*)"', reply.headers.get("warning", "")):
            _warn_once(warning)
        if not 200 <= reply.status < 300:
            raise RefusedError(reply.status, reply.content, reply.wait)
        product = {"x-elastic-product": reply.headers.get("x-elastic-product", "")}
        seen = HttpHeaders({"content-type": JSON, **product})
        return _NodeAnswer(ApiResponseMeta(reply.status, "1.1", seen, 0.0, self.config), reply.content)

    async def close(self) -> None:  # type: ignore[override]
        """Close all connections."""
        await self._pool.close()

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        self._pool.abandon()


_warned: set[str] = set()


def _warn_once(text: str) -> None:
    if text not in _warned and len(_warned) < 1000:
        _warned.add(text)
        _log.warning("Elasticsearch warns: %s", text)
