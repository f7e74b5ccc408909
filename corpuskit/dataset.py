"""The dataset: a folder of Parquet parts, its rejects and its manifest; read, written and described here."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import files
from corpuskit.document import BATCH_BYTES, REJECT
from corpuskit.errors import InputError, UsageError

__all__ = [
    "Dataset",
    "Part",
    "PartWriter",
    "as_json",
    "conform",
    "cut",
    "read_batches",
    "row_bytes",
    "unify",
]

ROW_GROUP_BYTES = 64 << 20
ROW_GROUPS_BY = b"row_groups_by"
"""Schema metadata: the column whose every change begins a new row group."""


@dataclass(frozen=True)
class Part:
    """One Parquet file of a dataset: where it is in the folder, what it holds, and its sha256."""

    path: str
    rows: int
    text_bytes: int
    words: int
    languages: Mapping[str, tuple[int, int]]
    """Rows and words by language; `null` stands for documents without one."""
    file_bytes: int
    sha256: str

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Part:
        """Read a part from a manifest or a done marker."""
        languages = {name: (int(rows), int(words)) for name, (rows, words) in found["languages"].items()}
        return cls(**{**found, "languages": languages})


@dataclass(frozen=True)
class File:
    """A file beside the parts that a task wrote for others to read."""

    path: str
    file_bytes: int
    sha256: str

    @classmethod
    def at(cls, path: Path, name: str) -> File:
        """Describe a local file that will be `name` in the folder."""
        with path.open("rb") as file:
            return cls(name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


class Dataset:
    """A finished dataset on disk or behind an fsspec URL.

    Raises:
        InputError: There is no finished dataset at `path`.
    """

    def __init__(self, path: str) -> None:
        self.path = str(path)
        try:
            data = files.read_bytes(files.join(self.path, "manifest.json"))
            self.manifest: dict[str, Any] = json.loads(data)
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(self.path) from None
        except ValueError as error:
            what = f"{self.path}/manifest.json is damaged: {error}"
            raise InputError(what, fix="write the dataset again") from None
        self.sha256 = hashlib.sha256(data).hexdigest()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts in order, as the manifest lists them."""
        return tuple(Part.of(part) for part in self.manifest["parts"])

    @cached_property
    def rejects(self) -> tuple[Part, ...]:
        """The files of rejects in order."""
        return tuple(Part.of(part) for part in self.manifest["rejects"])

    @cached_property
    def files(self) -> tuple[File, ...]:
        """The files beside the parts, in the order of the parts; none in most datasets."""
        return tuple(File(**told) for told in self.manifest.get("files", []))

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema every part has."""
        with self.open(self.parts[0]) as file:
            return pq.read_schema(file)

    @property
    def rows(self) -> int:
        """How many rows all parts hold."""
        return sum(part.rows for part in self.parts)

    def path_of(self, part: Part) -> str:
        """Say where a part lies."""
        return files.join(self.path, part.path)

    def open(self, part: Part) -> BinaryIO:
        """Open a part for reading."""
        return files.open_input(self.path_of(part))

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read every row in order, at most 16 MiB of text at a time."""
        for part in self.parts:
            yield from read_batches(self.path_of(part), columns=columns)

    def reject_batches(self) -> Iterator[pa.RecordBatch]:
        """Read every reject in order."""
        for part in self.rejects:
            yield from read_batches(self.path_of(part), REJECT)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the whole dataset into memory."""
        batches = list(self.batches(columns))
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        return pa.Table.from_batches(batches, schema)


def _missing(path: str) -> InputError:
    if files.exists(files.join(path, "plan.json")):
        return InputError(f"{path} is not finished", fix="run the command that writes it again: it resumes")
    if files.exists(path):
        return InputError(
            f"{path} is not a dataset: it has no manifest.json", fix="read other files with crawl"
        )
    return InputError(f"there is no dataset at {path}", fix="check the path")


def read_batches(
    path: str, schema: pa.Schema | None = None, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read one Parquet file as batches of at most 16 MiB of text, under `schema` if given.

    An empty file yields nothing. Columns the file lacks are null.

    Raises:
        InputError: The file is missing or not Parquet.
    """
    try:
        with files.open_input(path) as source:
            parquet = pq.ParquetFile(source)
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=columns).combine_chunks()
                for batch in table.to_batches():
                    for piece in cut(batch, BATCH_BYTES):
                        yield piece if schema is None else conform(piece, schema)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from error


def unify(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Join schemas by column name, in the order columns first appear.

    Raises:
        UsageError: One column has two types.
    """
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for field in schema:
            known = fields.setdefault(field.name, field)
            if known.type != field.type:
                raise UsageError(
                    f"column {field.name!r} is {known.type} in one input and {field.type} in another",
                    fix="give the inputs one type for it, or drop it from one",
                )
    return pa.schema(list(fields.values()))


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Bring a batch under a schema: order the columns, fill those it lacks with null."""
    if batch.schema.equals(schema):
        return batch
    names = set(batch.schema.names)
    arrays = [
        batch.column(field.name).cast(field.type) if field.name in names else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def row_bytes(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the bytes each row takes, int64[rows]: 8 a column, and the length of strings and lists."""
    total = np.full(len(batch), 8 * batch.num_columns, np.int64)
    for column in batch.columns:
        total += _lengths(column)
    return total


def _lengths(column: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]] | int:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        ends = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(column), 0).to_numpy())])
        values = column.flatten()
        inner = np.full(len(values), 8, np.int64)
        for item in values.flatten() if pa.types.is_struct(values.type) else [values]:
            inner += _lengths(item)
        sums = np.concatenate([[0], np.cumsum(inner)])
        return np.asarray(sums[ends[1:]] - sums[ends[:-1]], np.int64)
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size * 4)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return np.asarray(pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False), np.int64)
    return 0


def cut(batch: pa.RecordBatch, limit: int) -> Iterator[pa.RecordBatch]:
    """Slice a batch into pieces of at most `limit` bytes, or one row; no row gives nothing."""
    ends = np.cumsum(row_bytes(batch))
    start = 0
    while start < len(batch):
        base = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + limit, side="right")))
        yield batch.slice(start, stop - start)
        start = stop


class PartWriter:
    """Writes rows to one local Parquet file; its bytes depend on the rows, not on how they were batched.

    zstd-3, row groups of at most 64 MiB, no dictionary and no statistics on text, page checksums on.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        plain = {"id", "url", "origin", "twin"}
        short = [field.name for field in schema if pa.types.is_string(field.type) and field.name not in plain]
        stats = [field.name for field in schema if not _is_text(field)]
        self.schema = schema
        self._path = path
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._groups_by = (schema.metadata or {}).get(ROW_GROUPS_BY, b"").decode()
        self._group: Any = None
        self._rows = self._text_bytes = self._words = 0
        self._languages: dict[str, tuple[int, int]] = {}
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=short,
            write_statistics=stats,
            write_page_checksum=True,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; they must have the writer's columns."""
        if not batch.schema.equals(self.schema):
            batch = conform(batch, self.schema)
        self._count(batch)
        for run in self._runs(batch):
            self._append(run)

    def _runs(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Cut a batch where a new row group must begin, which is nowhere unless the schema asks."""
        if not self._groups_by or not len(batch):
            yield batch
            return
        values = batch[self._groups_by].to_numpy()
        edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(batch)]
        for start, stop in itertools.pairwise(edges):
            if values[start] != self._group:
                self._flush()
                self._group = values[start]
            yield batch.slice(start, stop - start)

    def _append(self, batch: pa.RecordBatch) -> None:
        sizes = np.cumsum(row_bytes(batch))
        start = 0
        while start < len(batch):
            base = int(sizes[start - 1]) if start else 0
            room = ROW_GROUP_BYTES - self._pending_bytes
            stop = int(np.searchsorted(sizes, base + room, side="right"))
            stop = max(stop, start + 1) if not self._pending_bytes else max(stop, start)
            if stop > start:
                self._pending.append(batch.slice(start, stop - start))
                self._pending_bytes += int(sizes[stop - 1]) - base
            if stop < len(batch):
                self._flush()
            start = stop

    def _count(self, batch: pa.RecordBatch) -> None:
        self._rows += len(batch)
        if "text" not in self.schema.names:
            return
        from corpuskit.kernels.utf8 import buffers  # late: who only reads datasets needs no compiler
        from corpuskit.kernels.words import spaced_counts

        words = spaced_counts(*buffers(batch["text"]))
        self._text_bytes += int(pc.sum(pc.binary_length(batch["text"])).as_py() or 0)
        self._words += int(words.sum())
        if "lang" in self.schema.names:
            langs = pc.fill_null(batch["lang"], "null").dictionary_encode()
            for code, name in enumerate(langs.dictionary.to_pylist()):
                rows = np.asarray(langs.indices) == code
                before = self._languages.get(name, (0, 0))
                self._languages[name] = (before[0] + int(rows.sum()), before[1] + int(words[rows].sum()))

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending, self.schema).combine_chunks()
            self._writer.write_table(table, row_group_size=max(1, len(table)))
        self._pending, self._pending_bytes = [], 0

    def close(self, name: str) -> Part:
        """Finish the file, read its footer back, and describe it as `name`."""
        self._flush()
        self._writer.close()
        if pq.read_metadata(self._path).num_rows != self._rows:
            raise OSError(f"{self._path} does not read back with {self._rows} rows")
        with self._path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Part(
            path=name,
            rows=self._rows,
            text_bytes=self._text_bytes,
            words=self._words,
            languages=dict(sorted(self._languages.items())),
            file_bytes=self._path.stat().st_size,
            sha256=sha256,
        )

    def abandon(self) -> None:
        """Give up: close and remove the unfinished file."""
        self._writer.close()
        self._path.unlink(missing_ok=True)


def _is_text(field: pa.Field) -> bool:
    return bool(pa.types.is_large_string(field.type) or pa.types.is_nested(field.type))


def as_json(part: Part) -> dict[str, Any]:
    """Return a part as plain JSON values."""
    found = dataclasses.asdict(part)
    return {**found, "languages": {name: list(counts) for name, counts in part.languages.items()}}
