"""Asks a CDX server, such as Common Crawl's, where the records of URLs lie."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa

from corpuskit.crawl import captures
from corpuskit.crawl.captures import SCHEMA, Wanted, is_path
from corpuskit.crawl.store import Web
from corpuskit.errors import InputError
from corpuskit.stage import Split

__all__ = ["Server"]

_COUNT_BYTES = 64 << 10
_PAGE_BYTES = 256 << 20
_MOST_PAGES = 10_000_000
_NONE = re.compile(rb"no captures found", re.IGNORECASE)
_OTHERS = re.compile(r"/(?:crawldiagnostics|robotstxt)/")
_LARGEST = 1 << 50


class Server:
    """The CDX server of one crawl; a pattern is a URL, a prefix like `site.com/a/*`, or `*.site.com`."""

    def __init__(self, web: Web, base: str, crawl: str) -> None:
        self._web, self._crawl = web, crawl
        self._url = f"{base.rstrip('/')}/{crawl}-index"

    def pages(self, patterns: Sequence[str]) -> list[tuple[str, int | None]]:
        """List the pages of captures that the server has for each pattern; none where there are no captures.

        Raises:
            InputError: The server does not know the crawl, or answers something else than a number of pages.
        """
        found: list[tuple[str, int | None]] = []
        for pattern in patterns:
            body = self._ask({"url": pattern, "output": "json", "showNumPages": "true"}, _COUNT_BYTES)
            found += [(pattern, page) for page in range(self._number(body))]
        return found

    def captures(self, pattern: str, page: int, wanted: Wanted) -> Split:
        """Read one page of captures, in the server's order; lines that make no sense are rejects.

        The server is asked to filter, which saves it work, and what it sends is filtered again. Captures
        of redirects, errors and robots.txt files, which lie in archives of their own, are left out.
        """
        query = [("url", pattern), ("output", "json"), ("page", str(page)), *_filters(wanted)]
        kept, bad = [], []
        for number, line in enumerate(self._ask(query, _PAGE_BYTES).split(b"\n")):
            if not line.strip():
                continue
            name = f"{page}:{number} {pattern}"
            row = _row(line)
            if row is None:
                bad.append(name)
            elif _is_wanted(row, wanted) and not _OTHERS.search(row["warc"]):
                kept.append({"id": name, **row})
        return Split(pa.RecordBatch.from_pylist(kept, SCHEMA), captures.rejects(bad))

    def _ask(self, query: Any, limit: int) -> bytes:  # noqa: ANN401 - what urlencode takes
        answer = self._web.get(f"{self._url}?{urlencode(query)}", limit)
        if answer.status == 404 and not _NONE.search(answer.body):
            raise InputError(
                f"{self._url} is not there: the CDX server does not know {self._crawl}",
                fix="see the names of crawls at https://index.commoncrawl.org, or check --cdx-url",
            )
        return b"" if answer.status == 404 else answer.body

    def _number(self, body: bytes) -> int:
        try:
            told = json.loads(body) if body else 0
        except (ValueError, RecursionError):
            told = None
        pages = told.get("pages") if isinstance(told, dict) else told
        if not isinstance(pages, int) or isinstance(pages, bool) or not 0 <= pages <= _MOST_PAGES:
            raise InputError(f"{self._url} does not answer like a CDX server", fix="check --cdx-url")
        return pages


def _filters(wanted: Wanted) -> Iterator[tuple[str, str]]:
    """Say in the server's terms what can be said so: fields that every crawl's index has under one name."""
    if wanted.statuses:
        yield "filter", f"~status:({'|'.join(map(str, wanted.statuses))})$"
    if wanted.languages:
        yield "filter", f"~languages:({'|'.join(wanted.languages)})(,|$)"


def _is_wanted(row: dict[str, Any], wanted: Wanted) -> bool:
    main = (row["languages"] or "").partition(",")[0]
    return (
        (not wanted.statuses or row["status"] in wanted.statuses)
        and (not wanted.languages or main in wanted.languages)
        and (not wanted.types or (row["type"] or "").lower() in wanted.types)
    )


def _row(line: bytes) -> dict[str, Any] | None:
    """Read a line of JSON; null where it does not say where a record lies."""
    try:
        told = json.loads(line)
        offset, length = int(told["offset"]), int(told["length"])
        warc = told["filename"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if (
        not isinstance(warc, str)
        or not is_path(warc)
        or not (0 <= offset < _LARGEST and 0 < length < _LARGEST)
    ):
        return None
    status = str(told.get("status", ""))
    return {
        "url": _text(told.get("url")),
        "date": _date(str(told.get("timestamp", ""))),
        "status": int(status) if re.fullmatch(r"[0-9]{1,3}", status) else None,
        "type": _text(told.get("mime-detected")) or _text(told.get("mime")),
        "languages": _text(told.get("languages")),
        "digest": _text(told.get("digest")),
        "warc": warc,
        "offset": offset,
        "length": length,
    }


def _text(value: object) -> str | None:
    """Return a text that can be written as UTF-8; null where there is none."""
    return (
        value.encode("utf-8", "replace").decode()
        if isinstance(value, str) and value not in ("", "-")
        else None
    )


def _date(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
