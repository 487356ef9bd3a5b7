"""Which pictures of a corpus are there: paths that stay inside the folder, byte and pixel caps."""

from __future__ import annotations

import contextlib
import os
import stat
import warnings
from array import array
from collections.abc import Iterator
from pathlib import Path

from entity_expand.corpus.lines import clean
from entity_expand.corpus.report import Tally

# Those of entity_expand.image, which loads Pillow when imported; a test keeps them equal.
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
    """The distinct pictures that rows name, each looked at once.

    Attributes:
        uses: Number of rows that name each picture.
        first_line: Line of the first of them.
    """

    def __init__(self, root: Path, siblings: bool) -> None:
        self._root = str(root.resolve())
        self._siblings = siblings
        self._inside: dict[str, bool] = {}
        self._slots: dict[str, int] = {}
        self._reasons: list[str | None] = []
        self.uses = array("q")
        self.first_line = array("q")

    def look(self, path: str, tally: Tally) -> bool:
        """Return whether the picture of the current row can be used; if not, count why."""
        name = normalised(path, self._siblings)
        if name is None:
            tally("picture", OUTSIDE, path)
            return False
        slot = self._slots.setdefault(name, len(self._slots))
        if slot == len(self._reasons):
            self._reasons.append(self._reason(name))
            self.uses.append(0)
            self.first_line.append(tally.line)
        self.uses[slot] += 1
        reason = self._reasons[slot]
        if reason is not None:
            tally("picture", reason, path)
        return reason is None

    def usable(self) -> list[tuple[str, int]]:
        """Return (path relative to the root, slot) of each distinct usable picture, in order of first use."""
        return [(name, slot) for name, slot in self._slots.items() if self._reasons[slot] is None]

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
        return None if found.st_size else EMPTY

    def _is_inside(self, folder: str) -> bool:
        """Return whether a folder below the root really lies there, links followed; remembered per folder."""
        known = self._inside.get(folder)
        if known is None:
            known = self._inside[folder] = Path(folder).resolve().is_relative_to(self._root)
        return known


def probe(path: Path, decode: bool) -> str | None:
    """Return why a picture cannot be used, or None; reads the header, or decodes it all.

    Call it within `quiet_pillow`.
    """
    from PIL import Image

    from entity_expand.errors import ImageError
    from entity_expand.image import ImageConfig, load_rgb

    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return MANY_PIXELS
            if image.width < 1 or image.height < 1:
                return BROKEN
        if decode:
            load_rgb(path, ImageConfig(size=8))
    except Image.DecompressionBombError:
        return MANY_PIXELS
    except ImageError:
        return BROKEN
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError):
        # What Pillow's readers raise on broken headers.
        return BROKEN
    return None


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about large or odd pictures, which are counted instead."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        yield
