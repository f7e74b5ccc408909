"""Existing corpora as documents: their files, their rows, and what a row becomes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from corpuskit import files
from corpuskit.crawl.columns import (
    LAYOUTS,
    Kept,
    Layout,
    LayoutName,
    as_date,
    as_language,
    as_type,
    kept_columns,
    lookup,
)
from corpuskit.dataset import Dataset
from corpuskit.document import BATCH_BYTES, REJECT, SCHEMA, document_id
from corpuskit.errors import InputError
from corpuskit.settings import setting
from corpuskit.stage import Input, Split, Stage, Task

__all__ = [
    "TASK_BYTES",
    "Columns",
    "Corpus",
    "Refused",
    "Row",
    "Rows",
    "check_ids",
    "collection",
    "corpus_files",
    "split_rows",
    "unpacked",
]

TASK_BYTES = 256 << 20
"""A file that can be read from anywhere is cut into tasks of about so many bytes."""

PLACE = "-"
"""As `id_column`: documents are named by file and offset, whatever ids the corpus has."""

_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst|zstd|lz4)\Z", re.IGNORECASE)
_NUMBERS = re.compile(r"(?:[-_.](?:of[-_.])?\d+)+\Z")
_PART = re.compile(r"(?:part[-_])?\d+(?:[-_.][0-9a-z]{2,16})*")  # as Spark, Hadoop and our shards name files
_IDS_AT_ONCE = 50_000_000


Finder = Callable[[dict[str, Any]], Any]
"""Finds a column in a record; null where it is not there."""


class Row(NamedTuple):
    """A record of a file, and where it stands: its offset in bytes, or its number where it has none."""

    at: int
    record: dict[str, Any]


class Refused(NamedTuple):
    """A row that gives no document, by which rule (without its kind), and that rule's value."""

    at: int
    rule: str
    value: float | None = None


@dataclass(frozen=True)
class Corpus(Stage):
    """Settings that the readers of existing corpora share."""

    layout: LayoutName = setting("plain", "the corpus whose columns the files have")
    text_column: str | None = setting(
        None, "column of the text; a dot leads into an object  [default: the layout's]"
    )
    id_column: str | None = setting(
        None, "column of ids that are unique in the corpus, or - to name documents by file and offset"
    )
    url_column: str | None = setting(None, "column of the URL")
    date_column: str | None = setting(None, "column of the date")
    language_column: str | None = setting(None, "column of the language")
    keep_columns: tuple[str, ...] = setting((), "further columns to keep, as [NAME=]PATH[:TYPE]")
    source: str | None = setting(
        None, "name of the collection  [default: the layout's column, or the file's name]"
    )

    @cached_property
    def columns(self) -> Columns:
        """The columns by what they are."""
        own = LAYOUTS[self.layout]
        chosen = {
            "text": self.text_column,
            "id": self.id_column,
            "url": self.url_column,
            "date": self.date_column,
            "language": self.language_column,
        }
        named: dict[str, Any] = {role: path for role, path in chosen.items() if path is not None}
        layout = replace(own, rare=own.rare - set(named.values()), **named)
        layout = replace(layout, id=None) if layout.id == PLACE else layout
        layout = replace(layout, source=None) if self.source else layout
        return Columns(layout, kept_columns(self.keep_columns, own, self.name))

    @property
    def asked(self) -> tuple[str, ...]:
        """The columns that a file must have: the layout's, and those that were asked for by name."""
        layout = self.columns.layout
        kept = [one.path for one in self.columns.kept]
        return tuple(dict.fromkeys([*layout.needed(), *kept]))

    def finish(self, dataset: Dataset) -> None:
        """Check that the ids the corpus gave are unique in all its files.

        Raises:
            InputError: They are not.
        """
        if self.columns.layout.id is not None:
            check_ids(dataset, self.name)


@dataclass(frozen=True)
class Columns:
    """Where in a record a document's columns are."""

    layout: Layout
    kept: tuple[Kept, ...] = ()
    lang: str | None = None
    """The language of documents that do not say theirs."""

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema of the documents."""
        return pa.schema([*SCHEMA, *(pa.field(kept.name, kept.type) for kept in self.kept)])

    @cached_property
    def _find_text(self) -> Finder:
        return _finder(self.layout.text)

    @cached_property
    def _find_others(self) -> tuple[Finder, ...]:
        one = self.layout
        return tuple(map(_finder, (one.id, one.source, one.url, one.date, one.language, one.language_score)))

    @cached_property
    def _find_kept(self) -> list[tuple[Finder, pa.DataType]]:
        return [(_finder(kept.path), kept.type) for kept in self.kept]

    def read(self, row: Row, rows: Rows) -> None:
        """Make a document of a row, or a reject."""
        text = self._find_text(row.record)
        if not isinstance(text, str):
            rows.refuse(Refused(row.at, "missing" if text is None else "type"))
        elif not text or text.isspace():
            rows.refuse(Refused(row.at, "empty", len(text)))
        else:
            self.add(row, text, rows)

    def add(self, row: Row, text: str, rows: Rows) -> None:
        """Make a document of a text and the other columns of its row."""
        own, source, url, date, lang, score = [find(row.record) for find in self._find_others]
        try:
            name = str(own) if isinstance(own, int) else _string(own)
            place = (_string(source), _string(url))
            number = as_type(score, pa.float64())
            kept = [as_type(find(row.record), kind) for find, kind in self._find_kept]
        except TypeError:
            rows.refuse(Refused(row.at, "type"))
            return
        columns = (text, place[1], as_date(date), as_language(lang) or self.lang, number, *kept)
        rows.keep(row.at, name, place[0], columns)


def _finder(path: str | None) -> Finder:
    if path is None:
        return lambda record: None
    if "." in path:
        return lambda record: lookup(record, path)
    return lambda record: record.get(path)


def _string(value: Any) -> str | None:  # noqa: ANN401 - whatever JSON holds
    if value is None or isinstance(value, str):
        return value
    raise TypeError(type(value).__name__)


@dataclass
class Rows:
    """Documents and rejects of one file as they come, until a batch is full."""

    stage: str
    schema: pa.Schema
    path: str
    place: str
    source: str
    text_bytes: int = 0
    _kept: list[tuple[Any, ...]] = field(default_factory=list)
    _rejected: list[dict[str, Any]] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)

    @classmethod
    def of(cls, stage: Stage, schema: pa.Schema, task: Task, source: str | None = None) -> Rows:
        """Begin the rows of a task's file."""
        name = task.inputs[0].name
        place = str(task.work.get("place", unpacked(name)))
        return cls(stage.name, schema, task.inputs[0].path, place, source or collection(task.inputs[0].path))

    def keep(self, at: int, own: str | None, source: str | None, columns: tuple[Any, ...]) -> None:
        """Keep a document: its own id and source, where it has them, and its other columns in order."""
        source = source or self.source
        name = self.name(source, own, at)
        text, url, date, lang, score, *kept = columns
        self._kept.append((name, text, url, date, source, f"{self.path}@{at}", lang, score, *kept))
        self.text_bytes += len(text) if text.isascii() else len(text.encode())

    def name(self, source: str, own: str | None, at: int) -> str:
        """Name a document; where its own id came before in the file, by its place."""
        if own:
            name = document_id(source, own, "")
            if (key := bytes.fromhex(name)) not in self._seen:
                self._seen.add(key)
                return name
        return document_id(source, f"{self.place}@{at}", "")

    def refuse(self, row: Refused) -> None:
        """Reject a row; it is named by its place."""
        name = document_id(self.source, f"{self.place}@{row.at}", "")
        origin = f"{self.path}@{row.at}"
        rule = f"{self.stage.partition('.')[2]}.{row.rule}"
        self._rejected.append(
            {"id": name, "origin": origin, "stage": self.stage, "rule": rule, "value": row.value}
        )

    @property
    def full(self) -> bool:
        """Whether a batch is."""
        return self.text_bytes >= BATCH_BYTES or len(self._kept) + len(self._rejected) >= 1 << 16

    def take(self) -> Split:
        """Give out what has come since the last time."""
        columns = list(zip(*self._kept, strict=True)) or [()] * len(self.schema)
        arrays = [pa.array(values, item.type) for values, item in zip(columns, self.schema, strict=True)]
        kept = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        rejected = pa.RecordBatch.from_pylist(self._rejected, REJECT)
        self._kept, self._rejected, self.text_bytes = [], [], 0
        return Split(kept, rejected)


def split_rows(
    found: Iterable[Row | Refused], read: Callable[[Row, Rows], None], rows: Rows
) -> Iterator[Split]:
    """Read every row of a file into batches."""
    for row in found:
        if isinstance(row, Row):
            read(row, rows)
        else:
            rows.refuse(row)
        if rows.full:
            yield rows.take()
    yield rows.take()


def corpus_files(sources: Sequence[str], names: re.Pattern[str]) -> list[tuple[Input, dict[str, Any]]]:
    """List files, once each, and with each what its tasks' work must say; a folder stands for those below it.

    Documents are named by their files' names. Where two files of one name would give the same ids, `place`
    is as much of the path as tells them apart.

    Raises:
        InputError: Nothing is there, or in a folder nothing of such a name.
    """
    paths = list(dict.fromkeys(path for source in sources for path in _expand(source, names)))
    same = Counter(unpacked(files.file_name(path)) for path in paths)
    clash = [path for path in paths if same[unpacked(files.file_name(path))] > 1]
    found = []
    for path in paths:
        name = files.file_name(path)
        size, identity = files.identity(path)
        work = {"place": _tail(path, clash)} if path in clash else {}
        found.append((Input(path, name, size, identity), work))
    return found


def _expand(source: str, names: re.Pattern[str]) -> list[str]:
    if source == "-" or files.is_url(source) or not Path(source).is_dir():
        return files.expand(source)
    if files.exists(
        files.join(source, "manifest.json")
    ):  # a dataset of ours: what it rejected is no document
        dataset = Dataset(source)
        inside = [dataset.path_of(part) for part in dataset.parts]
    else:
        inside = [str(path) for path in Path(source).rglob("*") if path.is_file() and path.name[0] != "."]
    found = sorted(path for path in inside if names.search(unpacked(path)))
    if not found:
        raise InputError(
            f"no such files in {source}", fix="name them one by one, or with a pattern in quotes"
        )
    return found


def _tail(path: str, others: Sequence[str]) -> str:
    """Return the end of a path that no other path has."""
    parts = path.split("/")
    tails = ("/".join(parts[-count:]) for count in range(1, len(parts) + 1))
    return next(
        (tail for tail in tails if sum(f"/{other}".endswith(f"/{tail}") for other in others) == 1), path
    )


def unpacked(name: str) -> str:
    """Drop the ending that says how a file is compressed.

    >>> unpacked("c4-train.00000-of-01024.json.gz")
    'c4-train.00000-of-01024.json'
    """
    return _PACKED.sub("", name)


def collection(path: str) -> str:
    """Name a collection after one of its files, or after the folder where the file's name says nothing.

    >>> collection("c4-train.00000-of-01024.json.gz"), collection("books/part-00007-c0ffee.parquet")
    ('c4-train', 'books')
    """
    name = unpacked(files.file_name(path))
    folder = path.rstrip("/").rpartition("/")[0].rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    if _PART.fullmatch(stem) and folder:
        return folder
    return "stdin" if path == "-" else _NUMBERS.sub("", stem) or stem


def check_ids(dataset: Dataset, kind: str) -> None:
    """Check that no id of a dataset occurs twice, in at most 400 MB of memory.

    Raises:
        InputError: One does.
    """
    passes = -(-dataset.rows // _IDS_AT_ONCE)
    for number in range(passes):
        found = [_id_numbers(batch["id"]) for batch in dataset.batches(["id"])]
        ids = np.sort(np.concatenate([part[part % passes == number] for part in found]))
        again = np.unique(ids[1:][ids[1:] == ids[:-1]])
        if len(again) and (names := _repeated(dataset, again)):
            raise InputError(
                f"{kind}: {dataset.path} has {len(names)} ids of the corpus that several documents share",
                fix="name documents by file and offset: --id-column -, into another target or with --force",
            )


def _id_numbers(ids: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return the first 64 of the 128 bits of every id."""
    return np.array([int(name[:16], 16) for name in ids.to_pylist()], np.uint64)


def _repeated(dataset: Dataset, numbers: np.ndarray[Any, np.dtype[np.uint64]]) -> list[str]:
    """List the ids that begin with one of these numbers and occur more than once."""
    counts: Counter[str] = Counter()
    for batch in dataset.batches(["id"]):
        here = np.isin(_id_numbers(batch["id"]), numbers)
        counts.update(batch["id"].filter(pa.array(here)).to_pylist())
    return sorted(name for name, count in counts.items() if count > 1)
