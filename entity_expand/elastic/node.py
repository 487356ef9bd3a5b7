"""One HTTP request by aiohttp, bounded in bytes, for the official client.

aiohttp carries synchronous callers too: cancelled at a time limit it stops whatever it waits for, where urllib3's limit
bounds each read, so that it waits without end for a server that sends a byte now and then.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import aiohttp
from elastic_transport import ApiResponseMeta, BaseAsyncNode, HttpHeaders, NodeConfig, NodePool
from yarl import URL

from entity_expand.errors import AccessError, ServerError, StoreError, UnreachableError
from entity_expand.sending import Again

CONNECT_SECONDS = 5.0
CONNECTIONS = 32
_SLICE = 1 << 20
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


class BrokenError(Exception):
    """No whole answer came; the text says why, in words that hold no header."""

    def __init__(self, text: str, again: Again, kind: Callable[[str], StoreError] = UnreachableError) -> None:
        super().__init__(text)
        self.again = again
        self.kind = kind


class SingleNode(NodePool):
    """A pool of one: putting the only node aside would change nothing but the log."""

    def mark_dead(self, node: Any, _now: float | None = None) -> None:
        """Do nothing."""

    def mark_live(self, node: Any) -> None:
        """Do nothing."""


async def _sliced(body: bytes) -> AsyncIterator[bytes]:
    """Yield a large body in parts: sent as one, it would go out at once, and nobody could end that."""
    for start in range(0, len(body), _SLICE):
        yield body[start : start + _SLICE]


class _NodeAnswer(NamedTuple):
    meta: ApiResponseMeta
    body: bytes


class _Pin(aiohttp.Fingerprint):
    """Ends the connection to a stranger at once, where aiohttp would wait for it to say good-bye."""

    def check(self, transport: asyncio.Transport) -> None:
        try:
            super().check(transport)
        except aiohttp.ServerFingerprintMismatch:
            asyncio.get_running_loop().call_soon(transport.abort)
            raise


class Node(BaseAsyncNode):
    """One HTTP request by aiohttp; no redirects, no second try, no more than the cap."""

    _CLIENT_META_HTTP_CLIENT = ("ai", aiohttp.__version__)

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._cap: int = config._extras[CAP_KEY]
        pin = config.ssl_assert_fingerprint
        self._ssl: Any = _Pin(bytes.fromhex(pin)) if pin else config.ssl_context or True
        self._session: aiohttp.ClientSession | None = None

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
        content: bytes | AsyncIterator[bytes] | None = body
        if body and len(body) > _SLICE:
            content = _sliced(body)
            sent["content-length"] = str(len(body))
        broken: BrokenError
        try:
            url = URL(self.base_url + target, encoded=True)
            session = self._opened()
            async with session.request(
                method, url, data=content, headers=sent, ssl=self._ssl, allow_redirects=False
            ) as response:
                answer = await _read(response, self._cap)
        except BrokenError as problem:
            broken = problem
        except (aiohttp.ClientError, OSError) as problem:
            broken = _explain(problem)
        else:
            return self._answered(response, answer)
        raise broken  # outside of the clauses: what aiohttp raised knows the headers and must not be chained

    async def close(self) -> None:  # type: ignore[override]
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # transports end in the next turn of the loop
            self._session = None

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them.

        Closing them there, as aiohttp does when its objects go, would take them out of the parent's event loop, which
        shares its epoll instance with the child.
        """
        if self._session is not None and (connector := self._session.connector) is not None:
            self._session.detach()
            connector._closed = True
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                skip_auto_headers=("accept", "accept-encoding", "user-agent"),
            )
            self._session._retry_connection = False  # it would send PUT and DELETE a second time by itself
        return self._session

    def _answered(self, response: aiohttp.ClientResponse, content: bytes) -> _NodeAnswer:
        for warning in re.findall(r'"([^"]*)"', ", ".join(response.headers.getall("warning", ()))):
            _warn_once(warning)
        if not 200 <= response.status < 300:
            raise RefusedError(response.status, content, _retry_after(response.headers.get("retry-after", "")))
        product = {"x-elastic-product": response.headers.get("x-elastic-product", "")}
        seen = HttpHeaders({"content-type": JSON, **product})
        return _NodeAnswer(ApiResponseMeta(response.status, "1.1", seen, 0.0, self.config), content)


async def _read(response: aiohttp.ClientResponse, cap: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > cap:
            text = f"the answer has more than the limit of {cap:,} bytes; ask for less at a time."
            raise BrokenError(text, Again.NEVER, ServerError)
    return b"".join(parts)


def _explain(problem: Exception) -> BrokenError:
    if isinstance(problem, (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch)):
        detail = str(getattr(problem, "certificate_error", "") or "its fingerprint is another")
        text = f"its certificate is not trusted ({detail}). Name the file of its authority as ca_file, or the "
        return BrokenError(text + "certificate's SHA-256 as fingerprint.", Again.NEVER, AccessError)
    if isinstance(problem, aiohttp.ClientConnectorSSLError):
        text = f"TLS failed ({problem.os_error}). Is it a server of http:// rather than https://?"
        return BrokenError(text, Again.NEVER, AccessError)
    if isinstance(problem, aiohttp.ClientConnectorError):
        return BrokenError(f"no connection ({problem.os_error}). Is it running?", Again.ALWAYS)
    if isinstance(problem, aiohttp.ConnectionTimeoutError):
        return BrokenError(f"no connection within {CONNECT_SECONDS:g} s. Is it running?", Again.ALWAYS)
    detail = problem.message if isinstance(problem, aiohttp.ClientResponseError) else str(problem)
    return BrokenError(f"the connection broke ({type(problem).__name__}: {detail}).", Again.SAFE)


def _retry_after(header: str) -> float:
    if header.strip().isdigit():
        return float(header)
    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return 0.0


_warned: set[str] = set()


def _warn_once(text: str) -> None:
    if text not in _warned and len(_warned) < 1000:
        _warned.add(text)
        _log.warning("Elasticsearch warns: %s", text)
