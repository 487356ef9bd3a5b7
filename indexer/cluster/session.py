"""The one door to Ray: importing it, joining a cluster or starting one here, and leaving without a trace."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entity_expand.errors import ConfigError, DeadlineError, UnreachableError
from entity_expand.extras import imported

LOCAL = "local"
_STORE_BYTES = 256 << 20
_CONNECT_SECONDS = 5.0
_LONGEST_FOLDER = 40  # the paths of Ray's sockets add 62 characters, and sockets allow 107
_PROBE = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)"


def load_ray() -> Any:
    """Import Ray and Ray Data.

    Raises:
        MissingExtraError: They are not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    imported("ray.data.exceptions", "ray", "ray")
    return imported("ray", "ray", "ray")


def check_address(address: str) -> str:
    """Return the address of a cluster if it is "local" or HOST:PORT.

    Raises:
        ConfigError: It is neither.
    """
    match = re.fullmatch(r"[A-Za-z0-9_.-]+:(\d{1,5})|\[[0-9A-Fa-f:.]+\]:(\d{1,5})", address)
    if address != LOCAL and (match is None or not 0 < int(match[1] or match[2]) < 1 << 16):
        raise ConfigError(
            f"{address!r} is no Ray cluster: expected 'local', or the HOST:PORT of its head as `ray start` prints it, "
            "to be used on a machine of the cluster."
        )
    return address


@contextlib.contextmanager
def joined(address: str, cpus: int, timeout: float) -> Iterator[Any]:
    """Join a cluster, or start one on this machine, for as long as the context lasts.

    A process that takes part in a cluster already goes on with that one, and stays in it.

    Args:
        address: "local", or HOST:PORT.
        cpus: How many CPUs a local one offers at least; all of this machine otherwise.
        timeout: Seconds until an existing one must have answered.

    Raises:
        ConfigError: It is no address, or this process takes part in another cluster.
        MissingExtraError: Ray is not installed.
        ServerError: The cluster does not answer, or not in time.
    """
    check_address(address)
    ray = load_ray()
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        _check_same(ray, address)
        yield ray
        return
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"address": address}
        if address == LOCAL:
            options |= {"num_cpus": max(cpus, len(os.sched_getaffinity(0))), "object_store_memory": _STORE_BYTES}
            options |= {"include_dashboard": False, "_temp_dir": stack.enter_context(_short_folder())}
        else:
            _probe(address, timeout)
        stack.callback(ray.shutdown)
        _init(ray, options)
        yield ray


def _init(ray: Any, options: dict[str, Any]) -> None:
    """Join or start a cluster; one of this machine that does not come up in Ray's half a minute gets a second try."""
    for left in (1, 0) if options["address"] == LOCAL else (0,):
        try:
            ray.init(**options, log_to_driver=False, configure_logging=False)
        except Exception as problem:  # Ray raises bare ones, too
            if not left:
                raise UnreachableError(f"Cannot use the Ray cluster {options['address']}: {problem}") from problem
            ray.shutdown()
        else:
            return


def _check_same(ray: Any, address: str) -> None:
    known = ray.get_runtime_context().gcs_address
    if address not in (LOCAL, known):
        raise ConfigError(f"This process takes part in the Ray cluster {known}; leave it before using {address}.")


@contextlib.contextmanager
def _short_folder() -> Iterator[str]:
    """Make a folder for a cluster's sockets and logs, and remove it at the end."""
    usual = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="ee-", dir=usual if len(usual) < _LONGEST_FOLDER - 11 else "/tmp")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if Path(folder).exists():  # a process that is about to end may still have written to its log
            shutil.rmtree(folder, ignore_errors=True)


def _probe(address: str, timeout: float) -> None:
    """See in a process of its own that a cluster takes us: Ray waits for minutes for one that does not answer."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), min(_CONNECT_SECONDS, timeout)).close()
    except OSError as problem:
        raise UnreachableError(
            f"No Ray cluster answers at {address} ({problem}); `ray start --head` begins one."
        ) from problem
    command = [sys.executable, "-c", _PROBE, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired as problem:
        raise DeadlineError(
            f"What answers at {address} took no driver within {timeout:g} s. Is it a Ray cluster that this machine is "
            "part of?"
        ) from problem
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UnreachableError(f"The Ray cluster at {address} does not take us: {last[:500]}")
