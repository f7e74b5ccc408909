"""Images from bytes that may be anything: one door, for crawl, filter and dedup."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["FORMATS", "MOST_BYTES", "MOST_PIXELS", "BadImage", "decode", "image_format", "opened"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
"""The formats that are decoded, told by the bytes; every other decoder stays shut."""
MOST_BYTES = 20 << 20
MOST_PIXELS = 64_000_000


_MAGIC = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("AVIF", re.compile(rb"....ftyp(?:avi[fs]|.{8,64}?avif)", re.DOTALL)),
)


class BadImage(Exception):
    """The bytes are no image that is decoded; `reason` is large, format, pixels, truncated or broken."""

    def __init__(self, reason: str, value: float | None = None, bound: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.value, self.bound = reason, value, bound


def image_format(data: bytes) -> str | None:
    r"""Tell one of the five formats by the first bytes, whatever a header says; null for all others.

    >>> image_format(b"\xff\xd8\xff\xe0"), image_format(b"<html>")
    ('JPEG', None)
    """
    head = data[:96]
    return next((name for name, magic in _MAGIC if magic.match(head)), None)


@contextmanager
def opened(
    data: bytes, most_bytes: int = MOST_BYTES, most_pixels: int = MOST_PIXELS
) -> Iterator[Image.Image]:
    """Open an image without decoding its pixels, which the block may then do: its format and size are known.

    Raises:
        BadImage: It is too large, of another format, or damaged, also where only the block finds out.
    """
    if len(data) > most_bytes:
        raise BadImage("large", len(data), most_bytes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                pixels = image.width * image.height
                if pixels > most_pixels or not pixels:
                    raise BadImage("pixels", pixels, most_pixels)
                yield image
    except UnidentifiedImageError:
        raise BadImage("format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadImage("pixels", None, most_pixels) from None
    except BadImage:
        raise
    except Exception as error:  # noqa: BLE001 - decoders raise whatever their library does at hostile bytes
        reason = "truncated" if "truncated" in str(error) or isinstance(error, EOFError) else "broken"
        raise BadImage(reason) from None


def decode(data: bytes, most_bytes: int = MOST_BYTES, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """Decode the first frame of an image, upright, in RGB; what is transparent becomes white.

    Raises:
        BadImage: See `opened`.

    >>> file = io.BytesIO()
    >>> Image.new("LA", (3, 2), (0, 0)).save(file, "PNG")
    >>> image = decode(file.getvalue())
    >>> image.mode, image.size, image.getpixel((0, 0))
    ('RGB', (3, 2), (255, 255, 255))
    """
    with opened(data, most_bytes, most_pixels) as image:
        image.load()
        upright: Image.Image = image
        ImageOps.exif_transpose(upright, in_place=True)
        if upright.mode.startswith("I"):  # 16 bits a channel: Pillow would cut them off, not scale them
            upright = upright.convert("I").point(lambda value: value / 257).convert("L")
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            white = Image.new("RGB", upright.size, "white")
            white.paste(upright, mask=upright.getchannel("A"))
            return white
        return upright if upright.mode == "RGB" else upright.convert("RGB")
