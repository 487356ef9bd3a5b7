"""Run the Triton server of the wheel nvidia-pytriton until it is ended; to be run by the Python of its environment.

The wheel carries the server program and the backend "python", which runs a model.py in a helper process. That process
looks for its packages beside the first `python3` on the PATH, whatever PYTHONPATH says, so this Python's folder comes
first there. The server ends with this process, and this process with the one that it is told; what the server leaves
behind when it is killed, helpers and shared memory, is removed here.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib.util
import os
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

BACKENDS = Path(sys.prefix) / "backends"
STUB = "triton_python_backend_stub"
SHARED_MEMORY = Path("/dev/shm")
STOP_SECONDS = 20.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def server_folder() -> Path:
    """Return the folder `tritonserver` of the wheel; its package is not imported: it needs more than is there."""
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        sys.exit("nvidia-pytriton is not installed in the environment of this Python.")
    return Path(found.origin).parent / "tritonserver"


def lay_out_backends() -> None:
    """Put the backend and the helper program for this version of Python together, as the server wants to find them."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    helper = server_folder() / "python_backend_stubs" / version / STUB
    if not helper.is_file():
        sys.exit(f"nvidia-pytriton has no helper program for Python {version}.")
    shutil.rmtree(BACKENDS, ignore_errors=True)
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(server_folder() / "backends" / "python", BACKENDS / "python", ignore=without_caches)
    shutil.copy(helper, BACKENDS / "python" / STUB)
    (BACKENDS / "python" / STUB).chmod(0o755)
    library = f"libpython{version}.so"
    said = subprocess.run(["ldd", str(helper)], env=environment(), capture_output=True, text=True, check=False).stdout
    missing = [line.split()[0] for line in said.splitlines() if "not found" in line]
    if missing:
        sys.exit(f"The helper program lacks {', '.join(missing)}; on Debian: apt install {library.removesuffix('.so')}")


def environment() -> dict[str, str]:
    """Return the environment of the server."""
    own = server_folder().parent.parent / "nvidia_pytriton.libs"
    libraries = [str(own), sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH")]
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "PATH": os.pathsep.join(path),
        "OMP_NUM_THREADS": "1",
    }


def run_server(arguments: argparse.Namespace) -> int:
    """Run the server until it ends, or until this process is told to end; return its exit status."""
    prefix = f"entity_expand_{os.getpid()}_"
    command = [
        str(server_folder() / "bin" / "tritonserver"),
        f"--model-repository={arguments.repository}",
        f"--backend-directory={BACKENDS}",
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        *(f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")),
        f"--http-port={arguments.http_port}",
        f"--grpc-port={arguments.grpc_port}",
        f"--metrics-port={arguments.metrics_port}",
        "--allow-gpu-metrics=false",
        "--log-info=false",
        f"--exit-timeout-secs={STOP_SECONDS / 2:.0f}",
        *arguments.option,
    ]
    # In a session of its own, by which its helpers are found again.
    server = subprocess.Popen(command, env=environment(), start_new_session=True, preexec_fn=_die_with_parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(server))
    if arguments.until_exit_of:
        threading.Thread(target=_end_with, args=(arguments.until_exit_of, server), daemon=True).start()
    print(f"SERVER {server.pid}", flush=True)
    code = server.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    for left in SHARED_MEMORY.glob(f"{prefix}*"):
        left.unlink(missing_ok=True)
    return code


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, and kill it if it takes too long."""
    server.terminate()
    killing = threading.Timer(STOP_SECONDS, server.kill)
    killing.daemon = True
    killing.start()


def _end_with(pid: int, server: subprocess.Popen[bytes]) -> None:
    """Kill the server as soon as the process `pid` is gone."""
    with contextlib.suppress(ProcessLookupError):
        select.select([os.pidfd_open(pid)], [], [])
    server.kill()


def main() -> None:
    """Run a server from the command line, or make its backends ready."""
    parser = argparse.ArgumentParser(description="Run a Triton server until it is ended.")
    parser.add_argument(
        "repository", type=Path, nargs="?", help="folder of the models; without it, only lay out backends"
    )
    parser.add_argument("--http-port", type=int, default=8000)
    parser.add_argument("--grpc-port", type=int, default=8001)
    parser.add_argument("--metrics-port", type=int, default=8002)
    parser.add_argument(
        "--option", action="append", default=[], help="a further option for the server, --option=--log-verbose=1"
    )
    parser.add_argument("--until-exit-of", type=int, help="number of a process with which the server ends")
    arguments = parser.parse_args()
    if arguments.repository is None:
        lay_out_backends()
        return
    code = run_server(arguments)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
