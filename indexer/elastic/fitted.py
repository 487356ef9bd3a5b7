"""What was fitted for an index on a search server: kept in its `_meta`."""

from __future__ import annotations

import dataclasses

from entity_expand.calibration.fitted import Fitted
from entity_expand.elastic.address import Address, Credentials
from entity_expand.errors import IndexMismatchError
from indexer.elastic.session import writing
from indexer.elastic.versions import current, write_meta
from indexer.settings import ElasticSettings


def set_fitted(address: Address | str, fitted: Fitted, *, credentials: Credentials | None = None) -> None:
    """Keep with the index in use what was fitted for it; readers notice when they look again.

    Raises:
        IndexMissingError: There is no index.
        IndexMismatchError: The index was made with another bundle, as when it was replaced since.
        StoreBusyError: Another run is at work on it.
    """
    with writing(address, credentials, ElasticSettings()) as session:
        physical, meta = current(session)
        if fitted.bundle != meta.index.bundle:
            raise IndexMismatchError(
                f"{physical} was made with the bundle {meta.index.bundle}, but this was fitted with {fitted.bundle}; "
                "fit it again."
            )
        write_meta(session, physical, dataclasses.replace(meta, fitted=fitted))
