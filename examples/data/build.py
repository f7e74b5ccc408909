"""Build pages.warc.gz, a small crawl of pages written for this project, the same bytes every time.

`pages.toml` lists what was answered in the order of the crawl. A page is an article of `articles/` in a
frame of `sites/`. Hosts end in `.example`, which nobody can own. Texts and program: CC0.

    python examples/data/build.py [TARGET]
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import html
import string
import sys
import tomllib
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN = datetime.datetime(2024, 5, 20, 6, 0, 0, tzinfo=datetime.UTC)
STEP = datetime.timedelta(seconds=7)
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def gzipped(data: bytes) -> bytes:
    """Compress as one gzip member without a date."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    return squeeze.compress(data) + squeeze.flush()


def brotli_stored(data: bytes) -> bytes:
    """Write at most 64 KiB as a brotli stream of one uncompressed block: no encoder's version shows in it."""
    return (len(data) - 1 << 4 | 1 << 20).to_bytes(3, "little") + data + b"\x03"


def chunked(data: bytes) -> bytes:
    """Cut a body into chunks as HTTP/1.1 sends it."""
    pieces = [data[start : start + 700] for start in range(0, len(data), 700)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


CODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzipped,
    "br": brotli_stored,
    "identity": bytes,
}


def as_html(text: str) -> str:
    """Turn the paragraphs of an article into HTML; lines that begin with `- ` are a list."""
    blocks = []
    for block in text.strip().split("\n\n"):
        escaped = html.escape(block, quote=False)
        if block.startswith("- "):
            items = "".join(f"<li>{line[2:]}</li>" for line in escaped.split("\n"))
            blocks.append(f"<ul>{items}</ul>")
        else:
            blocks.append(f"<p>{escaped}</p>")
    return "\n".join(blocks)


def page(told: Mapping[str, Any]) -> bytes:
    """Set an article into the frame of its site, with the edits that make it a near duplicate."""
    text = (HERE / "articles" / f"{told['article']}.txt").read_text("utf-8")
    for old, new in told.get("edits", []):
        if text.count(old) != 1:
            raise ValueError(f"{told['url']}: {old!r} is not once in {told['article']}")
        text = text.replace(old, new)
    title, author, body = text.split("\n", 2)
    charset = told.get("charset", "utf-8")
    frame = string.Template((HERE / "sites" / f"{told['site']}.html").read_text("utf-8"))
    filled = frame.substitute(
        title=html.escape(title, quote=False),
        author=html.escape(author, quote=False),
        date=told.get("date", "2024-05-14"),
        body=as_html(body),
        url=told["url"],
        lang=told.get("lang", "en"),
        charset=charset,
    )
    return filled.encode(charset, "xmlcharrefreplace")


def body_of(told: Mapping[str, Any]) -> bytes:
    """Return the body of an answer before it is coded for the wire."""
    if "article" in told:
        return page(told)
    if told.get("type") == "image/png":
        return PIXEL
    return str(told.get("body", "")).encode()


def http(told: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the head and the body of an HTTP answer."""
    coding = told.get("coding", "identity")
    body = CODINGS[coding](body_of(told))
    lines = [f"HTTP/1.1 {told.get('status', '200 OK')}"]
    lines.append(f"Content-Type: {told.get('type', 'text/html')}")
    if told.get("say_charset"):
        lines[-1] += f"; charset={told.get('charset', 'utf-8')}"
    if coding != "identity":
        lines.append(f"Content-Encoding: {coding}")
    if "location" in told:
        lines.append(f"Location: {told['location']}")
    if told.get("chunked"):
        lines.append("Transfer-Encoding: chunked")
        body = chunked(body)
    else:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode(), body


def sha1(data: bytes) -> str:
    """Write a digest as WARC files do."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def record(kind: str, number: int, url: str | None, block: bytes, **fields: str) -> bytes:
    """Write one WARC record as a gzip member; its id is made of its content."""
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {url} {number} {sha1(block)}")
    lines = ["WARC/1.0", f"WARC-Type: {kind}", f"WARC-Record-ID: <urn:uuid:{identity}>"]
    lines.append(f"WARC-Date: {(BEGIN + number * STEP).strftime('%Y-%m-%dT%H:%M:%SZ')}")
    if url:
        lines.append(f"WARC-Target-URI: {url}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    lines += [f"Content-Length: {len(block)}", "", ""]
    return gzipped("\r\n".join(lines).encode() + block + b"\r\n\r\n")


def response(told: Mapping[str, Any], number: int) -> bytes:
    """Write an answer, or the note that it was the same as before."""
    head, body = http(told)
    fields = {"WARC_Payload_Digest": sha1(body), "Content_Type": "application/http; msgtype=response"}
    if told.get("revisit"):
        fields["WARC_Profile"] = "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"
        fields["WARC_Refers_To_Target_URI"] = told["url"]
        return record("revisit", number, told["url"], head, **fields)
    return record("response", number, told["url"], head + body, **fields)


def records(crawl: Mapping[str, Any]) -> Iterator[bytes]:
    """Write every record in order; one that is told to be broken has a byte in its middle turned over."""
    info = "software: examples/data/build.py\r\nformat: WARC File Format 1.0\r\nlicense: CC0-1.0\r\n"
    yield record("warcinfo", 0, None, info.encode(), Content_Type="application/warc-fields")
    for number, told in enumerate(crawl["answer"], 1):
        data = bytearray(response(told, number))
        if told.get("broken"):
            data[len(data) // 2] ^= 0xFF
        yield bytes(data)


def build(target: Path) -> None:
    """Write the crawl to `target`."""
    crawl = tomllib.loads((HERE / "pages.toml").read_text("utf-8"))
    target.write_bytes(b"".join(records(crawl)))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pages.warc.gz"
    build(target)
    print(f"{target}: {target.stat().st_size:,} bytes")
