"""Picture files to pixels: caps before decoding, a short list of formats, one meaning for each file."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from entity_expand import files
from entity_expand.config import check, setting
from entity_expand.errors import ConfigError, ImageError
from entity_expand.types import Float32, UInt8

Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos"]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_BYTES = 32 << 20
"""Largest picture file that is read, in bytes."""
MAX_PIXELS = 64_000_000
"""Largest width times height that is decoded."""

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# What Pillow's readers are known to raise on broken files, besides their own errors (subclasses of OSError).
_BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, AttributeError,
    MemoryError, NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Longest side in shorter sides that is resized whole; of longer pictures only the centre can reach the crop.
_MAX_ASPECT = 16


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """How a picture becomes pixels.

    Attributes:
        size: Height H and width W of the result.
        resize: None squashes the picture to size x size, as the paper does; a number (at least `size`) resizes
            the shorter side to it and crops the centre.
        mean: Subtracted from each of red, green, blue, which run from 0 to 1.
        std: Divides after that.
        interpolation: Filter of the resizing.
    """

    size: int = setting(low=1, high=4096)
    resize: int | None = setting(None, low=1, high=4096)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = setting((1.0, 1.0, 1.0), low=1e-6)
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        check(self)
        if self.resize is not None and self.resize < self.size:
            raise ConfigError(f"resize is {self.resize}, but must be at least size = {self.size}.")


def open_picture(
    source: Path | bytes | Image.Image, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode a picture upright, in mode RGB, on white where it is transparent; caps are checked before decoding.

    Args:
        source: File, bytes of a file, or Pillow image.
        max_bytes: Most bytes of the file.
        max_pixels: Most pixels, width times height, checked before anything is decoded.

    Raises:
        ImageError: The picture is missing, too large, broken, or none of JPEG, PNG, WEBP, GIF and BMP.
    """
    named = "The picture" if not isinstance(source, Path) else f"The picture {source}"
    try:
        with _quiet_pillow():
            image = source if isinstance(source, Image.Image) else _open(source, named, max_bytes)
            if image.width * image.height > max_pixels:
                raise ImageError(
                    f"{named} has {image.width} x {image.height} pixels, above the limit of {max_pixels:,}."
                )
            if image.width < 1 or image.height < 1:
                raise ImageError(f"{named} has no pixels.")
            image.load()
            return _on_white(_upright(image))
    except _BROKEN as problem:
        raise ImageError(f"{named} cannot be decoded: {problem}") from problem


def media_type_of(content: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> str:
    """Return the media type of a picture file by its first bytes, as in image/png; nothing is decoded.

    Raises:
        ImageError: The picture is too large, broken, or none of JPEG, PNG, WEBP, GIF and BMP.
    """
    try:
        with _quiet_pillow():
            image = _open(content, "The picture", max_bytes)
    except _BROKEN as problem:
        raise ImageError(f"The picture cannot be read: {problem}") from problem
    if image.width * image.height > max_pixels:
        raise ImageError(f"The picture has {image.width} x {image.height} pixels, above the limit of {max_pixels:,}.")
    return f"image/{format_of(image).lower()}"


def format_of(image: Image.Image) -> str:
    """Return which of `FORMATS` an opened file has; a JPEG with further pictures behind it, as phones write, is one."""
    return "JPEG" if image.format == "MPO" else image.format or ""


def shrunk(content: bytes, side: int, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """Return a picture file as JPEG with no side longer than so many pixels; None if it is no larger as it is.

    Raises:
        ImageError: The picture is too large, broken, or none of JPEG, PNG, WEBP, GIF and BMP.
    """
    image = open_picture(content, max_pixels=max_pixels)
    if max(image.size) <= side:
        return None
    image.thumbnail((side, side))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def load_rgb(
    source: Path | bytes | Image.Image,
    config: ImageConfig,
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> UInt8:
    """Read a picture, turn it upright, lay it on white, and resize it.

    The first frame of an animation counts. A broken orientation tag counts as none. Safe from threads.

    Args:
        source: A file, its bytes, or a Pillow image (any format).
        config: Size and filter; mean and std are not used here.
        max_bytes: Most bytes of the file.
        max_pixels: Most pixels, width times height, checked before anything is decoded.

    Returns:
        (H, W, 3) uint8, red green blue, row 0 on top; C-contiguous.

    Raises:
        ImageError: The picture is missing, too large, broken, or none of JPEG, PNG, WEBP, GIF and BMP.
    """
    with _quiet_pillow():
        return np.array(_resized(open_picture(source, max_bytes=max_bytes, max_pixels=max_pixels), config), np.uint8)


def to_pixels(rgb: UInt8, config: ImageConfig) -> Float32:
    """Scale to [0, 1] and normalise.

    Args:
        rgb: (H, W, 3) uint8 as `load_rgb` gives it.
        config: Mean and std.

    Returns:
        (3, H, W) float32, C-contiguous: (rgb / 255 - mean) / std.
    """
    mean = np.array(config.mean, np.float32)[:, None, None]
    std = np.array(config.std, np.float32)[:, None, None]
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32)  # (3, H, W)
    return (planes / np.float32(255) - mean) / std


def _open(source: Path | bytes, named: str, max_bytes: int) -> Image.Image:
    if isinstance(source, Path):
        if not source.is_file():
            raise ImageError(f"{named} is missing or no regular file.")
        source = files.read_capped(source, max_bytes, ImageError)
    if len(source) > max_bytes:
        raise ImageError(f"{named} has {len(source):,} bytes, above the limit of {max_bytes:,}.")
    try:
        return Image.open(io.BytesIO(source), formats=FORMATS)
    except UnidentifiedImageError as problem:
        raise ImageError(f"{named} is broken or none of {', '.join(FORMATS)}.") from problem


def _upright(image: Image.Image) -> Image.Image:
    """Undo the camera's turn that EXIF states."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:
        turn = None
    return image if turn is None else image.transpose(turn)


def _on_white(image: Image.Image) -> Image.Image:
    """Return the picture in mode RGB, what is transparent in it white."""
    if image.mode.startswith("I;16"):
        # Pillow would clip 16-bit grey at 255.
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    colours = image.convert("RGBA")
    white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, colours).convert("RGB")


def _resized(image: Image.Image, config: ImageConfig) -> Image.Image:
    resampling = _RESAMPLING[config.interpolation]
    if config.resize is None:
        return image.resize((config.size, config.size), resampling)
    image = _centre(image, min(image.size) * _MAX_ASPECT, min(image.size) * _MAX_ASPECT)
    shorter = min(image.size)
    width, height = (int(config.resize * side / shorter) for side in image.size)
    return _centre(image.resize((width, height), resampling), config.size, config.size)


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    """Crop the centre to at most width x height."""
    width, height = min(width, image.width), min(height, image.height)
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


class _Quiet:
    """How many threads are inside Pillow, and the saved warning filters."""

    lock = threading.Lock()
    depth = 0
    saved: warnings.catch_warnings[None] | None = None


@contextlib.contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Ignore Pillow's own warnings while any thread is inside.

    The filters belong to the whole process, so the first to enter sets them and the last to leave puts them
    back: threads may decode at the same time.
    """
    with _Quiet.lock:
        if _Quiet.depth == 0:
            _Quiet.saved = warnings.catch_warnings()
            _Quiet.saved.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        _Quiet.depth += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.depth -= 1
            if _Quiet.depth == 0 and _Quiet.saved is not None:
                _Quiet.saved.__exit__(None, None, None)
                _Quiet.saved = None
