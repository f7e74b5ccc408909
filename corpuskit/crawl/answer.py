"""A server's answer, read by RFC 9112 within the limits of its hop: forgiving as browsers, yet bounded."""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Sequence
from typing import Any, Literal

from corpuskit.crawl.hop import Failed, Hop

__all__ = ["Answer", "Truncation"]

Truncation = Literal["length", "time", "disconnect"]

_HEAD_BYTES = 256 << 10  # of status line and headers; browsers stop at as much
_HEADS = 16  # informational answers before the real one
_BUFFER = 16 << 10
_STEP = 64 << 10
_STATUS = re.compile(rb"HTTP/(\d)(?:\.(\d))?[ \t]+([1-9]\d\d)(?:[ \t]+(.*))?")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_ENDS = (b"\r\n", b"\n")


class _Wire(io.RawIOBase):
    """What comes in from a socket, until the deadline, the cap, or the end; then why it ended."""

    def __init__(self, sock: socket.socket, hop: Hop) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._hop = hop
        self._room = hop.limits.bytes
        self.received = False
        self.end: Truncation | Literal["eof"] | None = None

    def makefile(self, mode: str) -> io.BufferedReader:
        """Stand in for the socket that http.client makes a file of."""
        return io.BufferedReader(self, _BUFFER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - typing's Buffer comes with Python 3.12
        """Read some bytes; at any end there are none, and no error: what came before must not be lost."""
        if self.end is None and self._room <= 0:
            self.end = "length"
        if self.end is None and time.monotonic() >= self._hop.deadline:
            self.end = "time"
        if self.end is not None:
            return 0
        self._sock.settimeout(self._hop.left())
        try:
            count = self._raw.readinto(memoryview(buffer)[: self._room]) or 0
        except TimeoutError:
            count, self.end = 0, "time"
        except OSError:
            count, self.end = 0, "disconnect"
        else:
            self.end = None if count else "eof"
        self.received = self.received or count > 0
        self._room -= count
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class Answer(http.client.HTTPResponse):
    """An answer read by RFC 9112, forgiving where browsers are, and bounded everywhere."""

    def __init__(self, sock: Any, debuglevel: int = 0, method: Any = None, url: Any = None) -> None:  # noqa: ANN401
        hop = Hop.under_way()
        self.wire = _Wire(sock, hop)
        super().__init__(self.wire, debuglevel, method, url)  # type: ignore[arg-type]
        self.head = b""
        hop.answer = self

    def begin(self, **_: object) -> None:
        """Read the head, past informational ones, and tell where the body will end."""
        for _again in range(_HEADS):
            lines = self._head_lines()
            status = _STATUS.fullmatch(lines[0].rstrip())
            if status is None:
                raise Failed("fetch.protocol", f"not HTTP: {lines[0][:80]!r}")
            code = int(status[3])
            if code == 101 or code >= 200:
                break
        else:
            raise Failed("fetch.protocol", f"more than {_HEADS} informational answers")
        self.head = b"".join(lines)
        self.code = self.status = code
        self.reason = (status[4] or b"").decode("latin-1")
        self.version = 10 if (status[1], status[2]) == (b"1", b"0") else 11
        self.headers = self.msg = _headers(lines[1:-1])
        self._frame()

    def _head_lines(self) -> list[bytes]:
        lines: list[bytes] = []
        room = _HEAD_BYTES
        while not lines or lines[-1] not in _ENDS:
            line = self.fp.readline(room + 1)
            room -= len(line)
            if not lines and line and not line.startswith(b"HTTP/"):
                raise Failed("fetch.protocol", f"not HTTP: {line[:80]!r}")
            if room < 0 or self.wire.end == "length":
                raise Failed("fetch.protocol", "a head without end")
            if not line.endswith(b"\n"):
                if self.wire.end == "time":
                    raise Failed("fetch.timeout", "no whole head in time")
                raise Failed(
                    "fetch.disconnect", "closed within the head" if lines else "closed without answer"
                )
            lines.append(line)
        return lines

    def _frame(self) -> None:
        """Tell where the body ends (RFC 9112, 6.3)."""
        said = self.headers.get_all("content-length", [])
        lengths = {value.strip() for each in said for value in each.split(",")}
        codings = ",".join(self.headers.get_all("transfer-encoding", [])).lower()
        connection = ",".join(self.headers.get_all("connection", [])).lower()
        self.chunked = "chunked" in codings
        self.chunk_left = None
        self.length = None
        if self.status in (101, 204, 304):
            self.chunked, self.length = False, 0
        elif not self.chunked and lengths:
            if len(lengths) > 1:
                raise Failed("fetch.protocol", f"{len(lengths)} different lengths")
            (length,) = lengths
            if length.isascii() and length.isdigit():
                self.length = int(length[:18])  # beyond any cap all the same
        # A body where there must be none would be read as the next answer.
        self.will_close = (
            "close" in connection
            or self.status in (101, 204)
            or (self.version == 10 and "keep-alive" not in connection)
            or (self.length is None and not self.chunked)
            or (self.chunked and bool(lengths))
        )

    def body(self) -> tuple[bytes, Truncation | None]:
        """Read the body without its transfer coding; also say why it ends early, if it does."""
        out = io.BytesIO()
        if self.chunked:
            truncated = self._read_chunks(out)
        elif self.length is not None:
            truncated = self._read_exactly(self.length, out)
        else:
            truncated = self._read_rest(out)
        self.close()
        return out.getvalue(), truncated

    def _read_rest(self, out: io.BytesIO) -> Truncation | None:
        while data := self.fp.read(_STEP):
            out.write(data)
        return None if self.wire.end == "eof" else self._cut()

    def _read_exactly(self, count: int, out: io.BytesIO) -> Truncation | None:
        while count:
            asked = min(count, _STEP)
            data = self.fp.read(asked)
            out.write(data)
            count -= len(data)
            if len(data) < asked:
                return self._cut()
        return None

    def _read_chunks(self, out: io.BytesIO) -> Truncation | None:
        while True:
            line = self.fp.readline(_STEP)
            size = _CHUNK.fullmatch(line)
            if size is None:
                self.will_close = True
                if out.tell() or not line:
                    return self._cut()
                out.write(line)  # a plain body that was said to be chunked
                return self._read_rest(out)
            count = int(size[1], 16)
            if count == 0:
                while (trailer := self.fp.readline(_STEP)) and trailer not in _ENDS:
                    pass
                self.will_close = self.will_close or not trailer
                return None
            truncated = self._read_exactly(count, out)
            if truncated:
                return truncated
            if self.fp.readline(2) not in _ENDS:
                return self._cut()

    def _cut(self) -> Truncation:
        self.will_close = True
        end = self.wire.end
        return "disconnect" if end is None or end == "eof" else end


def _headers(lines: Sequence[bytes]) -> http.client.HTTPMessage:
    """Read header lines; one that is none is passed over, as browsers do, for those after it to count."""
    found: list[tuple[bytes, list[bytes]]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and found:
            found[-1][1].append(line)
            continue
        name, colon, value = line.partition(b":")
        name = name.strip()
        if colon and _TOKEN.fullmatch(name):
            found.append((name, [value]))
    headers = http.client.HTTPMessage()
    for name, values in found:
        text = b" ".join(map(bytes.strip, values)).decode("latin-1")
        headers.set_raw(name.decode("ascii"), _CONTROL.sub(" ", text))
    return headers
