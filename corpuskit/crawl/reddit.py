"""Reddit's dumps and exports, old and new, as one kind of item: a submission or a comment."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from corpuskit import files
from corpuskit.crawl.lines import Block, Damage, lines
from corpuskit.crawl.logs import Fault, Table, tables
from corpuskit.errors import InputError
from corpuskit.settings import suggest

__all__ = ["GONE", "Chunk", "Item", "dates", "flags", "integers", "links_in", "read", "texts"]

Value = str | int | float | bool | None

_CHUNK = 8192
GONE = frozenset({"[deleted]", "[removed]", ""})
"""What stands in place of a text that was taken away."""

_TRIED = 1000
"""A file whose first so many records are all unknown is none of Reddit's."""

_LINK = re.compile(r"https?://(?:[^\s()<>\[\]\"\\`{}|^]|\\[^\s]|\([^\s()<>\"]*\))+", re.IGNORECASE)
_ESCAPED = re.compile(r"\\([^A-Za-z0-9\s])")
_TRAILING = ".,;:!?'*_~"
_SUBREDDIT = re.compile(r"/r/([^/]+)/", re.IGNORECASE)
_YEAR_10000 = 253_402_300_800


class Item(msgspec.Struct, gc=False):
    """What is read of a submission or a comment, as the dump has it; a comment has a `body`."""

    url: Value = None
    url_overridden_by_dest: Value = None
    title: Value = None
    selftext: Value = None
    body: Value = None
    is_self: Value = None
    domain: Value = None
    score: Value = None
    ups: Value = None
    downs: Value = None
    over_18: Value = None
    nsfw: Value = None
    created_utc: Value = None
    created: Value = None
    subreddit: Value = None
    permalink: Value = None


_FIELDS = Item.__struct_fields__
_decode = msgspec.json.Decoder(Item).decode


class Chunk(NamedTuple):
    """Some items in a row, the offset of each in the inflated file, and what could not be read.

    Comments that hold no link, nearly all of them, are passed over, and counted.
    """

    items: list[Item]
    places: list[int]
    faults: list[Fault]
    passed: int = 0


def read(path: str) -> Iterator[Chunk]:
    """Read a dump: JSON lines, or a table with a header, plain or compressed.

    Faults are `lost` (bytes that could not be inflated, or a line too long; the value is how many),
    `malformed` (no JSON object, or a row of another width) and `schema` (neither submission nor comment).

    Raises:
        InputError: The file is empty, or nothing in it is a submission or a comment.
    """
    found = lines(path)
    first = next(found, None)
    if first is None:
        raise InputError(f"{path} is empty", fix="fetch it again, or leave it out")
    found = itertools.chain([first], found)
    head = b"" if isinstance(first, Damage) else first.data.lstrip()
    if head[:1] in (b"{", b"[", b""):
        yield from _checked(path, head.partition(b"\n")[0], _json(found))
    else:
        for table in tables(found):
            yield _items(table, path)


def _json(found: Iterable[Block | Damage]) -> Iterator[Chunk]:
    chunk, passed = Chunk([], [], []), 0
    for block in found:
        if isinstance(block, Damage):
            chunk.faults.append(Fault(block.offset, "lost", block.length))
            continue
        for offset, line in block:
            if not line.strip():
                continue
            try:
                item = _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                chunk.faults.append(Fault(offset, "malformed", len(line)))
                continue
            body = item.body
            if type(body) is str and "://" not in body and body not in GONE:
                passed += 1
            elif type(body) is str or type(item.url) is str or type(item.title) is str:
                chunk.items.append(item)
                chunk.places.append(offset)
            else:
                chunk.faults.append(Fault(offset, "schema"))
        if max(len(chunk.items), len(chunk.faults), passed) >= _CHUNK:
            yield chunk._replace(passed=passed)
            chunk, passed = Chunk([], [], []), 0
    yield chunk._replace(passed=passed)


def _checked(path: str, first: bytes, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Pass chunks on once one holds what has a score: until then, this may be another kind of file."""
    held: list[Chunk] = []
    for chunk in chunks:
        held.append(chunk)
        if chunk.passed or any(item.score is not None or item.ups is not None for item in chunk.items):
            yield from held
            yield from chunks
            return
        if sum(len(chunk.items) + len(chunk.faults) for chunk in held) >= _TRIED:
            raise _unknown(path, first)
    if not any(fault.rule == "lost" for chunk in held for fault in chunk.faults):
        raise _unknown(path, first)
    yield from held


def _unknown(path: str, first: bytes) -> InputError:
    """Say what a file holds instead."""
    try:
        found = json.loads(first)
    except ValueError:
        found = None
    known = isinstance(found, dict) and found
    holds = f"a record with {', '.join(list(found)[:6])}" if known else "no JSON object"
    return InputError(
        f"{path} holds no submissions or comments of Reddit: its first line is {holds}",
        fix="a dump has a JSON object a line, with score and url (submissions) or body (comments)",
    )


def _items(table: Table, path: str) -> Chunk:
    """Turn the rows of a table into items.

    Raises:
        InputError: It has no column of URLs, or none of scores.
    """
    known = [name for name in table.names if name in _FIELDS]
    for wanted in (("url", "body"), ("score", "ups")):
        if not set(wanted) & set(known):
            what = f"{path} has no column {' or '.join(wanted)}"
            raise InputError(what, fix=suggest(wanted[0], table.names) if table.names else "give it a header")
    places = {name: place for place, name in enumerate(table.names) if name in known}
    fallback = files.file_name(path).partition(".")[0] or None
    items = [Item(**{name: row[place] or None for name, place in places.items()}) for row in table.rows]
    for item in items:
        if item.subreddit is None:
            found = _SUBREDDIT.search(str(item.permalink or ""))
            item.subreddit = found[1] if found else fallback
    return Chunk(items, table.places, table.faults)


def links_in(text: str) -> list[str]:
    """List the http links in Reddit's markdown, each once, in the order they stand.

    The entities that dumps write (`&amp;`) and markdown's escapes are undone; what ends a sentence is no
    part of a bare link; parentheses belong to a link where they close.

    >>> links_in("See [this](https://a.example/b_(c)), or https://a.example/?x=1&amp;y=2.")
    ['https://a.example/b_(c)', 'https://a.example/?x=1&y=2']
    """
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    found = (_ESCAPED.sub(r"\1", link).rstrip(_TRAILING) for link in _LINK.findall(text))
    return list(dict.fromkeys(link for link in found if not link.endswith("//")))


def texts(values: Sequence[Value]) -> pa.StringArray:
    """Return what is text; everything else is null."""
    return pa.array([value if type(value) is str else None for value in values], pa.string())


def integers(values: Sequence[Value]) -> pa.Int64Array:
    """Read whole numbers, which some dumps write as text or with a fraction; what is none is null.

    >>> integers([3, "4", 5.0, "6.0", None, True, "many"]).to_pylist()
    [3, 4, 5, 6, None, None, None]
    """
    return pa.array(
        [value if type(value) is int and abs(value) < 1 << 62 else _integer(value) for value in values],
        pa.int64(),
    )


def _integer(value: Value) -> int | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) and abs(number) < 1 << 62 else None


def flags(values: Sequence[Value]) -> pa.BooleanArray:
    """Read yes and no in all their spellings; what is neither is null.

    >>> flags([True, "False", 1, "true", None, "maybe"]).to_pylist()
    [True, False, True, True, None, None]
    """
    return pa.array(
        [value if value is True or value is False or value is None else _flag(value) for value in values],
        pa.bool_(),
    )


def _flag(value: Any) -> bool | None:  # noqa: ANN401 - a value of any type
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}.get(
        str(value).lower()
    )


def dates(values: Sequence[Value]) -> pa.TimestampArray:
    """Read seconds since 1970; what is before, or after the year 9999, is null."""
    seconds = [
        value if value is not None and 0 <= value < _YEAR_10000 else None
        for value in integers(values).to_pylist()
    ]
    return pa.array(seconds, pa.timestamp("s", tz="UTC")).cast(pa.timestamp("ms", tz="UTC"))
