"""Real images under the URLs of others, with the faults of the web, for a farm on loopback."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from webtext_farm import PORT, _address

from corpuskit.crawl.addresses import split
from corpuskit.crawl.imagefetch import FetchImages
from corpuskit.crawl.transport import Resolver

Answer = tuple[int, dict[str, str], bytes]

OPT_OUTS = (
    "noai",
    "noimageai",
    "noindex",
    "noimageindex",
    "noai, unavailable_after: Wed, 01 Jan 2031 00:00:00 GMT",
    "max-image-preview:none, noai",
    "none",
    "corpuskit : noai",
    "noml",
    "otherbot: nofollow\r\nX-Robots-Tag: noimageai",  # two headers of one name
)
"""X-Robots-Tag that opts an image out, in every form of img2dataset's blind spots."""

WELCOME = ("index, follow", "max-image-preview:none", "otherbot: noai", "all", "nofollow")
"""X-Robots-Tag that does not."""


@dataclass(frozen=True)
class FarmImages(FetchImages):
    """Fetch from the farm whose port is in the environment, which workers inherit; let it be allowed."""

    def resolver(self) -> Resolver:
        port = int(os.environ[PORT])
        return lambda host, _: [(_address(host), port)]


def png(width: int, height: int, rows: bytes | None = None) -> bytes:
    """Make a grey PNG that says it is of this size, whatever rows it has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * height) if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def broken() -> bytes:
    """Make a PNG whose pixels were hit by a stray bit."""
    data = bytearray(png(64, 64))
    data[41] ^= 0x10  # of the compressed data
    return bytes(data)


def place(url: str) -> str:
    """Say by which name a farm knows a URL."""
    origin, target = split(url)
    return f"{origin.host}{target}"


def faults(image: bytes) -> Sequence[tuple[str | None, Answer]]:
    """List what can go wrong with an image, with the rule it is rejected by; null: it is kept."""
    jpeg = {"Content-Type": "image/jpeg"}
    return (
        (None, (200, jpeg, image)),
        (None, (200, {"Content-Type": "application/octet-stream"}, image)),
        (None, (200, {"Content-Type": "text/html"}, image)),
        (None, (200, jpeg | {"Content-Encoding": "gzip"}, gzip.compress(image))),
        ("fetch.status", (404, jpeg, image)),
        ("fetch.status", (429, {"Retry-After": "0"}, b"")),
        ("fetch.status", (500, {}, b"")),
        ("fetch.type", (200, {"Content-Type": "text/html"}, b"<html>gone</html>")),
        ("images.type", (200, jpeg, b"<html>gone</html>")),
        ("images.type", (200, {"Content-Type": "image/svg+xml"}, b"<svg/>")),
        ("images.truncated", (200, jpeg, image[: len(image) // 2])),
        ("images.decode", (200, jpeg, broken())),
        ("images.bomb", (200, jpeg, png(60_000, 60_000, b"\0"))),
        ("images.large", (200, jpeg, image + bytes(3 << 20))),
        ("fetch.bomb", (200, jpeg | {"Content-Encoding": "gzip"}, gzip.compress(image + bytes(3 << 20)))),
        ("fetch.redirects", (302, {"Location": "?"}, b"")),
        *(("fetch.optout", (200, jpeg | {"X-Robots-Tag": tag}, image)) for tag in OPT_OUTS),
        *((None, (200, jpeg | {"X-Robots-Tag": tag}, image)) for tag in WELCOME),
    )


def real_images(data: Path) -> list[bytes]:
    """Read the images there are that decode."""
    return [path.read_bytes() for path in _real(data) if "truncated" not in path.name]


def _real(data: Path) -> Iterator[Path]:
    for folder in ("skimage", "pillow"):
        for path in sorted((data / "images" / folder).iterdir()):
            if path.suffix in (".jpg", ".png", ".webp", ".gif"):
                yield path
