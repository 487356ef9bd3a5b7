"""The snippets of `DOCUMENTS` are run, from top to bottom, in one folder that holds `corpus`, `bundle` and `index`.

A block of `python` is run as a file, or, if it holds `>>>`, as a doctest. Of a block of `console` each line `$ COMMAND`
is run by the shell, and the lines below it must be what it prints; `...` stands for anything, and without such lines
anything may be printed. A block below the comment `<!-- not run: REASON -->` is not run. Other blocks may not hold
commands or Python.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCUMENTS = ("README.md", "docs/expanding.md", "docs/service.md", "docs/sets.md")
RUN = ("console", "python")
SHOWN = ("dockerfile", "ini", "json", "jsonl", "makefile", "mermaid", "text", "toml", "yaml")
BLOCK = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<body>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S[^>]*) -->\s*\Z")
SECONDS = 120


@dataclass(frozen=True)
class Snippet:
    language: str
    body: str
    line: int
    reason: str  # why it is not run; "" if it is


@dataclass(frozen=True)
class Command:
    command: str
    shown: str  # what the document says that it prints; "" for anything


class SnippetError(Exception):
    """A snippet went otherwise than written."""


def read_snippets(text: str) -> list[Snippet]:
    found = []
    for block in BLOCK.finditer(text):
        language = block["language"].strip()
        why = NOT_RUN.search(text[: block.start()])
        if language not in RUN + SHOWN:
            raise ValueError(f"A block of {language!r}; expected one of {', '.join(RUN + SHOWN)}.")
        if language in SHOWN and re.search(r"^(\$|>>>) ", block["body"], re.MULTILINE):
            raise ValueError(f"A block of {language!r} holds a prompt; call it console or python.")
        reason = why["reason"] if why else ""
        found.append(Snippet(language, block["body"], text[: block.start()].count("\n") + 1, reason))
    return found


def read_commands(body: str) -> list[Command]:
    lines = body.replace("\\\n", "").splitlines()
    if not lines or not lines[0].startswith("$ "):
        raise ValueError(f"A block of console starts with `$ `, not with {body[:20]!r}.")
    found: list[Command] = []
    for line in lines:
        if line.startswith("$ "):
            found.append(Command(line[2:], ""))
        else:
            found[-1] = Command(found[-1].command, f"{found[-1].shown}{line}\n")
    return found


def run_snippet(snippet: Snippet, folder: Path) -> None:
    """Run a snippet in a folder; a `SnippetError` says what went otherwise than written."""
    if snippet.language == "console":
        for each in read_commands(snippet.body):
            printed = run(["sh", "-c", each.command], folder)
            alike = doctest.OutputChecker().check_output(
                each.shown.strip(), printed.strip(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            )
            if each.shown.strip() and not alike:
                raise SnippetError(f"$ {each.command}\nprinted\n{printed}\nand not\n{each.shown}")
        return
    file = folder / "snippet.txt"
    file.write_text(snippet.body, encoding="utf-8")
    options = ["-m", "doctest", "-o", "ELLIPSIS", "-o", "NORMALIZE_WHITESPACE"] if ">>> " in snippet.body else []
    run([sys.executable, *options, file.name], folder)
    file.unlink()


def run(command: list[str], folder: Path) -> str:
    paths = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": paths, "PYTHONWARNINGS": "default", "COLUMNS": "100"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SnippetError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A folder with the demo's corpus, bundle and index."""
    from entity_expand.bundle import Bundle
    from entity_expand.corpus import Corpus
    from entity_expand.demo import LATE_FUSION, write_demo_corpus
    from entity_expand.encoder import OnnxEncoder
    from indexer import IndexSettings, index_corpus

    folder = tmp_path_factory.mktemp("readme")
    write_demo_corpus(folder / "corpus")
    (folder / "bundle").symlink_to(root / "entity_expand" / "demo" / "bundle")
    bundle = Bundle.open(folder / "bundle")
    with Corpus.open(folder / "corpus") as corpus:
        index_corpus(bundle, OnnxEncoder(bundle), corpus, folder / "index", IndexSettings(late_fusion=LATE_FUSION))
    return folder


@pytest.mark.parametrize("document", DOCUMENTS)
def test_snippets_run(document: str, root: Path, request: pytest.FixtureRequest) -> None:
    to_run = [each for each in read_snippets((root / document).read_text(encoding="utf-8")) if not each.reason]
    to_run = [each for each in to_run if each.language in RUN]
    if not to_run:
        return
    folder: Path = request.getfixturevalue("playground")
    for each in to_run:
        try:
            run_snippet(each, folder)
        except SnippetError as problem:
            pytest.fail(f"{document}:{each.line}: {problem}", pytrace=False)


EXAMPLE = """
Words.

```console
$ echo one \\
  two
one two
$ echo anything
```

<!-- not run: it needs a server -->

```python
import nothing
```

```python
>>> print("a b")
a ...
```

```python
assert 1 + 1 == 2
```

```text
not run
```
"""


def test_blocks_and_commands_are_read() -> None:
    found = read_snippets(EXAMPLE)
    assert [each.language for each in found] == ["console", "python", "python", "python", "text"]
    assert [each.reason for each in found] == ["", "it needs a server", "", "", ""]
    assert found[0].line == 4
    assert read_commands(found[0].body) == [Command("echo one   two", "one two\n"), Command("echo anything", "")]


def test_right_snippets_pass(tmp_path: Path) -> None:
    for each in read_snippets(EXAMPLE):
        if each.language in RUN and not each.reason:
            run_snippet(each, tmp_path)


@pytest.mark.parametrize(
    ("language", "body", "said"),
    [
        ("console", "$ false\n", "ended with 1"),
        ("console", "$ echo one\ntwo\n", "printed\none"),
        ("python", "raise KeyError('lost')\n", "lost"),
        ("python", ">>> 1 + 1\n3\n", "Expected:"),
    ],
)
def test_wrong_snippets_fail(tmp_path: Path, language: str, body: str, said: str) -> None:
    with pytest.raises(SnippetError, match=re.escape(said)):
        run_snippet(Snippet(language, body, 1, ""), tmp_path)


@pytest.mark.parametrize("text", ["```sh\nmake\n```\n", "```\nplain\n```\n", "```text\n$ make\n```\n"])
def test_what_the_convention_leaves_open_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="A block of"):
        read_snippets(text)
    with pytest.raises(ValueError, match="starts with"):
        read_commands("make\n")
