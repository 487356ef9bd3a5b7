"""What was fitted for an index is kept with it, and with its bundle, from where the next index takes it."""

from __future__ import annotations

from pathlib import Path

from entity_expand.bundle import Bundle
from entity_expand.calibration.fitted import Fitted, write_fitted
from entity_expand.elastic.address import Credentials, is_address
from entity_expand.errors import IndexMismatchError, StoreError
from entity_expand.files import locked
from entity_expand.stores.memory import current_version, read_meta
from indexer.elastic.fitted import set_fitted


def keep_fitted(index: Path | str, fitted: Fitted, *, credentials: Credentials | None = None) -> None:
    """Keep with an index what was fitted for it; whoever opens it from then on has it.

    Args:
        index: Its folder, or its address on a search server, where readers notice within seconds.
        fitted: What to keep, in place of what is there.
        credentials: Who asks the server; None for what the environment says.

    Raises:
        StoreError: There is no index, or another run is at work on it.
        IndexMismatchError: It was made with another bundle.
    """
    if isinstance(index, str) and is_address(index):
        set_fitted(index, fitted, credentials=credentials)
        return
    root = Path(index)
    version = current_version(root)
    with locked(root / ".lock", StoreError(f"Another run is indexing into {root}; wait for it to end.")):
        _check(f"The index {root}", read_meta(version).bundle, fitted)
        write_fitted(version, fitted)


def keep_fitted_with_bundle(bundle: Bundle, fitted: Fitted) -> None:
    """Keep with a bundle what was fitted for an index that it made; its fingerprint stays what it is.

    Raises:
        IndexMismatchError: It was fitted with another bundle.
    """
    _check(f"The bundle {bundle.path}", bundle.fingerprint, fitted)
    write_fitted(bundle.path, fitted)


def _check(what: str, fingerprint: str, fitted: Fitted) -> None:
    if fitted.bundle != fingerprint:
        raise IndexMismatchError(f"{what} is of {fingerprint}, but this was fitted with the bundle {fitted.bundle}.")
