"""Images of strangers, decoded within limits, made smaller, and written anew without their metadata."""

from __future__ import annotations

import functools
import io
import struct
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from PIL import Image, ImageCms

from corpuskit.crawl.gates import Verdict
from corpuskit.pixels import MOST_PIXELS, BadImage, image_format, opened

__all__ = ["Encoding", "Interpolation", "Look", "Made", "ResizeMode", "make"]

ResizeMode = Literal["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"]
Interpolation = Literal["area", "lanczos"]
Encoding = Literal["jpeg", "webp"]

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
_PROFILE_BYTES = 4 << 20
_STRIP = 1 << 22  # pixels that are brought upon white at a time
_HUGE = 1 << 24
_WHITE = (255, 255, 255)
_FILTERS = {"area": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}
_SPACES = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY"}
_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


@dataclass(frozen=True)
class Look:
    """How images are to look. Sides are in pixels; null is no bound.

    With `border` the longer side becomes `size` and white makes it a square, with `keep_ratio_largest` it
    becomes `size`; with `keep_ratio` the shorter side does, and with `center_crop` the middle of that is
    cut out as a square. Smaller images are enlarged unless `only_if_bigger`.

    Source: the modes are those of img2dataset. Deviation: with `only_if_bigger`, `border` gives small images
    their white too, and `center_crop` cuts whatever side is longer than `size`.
    """

    mode: ResizeMode = "no"
    size: int | None = None
    only_if_bigger: bool = False
    interpolation: Interpolation = "area"
    encoding: Encoding = "jpeg"
    quality: int = 95
    min_side: int | None = None
    max_aspect: float | None = None
    max_pixels: int = MOST_PIXELS


class Made(NamedTuple):
    """An image as it is kept, its size, and that of the original, turned as it is meant to be seen."""

    data: bytes
    width: int
    height: int
    original_width: int
    original_height: int


def make(data: bytes, look: Look) -> Made | Verdict:
    """Decode an image's first frame, turn it upright, resize it, and encode it as sRGB without metadata.

    The same bytes and look give the same bytes. Transparency becomes white. What goes says why:
    `images.type` (none of the five formats), `images.bomb` (more than `max_pixels`), `images.truncated`,
    `images.decode` (damaged, or with anything that Pillow warns of), `images.small`, `images.aspect`.
    """
    kind = image_format(data)
    if kind is None:
        return Verdict("images.type")
    try:
        with opened(data, len(data), look.max_pixels) as image:
            return _make(image, look)
    except BadImage as bad:
        if bad.reason == "pixels":
            return Verdict("images.bomb", bad.value, bad.bound)
        ends = bad.reason == "truncated" or _ends_early(data, kind)
        return Verdict("images.truncated" if ends else "images.decode", value=len(data))


def _make(image: Image.Image, look: Look) -> Made | Verdict:
    width, height = image.size
    if look.min_side is not None and min(width, height) < look.min_side:
        return Verdict("images.small", min(width, height), look.min_side)
    aspect = max(width, height) / max(1, min(width, height))
    if look.max_aspect is not None and aspect > look.max_aspect:
        return Verdict("images.aspect", aspect, look.max_aspect)
    if image.format in ("JPEG", "MPO"):  # decoding a half, quarter or eighth of it is enough, and fast
        least = _target((width, height), look)
        image.draft(None, (2 * least[0], 2 * least[1]))
    image.load()  # before EXIF: asked for that, a PNG loads itself, and what fails would seem to be EXIF
    turn = _orientation(image)
    original = (height, width) if turn >= 5 else (width, height)
    target = _target(original, look)
    profile = image.info.get("icc_profile")
    found = _turned(_plain_small(image, _target((width, height), look)), turn)
    if found.size != target:
        larger = target[0] > original[0] or target[1] > original[1]
        found = found.resize(target, _FILTERS["lanczos" if larger else look.interpolation])
    found = _framed(_srgb(_on_white(found), profile), look)
    return Made(_encoded(found, look), *found.size, *original)


def _orientation(image: Image.Image) -> int:
    """Return how an image is turned, 1 to 8, as EXIF says; 1 where EXIF is absent or damaged."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - what the decoder says of damaged EXIF is nothing about the image
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _target(original: tuple[int, int], look: Look) -> tuple[int, int]:
    """Say to what size an image is scaled."""
    if look.size is None or look.mode == "no":
        return original
    side = min(original) if look.mode in ("keep_ratio", "center_crop") else max(original)
    if side == look.size or (look.only_if_bigger and side < look.size):
        return original
    width, height = (max(1, round(length * look.size / side)) for length in original)
    return width, height


def _plain_small(image: Image.Image, target: tuple[int, int]) -> Image.Image:
    """Bring an image under a plain mode; a huge transparent one that becomes small is reduced on the way.

    Its copies in other modes would take three times its memory: so it is laid upon white and reduced some
    rows at a time, to at least twice its target's sides.
    """
    width, height = image.size
    factor = min(width // (2 * target[0]), height // (2 * target[1]))
    if width * height < _HUGE or factor < 2 or not image.has_transparency_data:
        return _plain(image)
    found = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = max(1, _STRIP // width // factor) * factor
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        found.paste(_on_white(_plain(strip)).convert("RGB").reduce(factor), (0, top // factor))
    return found


def _plain(image: Image.Image) -> Image.Image:
    """Bring an image under L, RGB, CMYK or, where it is transparent, RGBA."""
    if image.mode in ("P", "PA") or "transparency" in image.info:
        seen = image.has_transparency_data
        return image.convert("RGBA" if seen else "RGB")
    if image.mode in _ALPHA:
        return image.convert("RGBA") if image.mode != "RGBA" else image
    if image.mode.startswith("I"):  # 16 bits
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode == "F":
        raise ValueError("an image of floating-point numbers")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _turned(image: Image.Image, turn: int) -> Image.Image:
    """Turn and mirror an image as its EXIF says."""
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _on_white(image: Image.Image) -> Image.Image:
    """Lay what is transparent upon white, some rows at a time."""
    if image.mode != "RGBA":
        return image
    width, height = image.size
    found = Image.new("RGB", image.size, _WHITE)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(height, top + rows)))
        found.paste(strip, (0, top), strip)
    return found


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Bring colours to sRGB, by the image's profile if it has a fitting one."""
    if profile and len(profile) <= _PROFILE_BYTES:
        transform = _transform(profile, image.mode)
        if transform is not None:
            return ImageCms.applyTransform(image, transform) or image
    return image if image.mode == "RGB" else image.convert("RGB")


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build what turns a profile's colours into sRGB; null where it is sRGB, damaged, or of another space."""
    try:
        found = ImageCms.getOpenProfile(io.BytesIO(profile))
        named = ImageCms.getProfileDescription(found).lower()
        if "srgb" in named or found.profile.xcolor_space != _SPACES[mode]:
            return None
        return ImageCms.buildTransform(found, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _framed(image: Image.Image, look: Look) -> Image.Image:
    """Cut an image to a square, or make it one with white, where the mode says so."""
    if look.size is None or look.mode not in ("border", "center_crop"):
        return image
    (width, height), size = image.size, look.size
    if look.mode == "center_crop":
        left, top = max(0, width - size) // 2, max(0, height - size) // 2
        return image.crop((left, top, min(width, left + size), min(height, top + size)))
    if (width, height) == (size, size):
        return image
    found = Image.new("RGB", (size, size), _WHITE)
    found.paste(image, ((size - width) // 2, (size - height) // 2))
    return found


def _encoded(image: Image.Image, look: Look) -> bytes:
    image.info = {}
    out = io.BytesIO()
    settings: dict[str, Any] = {"quality": look.quality}
    image.save(out, "JPEG" if look.encoding == "jpeg" else "WEBP", **settings)
    return out.getvalue()


def _ends_early(data: bytes, kind: str) -> bool:
    """Say whether a file ends before the end its format has, of one that could not be decoded."""
    if kind == "WEBP":
        size: int = struct.unpack("<I", data[4:8])[0]
        return size + 8 > len(data)
    ends = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}
    return kind in ends and ends[kind] not in data[-64:]
