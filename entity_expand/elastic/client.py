"""The official client over aiohttp: one sending of one call, bounded in bytes; whatever goes wrong is a `Failure`.

The client brings authentication, media types and the check that the server is Elasticsearch; it neither retries nor
sniffs here. aiohttp carries synchronous callers too: cancelled at a time limit it stops whatever it waits for, where
urllib3's limit bounds each read, so that it waits without end for a server that sends a byte now and then.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import ssl
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import aiohttp
from elastic_transport import ApiResponseMeta, BaseAsyncNode, HttpHeaders, NodeConfig, NodePool, Serializer
from elasticsearch import AsyncElasticsearch, UnsupportedProductError
from yarl import URL

from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.exchange import Answer, Call
from entity_expand.elastic.translate import Again, Failure, incomplete, refused
from entity_expand.errors import AccessError, ConfigError, ServerError, StoreError, UnreachableError

CONNECT_SECONDS = 5.0
CONNECTIONS = 32
_JSON = "application/json"
_CAP_KEY = "_entity_expand_cap"
_log = logging.getLogger(__name__)


class FailedError(Exception):
    """One sending failed; the connection catches it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure.error))
        self.failure = failure


class Client:
    """One server, to which single calls are sent; bound to the event loop of the first call."""

    def __init__(self, address: Address, credentials: Credentials, cap: int) -> None:
        """Prepare; nothing is sent.

        Args:
            address: The server.
            credentials: Who asks.
            cap: Largest body of an answer, in bytes.

        Raises:
            ConfigError: The credentials do not fit the address, or the file of authorities cannot be read.
        """
        credentials.check_fits(address)
        self._address = address
        self._secrets = _secrets(credentials)
        key, basic = credentials.api_key, (credentials.user or "", credentials.password or "")
        self._client = AsyncElasticsearch(
            [_config(address, credentials, cap)],
            api_key=tuple(key.split(":", 1)) if key and ":" in key else key,  # type: ignore[arg-type]
            basic_auth=basic if credentials.password else None,
            node_class=_Node,
            node_pool_class=_SingleNode,
            serializers={_JSON: _Untouched()},
            request_timeout=None,
            max_retries=0,
        )

    async def send(self, call: Call, media: str | None, content: bytes | None) -> Answer:
        """Send once, without a time limit of its own.

        Args:
            call: What to send.
            media: Media type of its body.
            content: Its body as bytes.

        Raises:
            FailedError: The server could not be reached, or its answer is an error, broken or incomplete.
        """
        failure: Failure
        headers = {"accept": _JSON} | ({"content-type": media} if media else {})
        path = quote("/" + call.path.lstrip("/"), safe="/%~!$&'()*+,;=:@<>-._")
        where = f"{self._address.url} answered {call}"
        try:
            response = await self._client.perform_request(
                call.method, path, params=call.params, headers=headers, body=content
            )
        except _RefusedError as problem:
            status, answer = problem.status, problem.content
            if status in call.accept:
                return Answer(status, _parse(answer))
            found = refused(where, status, self._hide(answer))
            failure = Failure(found.error, found.again, max(found.wait, problem.wait))
        except UnsupportedProductError:
            text = f"{self._address.url} is not Elasticsearch, or a proxy removes the header X-Elastic-Product."
            failure = Failure(ServerError(text), Again.NEVER)
        except _BrokenError as problem:
            text = self._hide(str(problem).encode()).decode(errors="replace")
            error = problem.kind(f"{self._address.url} gave no answer to {call}: {text}")
            failure = Failure(error, problem.again)
        else:
            return self._whole(where, response.meta.status, response.body)
        raise FailedError(failure)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _whole(self, where: str, status: int, content: bytes | None) -> Answer:
        try:
            body = json.loads(content) if content else None
        except (ValueError, RecursionError):
            body, reason = None, "its answer is no JSON, or was cut off on the way."
            failure = Failure(UnreachableError(f"{where}, but {reason}", status, reason), Again.SAFE)
        else:
            found = incomplete(where, status, body)
            if found is None:
                return Answer(status, body)
            failure = found
        raise FailedError(failure)

    def _hide(self, content: bytes) -> bytes:
        for secret in self._secrets:
            content = content.replace(secret, b"***")
        return content


class _RefusedError(Exception):
    """The server's answer is not a success; not the client's own error, so that the client just passes it on."""

    def __init__(self, status: int, content: bytes, wait: float) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.content = content
        self.wait = wait


class _BrokenError(Exception):
    """No whole answer came; the text says why, in words that hold no header."""

    def __init__(self, text: str, again: Again, kind: Callable[[str], StoreError] = UnreachableError) -> None:
        super().__init__(text)
        self.again = again
        self.kind = kind


class _Untouched(Serializer):
    """Leaves bodies as bytes, so that they are made once a call and parsed with our own errors."""

    mimetype = _JSON

    def loads(self, data: bytes) -> Any:
        return data

    def dumps(self, data: Any) -> bytes:
        return bytes(data)


class _SingleNode(NodePool):
    """A pool of one: putting the only node aside would change nothing but the log."""

    def mark_dead(self, node: Any, _now: float | None = None) -> None:
        pass

    def mark_live(self, node: Any) -> None:
        pass


class _NodeAnswer(NamedTuple):
    meta: ApiResponseMeta
    body: bytes


class _Node(BaseAsyncNode):
    """One HTTP request by aiohttp; no redirects, no second try, no more than the cap."""

    _CLIENT_META_HTTP_CLIENT = ("ai", aiohttp.__version__)

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._cap: int = config._extras[_CAP_KEY]
        pin = config.ssl_assert_fingerprint
        self._ssl: Any = aiohttp.Fingerprint(bytes.fromhex(pin)) if pin else config.ssl_context or True
        self._session: aiohttp.ClientSession | None = None

    async def perform_request(  # type: ignore[override]
        self, method: str, target: str, body: bytes | None = None, headers: HttpHeaders | None = None, **_: Any
    ) -> _NodeAnswer:
        sent = self._headers.copy()
        sent.update(headers or {})
        broken: _BrokenError
        try:
            url = URL(self.base_url + target, encoded=True)
            session = self._opened()
            async with session.request(
                method, url, data=body, headers=sent, ssl=self._ssl, allow_redirects=False
            ) as response:
                content = await _read(response, self._cap)
        except _BrokenError as problem:
            broken = problem
        except (aiohttp.ClientError, OSError) as problem:
            broken = _explain(problem)
        else:
            return self._answered(response, content)
        raise broken  # outside of the clauses: what aiohttp raised knows the headers and must not be chained

    async def close(self) -> None:  # type: ignore[override]
        if self._session is not None:
            await self._session.close()
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
            raise _RefusedError(response.status, content, _retry_after(response.headers.get("retry-after", "")))
        product = {"x-elastic-product": response.headers.get("x-elastic-product", "")}
        seen = HttpHeaders({"content-type": _JSON, **product})
        return _NodeAnswer(ApiResponseMeta(response.status, "1.1", seen, 0.0, self.config), content)


async def _read(response: aiohttp.ClientResponse, cap: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > cap:
            text = f"the answer has more than the limit of {cap:,} bytes; ask for less at a time."
            raise _BrokenError(text, Again.NEVER, ServerError)
    return b"".join(parts)


def _explain(problem: Exception) -> _BrokenError:
    if isinstance(problem, (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch)):
        detail = str(getattr(problem, "certificate_error", "") or "its fingerprint is another")
        text = f"its certificate is not trusted ({detail}). Name the file of its authority as ca_file, or the "
        return _BrokenError(text + "certificate's SHA-256 as fingerprint.", Again.NEVER, AccessError)
    if isinstance(problem, aiohttp.ClientConnectorSSLError):
        text = f"TLS failed ({problem.os_error}). Is it a server of http:// rather than https://?"
        return _BrokenError(text, Again.NEVER, AccessError)
    if isinstance(problem, aiohttp.ClientConnectorError):
        return _BrokenError(f"no connection ({problem.os_error}). Is it running?", Again.ALWAYS)
    if isinstance(problem, aiohttp.ConnectionTimeoutError):
        return _BrokenError(f"no connection within {CONNECT_SECONDS:g} s. Is it running?", Again.ALWAYS)
    detail = problem.message if isinstance(problem, aiohttp.ClientResponseError) else str(problem)
    return _BrokenError(f"the connection broke ({type(problem).__name__}: {detail}).", Again.SAFE)


def _config(address: Address, credentials: Credentials, cap: int) -> NodeConfig:
    parts, context = urlsplit(address.url), None
    if address.encrypted and not credentials.fingerprint:
        try:
            context = ssl.create_default_context(cafile=credentials.ca_file)
        except OSError as problem:
            raise ConfigError(f"ca_file {credentials.ca_file} cannot be read as PEM: {problem}.") from problem
    return NodeConfig(
        parts.scheme,
        parts.hostname or "",
        parts.port or 0,
        parts.path,
        ssl_context=context,
        ssl_assert_fingerprint=(credentials.fingerprint or "").replace(":", "") or None,
        _extras={_CAP_KEY: cap},
    )


def _secrets(credentials: Credentials) -> list[bytes]:
    """Return secrets as they may come back in an answer, longest first."""
    plain = [each.encode() for each in (credentials.api_key, credentials.password) if each]
    pair = f"{credentials.user}:{credentials.password}".encode()
    coded = [base64.b64encode(each) for each in (*plain, pair)]
    return sorted({*plain, *coded}, key=len, reverse=True)


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return content.decode(errors="replace")


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
