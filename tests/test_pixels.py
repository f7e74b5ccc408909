"""The one door for images: few formats, bounded, upright, in RGB, and never an error of another kind."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from corpuskit.pixels import BadImage, decode, opened


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reason(data: bytes, **bounds: int) -> str:
    with pytest.raises(BadImage) as found:
        decode(data, **bounds)
    return found.value.reason


RED = Image.new("RGB", (40, 20), (200, 10, 10))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_formats_that_are_decoded(kind: str) -> None:
    image = decode(written(RED, kind))
    assert (image.mode, image.size) == ("RGB", (40, 20))
    assert all(abs(a - b) < 12 for a, b in zip(image.getpixel((20, 10)), (200, 10, 10), strict=True))


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO", "PDF"])
def test_formats_that_are_not(kind: str) -> None:
    assert reason(written(RED, kind)) == "format"


def test_what_is_no_image() -> None:
    assert reason(b"") == "format"
    assert reason(b"<html>not found</html>") == "format"


def test_bounds_are_kept_before_a_pixel_is_decoded() -> None:
    data = written(RED, "PNG")
    assert decode(data, most_bytes=len(data), most_pixels=800).size == (40, 20)
    assert reason(data, most_bytes=len(data) - 1) == "large"
    assert reason(data, most_pixels=799) == "pixels"


def bomb() -> bytes:
    """A PNG of 60,000 by 60,000 pixels that says so in 80 bytes."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_bomb_is_refused() -> None:
    assert reason(bomb()) == "pixels"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_cut_image_is_refused(kind: str) -> None:
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    data = written(noise, kind)
    assert reason(data[: len(data) // 2]) in ("truncated", "broken")


def test_images_stand_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(written(RED, "JPEG", exif=exif)).size == (20, 40)


def test_transparent_is_white_and_every_mode_becomes_rgb() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert decode(written(clear, "PNG")).getpixel((1, 1)) == (255, 255, 255)
    grey = Image.new("I;16", (4, 4), 32896)
    assert decode(written(grey, "PNG")).getpixel((1, 1)) == (128, 128, 128)
    ink = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    red, green, blue = decode(written(ink, "JPEG")).getpixel((1, 1))
    assert red > 200 and green < 90 and blue < 90
    index = Image.new("P", (4, 4), 1)
    index.putpalette([0, 0, 0, 10, 200, 30])
    assert decode(written(index, "PNG")).getpixel((1, 1)) == (10, 200, 30)


def test_the_first_frame_of_many() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = written(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode(data).getpixel((0, 0)) == (255, 0, 0)


def test_what_the_block_finds_out_is_told_too() -> None:
    data = written(RED, "PNG")
    with pytest.raises(BadImage), opened(data[:-30]) as image:
        image.load()


@given(st.binary(max_size=200), st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "AVIF"]), st.integers(0, 400))
def test_damage_is_never_an_error_of_another_kind(noise: bytes, kind: str, place: int) -> None:
    data = bytearray(written(RED, kind))
    data[place : place + len(noise)] = noise
    try:
        image = decode(bytes(data))
    except BadImage as error:
        assert error.reason in ("large", "format", "pixels", "truncated", "broken")
    else:
        assert image.mode == "RGB"


@pytest.mark.parametrize("folder", ["pillow", "skimage", "clipscore"])
def test_real_images_are_decoded_or_refused(data: Path, folder: str) -> None:
    found = {"decoded": 0}
    for path in sorted((data / "images" / folder).iterdir()):
        try:
            decode(path.read_bytes())
            found["decoded"] += 1
        except BadImage as error:
            found[error.reason] = found.get(error.reason, 0) + 1
    assert found["decoded"] >= 2
    assert set(found) <= {"decoded", "format", "broken", "truncated"}
