"""Start, stop and kill a real Triton server from a test, on the CPU, from an environment of its own.

As a command it serves until it is ended, and prints its address once its models are ready; without a folder it only
makes the environment:

    python tests/servers/triton_node.py [REPOSITORY] [--http-port 8000] [--grpc-port 8001]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

if __name__ == "__main__":  # `servers` is a package of the folder above
    sys.path[0] = str(Path(__file__).parents[1])

from servers.elasticsearch_node import ask, free_port

PROGRAM = Path(__file__).with_name("triton_server.py")
CONSTRAINTS = Path(__file__).with_name("triton-constraints.txt")
ENVIRONMENT = Path(__file__).parents[2] / ".venv-triton"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
TAIL_LINES = 25


class TritonError(Exception):
    """A server could not be set up or started; the message ends with the tail of its log."""


def server_python() -> Path:
    """Return the Python of the server's environment, which is made on first use and when its versions change."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "made"
    wanted = CONSTRAINTS.read_text(encoding="utf-8") + PROGRAM.read_text(encoding="utf-8")
    ENVIRONMENT.parent.mkdir(parents=True, exist_ok=True)
    with ENVIRONMENT.with_name(f"{ENVIRONMENT.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return python
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
            # Without dependencies: the wheel asks for a client and a web server that the server does not need.
            [*pip, "-r", str(CONSTRAINTS)],
            [str(python), str(PROGRAM)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise TritonError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        stamp.write_text(wanted, encoding="utf-8")
    return python


class TritonNode:
    """One Triton server on 127.0.0.1, ended with this object's `with` block or with the process that made it.

    A port of 0 is replaced by a free one when the object is made, and stays the same when the server is started again.
    """

    def __init__(
        self,
        repository: Path,
        http_port: int = 0,
        grpc_port: int = 0,
        options: Sequence[str] = (),
        until_exit_of: int | None = None,
    ) -> None:
        """Prepare a server of the models in `repository`; its log is `server.log` beside that folder.

        Args:
            repository: Folder with one folder per model.
            http_port: Port for HTTP.
            grpc_port: Port for gRPC.
            options: Further options of `tritonserver`.
            until_exit_of: The process with which it ends, by default this one.
        """
        self.repository = repository.absolute()
        self.log = self.repository.with_name("server.log")
        self.http_port = http_port or free_port()
        self.grpc_port = grpc_port or free_port()
        self._options = [f"--option={each}" for each in options]
        self._until_exit_of = until_exit_of or os.getpid()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens for HTTP, e.g. "http://127.0.0.1:18000"."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        """The process number of the server program itself, as its launcher wrote it down at the last start."""
        found = re.findall(r"^SERVER (\d+)$", self.log.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        return int(found[-1])

    def helpers(self) -> list[int]:
        """Return the process numbers of the helpers, each of which runs one instance of a model."""
        children = Path(f"/proc/{self.pid}/task").glob("*/children")
        return sorted(int(number) for file in children for number in file.read_text().split())

    def start(self, timeout: float = START_SECONDS) -> Self:
        """Launch the server and wait until all its models are ready; a `TritonError` says why they are not."""
        self.launch()
        self.wait(timeout)
        return self

    def launch(self) -> None:
        """Launch the server without waiting for it."""
        if self._process:
            raise TritonError(f"The server of {self.repository} was started already: stop or kill it first.")
        command = [str(server_python()), str(PROGRAM), str(self.repository), *self._options]
        command += [f"--http-port={self.http_port}", f"--grpc-port={self.grpc_port}", f"--metrics-port={free_port()}"]
        command.append(f"--until-exit-of={self._until_exit_of}")
        with self.log.open("ab") as log:
            # In a session of its own: an interrupt from the keyboard is for the tests, which may still need the server.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self, timeout: float = START_SECONDS) -> None:
        """Wait until all models are ready; if they are not within `timeout` seconds, end the server and raise."""
        end = time.monotonic() + timeout
        while self._process and self._process.poll() is None and time.monotonic() < end:
            try:
                if ask("GET", f"{self.url}/v2/health/ready", timeout=5)[0] == 200:
                    return
            except OSError:
                pass  # it does not listen yet
            time.sleep(0.05)
        code = self._process.poll() if self._process else None
        said = f"was not ready within {timeout:g} s" if code is None else f"ended with {code}"
        self.stop()
        raise TritonError(f"The Triton server of {self.repository} {said}.\n{self.tail()}")

    def stop(self) -> None:
        """Close the server in order; it is killed if that takes too long."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()  # and with it the server
                self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kill the server program as a crash would (SIGKILL)."""
        if self._process:
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)
        self._process = None

    def tail(self) -> str:
        """Return the last lines of the server's log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- {self.log}", *lines[-TAIL_LINES:]])

    def __enter__(self) -> Self:
        """Start the server unless it is running."""
        return self if self._process else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main() -> None:
    """Make the environment, and serve a repository if one is given."""
    parser = argparse.ArgumentParser(description="Run a Triton server on the CPU until it is ended.")
    parser.add_argument("repository", type=Path, nargs="?", help="folder of the models; without it, only set up")
    parser.add_argument("--http-port", type=int, default=8000)
    parser.add_argument("--grpc-port", type=int, default=8001)
    arguments = parser.parse_args()
    try:
        server_python()
        if arguments.repository is None:
            return
        with TritonNode(arguments.repository, arguments.http_port, arguments.grpc_port) as node:
            print(f"STARTED {node.url}, gRPC at 127.0.0.1:{node.grpc_port}", flush=True)
            signal.pause()
    except TritonError as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
