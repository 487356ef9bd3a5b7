"""Run the service: refuse what would be unsafe, listen, and end in good order when told to."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from math import ceil

import uvicorn

from entity_expand.errors import ConfigError
from entity_expand.expander import Expander
from entity_expand.serve import logs
from entity_expand.serve.app import create_app
from entity_expand.serve.keys import ApiKeys
from entity_expand.serve.settings import ServeSettings

_BACKLOG = 512
# Seconds after which a thread that computes lets others go on. With the usual 0.005 the event loop, which needs its
# turn several times per request, would wait longer for the threads at work than for anything else.
_TURN = 0.001


def serve(
    expander: Expander,
    settings: ServeSettings,
    keys: ApiKeys | None = None,
    *,
    listening: Callable[[str], None] = lambda _: None,
) -> None:
    """Answer requests until the process is told to end by SIGTERM or SIGINT; requests under way are finished.

    Args:
        expander: The index.
        settings: Where to listen, and limits.
        keys: Who may ask; None for anybody on this machine.
        listening: Is told the service's address once it can be reached.

    Raises:
        ConfigError: Others than this machine would reach a service that needs no key.
        OSError: The address is taken or none of this machine.
    """
    if keys is None and not settings.loopback:
        raise ConfigError(
            f"At {settings.host} others could ask without a key: give --api-key-file, or listen at 127.0.0.1."
        )
    logs.set_up()
    sys.setswitchinterval(_TURN)
    config = uvicorn.Config(
        create_app(expander, settings, keys),
        log_config=None,
        log_level=logging.INFO,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=4 * (settings.workers + settings.waiting) + 64,
        timeout_graceful_shutdown=ceil(settings.seconds) + 1,
        backlog=_BACKLOG,
    )
    with _listener(settings) as listener:
        host = f"[{settings.host.strip('[]')}]" if listener.family == socket.AF_INET6 else settings.host
        listening(f"http://{host}:{listener.getsockname()[1]}")
        with _ending_is_no_failure():
            uvicorn.Server(config).run(sockets=[listener])


def _listener(settings: ServeSettings) -> socket.socket:
    """Return the socket to listen at.

    It names TCP as its protocol: on such connections alone asyncio sends at once, on others the body of an answer waits
    for the caller's acknowledgement of its head, 40 ms.
    """
    host = settings.host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, settings.port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def _ending_is_no_failure() -> Iterator[None]:
    """Let the signals that uvicorn hands on when it has ended do nothing more."""
    before = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
