"""Files that are written beside and renamed, paths that stay inside, hashes, and reads with a cap."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from entity_expand.errors import EntityExpandError
from entity_expand.renaming import put

_BLOCK = 1 << 20
_numbers = itertools.count(1)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _beside(path: Path, folder: bool) -> Iterator[Path]:
    """Yield `.NAME.PID-N.part` beside `path`, made and locked, and remove whatever is there at the end.

    N is another each time, so that threads do not meet. What dead processes left behind under such names is removed
    first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.part")
    _remove(beside)
    beside.mkdir() if folder else beside.touch()
    descriptor = os.open(beside, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks; then nobody can remove it either
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield beside
    finally:
        _remove(beside)
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(path.name)}\.([1-9]\d{{0,8}})(-\d+)?\.part")
    for name in os.listdir(path.parent):  # noqa: PTH208 - much faster, and called for every file written
        match = pattern.fullmatch(name)
        if match and not _alive(int(match[1])) and not _is_locked(path.with_name(name)):
            with contextlib.suppress(OSError):  # somebody else's, or just being removed
                _remove(path.with_name(name))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_locked(path: Path) -> bool:
    """Return whether a process holds `path`, perhaps one whose number does not count here, as in a container."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as problem:
        return problem.errno != errno.ELOOP
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path` to write to; on success it is synced and renamed onto `path`.

    A crash leaves the old file as it was. An exception removes the unfinished one. The mode of an old file stays.
    """
    with _beside(path, folder=False) as beside:
        yield beside
        sync(beside)
        with contextlib.suppress(OSError):  # there is none, or it is somebody else's
            shutil.copymode(path, beside)
        beside.replace(path)
        sync(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or leave the old one as it was."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 file, or leave the old one as it was."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Write a JSON file with sorted keys, or leave the old one as it was."""
    write_text(path, json_text(content))


def json_text(content: object) -> str:
    """Return what `write_json` writes."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_result(path: Path, content: str) -> None:
    """Write what somebody wants at a path of their own: behind a link, and into a pipe or device as it is."""
    if path.parent == Path("/dev") or (path.exists() and not path.is_file()):
        with path.open("wb") as handle:
            handle.write(content.encode())
    else:
        write_text(path.resolve(), content)


@contextlib.contextmanager
def new_folder(path: Path, marker: str | None = None) -> Iterator[Path]:
    """Yield a folder beside `path` to fill; on success it is synced and takes the place of `path`.

    A crash at any moment leaves the old folder or the new one, whole. The two change places in one step where the
    system can; elsewhere the old one is first moved to `.NAME.old`, from where `settle` brings it back.

    Args:
        path: The folder.
        marker: See `check_replaceable`; None where nobody but this project writes.

    Raises:
        EntityExpandError: `path` is a file, or must not be replaced.
    """
    settle(path)
    check_replaceable(path, marker)
    with _beside(path, folder=True) as beside:
        yield beside
        for part in [*beside.rglob("*"), beside]:
            if part.is_file() or part.is_dir():
                sync(part)
        put(beside, path)
        sync(path.parent)
        _remove(path.with_name(f".{path.name}.old"))


def check_replaceable(path: Path, marker: str | None) -> None:
    """See that a folder may be written to `path`; whoever works long for it asks at the beginning, too.

    Args:
        path: The folder.
        marker: Pattern of a file that every folder of the kind has; one that is there without is somebody else's.

    Raises:
        EntityExpandError: It may not.
    """
    if path.is_file():
        raise EntityExpandError(f"{path} is a file, but a folder is to be written there; choose another path.")
    held = {each.name for each in path.iterdir()} - {".lock"} if path.is_dir() else set[str]()  # left by a failed run
    if marker and held and not any(path.glob(marker)):
        raise EntityExpandError(
            f"{path} is there and is something else, for it holds no {marker}. It stays as it is; choose a new folder."
        )


def discard(path: Path) -> None:
    """Remove a folder so that a crash half-way leaves nothing under its name."""
    with _beside(path, folder=True) as beside, contextlib.suppress(FileNotFoundError):
        path.replace(beside)


def settle(path: Path) -> Path:
    """Bring back the folder that a crashed `new_folder` had moved aside, if any, and return `path`."""
    old = path.with_name(f".{path.name}.old")
    if not os.path.lexists(path) and old.is_dir():
        with contextlib.suppress(OSError):  # another process was faster
            old.replace(path)
    return path


@contextlib.contextmanager
def locked(path: Path, busy: EntityExpandError | None = None) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`; it is freed with the process, however that ends.

    Args:
        path: The file; it and its folder are made.
        busy: Raised if another process holds the lock; None waits for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as problem:
            if busy is None:
                raise
            raise busy from problem
        yield


def read_capped(path: Path, cap: int, error: type[EntityExpandError]) -> bytes:
    """Read a whole file of at most `cap` bytes.

    Raises:
        error: The file is missing, cannot be read, or is larger than `cap`.
    """
    try:
        with path.open("rb") as handle:
            content = handle.read(cap + 1)
    except OSError as problem:
        raise error(f"Cannot read {path}: {problem.strerror}.") from problem
    if len(content) > cap:
        raise error(f"{path} is larger than the limit of {cap:,} bytes.")
    return content


def read_json(path: Path, cap: int, error: type[EntityExpandError]) -> dict[str, Any]:
    """Read a JSON object of at most `cap` bytes.

    Raises:
        error: The file is missing, too large, no UTF-8 JSON, or holds something else than an object.
    """
    try:
        content = json.loads(read_capped(path, cap, error))
    except (ValueError, RecursionError) as problem:
        raise error(f"{path} is not valid JSON: {problem}.") from problem
    if not isinstance(content, dict):
        raise error(f"{path} should hold a JSON object, not {type(content).__name__}.")
    return content


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def confined(root: Path, relative: str, error: type[EntityExpandError]) -> Path:
    """Return the path of `relative` inside `root`.

    Raises:
        error: The path is absolute, climbs out of `root`, or leaves it through a link.
    """
    pure = PurePosixPath(relative)
    if not relative or "\0" in relative or "\\" in relative or pure.is_absolute() or ".." in pure.parts:
        raise error(f"The path {relative!r} must be relative and stay inside {root}.")
    path = root / pure
    if not path.resolve().is_relative_to(root.resolve()):
        raise error(f"The path {relative!r} leaves {root} through a link.")
    return path
