"""The journal of a crawl: a line for every URL whose records are on the disk, so that a crash costs none."""

from __future__ import annotations

import json
import os
from base64 import b32decode
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from corpuskit.crawl.recording import Earlier, Mark
from corpuskit.errors import TargetError

__all__ = ["Entry", "Journal"]

Entry = dict[str, Any]
"""What became of a row: `row`, `rule` (null: it was fetched), `value`, `bound`, `why`, `host`, `seconds`,
`at` (when it was written), `end` (of the records, as a `Mark`) and `page` (null: it was not fetched)."""

_OPEN = -1


class Journal:
    """JSON lines in one file: first the task it belongs to, then entries, the last of a row counting.

    A line that was not written whole is cut off. A line `{"again": [...]}` opens rows once more. The number
    of rows is that of the first opening.

    Raises:
        TargetError: The file belongs to another task.
    """

    def __init__(self, path: Path, key: str, rows: int | None = None) -> None:
        self._path = path
        self._at = np.full(rows or 0, _OPEN, np.int64)
        self._again: set[int] = set()
        self._seen: dict[bytes, int] = {}
        self._pending: list[bytes] = []
        self._pending_rows: list[int] = []
        self._pending_pages: dict[bytes, Entry] = {}
        self.mark: Mark | None = None
        path.touch()
        self._file: BinaryIO = path.open("r+b")
        self._end = 0
        try:
            self._read(key)
        except TargetError:
            self._file.close()
            raise

    def _read(self, key: str) -> None:
        for number, line in enumerate(self._file):
            try:
                found: Entry = json.loads(line) if line.endswith(b"\n") else {}
            except ValueError:
                found = {}
            if not found:  # the last line, torn
                break
            if number == 0:
                if found.get("task") != key:
                    raise TargetError(
                        f"{self._path} belongs to another crawl", fix="choose another target, or use --force"
                    )
                self._at = np.full(found["rows"], _OPEN, np.int64)
            elif "again" in found:
                self._at[found["again"]] = _OPEN
                self._again.update(found["again"])
            else:
                self._note(found, self._end)
            self._end += len(line)
        self._file.truncate(self._end)
        self._file.seek(self._end)
        if not self._end:
            self._append(_line({"journal": 1, "task": key, "rows": len(self._at)}))

    def _note(self, entry: Entry, at: int) -> None:
        self._at[entry["row"]] = at
        self._again.discard(entry["row"])
        self.mark = Mark(*entry["end"])
        page = entry["page"]
        if page and page["refers_to"] is None:
            self._seen.setdefault(_digest(page["digest"]), at)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def open_rows(self) -> list[int]:
        """List the rows without an outcome."""
        found: list[int] = np.flatnonzero(self._at == _OPEN).tolist()
        return found

    def entries(self) -> Iterator[Entry]:
        """Yield the entry of every row that has one, in the order they were written."""
        with self._path.open("rb") as file:
            for at in np.sort(self._at[self._at != _OPEN]).tolist():
                file.seek(at)
                yield json.loads(file.readline())

    def add(self, entry: Entry) -> None:
        """Note an entry; it counts once it is committed."""
        self._pending.append(_line(entry))
        self._pending_rows.append(entry["row"])
        if entry["page"] and entry["page"]["refers_to"] is None:
            self._pending_pages.setdefault(_digest(entry["page"]["digest"]), entry)

    def __len__(self) -> int:
        """Count the entries that are not committed."""
        return len(self._pending)

    def commit(self) -> None:
        """Bring the noted entries to the disk; their records must be there."""
        for line, row in zip(self._pending, self._pending_rows, strict=True):
            self._at[row] = self._end
            self._again.discard(row)
            self._end += len(line)
        for digest, entry in self._pending_pages.items():
            self._seen.setdefault(digest, int(self._at[entry["row"]]))
        self._append(b"".join(self._pending), counted=True)
        self._pending, self._pending_rows, self._pending_pages = [], [], {}

    def _append(self, data: bytes, *, counted: bool = False) -> None:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._end += 0 if counted else len(data)

    def same(self, digest: str) -> Earlier | None:
        """Return the response of this crawl that had the same body; null if there was none."""
        key = _digest(digest)
        entry = self._pending_pages.get(key)
        if entry is None and key in self._seen:
            with self._path.open("rb") as file:
                file.seek(self._seen[key])
                entry = json.loads(file.readline())
        if entry is None:
            return None
        page = entry["page"]
        return Earlier(page["final_url"], page["fetched"], page["record_id"], page["digest"])

    def reopen(self, wanted: Callable[[Entry], bool]) -> bool:
        """Open the rows whose entry is `wanted` once more; say whether any such row is open now."""
        rows = [entry["row"] for entry in self.entries() if wanted(entry)]
        if rows:
            self._append(_line({"again": rows}))
            self._at[rows] = _OPEN
            self._again.update(rows)
        return bool(self._again)


def _line(value: Entry) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode() + b"\n"


def _digest(text: str) -> bytes:
    return b32decode(text.removeprefix("sha1:"))
