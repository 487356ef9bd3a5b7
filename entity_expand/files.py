"""Files that are written beside and renamed, paths that stay inside, hashes, and reads with a cap."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from entity_expand.errors import EntityExpandError

_BLOCK = 1 << 20


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it is synced and renamed onto `path`.

    A crash leaves the old file as it was. An exception removes the unfinished one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        with beside.open("rb") as handle:
            os.fsync(handle.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or leave the old one as it was."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 file, or leave the old one as it was."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Write a JSON file with sorted keys, or leave the old one as it was."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` to fill; on success it takes the place of `path`.

    A folder that was there before is moved aside first and removed last. A crash between the two renames
    leaves it as `.NAME.old`, from where `settle` brings it back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    settle(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        _sync_tree(beside)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.replace(old)
        beside.replace(path)
        _sync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def settle(path: Path) -> Path:
    """Bring back the folder that a crashed `new_folder` had moved aside, if any, and return `path`."""
    old = path.with_name(f".{path.name}.old")
    if not path.exists() and old.is_dir():
        old.replace(path)
    return path


def _sync_tree(folder: Path) -> None:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())


@contextlib.contextmanager
def locked(path: Path, error: type[EntityExpandError], busy: str) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`; it is freed with the process, however that ends.

    Raises:
        error: Another process holds the lock; the message is `busy`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            raise error(busy) from problem
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
