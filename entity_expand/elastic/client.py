"""The official client: one sending of one call; whatever goes wrong is a `Failure`.

It brings authentication, media types and the check that the server is Elasticsearch; it neither retries nor sniffs.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, urlsplit

from elastic_transport import NodeConfig, Serializer
from elasticsearch import AsyncElasticsearch, UnsupportedProductError

from entity_expand.elastic.address import Address, Credentials
from entity_expand.elastic.exchange import Answer, Call
from entity_expand.elastic.node import CAP_KEY, JSON, NDJSON, Node, RefusedError, SingleNode
from entity_expand.elastic.translate import incomplete, refused
from entity_expand.errors import ServerError, UnreachableError
from entity_expand.sending import Again, FailedError, Failure
from entity_expand.web.pool import BrokenError, trusted


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
        key, basic = credentials.api_key, _coded(f"{credentials.user}:{credentials.password}".encode())
        self._client = AsyncElasticsearch(
            [_config(address, credentials, cap)],
            api_key=(key.partition(":")[0], key.partition(":")[2]) if key and ":" in key else key,
            basic_auth=basic if credentials.password else None,
            node_class=Node,
            node_pool_class=SingleNode,
            serializers={JSON: _Untouched(), NDJSON: _Untouched()},
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
        headers = {"accept": JSON} | ({"content-type": media} if media else {})
        path = quote("/" + call.path.lstrip("/"), safe="/%~!$&'()*+,;=:@<>-._")
        where = f"{self._address.url} answered {call}"
        try:
            response = await self._client.perform_request(
                call.method, path, params=call.params, headers=headers, body=content
            )
        except RefusedError as problem:
            status, answer = problem.status, problem.content
            if status in call.accept:
                return Answer(status, _parse(answer))
            found = refused(where, status, self._hide(answer))
            failure = Failure(found.error, found.again, max(found.wait, problem.wait))
        except UnsupportedProductError:
            text = f"{self._address.url} is not Elasticsearch, or a proxy removes the header X-Elastic-Product."
            failure = Failure(ServerError(text), Again.NEVER)
        except BrokenError as problem:
            text = self._hide(str(problem).encode()).decode(errors="replace")
            error = problem.kind(f"{self._address.url} gave no answer to {call}: {text}")
            failure = Failure(error, problem.again)
        else:
            content = None if call.method == "HEAD" else response.body  # the client says True
            return self._whole(where, response.meta.status, content)
        raise FailedError(failure)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def abandon(self) -> None:
        """Forget all connections without touching them, in a process that did not open them."""
        for node in self._client.transport.node_pool.all():
            if isinstance(node, Node):
                node.abandon()

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


class _Untouched(Serializer):
    """Leaves bodies as bytes, so that they are made once a call and parsed with our own errors."""

    mimetype = JSON

    def loads(self, data: bytes) -> Any:
        return data

    def dumps(self, data: bytes) -> bytes:
        return data


def _config(address: Address, credentials: Credentials, cap: int) -> NodeConfig:
    parts, context = urlsplit(address.url), None
    if address.encrypted and not credentials.fingerprint:
        context = trusted(credentials.ca_file)
    return NodeConfig(
        parts.scheme,
        parts.hostname or "",
        parts.port or 0,
        parts.path,
        ssl_context=context,
        ssl_assert_fingerprint=(credentials.fingerprint or "").replace(":", "") or None,
        _extras={CAP_KEY: cap},
    )


def _coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _secrets(credentials: Credentials) -> list[bytes]:
    """Return secrets as they may come back in an answer, longest first."""
    key = credentials.api_key or ""
    plain = [each.encode() for each in (key, key.rpartition(":")[2], credentials.password) if each]
    pair = f"{credentials.user}:{credentials.password}".encode()
    coded = [_coded(each).encode() for each in (*plain, pair)]
    return sorted({*plain, *coded}, key=len, reverse=True)


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return content.decode(errors="replace")
