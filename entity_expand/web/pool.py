"""Requests by aiohttp, bounded in bytes: no redirects, no cookies, no second try.

aiohttp carries synchronous callers too: cancelled at a time limit it stops whatever it waits for, where urllib3's limit
bounds each read, so that it waits without end for a server that sends a byte now and then.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from entity_expand.errors import AccessError, ConfigError, ServerError, StoreError, UnreachableError
from entity_expand.sending import Again

CONNECT_SECONDS = 5.0
CONNECTIONS = 32
LIBRARY = ("ai", aiohttp.__version__)
_SLICE = 1 << 20


class BrokenError(Exception):
    """No whole answer came; the text says why, in words that hold no header."""

    def __init__(self, text: str, again: Again, kind: Callable[[str], StoreError] = UnreachableError) -> None:
        super().__init__(text)
        self.again = again
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Attributes:
        status: HTTP status.
        headers: By name, whatever its case; several values of one name in one text.
        content: Body.
        wait: Seconds after which the server wants to be asked again.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes
    wait: float


class _Pin(aiohttp.Fingerprint):
    """Ends the connection to a stranger at once, where aiohttp would wait for it to say good-bye."""

    def check(self, transport: asyncio.Transport) -> None:
        try:
            super().check(transport)
        except aiohttp.ServerFingerprintMismatch:
            asyncio.get_running_loop().call_soon(transport.abort)
            raise


class Pool:
    """Connections of one event loop.

    Args:
        context: Whose certificates are trusted; None for the system's.
        pin: SHA-256 of the only certificate that is taken, in hex digits.
    """

    def __init__(self, context: ssl.SSLContext | None = None, pin: str | None = None) -> None:
        self._ssl: Any = _Pin(bytes.fromhex(pin)) if pin else context or True
        self._session: aiohttp.ClientSession | None = None

    async def request(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], cap: int) -> Reply:
        """Send one request and return its answer, whatever its status.

        Args:
            method: GET and the like.
            url: Encoded.
            body: None for none.
            headers: All of them.
            cap: Largest body of an answer, in bytes.

        Raises:
            BrokenError: No whole answer came.
        """
        sent = dict(headers)
        content: bytes | AsyncIterator[bytes] | None = body
        if body and len(body) > _SLICE:
            content = _sliced(body)
            sent["content-length"] = str(len(body))
        broken: BrokenError
        try:
            async with self._opened().request(
                method, URL(url, encoded=True), data=content, headers=sent, ssl=self._ssl, allow_redirects=False
            ) as response:
                answer = await _read(response, cap)
        except BrokenError as problem:
            broken = problem
        except (aiohttp.ClientError, OSError) as problem:
            broken = _explain(problem)
        else:
            joined = {name.lower(): ", ".join(response.headers.getall(name)) for name in response.headers}
            return Reply(response.status, joined, answer, _retry_after(joined.get("retry-after", "")))
        raise broken  # outside of the clauses: what aiohttp raised knows the headers and must not be chained

    async def close(self) -> None:
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


def trusted(ca_file: str | None) -> ssl.SSLContext:
    """Return whom to trust: the authorities of a PEM file, or the system's.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as problem:
        raise ConfigError(f"ca_file {ca_file} cannot be read as PEM: {problem}.") from problem


async def _sliced(body: bytes) -> AsyncIterator[bytes]:
    """Yield a large body in parts: sent as one, it would go out at once, and nobody could end that."""
    for start in range(0, len(body), _SLICE):
        yield body[start : start + _SLICE]


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
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return 0.0
