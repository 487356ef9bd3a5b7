from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers.elasticsearch_node import ask
from servers.triton_node import TritonError, TritonNode, server_python

CONFIG = """
backend: "python"
max_batch_size: 4
input [{ name: "x" data_type: TYPE_FP32 dims: [ 1 ] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [ 1 ] }]
"""
MODEL = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        doubled = [2 * pb_utils.get_input_tensor_by_name(each, "x").as_numpy() for each in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", each)]) for each in doubled]
"""
SERVE = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from servers.triton_node import TritonNode
node = TritonNode(Path(sys.argv[2])).start()
print(node.pid, *node.helpers(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    model = tmp_path / "repository" / "double"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(CONFIG)
    (model / "1" / "model.py").write_text(MODEL)
    return model.parent


def doubled(node: TritonNode, x: float) -> float:
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [x]}]
    status, found = ask("POST", f"{node.url}/v2/models/double/infer", {"inputs": inputs})
    assert status == 200, found
    return float(found["outputs"][0]["data"][0])


def are_gone(pids: list[int]) -> bool:
    end = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_server_answers_and_can_be_killed_and_started_again(repository: Path) -> None:
    with TritonNode(repository) as node:
        assert doubled(node, 3) == 2 * 3
        killed = [node.pid, *node.helpers()]
        assert len(killed) == 2
        node.kill()
        assert are_gone(killed), "the helper went with the server"
        node.start()
        assert doubled(node, 4) == 2 * 4
        last = [node.pid, *node.helpers()]
    assert are_gone(last)


def test_a_server_dies_with_its_process(repository: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(Path(__file__).parents[1]), str(repository)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.send_signal(signal.SIGKILL)
    assert are_gone(pids)


def test_a_model_that_cannot_be_loaded_is_told_with_the_log(repository: Path) -> None:
    (repository / "double" / "1" / "model.py").write_text("import no_such_module\n")
    with pytest.raises(TritonError, match=r"(?s)ended with 1.*no_such_module"):
        TritonNode(repository).start()


def test_the_environment_is_made_once() -> None:
    python = server_python()
    made = (python.parents[1] / "made").stat()
    assert server_python() == python and (python.parents[1] / "made").stat() == made
