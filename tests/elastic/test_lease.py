"""Leases on the name of an index: one holder at a time, whoever dies and whatever fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from entity_expand.elastic.address import parse_address
from entity_expand.elastic.connection import Connection
from entity_expand.errors import StoreBusyError
from indexer.elastic.lease import LEASES, Lease
from servers.elasticsearch_node import ask
from servers.faults import Faults
from servers.proxy import Proxy


@pytest.fixture
def connection(elasticsearch_url: str, index_name: str) -> Iterator[Connection]:
    with Connection(parse_address(f"{elasticsearch_url}/{index_name}")) as opened:
        yield opened


def held(url: str, name: str) -> dict:
    return ask("GET", f"{url}/{LEASES}/_doc/{name}")[1].get("_source", {})


def test_a_second_run_is_told_who_holds_the_name(elasticsearch_url, index_name, connection) -> None:
    with Lease(connection, index_name, seconds=1.2):
        began = time.monotonic()
        with (
            pytest.raises(StoreBusyError, match=f"process {os.getpid()} on .*, since 20"),
            Lease(connection, index_name, 1.2),
        ):
            pass
        assert time.monotonic() - began < 1.2
        with Lease(connection, f"{index_name}-other", seconds=1.2):
            pass
    assert held(elasticsearch_url, index_name) == {}
    with Lease(connection, index_name, seconds=1.2) as lease:
        lease.check()


def test_a_lease_outlives_its_term_while_it_is_renewed(elasticsearch_url, index_name, connection) -> None:
    with Lease(connection, index_name, seconds=0.6) as lease:
        first = held(elasticsearch_url, index_name)["beat"]
        time.sleep(1.0)
        lease.check()
        assert held(elasticsearch_url, index_name)["beat"] > first


CHILD = """
import sys, time
from entity_expand.elastic.address import parse_address
from entity_expand.elastic.connection import Connection
from indexer.elastic.lease import Lease
address = parse_address(sys.argv[1])
with Connection(address) as connection, Lease(connection, address.index, seconds=600):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lease_of_a_killed_process_of_this_machine_is_taken_at_once(
    elasticsearch_url, index_name, connection
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, f"{elasticsearch_url}/{index_name}"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but its parent has not yet asked after it
    began = time.monotonic()
    with Lease(connection, index_name, seconds=600):
        assert time.monotonic() - began < 5
    child.wait()
    child.stdout.close()


@pytest.mark.parametrize("machine", ["another", "this"])
def test_a_lease_that_does_not_change_is_taken_over(elasticsearch_url, index_name, connection, machine: str) -> None:
    with Lease(connection, index_name, seconds=600):
        found = held(elasticsearch_url, index_name)
    found = {**found, "owner": "somebody", "host": "elsewhere", "seconds": 0.1}
    if machine == "another":  # where a process of the same number says nothing
        found |= {"machine": "elsewhere", "process": "1 1", "pid": 1}
    ask("PUT", f"{elasticsearch_url}/{LEASES}/_doc/{index_name}", found)
    began = time.monotonic()
    with Lease(connection, index_name, seconds=1.0) as lease:
        assert 1.0 <= time.monotonic() - began < 5
        lease.check()
        assert held(elasticsearch_url, index_name)["owner"] != "somebody"


def test_a_lease_is_watched_for_as_long_as_it_states(elasticsearch_url, index_name, connection) -> None:
    with Lease(connection, index_name, seconds=600):
        found = held(elasticsearch_url, index_name)
    found |= {"owner": "somebody", "machine": "elsewhere", "seconds": 3.0}
    ask("PUT", f"{elasticsearch_url}/{LEASES}/_doc/{index_name}", found)
    began = time.monotonic()
    with Lease(connection, index_name, seconds=0.5):
        assert time.monotonic() - began >= 3.0


def test_a_holder_whose_lease_was_taken_stops(elasticsearch_url, index_name, connection) -> None:
    with Lease(connection, index_name, seconds=0.6) as lease:
        taken = {**held(elasticsearch_url, index_name), "owner": "somebody", "host": "elsewhere", "pid": 7}
        ask("PUT", f"{elasticsearch_url}/{LEASES}/_doc/{index_name}", taken)
        time.sleep(0.4)
        with pytest.raises(StoreBusyError, match=r"no longer holds .* process 7 on elsewhere"):
            lease.check()
    assert held(elasticsearch_url, index_name)["owner"] == "somebody"


def test_a_lease_survives_an_outage(elasticsearch_url, index_name) -> None:
    with (
        Proxy(elasticsearch_url) as proxy,
        Connection(parse_address(f"{proxy.url}/{index_name}")) as connection,
        Lease(connection, index_name, seconds=0.6, patience=10) as lease,
    ):
        proxy.set_faults(Faults(1, unavailable=0.4, reset=0.3, lose=0.3))
        time.sleep(1.2)
        assert proxy.counts["lose"] > 0  # a renewal that arrived, though its answer did not
        proxy.set_faults(None)
        lease.check()
        assert held(elasticsearch_url, index_name)["owner"]
        lease.check()
