"""Wikimedia's page views, an hour a file: which articles were looked at, and how often."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from corpuskit.crawl.countfile import Entries
from corpuskit.crawl.lines import Damage, lines
from corpuskit.crawl.logs import Fault

__all__ = ["is_page_views", "page_views"]

_PROJECT = re.compile(rb"[a-z0-9][a-z0-9.-]*|\"\"")
_ROW = re.compile(rb"\S+ (\S+) ([0-9]{1,15})(?: [0-9]+)?\r?")


def is_page_views(path: str) -> bool:
    """Say whether the first line of a file is one of hourly page views: project, title, views, bytes."""
    first = next(lines(path), None)
    if first is None or isinstance(first, Damage):
        return False
    parts = first.data.split(b"\n", 1)[0].split()
    return (
        len(parts) == 4 and bool(_PROJECT.fullmatch(parts[0])) and parts[2].isdigit() and parts[3].isdigit()
    )


def page_views(path: str, project: str, least: int, *, unescape: bool = True) -> Iterator[Entries]:
    """Read the articles of one project with at least so many views in this hour, as entries.

    A title with ":" stands for a page that is no article, and is passed over, as are other projects. The
    underscores of titles become spaces, and with `unescape` what is percent-encoded is decoded: a title never
    has "%" before two hex digits, so such a spelling could not match.

    Source: https://wikitech.wikimedia.org/wiki/Data_Platform/Data_Lake/Traffic/Pageviews; the rule of ":" and
    the views of an hour are MetaCLIP's.
    """
    head = project.encode() + b" "
    for item in lines(path):
        if isinstance(item, Damage):
            yield _entries([], [Fault(item.offset, "lost", item.length)])
        elif item.data.startswith(head) or b"\n" + head in item.data:
            rows: list[tuple[str, int, int]] = []
            faults: list[Fault] = []
            for at, line in item:
                if line.startswith(head):
                    row = _row(line, unescape)
                    if row is None:
                        faults.append(Fault(at, "malformed", len(line)))
                    elif row[1] >= least and ":" not in row[0]:
                        rows.append((*row, at))
            yield _entries(rows, faults)


def _row(line: bytes, unescape: bool) -> tuple[str, int] | None:
    """Return title and views of a line; null where it is none."""
    found = _ROW.fullmatch(line)
    if found is None:
        return None
    try:
        title = found[1].decode()
        if unescape and "%" in title:
            title = unquote(title, errors="strict")
    except UnicodeDecodeError:
        return None
    return " ".join(title.replace("_", " ").split()), int(found[2])


def _entries(rows: list[tuple[str, int, int]], faults: list[Fault]) -> Entries:
    texts = pa.array([row[0] for row in rows], pa.large_string())
    counts = pa.array([row[1] for row in rows], pa.int64())
    return Entries(texts, counts, np.array([row[2] for row in rows], np.int64), faults)
