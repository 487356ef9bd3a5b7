"""The front of the runtime: open an index, expand sets over it. `AsyncExpander` is in `front/awaiting.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack

from entity_expand import finding
from entity_expand.drive import one_by_one, run, run_many
from entity_expand.elastic.address import Credentials
from entity_expand.errors import IndexChangedError, QueryError
from entity_expand.expand import expansion
from entity_expand.explain import Explanation, SetExplanation
from entity_expand.front.common import Attempts, first_picture, open_store, refuse_with_service, seed_encoder
from entity_expand.query import ExpandOptions, ExpandQuery, NewSeed
from entity_expand.remote.address import is_service
from entity_expand.results import Expansion
from entity_expand.results.expansion import Origin
from entity_expand.results.session import next_page
from entity_expand.seeds.encode import EncodesSeeds, EncodingReader
from entity_expand.stores.base import Evidence, Facts, Reader, Steps, Store
from entity_expand.strategies.choice import settings_of
from entity_expand.types import Entity

if TYPE_CHECKING:
    from entity_expand.bundle import Bundle
    from entity_expand.encoder import Encoder
    from entity_expand.seeds.newcomers import SeedEncoder

T = TypeVar("T")


class Expander:
    """Expands sets over one index. Safe for use from several threads; arguments are never changed.

    Args:
        store: The opened index.
        pictures: Folder that the pictures' paths are relative to. None: the corpus as it lay when it was indexed.
        encoder: Encodes seeds that are not in the index, as a `SeedEncoder` does; None refuses such.
    """

    def __init__(self, store: Store, pictures: Path | str | None = None, encoder: EncodesSeeds | None = None) -> None:
        self.store = store
        self.encoder = encoder
        self._pictures = pictures
        self._opened: SeedEncoder | None = None

    @classmethod
    def open(
        cls,
        index: Path | str,
        pictures: Path | str | None = None,
        *,
        credentials: Credentials | None = None,
        bundle: Bundle | Path | str | None = None,
        encoder: Encoder | str | None = None,
    ) -> Expander:
        """Open an index folder, an index on a search server as https://host:9200/NAME, or a service as http://host:8080.

        A service has pictures and encoder of its own.

        Args:
            index: Where it is.
            pictures: Folder of the pictures; see the class.
            credentials: Who asks the server. None: what the environment says. More options has `ElasticStore.open`.
            bundle: The bundle that the index was made with, to encode seeds that are not in it; None refuses such.
            encoder: Where the graphs of the bundle run that encoded the index: "cpu", "cuda" or a Triton server as
                triton://HOST:8001; or an encoder of your own, whose features are taken as they are. None for "cpu".

        Raises:
            StoreError: The index is missing, damaged or of another form, or the server does not answer.
            IndexMismatchError: It was made with another bundle.
            BundleError: The bundle is missing or damaged.
            ConfigError: The address or the credentials are wrong, or an encoder does not fit the bundle or lacks one.
        """
        if isinstance(index, str) and is_service(index):
            from entity_expand.remote.expander import RemoteExpander

            refuse_with_service(pictures, bundle, encoder)
            return RemoteExpander.connect(index, credentials)
        encoding = seed_encoder(bundle, encoder)
        opened = cls(open_store(index, credentials), pictures, encoding)
        opened._opened = encoding
        try:
            if encoding is not None:
                encoding.check(opened.store.begin().facts.meta)
        except BaseException:
            opened.close()
            raise
        return opened

    def __enter__(self) -> Expander:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store, and what `open` opened to encode new seeds with."""
        self.store.close()
        if self._opened is not None:
            self._opened.close()

    def expand(
        self,
        seeds: Sequence[str | NewSeed],
        size: int = 100,
        *,
        timeout: float | None = None,
        **options: Unpack[ExpandOptions],
    ) -> Expansion:
        """Return the rest of the set that the seeds are examples of.

        Args:
            seeds: Ids, names or aliases, or seeds that are not in the index; at least one.
            size: How many results; fewer come back if the index has no more.
            timeout: Seconds that it may take; None for the store's own limit.
            **options: `negative`, `weights`, `filter`, `exclude`, `strategy`, `rerank`, `modality` and `settings`; see
                `ExpandQuery`.

        Raises:
            UnknownSeedError: A seed names nothing; near spellings are suggested.
            AmbiguousSeedError: A seed names several entities; they are listed.
            QueryError: No seed, too many, one given twice or also excluded, or a size out of range.
            StoreError: The store could not answer, or not in time.
        """
        return self._one(ExpandQuery(seeds, size, **options), timeout)

    def expand_many(
        self, queries: Sequence[ExpandQuery], *, return_errors: bool = False, timeout: float | None = None
    ) -> list[Expansion | QueryError]:
        """Expand several sets side by side; a search server gets their requests of one round together.

        Args:
            queries: What is asked.
            return_errors: Put the `QueryError` of a query that cannot be answered in its place, instead of raising it.
            timeout: Seconds that all may take together.

        Returns:
            One expansion per query, in their order, or its error if `return_errors`.
        """
        return self._run(queries, timeout, return_errors)

    def _run(
        self, queries: Sequence[ExpandQuery], timeout: float | None, keep_errors: bool
    ) -> list[Expansion | QueryError]:
        attempts = Attempts(timeout)
        while True:
            reader = EncodingReader(self.store.begin(attempts.left()), self.encoder)
            try:
                found = run_many([_steps(query, reader) for query in queries], reader, keep_errors)
                return [each if isinstance(each, QueryError) else self._owned(each) for each in found]
            except IndexChangedError:
                if attempts.used_up():
                    raise

    def _one(self, query: ExpandQuery, timeout: float | None) -> Expansion:
        (found,) = self._run([query], timeout, keep_errors=False)
        if isinstance(found, QueryError):
            raise found
        return found

    def _owned(self, expansion: Expansion) -> Expansion:
        return dataclasses.replace(expansion, origin=Origin(self))

    def more(self, expansion: Expansion, size: int | None = None, *, timeout: float | None = None) -> Expansion:
        """Return the next page: what was accepted are further seeds, what was rejected negatives, and none comes again.

        Args:
            expansion: The page before, of the same index.
            size: How many results; None for as many as were asked for at first.
            timeout: As for `expand`.

        Raises:
            QueryError: As for `expand`.
            StoreError: As for `expand`.
        """
        return one_by_one(next_page(expansion, size), lambda query: self._one(query, timeout))

    def explain(self, expansion: Expansion, which: str | int, *, timeout: float | None = None) -> Explanation:
        """Explain why an entity is in an expanded set.

        Args:
            expansion: The page of results that it is on, of this index.
            which: Its id, name or rank.
            timeout: As for `expand`.

        Raises:
            QueryError: There is no such result, or the index no longer holds what the page shows.
            StoreError: As for `expand`.
        """
        from entity_expand.explain.steps import explained

        return self._answered(lambda facts: explained(expansion, which, facts), timeout)

    def explain_set(self, expansion: Expansion, *, timeout: float | None = None) -> SetExplanation:
        """Explain what holds a set together: its seeds, what was accepted, and the likely results; as `explain`."""
        from entity_expand.explain.steps import explained_set

        return self._answered(lambda facts: explained_set(expansion, facts), timeout)

    def _answered(self, made: Callable[[Facts], Steps[T]], timeout: float | None) -> T:
        attempts = Attempts(timeout)
        while True:
            reader = EncodingReader(self.store.begin(attempts.left()), self.encoder)
            try:
                return run(made(reader.facts), reader)
            except IndexChangedError:
                if attempts.used_up():
                    raise

    def find(self, prefix: str, limit: int = 20, *, timeout: float | None = None) -> list[Entity]:
        """Return entities of which a name or an alias begins with `prefix`, without regard to case and accents.

        Those that are called just so come first; then, and among them, it goes by name.
        """
        return self._answered(lambda _: finding.named_so(finding.find(prefix, limit)), timeout)

    def lookup(self, name: str, *, timeout: float | None = None) -> list[Entity]:
        """Return the entity with this id, else those that are called so, by id; 100 at most."""
        return self._answered(lambda _: finding.named_so(finding.lookup(name)), timeout)

    def picture(self, evidence: Sequence[Evidence]) -> Path | None:
        """Return the file of the first picture among some evidence; None if there is none inside the folder."""
        return first_picture(evidence, self._pictures, self.store.begin().facts)


def _steps(query: ExpandQuery, reader: Reader) -> Steps[Expansion]:
    return (yield from expansion(query, reader.facts, reader.whole(settings_of(query).both_directions)))
