"""Reads ranges of files over https, s3 or any other filesystem that fsspec knows, within bounds."""

from __future__ import annotations

import io
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from corpuskit import __version__, files
from corpuskit.crawl.patience import Again, Patience, retry_after
from corpuskit.errors import InputError, UsageError

if TYPE_CHECKING:
    import requests
    from fsspec import AbstractFileSystem

__all__ = ["Answer", "Missing", "RemoteFile", "Store", "Web", "open_store"]

_CHUNK = 64 << 10
_CONNECT_SECONDS, _SILENT_SECONDS = 10.0, 60.0
_PASSED_OVER = 256 << 20
_TOLD_BYTES = 4 << 10
_PASSING = frozenset({403, 408, 425, 429})
_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(?:(\d+)|\*)\Z", re.IGNORECASE)
_CODE = re.compile(rb"<Code>([A-Za-z.]{1,60})</Code>")


class Missing(Exception):
    """There is no such file."""


@dataclass(frozen=True)
class Answer:
    """What a web server answered; `total` is the size of the whole file, null where it does not say."""

    status: int
    body: bytes
    total: int | None = None


class Web:
    """GETs over http and https, within a total deadline and a cap on bytes; redirects are not followed."""

    def __init__(self, patience: Patience, deadline: float) -> None:
        self._patience = patience
        self._deadline = deadline
        self._threads = threading.local()

    def get(self, url: str, limit: int, span: tuple[int, int] | None = None) -> Answer:
        """Return an answer with status 200, 206, 404 or 416, of `span` (first byte, end) where one is given.

        Raises:
            TryLater: 403, 408, 425, 429, 5xx and network faults, again and again.
            InputError: Another status, or more than `limit` bytes.
        """
        return self._patience.ask(url, lambda: self._attempt(url, limit, span))

    def _session(self) -> requests.Session:
        import requests

        found: requests.Session | None = getattr(self._threads, "session", None)
        if found is None:
            found = self._threads.session = requests.Session()
            found.headers.update({"User-Agent": f"corpuskit/{__version__}", "Accept-Encoding": "identity"})
        return found

    def _attempt(self, url: str, limit: int, span: tuple[int, int] | None) -> Answer:
        import requests
        import urllib3

        until = time.monotonic() + self._deadline
        headers = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span else {}
        silence = (_CONNECT_SECONDS, min(_SILENT_SECONDS, self._deadline))
        try:
            with self._session().get(
                url, headers=headers, timeout=silence, stream=True, allow_redirects=False
            ) as answer:
                return _judged(url, answer, _Body(url, answer.raw, until, limit), span)
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
            raise UsageError(f"{url} is not a URL: {error}", fix="check --base-url") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Again(_plain(error)) from None


class _Body:
    """The bytes of an answer as they come, under a deadline and a cap."""

    def __init__(self, url: str, raw: Any, until: float, limit: int) -> None:  # noqa: ANN401 - urllib3's, untyped here
        self._url, self._raw, self._until, self._limit = url, raw, until, limit

    def read(self) -> bytes:
        """Read all of it."""
        found = bytearray()
        while data := self._some():
            found += data
            if len(found) > self._limit:
                raise InputError(
                    f"{self._url} sends more than {self._limit:,} bytes", fix="check --base-url and --cdx-url"
                )
        return bytes(found)

    def span(self, start: int, end: int) -> bytes:
        """Pass over what comes before `start`, and read up to `end`."""
        found = bytearray()
        place = 0
        while place < end and (data := self._some()):
            found += data[max(0, start - place) : max(0, end - place)]
            place += len(data)
        return bytes(found)

    def head(self) -> bytes:
        """Read a little of it."""
        return bytes(self._some()[:_TOLD_BYTES])

    def _some(self) -> bytes:
        if time.monotonic() > self._until:
            raise Again("it took longer than --deadline")
        return bytes(self._raw.read1(_CHUNK, decode_content=False))


def _judged(url: str, answer: requests.Response, body: _Body, span: tuple[int, int] | None) -> Answer:
    status = answer.status_code
    if status in _PASSING or status >= 500:
        code = _CODE.search(body.head())
        told = f"{status} {code[1].decode() if code else answer.reason}"
        raise Again(told.strip(), retry_after(answer.headers, time.time()))
    if status in (404, 410):
        return Answer(404, body.head())
    if status == 416 and span:
        return Answer(416, b"")
    if status == 206 and span:
        return _part(answer, body, span)
    if status != 200:
        where = f" to {answer.headers['Location'][:200]}" if "Location" in answer.headers else ""
        raise InputError(f"{url} answers {status}{where}", fix="check --base-url and --cdx-url")
    if span is None:
        return Answer(200, body.read())
    if span[1] > _PASSED_OVER:
        raise InputError(f"{url}: the server sends whole files, not ranges", fix="choose another --base-url")
    length = answer.headers.get("Content-Length", "")
    found = body.span(*span)
    total = int(length) if length.isdecimal() else None
    if total is not None and len(found) < min(span[1], total) - min(span[0], total):
        raise Again("the answer was cut")
    return Answer(206, found, total)


def _part(answer: requests.Response, body: _Body, span: tuple[int, int]) -> Answer:
    """Check that an answer is of the bytes that were asked for."""
    told = _RANGE.match(answer.headers.get("Content-Range", "").strip())
    if told is None or int(told[1]) != span[0] or int(told[2]) >= span[1]:
        raise Again("it sends other bytes than were asked for")
    end = int(told[2]) + 1
    found = body.span(0, span[1] - span[0])
    total = int(told[3]) if told[3] else None
    if len(found) < end - span[0] or (total is not None and end < min(span[1], total)):
        raise Again("the answer was cut")
    return Answer(206, found, total)


def _plain(error: BaseException) -> str:
    """Say what went wrong on the way in a few words."""
    return re.sub(r"^.*: (?=.)", "", str(error).strip('()" '))[:200] or type(error).__name__


class Store(Protocol):
    """Files under one base; a path is relative to it."""

    base: str

    def read(self, path: str, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on, fewer only where the file ends.

        Raises:
            Missing: There is no such file.
        """

    def whole(self, path: str, limit: int) -> bytes:
        """Return a small file.

        Raises:
            Missing: There is no such file.
            InputError: It has more than `limit` bytes.
        """

    def size(self, path: str) -> int | None:
        """Return the size of a file; null where nobody says.

        Raises:
            Missing: There is no such file.
        """


def open_store(base: str, web: Web, patience: Patience) -> Store:
    """Open the files under a base URL or folder.

    Raises:
        UsageError: What reads such URLs is not installed.
    """
    if base.startswith(("http://", "https://")):
        return _WebStore(base.rstrip("/"), web)
    return _Mounted(base.rstrip("/"), patience)


class _WebStore:
    def __init__(self, base: str, web: Web) -> None:
        self.base, self._web = base, web

    def read(self, path: str, start: int, length: int) -> bytes:
        return self._get(path, length, (start, start + length)).body

    def whole(self, path: str, limit: int) -> bytes:
        return self._get(path, limit, None).body

    def size(self, path: str) -> int | None:
        return self._get(path, 1, (0, 1)).total

    def _get(self, path: str, limit: int, span: tuple[int, int] | None) -> Answer:
        found = self._web.get(files.join(self.base, path), limit, span)
        if found.status == 404:
            raise Missing(files.join(self.base, path))
        return found


class _Mounted:
    """What fsspec reads. s3 is asked with the credentials there are, or anonymously."""

    def __init__(self, base: str, patience: Patience) -> None:
        self.base, self._patience = base, patience
        self._fs = _filesystem(base)

    def read(self, path: str, start: int, length: int) -> bytes:
        return bytes(self._ask(path, lambda name: self._fs.cat_file(name, start=start, end=start + length)))

    def whole(self, path: str, limit: int) -> bytes:
        found = self.read(path, 0, limit + 1)
        if len(found) > limit:
            raise InputError(f"{path} has more than {limit:,} bytes", fix="check --base-url")
        return found

    def size(self, path: str) -> int | None:
        found: int | None = self._ask(path, lambda name: self._fs.size(name))
        return found

    def _ask(self, path: str, work: Any) -> Any:  # noqa: ANN401 - fsspec has no types
        name = files.join(self.base, path)

        def attempt() -> Any:  # noqa: ANN401
            try:
                return work(name)
            except FileNotFoundError:
                raise Missing(name) from None
            except Exception as error:  # noqa: BLE001 - every filesystem has faults of its own
                code = _code(error)
                if code == "InvalidRange":
                    return b""
                raise Again(f"{code} {_plain(error)}".strip()) from None

        return self._patience.ask(name, attempt)


def _code(error: BaseException) -> str:
    """Return the code of an S3 error, such as SlowDown; empty for another."""
    told = getattr(error.__cause__, "response", None)
    return str(told.get("Error", {}).get("Code", "")) if isinstance(told, dict) else ""


def _filesystem(base: str) -> AbstractFileSystem:
    import fsspec

    protocol = base.partition("://")[0] if files.is_url(base) else "file"
    try:
        if protocol == "s3":
            return _s3()
        return fsspec.filesystem(protocol)
    except ImportError:
        fix = (
            "pip install 'corpuskit[s3]'" if protocol == "s3" else f"install what fsspec needs for {protocol}"
        )
        raise UsageError(f"{base}: what reads {protocol}:// is not installed", fix=fix) from None
    except ValueError as error:
        raise UsageError(f"{base}: {error}", fix="give an https:// or s3:// URL, or a folder") from None


def _s3() -> AbstractFileSystem:
    """Return the s3 filesystem, which leaves asking again to us."""
    import botocore.session
    import fsspec

    config = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _SILENT_SECONDS,
        "retries": {"max_attempts": 0},
        "user_agent": f"corpuskit/{__version__}",
    }
    anonymous = botocore.session.Session().get_credentials() is None
    found = fsspec.filesystem("s3", anon=anonymous, config_kwargs=config)
    found.retries = 1
    return found


class RemoteFile(io.RawIOBase):
    """A file of a store that reads and seeks, at least `ahead` bytes at a time."""

    def __init__(self, store: Store, path: str, ahead: int) -> None:
        self._store, self._path, self._ahead = store, path, ahead
        self._place = self._start = 0
        self._held = b""
        self._size: int | None = None
        self._end: int | None = None

    def readable(self) -> bool:
        """Say that it reads."""
        return True

    def seekable(self) -> bool:
        """Say that it seeks."""
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; from the end the store is asked for the size."""
        if whence == io.SEEK_END:
            if self._size is None:
                self._size = self._store.size(self._path)
            if self._size is None:
                raise InputError(f"{self._path} has no known size", fix="choose another --base-url")
            offset += self._size
        elif whence == io.SEEK_CUR:
            offset += self._place
        self._place = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, or all the rest; fewer only at the end."""
        if size < 0:
            place = self._place
            size = max(0, self.seek(0, io.SEEK_END) - place)
            self._place = place
        found = self._from_held(size)
        while len(found) < size and not (self._end is not None and self._place >= self._end):
            length = max(size - len(found), self._ahead)
            self._start, self._held = self._place, self._store.read(self._path, self._place, length)
            if len(self._held) < length:
                self._end = self._start + len(self._held)
            found += self._from_held(size - len(found))
        return found

    def _from_held(self, size: int) -> bytes:
        skip = self._place - self._start
        found = self._held[skip : skip + size] if 0 <= skip < len(self._held) else b""
        self._place += len(found)
        return found
