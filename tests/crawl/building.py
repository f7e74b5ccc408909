"""Builds small archives, healthy ones, for tests to break."""

import gzip
import hashlib
import io
import struct
import uuid
from collections.abc import Sequence

import lz4.frame
import zstandard

PAGE = (
    "<html><head><title>Page {0}</title></head><body><article><h1>Page {0}</h1>"
    "<p>The harbour of town number {0} was built in spring, when the river had fallen low enough.</p>"
    "<p>They lowered the first blocks by hand and waited for every tide before they could lay another.</p>"
    "<p>By autumn a pier of grey granite reached far into the bay, and boats moored behind it.</p>"
    "</article></body></html>"
)


def page(number: int = 0) -> bytes:
    noise = "".join(hashlib.sha512(f"{number} {part}".encode()).hexdigest() for part in range(4))
    return f"{PAGE.format(number)}<!-- {noise} -->".encode()  # so that a page does not vanish when compressed


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *(headers or ("Content-Type: text/html; charset=utf-8",))]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def record(
    block: bytes,
    kind: str = "response",
    number: int = 0,
    length: int | None = None,
    end: bytes = b"\r\n",
    **more: str,
) -> bytes:
    """One WARC record; `length` may lie, `end` ends the lines of the header."""
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:{uuid.UUID(int=number)}>",
        f"WARC-Target-URI: https://town.example/{number}",
        "WARC-Date: 2024-05-19T12:00:00Z",
        "Content-Type: application/http; msgtype=response",
        f"Content-Length: {len(block) if length is None else length}",
    ]
    for name, value in more.items():
        name = name.replace("_", "-").lower()
        lines = [line for line in lines if not line.lower().startswith(f"{name}:")] + [f"{name}: {value}"]
    return end.join(line.encode() for line in lines) + end + end + block + b"\r\n\r\n"


def responses(count: int = 5) -> list[bytes]:
    return [record(http(page(number)), number=number) for number in range(count)]


def arc(count: int = 5) -> list[bytes]:
    """The records of an ARC file of version 1, its own description first."""
    about = b"1 0 test\nURL IP-address Archive-date Content-type Archive-length\n"
    records = [b"filedesc://test.arc 0.0.0.0 20240519120000 text/plain %d\n%s\n" % (len(about), about)]
    for number in range(count):
        block = http(page(number))
        head = f"https://town.example/{number} 10.0.0.1 20240519120000 text/html {len(block)}\n"
        records.append(head.encode() + block + b"\n")
    return records


def gz(records: Sequence[bytes]) -> bytes:
    return b"".join(gzip.compress(item, mtime=0) for item in records)


def gz_with_extra(records: Sequence[bytes]) -> bytes:
    """Members with an extra field, as some crawlers write their lengths into."""
    members = []
    for item in records:
        member = gzip.compress(item, mtime=0)
        field = b"SL" + struct.pack("<HII", 8, len(item), len(item))
        members.append(
            member[:3] + b"\x04" + member[4:10] + struct.pack("<H", len(field)) + field + member[10:]
        )
    return b"".join(members)


def zst(records: Sequence[bytes]) -> bytes:
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    return b"".join(compressor.compress(item) for item in records)


def zst_with_dictionary(records: Sequence[bytes]) -> bytes:
    """The Internet Archive's form: a dictionary in a skippable frame, then a frame for every record."""
    content = b"".join(responses(3))[:2000]
    dictionary = zstandard.ZstdCompressionDict(content)
    packed = zstandard.compress(content)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True)
    frames = b"".join(compressor.compress(item) for item in records)
    return b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(packed)) + packed + frames


def lz4_(records: Sequence[bytes]) -> bytes:
    return b"".join(lz4.frame.compress(item) for item in records)


def plain(records: Sequence[bytes]) -> bytes:
    return b"".join(records)


def gz_whole(records: Sequence[bytes]) -> bytes:
    return gzip.compress(b"".join(records), mtime=0)


CONTAINERS = (plain, gz, gz_with_extra, gz_whole, zst, zst_with_dictionary, lz4_)


class Pipe(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 777) if size >= 0 else -1)
