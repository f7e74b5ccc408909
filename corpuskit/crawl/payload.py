"""Turn what a server sent into text: transfer and content codings undone, the charset found."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Callable, Mapping

__all__ = ["PAGE_BYTES", "BadPayload", "Bomb", "decode", "inflate"]

PAGE_BYTES = 10 << 20
"""A page with more bytes than this, inflated, is not read."""

_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_META = re.compile(rb"<meta\b[^>]{0,512}?\bcharset\s*=\s*[\"']?\s*([\w:.+-]{2,40})", re.IGNORECASE)
_XML = re.compile(rb"\A\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([\w:.+-]{2,40})", re.IGNORECASE)
_LABEL = re.compile(r"charset\s*=\s*[\"']?\s*([\w:.+-]{2,40})", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META_BYTES = 4096  # the standard says 1024; pages are less strict
_WIDER = {"gbk": "gb18030", "gb2312": "gb18030"}
_STEP = 16 << 10
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Bomb(Exception):
    """A body larger, inflated, than allowed."""


class BadPayload(Exception):
    """A body that is neither what its headers say nor text."""


def inflate(http: Mapping[str, str], body: bytes, limit: int = PAGE_BYTES) -> bytes:
    r"""Undo the transfer and content codings of a body, also where the headers lie about them.

    A body cut short gives what there is of it.

    Raises:
        Bomb: It would be more than `limit` bytes.
        BadPayload: It is neither coded as the headers say nor text.

    >>> inflate({"transfer-encoding": "chunked"}, b"5\r\nhello\r\n0\r\n\r\n")
    b'hello'
    >>> inflate({"transfer-encoding": "chunked", "content-encoding": "gzip"}, b"<p>plain</p>")
    b'<p>plain</p>'
    """
    if "chunked" in http.get("transfer-encoding", "").lower():
        body = _unchunk(body)
    codings = [coding.strip().lower() for coding in http.get("content-encoding", "").split(",")]
    for coding in reversed(codings):
        body = _undo(coding.removeprefix("x-"), body, limit)
    body = _undo("", body, limit)
    if len(body) > limit:
        raise Bomb
    return body


def _unchunk(body: bytes) -> bytes:
    """Join the chunks; the body as it is where it is not chunked after all."""
    found, at = [], 0
    while size := _CHUNK.match(body, at):
        start, length = size.end(), int(size[1], 16)
        if not length:
            break
        found.append(body[start : start + length])
        at = start + length
        line = body[at : at + 2]
        if line and not b"\r\n".startswith(line[:1]) and line[:1] != b"\n":
            if len(found) == 1:
                return body
            break
        at += 2 if line == b"\r\n" else 1
    else:
        if found and at < len(body):
            found.append(body[at:])
    return b"".join(found) if found or size else body


def _undo(coding: str, body: bytes, limit: int) -> bytes:
    decoders: dict[str, Callable[[bytes, int], bytes]] = {
        "gzip": _gunzip,
        "deflate": _deflate,
        "br": _unbrotli,
        "zstd": _unzstd,
    }
    if body.startswith((_GZIP, _ZSTD)):
        coding = "gzip" if body.startswith(_GZIP) else "zstd"
    decoder = decoders.get(coding)
    if decoder is None or not body:
        return body
    try:
        found = decoder(body, limit)
    except (zlib.error, ValueError, RuntimeError, MemoryError):
        found = b""
    if len(found) > limit:
        raise Bomb
    if found:
        return found
    if _is_text(body):
        return body
    raise BadPayload(coding)


def _is_text(body: bytes) -> bool:
    sample = body[:1024]
    odd = sum(byte < 32 and byte not in b"\t\n\r\x0c\x1b" for byte in sample)
    return odd == 0 or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def _gunzip(body: bytes, limit: int) -> bytes:
    found, at = b"", 0
    while body.startswith(_GZIP, at) and len(found) <= limit:
        more, used = _until_error(zlib.decompressobj(31), body[at:], limit + 1 - len(found))
        found += more
        at += used
    return found


def _deflate(body: bytes, limit: int) -> bytes:
    """Read zlib's format, which the standard means, or the raw one, which some servers send."""
    found, _ = _until_error(zlib.decompressobj(), body, limit + 1)
    return found or _until_error(zlib.decompressobj(-15), body, limit + 1)[0]


def _until_error(member: zlib._Decompress, body: bytes, limit: int) -> tuple[bytes, int]:
    """Inflate up to `limit` bytes and keep what comes before an error; also say how many bytes were used."""
    found = bytearray()
    for start in range(0, len(body), _STEP):
        data = body[start : start + _STEP]
        try:
            while data and not member.eof and len(found) < limit:
                found += member.decompress(data, limit - len(found))
                data = member.unconsumed_tail
        except zlib.error:
            break
        if member.eof or len(found) >= limit:
            return bytes(found), min(len(body), start + _STEP) - len(member.unused_data)
    return bytes(found), len(body)


def _unbrotli(body: bytes, limit: int) -> bytes:
    import brotli  # type: ignore[import-untyped]

    found, decoder = bytearray(), brotli.Decompressor()
    try:
        for start in range(0, len(body), _STEP):
            found += decoder.process(body[start : start + _STEP], output_buffer_limit=limit)
            while len(found) <= limit and not decoder.can_accept_more_data():
                found += decoder.process(b"", output_buffer_limit=limit)
            if len(found) > limit or decoder.is_finished():
                break
    except brotli.error:
        pass
    return bytes(found)


def _unzstd(body: bytes, limit: int) -> bytes:
    import zstandard

    found = bytearray()
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            body, read_across_frames=True
        ) as reader:
            while len(found) <= limit and (more := reader.read(_STEP)):
                found += more
    except zstandard.ZstdError:
        pass
    return bytes(found)


def decode(http: Mapping[str, str], body: bytes) -> tuple[str, str]:
    """Decode a page; return its text and the encoding used (a Python name). Never raises.

    The charset is that of the byte order mark, the HTTP header, the page's own `meta` or XML
    declaration, or a detector's, in this order. Valid UTF-8 beyond ASCII is UTF-8 whatever the
    headers say, and a charset the bytes contradict gives way to the detector's.

    Source: WHATWG Encoding (labels) and HTML (order). Deviation: the last sentence above, because
    servers add a charset to pages they did not write.

    >>> decode({"content-type": "text/html; charset=latin1"}, "naïve".encode())
    ('naïve', 'utf-8')
    >>> decode({"content-type": "text/html; charset=latin1"}, "naïve".encode("latin-1"))
    ('naïve', 'cp1252')
    """
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace"), encoding
    declared = _declared(http, body)
    if declared in (None, "utf-8") or not body.isascii():
        try:
            return body.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    for guess in (declared, _detected(body)):
        if guess is not None and guess != "utf-8":
            try:
                return body.decode(guess), guess
            except UnicodeDecodeError:
                continue
    encoding = declared or _detected(body) or "utf-8"
    return body.decode(encoding, "replace"), encoding


def _declared(http: Mapping[str, str], body: bytes) -> str | None:
    header = _LABEL.search(http.get("content-type", ""))
    labels = [header[1] if header else ""]
    labels += [
        found[1].decode("ascii") for found in (_META.search(body[:_META_BYTES]), _XML.match(body)) if found
    ]
    for label in labels:
        encoding = _encoding(label)
        # A label that could be read as ASCII cannot be true of UTF-16.
        if encoding is not None:
            return "utf-8" if encoding.startswith("utf-16") and label is not labels[0] else encoding
    return None


def _encoding(label: str) -> str | None:
    """Return the Python codec of a WHATWG label; null if there is no such label."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    name = map_encoding_to_html5(label.strip(), fallback_utf8=False) if label else None
    return _WIDER.get(name, name) if name else None


def _detected(body: bytes) -> str | None:
    from resiliparse.parse.encoding import detect_encoding

    name = detect_encoding(body)
    return _WIDER.get(name, name) if name else None
