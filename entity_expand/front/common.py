"""How an index is opened, how often a run may begin anew, and where pictures lie."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from entity_expand.config import is_number, shown
from entity_expand.elastic.address import Credentials, is_address
from entity_expand.elastic.address import credentials as find_credentials
from entity_expand.errors import ConfigError, CorpusError, QueryError
from entity_expand.files import confined
from entity_expand.stores.base import Evidence, Facts, Store
from entity_expand.stores.memory import MemoryStore

if TYPE_CHECKING:
    from entity_expand.bundle import Bundle
    from entity_expand.encoder import Encoder
    from entity_expand.seeds.newcomers import SeedEncoder

_ATTEMPTS = 3


def open_store(index: Path | str, credentials: Credentials | None = None) -> Store:
    """Open an index folder or an index on a search server; arguments and errors as for `Expander.open`."""
    if not isinstance(index, str) or not is_address(index):
        return MemoryStore.open(index)
    # The client of the server is large; who has a folder need not wait for it.
    from entity_expand.elastic.store import ElasticStore

    return ElasticStore.open(index, credentials or find_credentials(None, os.environ))


def seed_encoder(bundle: Bundle | Path | str | None, encoder: Encoder | str | None) -> SeedEncoder | None:
    """Open a bundle to encode new seeds with; arguments and errors as for `Expander.open`."""
    if bundle is None and encoder is None:
        return None
    # Tokenizers, Pillow and onnxruntime take longer to load than most expansions.
    from entity_expand.seeds.newcomers import SeedEncoder

    return SeedEncoder.open(bundle, encoder)


def refuse_with_service(pictures: object, bundle: object, encoder: object) -> None:
    """Refuse what a service has itself.

    Raises:
        ConfigError: Something is given.
    """
    if pictures is not None or bundle is not None or encoder is not None:
        raise ConfigError("A service has pictures, bundle and encoder of its own; open it by its address alone.")


def first_picture(evidence: Sequence[Evidence], pictures: Path | str | None, facts: Facts) -> Path | None:
    """Return the file of the first picture among some evidence; None if there is none inside the folder."""
    folder = Path(facts.meta.corpus_folder if pictures is None else pictures)
    for item in evidence:
        if item.image is not None:
            with contextlib.suppress(CorpusError):
                return confined(folder, item.image, CorpusError)
    return None


def seconds(timeout: float | None) -> float | None:
    """Return a time limit as it was given.

    Raises:
        QueryError: It is neither None nor a finite number of at least 0.
    """
    if timeout is not None and not is_number(timeout):
        raise QueryError(
            f"A timeout is a finite number of seconds, or None for the store's own; got {shown(timeout, 40)}."
        )
    return timeout


class Attempts:
    """How often a run may begin anew because the index changed under it, within one limit of time."""

    def __init__(self, timeout: float | None) -> None:
        limit = seconds(timeout)
        self._count, self._end = 0, None if limit is None else time.monotonic() + limit

    def left(self) -> float | None:
        """Return the seconds left, None if the store has its own limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def used_up(self) -> bool:
        """Count an attempt; return whether it was the last."""
        self._count += 1
        return self._count >= _ATTEMPTS
