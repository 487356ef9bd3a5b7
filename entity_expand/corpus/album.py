"""Pictures of imported rows: looked at, then copied or linked into the corpus under a safe name."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

from entity_expand.corpus.pictures import MAX_BYTES, Pictures, header_of
from entity_expand.corpus.report import Tally
from entity_expand.errors import ImageError
from entity_expand.files import read_capped

_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}
_NAME_LENGTH = 32


class Album:
    """The pictures of a corpus that is being made.

    A picture's name is the hash of its bytes, so equal pictures are stored once and the names say nothing.
    Call it within `quiet_pillow`.
    """

    def __init__(self, base: Path, folder: Path, *, link: bool) -> None:
        """Start an album.

        Args:
            base: The rows' paths are relative to it and may not leave it.
            folder: The corpus folder.
            link: Hard-link where the file system can, else copy.
        """
        self._base = base.resolve()
        self._folder = folder
        self._link = link
        self._pictures = Pictures(self._base, siblings=False, header=self._store)
        self._stored: dict[str, str] = {}

    def take(self, path: str, tally: Tally) -> str | None:
        """Store the current row's picture; return its path in the corpus, or None after counting why not."""
        inside = path.removeprefix(f"{self._base}/")
        name = self._pictures.look(inside, tally)
        return None if name is None else self._stored[str(self._base / name)]

    def _store(self, path: Path) -> None:
        content = read_capped(path, MAX_BYTES, ImageError)
        suffix = _SUFFIXES[header_of(io.BytesIO(content))]
        digest = hashlib.sha256(content).hexdigest()[:_NAME_LENGTH]
        name = f"images/{digest[:2]}/{digest}.{suffix}"
        target = self._folder / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            if not (self._link and _linked(path, target)):
                target.write_bytes(content)
        self._stored[str(path)] = name


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source.resolve(), target)
    except OSError:  # Another file system, or one without hard links.
        return False
    return True
