"""Which hosts and addresses are talked to, and from when each may be again, for all processes of a run."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

__all__ = ["Blocked", "Slots"]

_SLOTS = 1 << 20
_TIME = struct.Struct("<d")
_POLL_SECONDS = 0.25
_STALE_SECONDS = 2 * 3600.0


class Blocked(NamedTuple):
    """What stands in the way: a name, and until when; null where this process itself is at it."""

    name: str
    until: float | None


class Slots:
    """A table of times in one file, a slot a name, and a lock on each slot in use.

    A process that dies gives up its locks, and the times stay for the next. Names are hashed to 2**20
    slots: two that share one wait for each other. Without a file the table is this process's own. To be
    called by one thread at a time, and opened once a process, as the system's locks are a process's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._held: set[int] = set()
        self._file: BinaryIO | None = None
        if path is None:
            self._times = mmap.mmap(-1, _SLOTS * _TIME.size)
            return
        path.touch()
        self._file = path.open("r+b")
        self._file.truncate(_SLOTS * _TIME.size)  # sparse: only slots in use take room
        self._times = mmap.mmap(self._file.fileno(), _SLOTS * _TIME.size)

    def __enter__(self) -> Slots:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up what is held."""
        self._times.close()
        if self._file is not None:
            self._file.close()

    def take(self, names: Sequence[str], now: float) -> Blocked | None:
        """Take all names for one request, or none; return what stands in the way, null if they are taken."""
        taken: set[int] = set()
        for name in names:
            slot = _slot(name)
            if slot in taken:
                continue
            blocked = self._blocked(name, slot, now)
            if blocked is not None:
                for other in taken:
                    self._unlock(other)
                return blocked
            taken.add(slot)
        self._held |= taken
        return None

    def _blocked(self, name: str, slot: int, now: float) -> Blocked | None:
        if slot in self._held:
            return Blocked(name, None)
        if not self._lock(slot):
            return Blocked(name, now + _POLL_SECONDS)
        ready: float = _TIME.unpack_from(self._times, slot * _TIME.size)[0]
        if now < ready < now + _STALE_SECONDS:  # later than that, a clock was set back
            self._unlock(slot)
            return Blocked(name, ready)
        return None

    def give(self, ready: Sequence[tuple[str, float]]) -> None:
        """Give names back, each with the time from which it may be taken again."""
        times: dict[int, float] = {}
        for name, until in ready:
            slot = _slot(name)
            times[slot] = max(until, times.get(slot, 0.0))
        for slot, until in times.items():
            _TIME.pack_into(self._times, slot * _TIME.size, until)
            self._held.discard(slot)
            self._unlock(slot)

    def _lock(self, slot: int) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
        except OSError:
            return False
        return True

    def _unlock(self, slot: int) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, slot)


def _slot(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") % _SLOTS
