"""What fault_sweep.py looks at: what an alias stands for all the while, and what a run leaves on the server."""

from __future__ import annotations

import operator
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import TracebackType
from typing import Any

from entity_expand.bundle import Bundle
from indexer import verify_index
from servers.elasticsearch_node import ask
from servers.fixtures import LEASES

POLL_SECONDS = 0.05
KEY, VERIFIED = "entity_expand", "verified"
"""Where an index says of itself how far it is, and that it may be used."""


@dataclass
class Found:
    """What one run, or several, came to.

    Attributes:
        runs: How many.
        kills: Processes and servers killed.
        again: Times that indexing had to begin again.
        injected: Faults on the way, by kind.
        errors: Errors that ended indexing or an expansion, by type.
        wrong: Wrong contents of an index, or wrong lists.
        states: What the alias stood for and may not.
        looks: At the alias.
        expansions: How many were asked for.
        late: How many of them took too long.
        over: The most seconds that one took beyond its limit.
        seconds: How long it took in all.
        longest: How long the longest run took.
        problems: Whatever may not be, in words.
    """

    runs: int = 0
    kills: int = 0
    again: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    states: int = 0
    looks: int = 0
    expansions: int = 0
    late: int = 0
    over: float = 0.0
    seconds: float = 0.0
    longest: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Add the numbers of another."""
        for each in fields(self):
            join = max if each.name in ("over", "longest") else operator.add
            setattr(self, each.name, join(getattr(self, each.name), getattr(other, each.name)))


@dataclass(frozen=True, slots=True)
class Truth:
    """What an undisturbed run leaves: the digest of the contents, the ending of the version's name, and its effort."""

    digest: str
    version: str
    older: str
    requests: int
    seconds: float


View = tuple[tuple[str, str], ...]
"""What an alias stands for at one moment: physical indices with what they say of their state."""


class Watcher:
    """Looks again and again at what an alias stands for, in one request each time, and keeps what changes."""

    def __init__(self, url: str, name: str) -> None:
        self.history: list[View] = []
        self.looks = 0
        self._url = f"{url}/{name}/_mapping"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def look(self) -> bool:
        """Look once; return whether the server answered."""
        try:
            status, body = ask("GET", self._url, timeout=10)
        except OSError:
            return False
        if status not in (200, 404):
            return False
        found = body if status == 200 else {}
        view = tuple(sorted((name, _state(each)) for name, each in found.items()))
        self.looks += 1
        if not self.history or self.history[-1] != view:
            self.history.append(view)
        return True

    def _watch(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            self.look()

    def __enter__(self) -> Watcher:
        self.look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.look()


def _state(mapping: Mapping[str, Any]) -> str:
    return str(mapping.get("mappings", {}).get("_meta", {}).get(KEY, {}).get("state"))


def bad_views(history: Sequence[View], older: str | None, newer: str) -> list[View]:
    """Return what an alias may not have stood for: all but the older version, or nothing, and then the newer."""
    first: View = ((older, VERIFIED),) if older else ()
    last: View = ((newer, VERIFIED),)
    bad = [view for view in history if view not in (first, last)]
    return bad or ([] if list(history) == [first, last] else list(history))


def look_at(url: str, name: str, bundle: Bundle, truth: Truth, versions: list[str], found: Found) -> None:
    """Note whatever is not as an undisturbed run leaves it."""
    audit = verify_index(f"{url}/{name}", bundle)
    if audit.digest != truth.digest:
        found.wrong += 1
        found.problems.append(f"{name}: the contents differ from those after an undisturbed run")
    found.problems += [f"{name}: {problem}" for problem in audit.problems]
    if audit.physical != versions[-1]:
        found.problems.append(f"{name}: stands for {audit.physical}, not {versions[-1]}")
    _, settings = ask("GET", f"{url}/{name}-*/_settings?expand_wildcards=all")
    if sorted(settings) != sorted(versions):
        found.problems.append(f"{name}: {sorted(settings)} are there, expected {versions}")
    elif "refresh_interval" in settings[versions[-1]]["settings"]["index"]:
        found.problems.append(f"{name}: is left as it was for loading")
    if ask("GET", f"{url}/{LEASES}/_doc/{name}")[0] != 404:
        found.problems.append(f"{name}: the lease is left")
