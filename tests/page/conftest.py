"""A real Chromium and real services: one over the demo, one over a corpus that means harm."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from entity_expand.bundle import Bundle
from entity_expand.corpus import Corpus
from entity_expand.demo import bundle_path, write_demo_corpus
from entity_expand.encoder import FakeEncoder, OnnxEncoder
from indexer import ElasticSettings, IndexSettings, index_corpus
from page.hostile import make_hostile
from servers.fixtures import delete_all

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
COMMAND = (sys.executable, "-c", "from entity_expand.cli import main; main()", "serve")
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
Opened = Callable[..., Page]

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


def chromium() -> str:
    """The browser of this machine; without one the tests of the page fail."""
    named = os.environ.get("ENTITY_EXPAND_TEST_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.fail(
            "The tests of the page need Chromium, and none is on the PATH; on Debian: apt install chromium. "
            "ENTITY_EXPAND_TEST_CHROMIUM may name its program."
        )
    return found


@contextmanager
def service(index: Path | str, *options: str) -> Iterator[str]:
    """Serve an index by the command and yield the address."""
    command = [*COMMAND, str(index), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = re.findall(r"http://\S+", process.stdout.readline())  # behind that of an index on a server
            assert addresses, "the service did not start"
            yield addresses[-1]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of the demo, of the sentences that its model was not trained on."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo_corpus(folder / "corpus")
    bundle = Bundle.open(bundle_path())
    with Corpus.open(folder / "corpus") as corpus:
        index_corpus(bundle, OnnxEncoder(bundle), corpus, folder / "index", IndexSettings(split="test"))
    return folder / "index"


@pytest.fixture(scope="session")
def countries(demo: Path) -> Iterator[str]:
    with service(demo, "--title", "Countries") as address:
        yield address


@pytest.fixture(scope="session")
def hostile_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    make_hostile(folder)
    return folder / "index"


@pytest.fixture(scope="session")
def hostile(hostile_index: Path) -> Iterator[str]:
    with service(hostile_index, "--title", "<script>window.harmed = 1</script>") as address:
        yield address


@pytest.fixture(scope="session")
def hostile_served(hostile_index: Path, elasticsearch_url: str) -> Iterator[str]:
    """The same over an index on a search server."""
    name, folder = f"page-{uuid.uuid4().hex[:12]}", hostile_index.parent
    bundle, address = Bundle.open(folder / "bundle"), f"{elasticsearch_url}/{name}"
    try:
        with Corpus.open(folder / "corpus") as corpus:
            settings, elastic = IndexSettings(modalities=True), ElasticSettings(work=folder / "work", merge=False)
            index_corpus(bundle, FakeEncoder(bundle.dimension), corpus, address, settings, elastic=elastic)
        with service(address) as served:
            yield served
    finally:
        delete_all(elasticsearch_url, name)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser; not for the session, because an event loop runs in this thread while it is open."""
    program = chromium()
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Opened]:
    """Open an address in a browser of its own, which must have no error and break no policy until the end."""
    pages: list[tuple[Page, list[str]]] = []

    def open_page(address: str, size: dict[str, int] = WIDE, **options: object) -> Page:
        context = browser.new_context(viewport=size, reduced_motion="reduce", **options)
        context.set_default_timeout(20_000)
        context.add_init_script(WATCH)
        page = context.new_page()
        errors: list[str] = []
        pages.append((page, errors))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for page, errors in pages:
        assert errors == [] and page.evaluate("window.violations") == []
        page.context.close()
