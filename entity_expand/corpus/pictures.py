"""Which pictures of a corpus are there: paths that stay inside the folder, byte and pixel caps."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from entity_expand.corpus.lines import clean
from entity_expand.corpus.report import Tally
from entity_expand.errors import ImageError

# Those of entity_expand.inputs.image, which loads Pillow when imported; a test keeps them equal.
MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")

OUTSIDE = "the path leaves the corpus folder"
ABSENT = "no such file"
IRREGULAR = "not a regular file"
LARGE = f"larger than {MAX_BYTES:,} bytes"
EMPTY = "an empty file"
MANY_PIXELS = f"more than {MAX_PIXELS:,} pixels"
BROKEN = f"broken, or none of {', '.join(FORMATS)}"
UNDECODED = "its pixels cannot be decoded"
# Most headers end within this many bytes; one read is much faster than Pillow's many small ones.
_START = 1 << 15

# What Pillow's readers raise on broken headers, besides their own errors (subclasses of OSError).
_BROKEN_HEADER = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, AttributeError,
    MemoryError, NotImplementedError, struct.error, zlib.error,
)  # fmt: skip


def normalised(path: str, siblings: bool) -> str | None:
    """Return a picture's path in its plain relative form, or None if it cannot lie inside the corpus.

    Args:
        path: As written in the corpus.
        siblings: Take one leading "../NAME/" as the corpus folder itself, as MESED writes its paths relative
            to a working folder beside it.
    """
    if siblings and path.startswith("../"):
        _, folder, path = (*path.split("/", 2), "", "")[:3]
        if folder in ("", ".", ".."):
            return None
    if path.startswith("/") or "\\" in path or not clean(path):
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join(parts) if parts and ".." not in parts else None


class Pictures:
    """The distinct pictures that rows name, each looked at once."""

    def __init__(self, root: Path, siblings: bool, header: Callable[[Path], object] | None = None) -> None:
        """Start without pictures.

        Args:
            root: The folder that paths are relative to and may not leave.
            siblings: As for `normalised`.
            header: Looks into each picture that is there; its ImageError is the reason to leave one out.
        """
        self._root = str(root.resolve())
        self._siblings = siblings
        self._header = header
        self._inside: dict[str, bool] = {}
        self._reasons: dict[str, str | None] = {}

    def look(self, path: str, tally: Tally) -> str | None:
        """Return the plain relative path of the current row's picture; None, and count why, if it is unusable."""
        name = normalised(path, self._siblings)
        if name is None:
            tally("picture", OUTSIDE, path)
            return None
        if name not in self._reasons:
            self._reasons[name] = self._reason(name)
        reason = self._reasons[name]
        if reason is None:
            return name
        tally("picture", reason, path)
        return None

    @property
    def usable(self) -> int:
        """Number of distinct usable pictures so far."""
        return sum(reason is None for reason in self._reasons.values())

    def _reason(self, name: str) -> str | None:
        path = f"{self._root}/{name}"
        try:
            if not self._is_inside(path.rpartition("/")[0]):
                return OUTSIDE
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                if not Path(path).resolve().is_relative_to(self._root):
                    return OUTSIDE
                found = os.stat(path)  # noqa: PTH116  # hot: half a million calls
        except (OSError, RuntimeError):
            return ABSENT
        if not stat.S_ISREG(found.st_mode):
            return IRREGULAR
        if found.st_size > MAX_BYTES:
            return LARGE
        return self._inner_reason(Path(path)) if found.st_size else EMPTY

    def _inner_reason(self, path: Path) -> str | None:
        if self._header is None:
            return None
        try:
            self._header(path)
        except ImageError as problem:
            return str(problem)
        return None

    def _is_inside(self, folder: str) -> bool:
        """Return whether a folder below the root really lies there, links followed; remembered per folder."""
        known = self._inside.get(folder)
        if known is None:
            known = self._inside[folder] = Path(folder).resolve().is_relative_to(self._root)
        return known


def read_header(path: Path) -> str:
    """Return the format of a picture from its header. Call it within `quiet_pillow`.

    Raises:
        ImageError: It cannot be used; the message is one of this module's reasons.
    """
    try:
        with path.open("rb", buffering=0) as handle:
            start = handle.read(_START)
            try:
                return header_of(io.BytesIO(start))
            except ImageError:
                if len(start) < _START:
                    raise
            handle.seek(0)
            return header_of(io.BufferedReader(handle))
    except OSError as problem:
        raise ImageError(BROKEN) from problem


def header_of(content: BinaryIO) -> str:
    """Return the format of an open picture, as `read_header`."""
    from PIL import Image

    from entity_expand.inputs.image import format_of

    try:
        with Image.open(content, formats=FORMATS) as image:
            pixels, name = image.width * image.height, format_of(image)
    except Image.DecompressionBombError as problem:
        raise ImageError(MANY_PIXELS) from problem
    except _BROKEN_HEADER as problem:
        raise ImageError(BROKEN) from problem
    if pixels > MAX_PIXELS:
        raise ImageError(MANY_PIXELS)
    if pixels < 1:
        raise ImageError(BROKEN)
    return name


def decode(path: Path) -> None:
    """Decode a whole picture. Call it within `quiet_pillow`.

    Raises:
        ImageError: It cannot be used; the message is one of this module's reasons.
    """
    from entity_expand.inputs.image import ImageConfig, load_rgb

    read_header(path)
    try:
        load_rgb(path, ImageConfig(size=8))
    except ImageError as problem:
        raise ImageError(UNDECODED) from problem


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about large or odd pictures, which are counted instead."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        yield
