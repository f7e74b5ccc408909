"""`crawl parquet`: existing corpora in Parquet, such as FineWeb and most of the Hugging Face hub."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import files
from corpuskit.crawl.columns import as_date, as_language, as_type, no_column
from corpuskit.crawl.corpora import TASK_BYTES, Corpus, Refused, Rows, corpus_files
from corpuskit.dataset import cut
from corpuskit.document import BATCH_BYTES, SCHEMA
from corpuskit.errors import InputError, UsageError
from corpuskit.stage import Input, Split, Task

__all__ = ["Parquet", "group_tasks", "leaf_types", "read_groups"]

Faults = npt.NDArray[np.object_]
"""Why each row of a batch gives no document; null where it does."""

_NAMES = re.compile(r"\.(?:parquet|pq)\Z", re.IGNORECASE)
_ROWS = 512
_ERRORS = (OSError, pa.ArrowException)
_DATE = SCHEMA.field("date").type


@dataclass(frozen=True)
class Parquet(Corpus):
    """Read existing corpora in Parquet.

    Every row becomes a document, its text byte for byte, or a reject that says why not:

    - `parquet.missing` (null), `parquet.empty` (white space alone), `parquet.encoding` (not UTF-8)
    - `parquet.type`: a column has a value that is not of the type asked for
    - `parquet.lost`: rows that cannot be read; the value is how many

    The columns are those of `layout`, or as named; a dot leads into a struct. Further columns are kept under
    the type that the file says, or the one given. A document is named by its row where the corpus has no ids.

    Raises:
        UsageError: An unknown type or layout, or a column that a file does not have, or not as text.
        InputError: A file is not Parquet.
    """

    name = "crawl.parquet"
    bad_rules = frozenset({"parquet.encoding", "parquet.lost", "parquet.type"})

    def __post_init__(self) -> None:
        """Check the columns to keep."""
        _ = self.columns

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the columns of documents and those that are kept."""
        return schema

    def plan(self, *sources: str) -> list[Task]:
        """Make every file a task, and every 256 MiB or so of row groups of a larger one."""
        found = corpus_files(sources, _NAMES)
        kept: dict[str, pa.DataType] = {}
        for item, _ in found:
            known = leaf_types(item.path)
            self._check(known, item.path)
            for column in self.columns.kept:
                kind = column.type or _kept_type(known[column.path], column.path, item.path)
                if kept.setdefault(column.name, kind) != kind:
                    what = f"column {column.path!r} is {kind} here and {kept[column.name]} in other files"
                    raise UsageError(f"{item.path}: {what}", fix=f"say which: {column.path}:TYPE")
        schema = pa.schema([*SCHEMA, *(pa.field(name, kind) for name, kind in kept.items())])
        return group_tasks(found, schema)

    def _check(self, known: dict[str, pa.DataType], path: str) -> None:
        for asked in self.asked:
            if asked not in known:
                raise no_column(asked, known, path)
        text = self.columns.layout.text
        if not _is_text(known[text]):
            raise UsageError(
                f"{path}: column {text!r} is {known[text]}, not text", fix="name another with --text-column"
            )

    def run(self, task: Task) -> Iterator[Split]:
        """Read row groups, at most 16 MiB of text at a time."""
        rows = Rows.of(self, task.schema, task, self.source)
        known = leaf_types(task.inputs[0].path)
        roles = {role: path for role, path in self.columns.layout.paths().items() if path in known}
        kept = {one.name: one.path for one in self.columns.kept}
        for found in read_groups(task, list(dict.fromkeys([*roles.values(), *kept.values()]))):
            if isinstance(found, Refused):
                rows.refuse(found)
                continue
            at, batch = found
            columns = {name: _column(batch, path) for name, path in (roles | kept).items()}
            documents = _documents(rows, at, columns)
            for piece in cut(documents, BATCH_BYTES):
                yield Split(piece, rows.take().rejected)
        yield rows.take()


def _documents(rows: Rows, at: int, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """Make documents of a batch that begins at row `at` of its file; refuse the other rows."""
    count = len(columns["text"])
    faults: Faults = np.full(count, None, object)
    text = _strings(columns["text"], pa.large_string(), faults)
    faults[np.asarray(pc.is_null(text)) & (faults == None)] = "missing"  # noqa: E711 - of every element
    blank = pc.fill_null(pc.equal(pc.binary_length(pc.utf8_ltrim_whitespace(text)), 0), False)
    faults[np.asarray(blank)] = "empty"
    nothing = pa.nulls(count)
    own, sources, urls, langs = (
        _typed(columns.get(role, nothing), pa.string(), faults).to_pylist()
        for role in ("id", "source", "url", "language")
    )
    found: dict[str, Any] = {
        "text": text,
        "url": urls,
        "date": _typed(columns.get("date", nothing), _DATE, faults),
        "source": [source or rows.source for source in sources],
        "origin": [f"{rows.path}@{at + row}" for row in range(count)],
        "lang": [as_language(lang) for lang in langs],
        "lang_score": _typed(columns.get("language_score", nothing), pa.float64(), faults).cast(pa.float32()),
    }
    for item in rows.schema.names[len(SCHEMA) :]:
        found[item] = _typed(columns[item], rows.schema.field(item).type, faults)
    for row in np.flatnonzero(faults != None).tolist():  # noqa: E711 - of every element
        rows.refuse(Refused(at + row, faults[row]))
    sound = faults == None  # noqa: E711 - of every element
    found["id"] = [
        rows.name(source, key, at + row) if good else ""
        for row, (source, key, good) in enumerate(zip(found["source"], own, sound, strict=True))
    ]
    arrays = [_array(found[item.name], item.type) for item in rows.schema]
    batch = pa.RecordBatch.from_arrays(arrays, schema=rows.schema)
    return batch if sound.all() else batch.filter(pa.array(sound))


def _array(values: pa.Array | list[Any], kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


def _typed(column: pa.Array, kind: pa.DataType, faults: Faults) -> pa.Array:
    """Bring a column under a type; a value that is of another gives its row a fault."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), kind)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if _is_text(column.type):
        column = _strings(column, pa.string(), faults)
    elif pa.types.is_string(kind) and (_is_number(column.type) or _is_date(column.type)):
        return column.cast(kind)  # ids are names, whatever their type
    if column.type == kind:
        return column
    if pa.types.is_timestamp(kind) and _is_date(column.type):
        return column.cast(kind, safe=False)  # what has no zone is taken for UTC
    return pa.array([_value(value, kind, faults, row) for row, value in enumerate(column.to_pylist())], kind)


def _value(value: Any, kind: pa.DataType, faults: Faults, row: int) -> Any:  # noqa: ANN401 - whatever Parquet holds
    try:
        return as_date(value) if pa.types.is_timestamp(kind) else as_type(value, kind)
    except TypeError:
        faults[row] = faults[row] or "type"
        return None


def _strings(column: pa.Array, kind: pa.DataType, faults: Faults) -> pa.Array:
    """Bring a column of text under a type of strings; bytes that are not UTF-8 give their row a fault."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    column = column.cast(kind)
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        large = pa.types.is_large_string(kind)
        values = column.cast(pa.large_binary() if large else pa.binary()).to_pylist()
        for row, value in enumerate(values):
            try:
                (value or b"").decode()
            except UnicodeDecodeError:
                faults[row], values[row] = "encoding", None
        return pa.array([None if value is None else value.decode() for value in values], kind)
    return column


def _column(batch: pa.RecordBatch, path: str) -> pa.Array:
    """Return a column, or one within structs."""
    if path in batch.schema.names:
        return batch[path]
    head, _, rest = path.partition(".")
    found: pa.Array = pc.struct_field(batch[head], rest.split("."))
    return found


def leaf_types(path: str) -> dict[str, pa.DataType]:
    """Name the columns of a Parquet file, and those within structs, with their types.

    Raises:
        InputError: It is not Parquet.
    """
    with files.open_input(path) as stream:
        try:
            schema = pq.read_schema(stream)
        except _ERRORS as error:
            raise InputError(f"{path} is not a readable Parquet file: {error}") from None
    return dict(item for column in schema for item in _leaves(column.name, column.type))


def _leaves(name: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    yield name, kind
    for inner in kind if pa.types.is_struct(kind) else ():
        yield from _leaves(f"{name}.{inner.name}", inner.type)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_date(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _kept_type(kind: pa.DataType, path: str, where: str) -> pa.DataType:
    """Say under which type a column of a file is kept."""
    if _is_text(kind):
        return pa.string()
    if _is_date(kind):
        return _DATE
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_boolean(kind):
        return pa.bool_()
    raise UsageError(
        f"{where}: column {path!r} is {kind}, and only text, numbers, booleans and dates are kept",
        fix="name a column within it, with a dot, or leave it out",
    )


def group_tasks(found: Sequence[tuple[Input, dict[str, Any]]], schema: pa.Schema) -> list[Task]:
    """Make each file a task, and a large one several, of whole row groups."""
    tasks = []
    for item, work in found:
        with files.open_input(item.path) as stream:
            footer = pq.ParquetFile(stream).metadata
            sizes = [footer.row_group(group).total_byte_size for group in range(footer.num_row_groups)]
        bounds, size = [0], 0
        for group, more in enumerate(sizes):
            if size and size + more > TASK_BYTES:
                bounds.append(group)
                size = 0
            size += more
        for start, stop in itertools.pairwise([*bounds, len(sizes)]):
            part = {"start": start, "stop": stop} if len(bounds) > 1 else {}
            tasks.append(Task(inputs=(item,), schema=schema, work=work | part))
    return tasks


def read_groups(task: Task, columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch] | Refused]:
    """Read a task's row groups, some hundred rows at a time, with the number of their first row in the file.

    Rows that cannot be read are lost, and the next row group is read all the same.
    """
    with files.open_input(task.inputs[0].path) as stream:
        parquet = pq.ParquetFile(stream)
        counts = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        for group in range(task.work.get("start", 0), task.work.get("stop", len(counts))):
            at, end = sum(counts[:group]), sum(counts[: group + 1])
            try:
                for batch in parquet.iter_batches(_ROWS, row_groups=[group], columns=list(columns)):
                    yield at, batch
                    at += len(batch)
            except _ERRORS:
                yield Refused(at, "lost", end - at)
