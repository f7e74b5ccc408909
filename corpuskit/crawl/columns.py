"""Which column of an existing corpus is what: its layout, dotted paths into it, and the columns to keep."""

from __future__ import annotations

import datetime
import email.utils
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from corpuskit.document import SCHEMA
from corpuskit.errors import UsageError
from corpuskit.language import language
from corpuskit.settings import suggest

__all__ = [
    "LAYOUTS",
    "TYPES",
    "Kept",
    "Layout",
    "LayoutName",
    "as_date",
    "as_language",
    "as_type",
    "field_names",
    "kept_columns",
    "lookup",
    "no_column",
]

TYPES: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "date": SCHEMA.field("date").type,
    }
)
"""The types a kept column may have, by the names that users write."""

LayoutName = Literal["plain", "c4", "dolma", "fineweb", "redpajama", "redpajama2"]


@dataclass(frozen=True)
class Layout:
    """The columns of a corpus by what they are; null where it has none. A dot leads into an object.

    `rare` are those of its columns that not every file or record has; `types` are those of further columns,
    which may be kept by name alone.
    """

    text: str = "text"
    id: str | None = None
    url: str | None = None
    date: str | None = None
    language: str | None = None
    language_score: str | None = None
    source: str | None = None
    rare: frozenset[str] = frozenset()
    types: Mapping[str, str] = field(default_factory=dict)

    def paths(self) -> dict[str, str]:
        """Name the columns it has, by what they are."""
        roles = ("text", "id", "url", "date", "language", "language_score", "source")
        return {role: path for role in roles if (path := getattr(self, role)) is not None}

    def needed(self) -> tuple[str, ...]:
        """Name the columns that a file must have."""
        return tuple(path for path in self.paths().values() if path not in self.rare)


LAYOUTS: Mapping[LayoutName, Layout] = MappingProxyType(
    {
        "plain": Layout(
            url="url",
            date="date",
            language="lang",
            language_score="lang_score",
            rare=frozenset({"url", "date", "lang", "lang_score"}),
        ),
        "c4": Layout(url="url", date="timestamp"),
        "dolma": Layout(
            id="id",
            url="metadata.url",
            date="created",
            source="source",
            rare=frozenset({"metadata.url", "created"}),
            types={"added": "string"},
        ),
        "fineweb": Layout(
            id="id",
            url="url",
            date="date",
            language="language",
            language_score="language_score",
            source="dump",
            types={
                "file_path": "string",
                "token_count": "int64",
                "language_script": "string",
                "minhash_cluster_size": "int64",
            },
        ),
        "redpajama": Layout(
            url="meta.url",
            date="meta.timestamp",
            language="meta.language",
            source="red_pajama_subset",
            rare=frozenset({"meta.url", "meta.timestamp", "meta.language", "red_pajama_subset"}),
        ),
        "redpajama2": Layout(
            text="raw_content",
            url="url",
            date="date_download",
            language="language",
            language_score="language_score",
            types={
                "digest": "string",
                "length": "int64",
                "nlines": "int64",
                "original_length": "int64",
                "original_nlines": "int64",
                "source_domain": "string",
                "title": "string",
                "cc_segment": "string",
                "perplexity": "float64",
                "bucket": "string",
            },
        ),
    }
)
"""The layouts that go by name, as the corpora's cards on the Hugging Face hub describe them.

`plain` is text with what else a corpus may call as we do: our own shards, and most others.
"""


class Kept(NamedTuple):
    """A column to keep: its name in the output, its path in the input, and its type; null: the file's own."""

    name: str
    path: str
    type: pa.DataType | None


_NUMBER = re.compile(r"[+-]?\d{1,400}(?:\.\d{0,400})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_EPOCH = re.compile(r"(?:\d{9,10}|\d{13})(?:\.\d*)?", re.ASCII)
_KEPT = re.compile(r"(?:(?P<name>[^=:]+)=)?(?P<path>[^=:]+)(?::(?P<type>[^=:]*))?")


def kept_columns(given: Iterable[str], layout: Layout, where: str) -> tuple[Kept, ...]:
    """Read `[NAME=]PATH[:TYPE]`; the name is else the last part of the path, the type the layout's.

    Raises:
        UsageError: Another form, an unknown type, a name twice, or one that documents have already.

    >>> kept_columns(["stars=meta.stars:int64"], Layout(), "crawl.jsonl")[0][:2]
    ('stars', 'meta.stars')
    """
    found: list[Kept] = []
    for item in given:
        match = _KEPT.fullmatch(item.strip())
        if match is None:
            raise UsageError(
                f"{where}: keep_columns has {item!r}", fix="write PATH, PATH:TYPE or NAME=PATH:TYPE"
            )
        path, kind = match["path"], match["type"] or layout.types.get(match["path"])
        if kind is not None and kind not in TYPES:
            raise UsageError(
                f"{where}: column {path!r} has the unknown type {kind!r}", fix=suggest(kind, TYPES)
            )
        name = match["name"] or path.rpartition(".")[2]
        if name in SCHEMA.names or name in [one.name for one in found]:
            raise UsageError(
                f"{where}: there is a column {name!r} already", fix=f"give it another name: new_{name}={item}"
            )
        found.append(Kept(name, path, None if kind is None else TYPES[kind]))
    return tuple(found)


def lookup(record: Any, path: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what stands at a path; null where nothing does. A path through a list gives a list.

    A key that has dots itself comes first.

    >>> lookup({"a": {"b": 1}, "x.y": 2, "l": [{"n": 3}, {}, {"n": 4}]}, "a.b")
    1
    >>> lookup({"l": [{"n": 3}, {}, {"n": 4}]}, "l.n")
    [3, 4]
    """
    if isinstance(record, dict):
        if path in record:
            return record[path]
        head, dot, rest = path.partition(".")
        return lookup(record[head], rest) if dot and head in record else None
    if isinstance(record, list):
        found = [lookup(item, path) for item in record]
        return [item for item in found if item is not None] or None
    return None


def field_names(record: Mapping[str, Any], depth: int = 3) -> Iterator[str]:
    """Name the fields of a record, and of the objects in it, as paths.

    >>> list(field_names({"a": 1, "b": {"c": 2}}))
    ['a', 'b', 'b.c']
    """
    for name, value in record.items():
        yield name
        inner = (
            next((item for item in value if isinstance(item, dict)), None)
            if isinstance(value, list)
            else value
        )
        if isinstance(inner, dict) and depth > 1:
            yield from (f"{name}.{path}" for path in field_names(inner, depth - 1))


def no_column(path: str, known: Iterable[str], where: str) -> UsageError:
    """Say that a file has no such column, which it has, and which layout would fit."""
    names = list(dict.fromkeys(known))
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    fit = [
        name
        for name, layout in LAYOUTS.items()
        if len(layout.needed()) > 1 and set(layout.needed()) <= set(names)
    ]
    same = [name for name in names if name.lower() == path.lower()]
    hint = f"did you mean {same[0]!r}?" if same else suggest(path, names)
    hint = f"its layout may be {fit[-1]}: --layout {fit[-1]}" if fit and not same else hint
    return UsageError(f"{where} has no column {path!r}; it has {shown or 'none'}", fix=hint)


def as_type(value: Any, kind: pa.DataType) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a value as a column of this type holds it; null is null, and so is a date that cannot be read.

    A number in a text is one, as CSV has no others.

    Raises:
        TypeError: It is of another type.

    >>> as_type("12", pa.int64()), as_type(3.0, pa.int64()), as_type(7, pa.string())
    (12, 3, '7')
    """
    if value is None or (isinstance(value, str) and pa.types.is_string(kind)):
        return value
    if pa.types.is_timestamp(kind):
        return as_date(value)
    if isinstance(value, bool) or pa.types.is_boolean(kind):
        return _as_bool(value, kind)
    if isinstance(value, int | float | datetime.datetime) and pa.types.is_string(kind):
        return str(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value) if value.lstrip("+-").isdigit() else float(value)
    if isinstance(value, int | float) and -1e300 < value < 1e300:
        if pa.types.is_floating(kind):
            return float(value)
        if value == int(value) and -(2**63) <= value < 2**63:
            return int(value)
    raise TypeError(type(value).__name__)


def _as_bool(value: Any, kind: pa.DataType) -> bool | str:  # noqa: ANN401 - whatever JSON holds
    text = str(value).lower() if isinstance(value, bool | str) else ""
    if text in ("true", "false"):
        if pa.types.is_boolean(kind):
            return text == "true"
        if pa.types.is_string(kind):
            return text
    raise TypeError(type(value).__name__)


def as_date(value: Any) -> datetime.datetime | None:  # noqa: ANN401 - whatever JSON holds
    """Read a date: ISO 8601, that of a mail, a year of four digits, or seconds (or ms) since 1970.

    What has no zone is taken for UTC. What cannot be read is null: unknown.

    >>> as_date("2019-04-25T12:57:54Z").isoformat(), as_date("Thu, 22 Aug 2002 18:26:25 +0700").hour
    ('2019-04-25T12:57:54+00:00', 11)
    >>> as_date(1117584000).year, as_date("2005").year, as_date("soon")
    (2005, 2005, None)
    """
    if value is None or isinstance(value, bool):
        return None
    utc = datetime.UTC
    try:
        if isinstance(value, int | float) and 1000 <= value <= 9999:
            value = str(int(value))
        if isinstance(value, int | float):
            return datetime.datetime.fromtimestamp(value / 1000 if abs(value) > 1e11 else value, utc)
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            value = datetime.datetime(value.year, value.month, value.day)
        found = value if isinstance(value, datetime.datetime) else _read_date(str(value).strip())
        return found.replace(tzinfo=utc) if found.tzinfo is None else found.astimezone(utc)
    except (ValueError, OverflowError, OSError, TypeError, IndexError):
        return None


def _read_date(text: str) -> datetime.datetime:
    if len(text) == 4 and text.isdigit():
        return datetime.datetime(int(text), 1, 1)
    if _EPOCH.fullmatch(text):
        number = float(text)
        return datetime.datetime.fromtimestamp(number / 1000 if number > 1e11 else number, datetime.UTC)
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return email.utils.parsedate_to_datetime(text)


def as_language(value: Any) -> str | None:  # noqa: ANN401 - whatever JSON holds
    """Return the ISO 639-3 code of what a corpus calls a language; null where it is not known.

    >>> as_language("en"), as_language("deu_Latn"), as_language("Klingon")
    ('eng', 'deu', None)
    """
    return _language(value) if isinstance(value, str) else None


@functools.lru_cache(4096)
def _language(name: str) -> str | None:
    try:
        return language(name)
    except UsageError:
        return None
