"""The journal of a search: a line for every page a service gave, so that none is asked for twice."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

from corpuskit.crawl.results import NoResult, Page, Result
from corpuskit.errors import TargetError

__all__ = ["Replies", "Reply"]


class Reply(NamedTuple):
    """What came of asking for a page of the query in `row`: the page and its date, or why there is none."""

    row: int
    page: Page | None
    date: datetime | None = None
    failed: str | None = None
    code: int | None = None
    blames_query: bool = False


class Replies:
    """JSON lines in one file: first the task it belongs to, then replies in the order they were asked for.

    Replies that stand are read back one after the other, `next`, and then new ones are added. A line that was
    not written whole is cut off.

    Raises:
        TargetError: The file belongs to another task.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        path.touch()
        self._file: BinaryIO = path.open("r+b")
        self._end = 0
        self._next = self._read()
        if self._next is None:
            self._write({"replies": 1, "task": key})
            return
        head, self._end = self._next
        if head.get("task") != key:
            self._file.close()
            raise TargetError(
                f"{path} belongs to another search", fix="choose another target, or use --force"
            )
        self._next = self._read()

    def __enter__(self) -> Replies:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def mark(self) -> int:
        """How far the file was read or written: where the next reply begins."""
        return self._end

    def next(self, row: int) -> Reply | None:
        """Return the reply of this query that was written next; null where it has to be asked for."""
        if self._next is None or self._next[0]["row"] != row:
            return None
        line, self._end = self._next
        self._next = self._read()
        return _reply(line)

    def add(self, reply: Reply) -> None:
        """Bring a reply to the disk, behind those that were read back."""
        self.forget(self._end)
        self._write(_line(reply))

    def forget(self, mark: int) -> None:
        """Take back the replies from `mark` on."""
        self._file.truncate(mark)
        self._file.seek(mark)
        self._end, self._next = mark, None

    def _read(self) -> tuple[dict[str, Any], int] | None:
        """Read one line, and say where it ends; null behind the last that is whole."""
        line = self._file.readline()
        try:
            found = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            found = None
        return (found, self._file.tell()) if isinstance(found, dict) else None

    def _write(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode() + b"\n"
        self._file.seek(self._end)
        self._file.write(data)
        self._file.truncate()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._end += len(data)


def _line(reply: Reply) -> dict[str, Any]:
    line: dict[str, Any] = {"row": reply.row}
    if reply.page is None:
        told = {"failed": reply.failed, "code": reply.code, "blames_query": reply.blames_query}
        return line | told
    found = [[item.rule] if isinstance(item, NoResult) else list(item) for item in reply.page.results]
    at = reply.date.timestamp() if reply.date else None
    return line | {"at": at, "results": found, "next": reply.page.next}


def _reply(line: dict[str, Any]) -> Reply:
    if "failed" in line:
        return Reply(line["row"], None, None, line["failed"], line["code"], line["blames_query"])
    found = [NoResult(*item) if len(item) == 1 else Result(*item) for item in line["results"]]
    at = line["at"]
    date = None if at is None else datetime.fromtimestamp(at, UTC)
    return Reply(line["row"], Page(tuple(found), line["next"]), date)
