"""Pictures: sizes, colours, turns, caps, and hostile files."""

import contextlib
import io
import json
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from entity_expand.errors import ConfigError, ImageError
from entity_expand.inputs.image import ImageConfig, load_rgb, media_type_of, to_pixels

REFERENCE = Path("reference/pipeline/entity2sents")
SMALL = ImageConfig(size=8)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, channels), dtype=np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, data: bytes = b"", before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    tail = chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + tail


def test_a_file_its_bytes_and_an_image_are_the_same(tmp_path: Path) -> None:
    image = Image.fromarray(noise(11, 17))
    path = tmp_path / "a.png"
    image.save(path)
    expected = np.asarray(image.resize((8, 8), Image.Resampling.BICUBIC))
    for source in (path, path.read_bytes(), image):
        rgb = load_rgb(source, SMALL)
        assert rgb.dtype == np.uint8 and rgb.shape == (8, 8, 3) and rgb.flags.c_contiguous
        np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_known_formats_are_read(form: str) -> None:
    rgb = load_rgb(encoded(Image.new("RGB", (9, 5), (200, 100, 0)), form), SMALL)
    assert np.abs(rgb.astype(int) - [200, 100, 0]).max() < 12


def test_a_jpeg_with_further_pictures_is_a_jpeg() -> None:
    first, second = Image.new("RGB", (9, 5), (200, 100, 0)), Image.new("RGB", (9, 5))
    content = encoded(first, "MPO", save_all=True, append_images=[second])
    assert media_type_of(content) == "image/jpeg"
    assert np.abs(load_rgb(content, SMALL).astype(int) - [200, 100, 0]).max() < 12


@pytest.mark.parametrize("form", ["TIFF", "ICO", "PPM", "TGA"])
def test_other_formats_are_refused(form: str) -> None:
    with pytest.raises(ImageError, match="none of JPEG, PNG, WEBP, GIF, BMP"):
        load_rgb(encoded(Image.new("RGB", (16, 16)), form), SMALL)


def test_shorter_side_then_centre_crop() -> None:
    config = ImageConfig(size=6, resize=8)
    image = Image.fromarray(noise(16, 40))
    resized = np.asarray(image.resize((20, 8), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(load_rgb(image, config), resized[1:7, 7:13])
    turned = np.asarray(image.transpose(Image.Transpose.ROTATE_90).resize((8, 20), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(load_rgb(image.transpose(Image.Transpose.ROTATE_90), config), turned[7:13, 1:7])


@pytest.mark.parametrize("config", [SMALL, ImageConfig(size=6, resize=8)])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (1, 100_000), (100_000, 1)])
def test_thin_pictures_work(config: ImageConfig, size: tuple[int, int]) -> None:
    rgb = load_rgb(Image.new("RGB", size, (9, 8, 7)), config)
    np.testing.assert_array_equal(rgb, np.full((config.size, config.size, 3), (9, 8, 7)))


def test_alpha_is_laid_on_white() -> None:
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 51))
    white = 255 - 51
    np.testing.assert_array_equal(load_rgb(encoded(half), SMALL), np.full((8, 8, 3), white))
    clear = Image.new("LA", (4, 4), (0, 0))
    np.testing.assert_array_equal(load_rgb(encoded(clear), SMALL), np.full((8, 8, 3), 255))


def test_a_palette_with_transparent_colours_is_laid_on_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    np.testing.assert_array_equal(load_rgb(encoded(image), SMALL)[0, 0], [10, 20, 30])
    for transparency in (0, b"\0\xff"):
        content = encoded(image, transparency=transparency)
        np.testing.assert_array_equal(load_rgb(content, SMALL), np.full((8, 8, 3), 255))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_turn_is_undone(orientation: int) -> None:
    from PIL import ImageOps

    image = Image.fromarray(noise(8, 8))
    exif = image.getexif()
    exif[0x0112] = orientation
    content = encoded(image, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    np.testing.assert_array_equal(load_rgb(content, SMALL), np.asarray(expected))


def test_a_broken_turn_counts_as_none() -> None:
    image = Image.fromarray(noise(8, 8))
    for exif in (b"Exif\0\0", b"Exif\0\0MM\0\x2a\0\0\0\xff", b"Exif\0\0II\x2a\0\x08\0\0\0\xff\xff" + b"\x12\x01" * 40):
        np.testing.assert_array_equal(load_rgb(encoded(image, exif=exif), SMALL), np.asarray(image))


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    grey = Image.fromarray(np.full((4, 4), 300 * 64, np.uint16))
    np.testing.assert_array_equal(load_rgb(encoded(grey), SMALL), np.full((8, 8, 3), 300 * 64 // 256))


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "HSV"])
def test_other_modes_become_rgb(mode: str) -> None:
    assert load_rgb(Image.new("RGB", (4, 4)).convert(mode), SMALL).shape == (8, 8, 3)


def test_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(load_rgb(content, SMALL)[0, 0], [255, 0, 0])


def test_too_many_bytes_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.new("RGB", (4, 4))))
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match="limit of 10"):
            load_rgb(source, SMALL, max_bytes=10)


@pytest.mark.parametrize("side", [8_001, 10_000, 30_000, 2**31 - 1])
def test_too_many_pixels_are_refused_undecoded(side: int) -> None:
    """From the limit over Pillow's warning to Pillow's own error."""
    with pytest.raises(ImageError, match=r"limit|cannot be decoded"):
        load_rgb(png(side, side), SMALL)
    with pytest.raises(ImageError, match="limit of 15"):
        load_rgb(Image.new("L", (4, 4)), SMALL, max_pixels=15)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_files_cut_anywhere_give_one_kind_of_error(form: str) -> None:
    content = encoded(Image.fromarray(noise(20, 20)), form)
    for length in range(0, len(content) - len(content) // 10, max(1, len(content) // 40)):
        with pytest.raises(ImageError):
            load_rgb(content[:length], SMALL)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_files_with_wrong_bytes_give_a_picture_or_one_kind_of_error(form: str) -> None:
    content = encoded(Image.fromarray(noise(12, 12)), form)
    random = np.random.default_rng(5)
    for _ in range(150):
        broken = bytearray(content)
        for position in random.integers(0, len(content), 3):
            broken[position] = random.integers(0, 256)
        with contextlib.suppress(ImageError):
            assert load_rgb(bytes(broken), SMALL, max_pixels=100_000).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture at all",
        b"GIF89a",
        png(4, 4, b"\x78\x9c"),
        png(4, 4, zlib.compress(b"")),
        png(4, 4, zlib.compress(b"\0" * 52), chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (70 << 20)))),
        png(4, 4, zlib.compress(b"\0" * 52), chunk(b"acTL", b"\0\0\0\0\0\0\0\0")),
    ],
)
def test_hostile_files_never_escape(content: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            load_rgb(content, SMALL)
        except ImageError as error:
            assert "picture" in str(error)


def test_missing_and_irregular_files_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.png", tmp_path, Path("/dev/zero")):
        with pytest.raises(ImageError, match="missing or no regular file"):
            load_rgb(path, SMALL)


def test_warning_filters_are_put_back_after_many_threads() -> None:
    before = list(warnings.filters)
    sources = [png(9_000, 9_000)] * 20 + [encoded(Image.fromarray(noise(30, 30)))] * 20
    problems: list[BaseException] = []

    def work(source: bytes) -> None:
        try:
            load_rgb(source, SMALL)
        except ImageError:
            pass
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and list(warnings.filters) == before


def test_pixels_are_scaled_and_normalised() -> None:
    config = ImageConfig(size=2, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    rgb = np.array([[[255, 255, 255], [0, 0, 0]]] * 2, np.uint8)
    pixels = to_pixels(rgb, config)
    assert pixels.dtype == np.float32 and pixels.shape == (3, 2, 2) and pixels.flags.c_contiguous
    assert pixels[:, 0, 0].tolist() == [(1 - 0.5) / 0.5, (1 - 0.25) / 0.25, 1 / 2]
    assert pixels[:, 0, 1].tolist() == [-0.5 / 0.5, -0.25 / 0.25, 0]


@pytest.mark.parametrize(
    "bad",
    [
        {"size": 0},
        {"size": 5000},
        {"size": 8, "resize": 7},
        {"size": 8, "std": (1.0, 0.0, 1.0)},
        {"size": 8, "mean": (0.0, float("nan"), 0.0)},
        {"size": 8, "mean": (0.0,)},
        {"size": 8, "interpolation": "magic"},
    ],
)
def test_bad_configurations_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ImageConfig(**bad)  # type: ignore[arg-type]


@pytest.mark.shared
def test_patch_means_match_the_original(shared: Path) -> None:
    """The original squashes to 192 x 192 and cuts 6 x 6 patches; opaque pictures give the same patch means."""
    means = np.load(shared / REFERENCE / "patch_mean_features.npz")
    expected = json.loads((shared / REFERENCE / "expected.json").read_text())["token_ids"]
    order = {"11": [0, 1], "7": [1, 2], "102": [3]}
    assert set(order) < set(expected)
    for entity, pictures in order.items():
        for row, picture in enumerate(pictures):
            pixels = to_pixels(
                load_rgb(shared / REFERENCE / "img" / f"{picture}.png", ImageConfig(size=192)), ImageConfig(192)
            )
            patches = pixels.reshape(3, 6, 32, 6, 32).mean(axis=(2, 4)).reshape(3, 36).T  # (36, 3)
            np.testing.assert_allclose(patches, means[f"features_{entity}"][row], atol=1e-6)
