from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers.elasticsearch_node import Node, NodeError, ask, free_port
from servers.fixtures import LEASES, delete_all

SERVE = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from servers.elasticsearch_node import Node
node = Node(Path(sys.argv[2]), http_port=int(sys.argv[3])).start()
print("ready", flush=True)
time.sleep(600)
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_a_node_dies_with_its_process_and_keeps_its_documents(tmp_path: Path) -> None:
    home, port = tmp_path / "node", free_port()
    command = [sys.executable, "-c", SERVE, str(Path(__file__).parents[1]), str(home), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        assert ask("PUT", f"http://127.0.0.1:{port}/kept/_doc/1", {"a": 1})[0] == 201
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while listens(port):
        assert time.monotonic() < end
        time.sleep(0.05)
    with Node(home, http_port=port) as node:
        ask("GET", f"{node.url}/_cluster/health/kept?wait_for_status=yellow&timeout=20s")
        assert ask("GET", f"{node.url}/kept/_doc/1")[1]["_source"] == {"a": 1}
    assert node.pid is None


def test_a_node_that_cannot_start_says_why(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", heap="nonsense")
    with pytest.raises(NodeError, match=r"(?s)ended with .*console\.log.*Xm"):
        node.start()
    assert node.pid is None


def test_all_of_a_name_is_deleted_and_nothing_else(elasticsearch_url: str, index_name: str) -> None:
    mine, other = f"{index_name}-mine", f"{index_name}-other"
    for path in (f"{mine}-1/_doc/1", f"{other}/_doc/1", f"{LEASES}/_doc/{mine}", f"{LEASES}/_doc/{other}"):
        assert ask("PUT", f"{elasticsearch_url}/{path}", {})[0] == 201
    added = [{"add": {"index": f"{mine}-1", "alias": mine}}, {"add": {"index": other, "alias": f"{mine}-2"}}]
    assert ask("POST", f"{elasticsearch_url}/_aliases", {"actions": added})[0] == 200
    delete_all(elasticsearch_url, mine)
    _, found = ask("GET", f"{elasticsearch_url}/_alias")
    assert {name: each["aliases"] for name, each in found.items() if name.startswith(index_name)} == {other: {}}
    assert ask("GET", f"{elasticsearch_url}/{LEASES}/_doc/{mine}")[0] == 404
    assert ask("GET", f"{elasticsearch_url}/{LEASES}/_doc/{other}")[0] == 200
