"""Two folders that change places in one step where the system can."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from pathlib import Path

from entity_expand.errors import EntityExpandError

_TRIES = 100
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def put(folder: Path, path: Path) -> None:
    """Move `folder` to `path`; what was there is then at `folder`, whatever other processes do meanwhile.

    Raises:
        EntityExpandError: Others replace `path` again and again.
        OSError: The paths cannot be renamed.
    """
    for _ in range(_TRIES):
        try:
            if os.path.lexists(path):
                exchange(folder, path)
            else:
                folder.rename(path)
            return
        except OSError as problem:  # what was at `path` has come or gone in between
            if problem.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
    raise EntityExpandError(f"Other processes keep replacing {path}; wait for them to end.")


def exchange(folder: Path, path: Path) -> None:
    """Let two paths change places: in one step on Linux where the file system can, else by way of `.NAME.old`."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        if rename(_HERE, os.fsencode(folder), _HERE, os.fsencode(path), _EXCHANGE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
            raise OSError(number, os.strerror(number), str(path))
    old = path.with_name(f".{path.name}.old")
    if old.is_dir():  # of a crash that nobody has looked at since: older than what is at `path`
        shutil.rmtree(old)
    path.rename(old)
    folder.rename(path)
    with contextlib.suppress(OSError):  # another writer has taken it
        old.rename(folder)  # as it may not be removed under a name from which it would be brought back
