"""The pages of archives: which files are read, what collection they are of, and which records hold a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from corpuskit import files
from corpuskit.crawl.archive import Lost, Record, records
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.payload import BadPayload, Bomb, decode, inflate
from corpuskit.document import document_id
from corpuskit.errors import InputError
from corpuskit.stage import Input, Task

__all__ = ["Item", "archive_inputs", "archive_tasks", "expand", "html", "is_wat", "items", "unusable"]

_ARCHIVES = re.compile(r"\.(?:warc|arc|wet|wat)(?:\.(?:wet|wat))?(?:\.(?:gz|zst|zstd|lz4))?\Z", re.IGNORECASE)
_NOT_DOCUMENTS = frozenset({"request", "metadata", "warcinfo"})
_HTML = re.compile(r"\s*(?:text/html|application/xhtml\+xml)\b", re.IGNORECASE)
_LOOKS_LIKE_HTML = re.compile(
    rb"\s*(?:<!--.{0,512}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_CRAWL = re.compile(r"CC-(?:MAIN|NEWS)-\d{4}-\d{2}(?!\d)")
_PART_OF = re.compile(rb"^isPartOf:[ \t]*(\S[^\r\n]{0,200})", re.MULTILINE | re.IGNORECASE)
_NUMBERS = re.compile(r"[-_.]?\d+(?:[-_.]\d+)*\Z")


class Item(NamedTuple):
    """A record of an archive or a stretch that was lost, the id it has as a document, and where it lies."""

    what: Record | Lost
    id: str
    source: str
    origin: str
    repeated: bool
    """Whether a record before it has the same WARC-Record-ID; then the id is that of its place."""


def expand(source: str) -> list[str]:
    """List the archives that a path, a folder, a pattern or a URL names.

    Raises:
        InputError: There are none.
    """
    if source == "-" or files.is_url(source) or not Path(source).is_dir():
        return files.expand(source)
    found = sorted(
        str(path) for path in Path(source).rglob("*") if _ARCHIVES.search(path.name) and path.is_file()
    )
    if not found:
        raise InputError(
            f"no archives in {source}", fix="name the files if they are not called .warc.gz or the like"
        )
    return found


def archive_inputs(paths: Iterable[str], named: bool) -> list[tuple[Input, dict[str, str]]]:
    """Name each archive as a task's input, once, with the work that tells equal names apart.

    The same archive packed twice, or two of one name, must not give the same ids, unless the collection is
    `named` by the user.
    """
    once = list(dict.fromkeys(paths))
    packings = Counter(_unpacked(files.file_name(path)) for path in once)
    found = []
    for path in once:
        name = files.file_name(path)
        twice = not named and packings[_unpacked(name)] > 1
        work = {"source": "/".join(path.split("/")[-2:])} if twice else {}
        found.append((Input(path, name, *files.identity(path)), work))
    return found


def archive_tasks(sources: Iterable[str], schema: pa.Schema, *, named: bool) -> list[Task]:
    """Make every archive a task, once; see `expand` and `archive_inputs`."""
    inputs = archive_inputs([path for source in sources for path in expand(source)], named)
    return [Task((item,), schema, work) for item, work in inputs]


def html(record: Record, most: int) -> str | Verdict:
    """Return the page of a record as text, or why it is none: more than `most` bytes inflated, or no text."""
    try:
        return decode(record.http, inflate(record.http, record.body, most))[0]
    except Bomb:
        return Verdict("payload.bomb", value=len(record.body), bound=most)
    except BadPayload:
        return Verdict("payload.bad", value=len(record.body))


def items(task: Task, source: str | None, limit: int, *, wat: bool = False) -> Iterator[Item]:
    """Read the archive of a task: every record but those that describe others, and every loss.

    A WAT's descriptions come with `wat` alone.
    The collection is `source`, else that of the task's work, else the crawl in the path, else what the
    archive says it is part of, else the file's name without its number.
    """
    archive = task.inputs[0]
    source = source or task.work.get("source") or _source_of_path(archive.path)
    seen: set[bytes] = set()
    with files.open_input(archive.path) as stream:
        for what in records(stream, archive.size if archive.size >= 0 else None, limit):
            if isinstance(what, Record) and what.kind == "warcinfo" and source is None:
                source = _source_of_info(what.body)
            if isinstance(what, Record) and what.kind in _NOT_DOCUMENTS and not (wat and is_wat(what)):
                continue
            source = source or _source_of_name(archive.name)
            place = f"{archive.name}@{what.position}"
            name = document_id(source, what.record_id if isinstance(what, Record) else None, place)
            repeated = bytes.fromhex(name) in seen
            if repeated:
                name = document_id(source, None, place)
            seen.add(bytes.fromhex(name))
            yield Item(what, name, source, f"{archive.path}@{what.position}", repeated)


def is_wat(record: Record) -> bool:
    """Say whether a record is a WAT's description of another record."""
    return record.kind == "metadata" and (record.content_type or "").startswith("application/json")


def unusable(record: Record) -> Verdict | None:
    """Say why a record holds no page; null if it may."""
    if record.kind == "revisit":
        return Verdict("warc.revisit")
    if record.kind not in ("response", "resource", "conversion"):
        return Verdict("warc.kind")
    if record.kind == "response" and record.status not in (None, 200):
        return Verdict("warc.status", value=record.status)
    if not record.body.strip():
        return Verdict("warc.empty", value=len(record.body))
    if record.kind == "conversion" or _HTML.match(record.content_type or ""):
        return None
    # Without a type, the page itself says what it is.
    unnamed = not record.content_type and _LOOKS_LIKE_HTML.match(record.body[:1024])
    return None if unnamed else Verdict("warc.type")


def _unpacked(name: str) -> str:
    return re.sub(r"\.(?:gz|zst|zstd|lz4)\Z", "", name)


def _source_of_path(path: str) -> str | None:
    found = _CRAWL.search(path)
    return found[0] if found else None


def _source_of_info(body: bytes) -> str | None:
    found = _PART_OF.search(body)
    return found[1].decode("utf-8", "replace").strip() if found else None


def _source_of_name(name: str) -> str:
    """Name a collection after its files: `crawl-00017.warc.gz` is of `crawl`."""
    stem = name.partition(".")[0]
    return "stdin" if name == "-" else _NUMBERS.sub("", stem) or stem or name
