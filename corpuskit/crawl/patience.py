"""Asks a service again and again, politely: few at a time, later each time, and not for ever."""

from __future__ import annotations

import contextlib
import email.utils
import fcntl
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from corpuskit import files
from corpuskit.errors import TryLater

__all__ = ["Again", "Patience", "Terms", "Turns", "retry_after"]

Result = TypeVar("Result")
_LONGEST = 60.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Terms:
    """Requests at a time, tries after the first, seconds before the first of these, seconds for a request.

    `obeyed` are the most seconds of a Retry-After that are waited.
    """

    connections: int = 4
    retries: int = 6
    pause: float = 1.0
    deadline: float = 300.0
    obeyed: float = 600.0


class Again(Exception):
    """A refusal or fault that may pass; `after` is how many seconds the service asked for, null if none."""

    def __init__(self, what: str, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a Retry-After header asks to wait; null if it says nothing readable.

    >>> retry_after({"Retry-After": " 7"}, 0.0), retry_after({"Retry-After": "soon"}, 0.0)
    (7.0, None)
    >>> retry_after({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, 20.0)
    40.0
    """
    said = str(headers.get("Retry-After", "")).strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class Turns:
    """So many requests at a time and no more, for all threads and processes that share a folder.

    Each turn is a lock on a file, so a process that dies gives its turns back.
    """

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / str(number) for number in range(count)]

    @classmethod
    def of(cls, target: str, count: int) -> Turns:
        """Share turns among all that write into one target."""
        if target and not files.is_url(target):
            return cls(Path(target) / ".turns", count)
        name = hashlib.blake2b(f"{os.getuid()} {target}".encode(), digest_size=16).hexdigest()
        return cls(Path(tempfile.gettempdir()) / f"corpuskit-{name}.turns", count)

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, and hold it while the block runs."""
        while True:
            for path in self._paths:
                with path.open("a") as file:
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    yield
                    return
            time.sleep(_POLL_SECONDS)


class Patience:
    """Repeats what may fail for a while; a refusal holds up every thread that asks through it.

    The wait doubles from try to try, up to a minute, times a factor from 0.5 to 1.5 that is a hash of
    the request and the try, so that not all come back at once. Retry-After is obeyed up to `obeyed`.
    """

    def __init__(self, terms: Terms, turns: Turns) -> None:
        self._terms = terms
        self._turns = turns
        self._ready = 0.0
        self._closed = threading.Event()

    def close(self) -> None:
        """Let no thread wait any longer: each gives up."""
        self._closed.set()

    def ask(self, what: str, attempt: Callable[[], Result]) -> Result:
        """Return what `attempt` returns, which raises Again where it may be repeated.

        Raises:
            TryLater: It was refused or failed every time.
        """
        for number in range(self._terms.retries + 1):
            self._wait()
            try:
                with self._turns.taken():
                    return attempt()
            except Again as again:
                trouble = again
            if trouble.after is not None and trouble.after > self._terms.obeyed:
                break
            if number < self._terms.retries:
                self._ready = max(self._ready, time.monotonic() + self._delay(what, number, trouble))
        self.close()
        raise TryLater(
            f"{what}: {trouble}, and so {number + 1} time{'s' * (number > 0)}",
            fix="run the same command again later: what is finished stands",
        )

    def _wait(self) -> None:
        while (left := self._ready - time.monotonic()) > 0:
            if self._closed.wait(left):
                raise TryLater("given up", fix="run the same command again: what is finished stands")

    def _delay(self, what: str, number: int, trouble: Again) -> float:
        key = hashlib.blake2b(f"{what}\0{number}".encode(), digest_size=8).digest()
        factor = 0.5 + int.from_bytes(key, "little") / 2**64
        delay = min(_LONGEST, self._terms.pause * 2.0**number) * factor
        return max(delay, trouble.after or 0.0)
