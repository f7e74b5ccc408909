"""`crawl records`: rows of tables as text: films, products, firms, posts."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from functools import cached_property

import pyarrow as pa

from corpuskit.crawl import templates
from corpuskit.crawl.columns import TYPES, Layout, as_language, kept_columns, lookup, no_column
from corpuskit.crawl.corpora import Columns, Refused, Row, Rows, check_ids, corpus_files, split_rows
from corpuskit.crawl.tabular import Dialect, Format, fields, read_rows, table_tasks
from corpuskit.crawl.templates import READY, Template
from corpuskit.dataset import Dataset
from corpuskit.errors import UsageError
from corpuskit.language import language
from corpuskit.settings import setting
from corpuskit.stage import Split, Stage, Task

__all__ = ["Records"]

_NAMES = re.compile(r"\.(?:csv|tsv|tab|jsonl|ndjson|json|parquet|pq)\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Records(Stage):
    """Make text of the rows of CSV, TSV, JSON lines and Parquet files by a template.

    Every row becomes a document or a reject that says why not:

    - `records.malformed`: no row: too few or too many fields, a quote without its other, not JSON, not UTF-8
    - `records.lost`: the compressed data is damaged or ends early
    - `records.missing`: no value for a field that the template needs; `records.empty`: no text at all
    - `records.type`: a column to keep is not of its type

    In a template `{title}` is the value of a field, `[by {director}]` vanishes without one, and
    `{date|date:long}` goes through a filter. A list is joined as its language does it.

    Raises:
        UsageError: An unknown template or filter, or a field that the files do not have.
    """

    name = "crawl.records"
    bad_rules = frozenset({"records.malformed", "records.lost", "records.type"})

    template: str = setting(
        MISSING, f"the template: {', '.join(READY)}, the path of your own, or its text", content=False
    )
    format: Format | None = setting(None, "what the files are  [default: as each name says]")
    delimiter: str | None = setting(
        None, "character between the fields of CSV  [default: a comma; of TSV a tab]"
    )
    encoding: str = setting("utf-8", "character encoding of CSV and TSV")
    missing: tuple[str, ...] = setting((), r"words that stand for no value, such as NA or \N")
    optional_fields: tuple[str, ...] = setting((), "fields of the template that files may lack altogether")
    language: str | None = setting(None, "language of the rows, which lists, dates and numbers follow")
    language_column: str | None = setting(None, "column of the language of each row")
    id_column: str | None = setting(None, "column of ids that are unique in all files")
    url_column: str | None = setting(None, "column of the URL")
    date_column: str | None = setting(None, "column of the date")
    keep_columns: tuple[str, ...] = setting(
        (), "further columns to keep, as [NAME=]PATH[:TYPE]; text by default"
    )
    source: str | None = setting(None, "name of the collection  [default: the file's name]")

    def __post_init__(self) -> None:
        """Read the template now: what is wrong with it is said before any work begins."""
        _ = self._template, self._dialect(None), self._columns
        if self.language is not None:
            language(self.language)

    @cached_property
    def _template(self) -> Template:
        return templates.load(self.template)

    @cached_property
    def _columns(self) -> Columns:
        layout = Layout(
            id=self.id_column, url=self.url_column, date=self.date_column, language=self.language_column
        )
        kept = kept_columns(self.keep_columns, layout, self.name)
        typed = tuple(one._replace(type=one.type or TYPES["string"]) for one in kept)
        return Columns(layout, typed, language(self.language) if self.language else None)

    @property
    def _named(self) -> list[str]:
        """The columns besides the template's that have a meaning."""
        named = (self.id_column, self.url_column, self.date_column, self.language_column)
        return [path for path in named if path is not None]

    def _dialect(self, form: Format | None) -> Dialect:
        mark = self.delimiter.replace("\\t", "\t") if self.delimiter else "\t" if form == "tsv" else ","
        if len(mark) != 1:
            raise UsageError(f"{self.name}: delimiter is {mark!r}", fix="give one character")
        try:
            wide = len("\n".encode(codecs.lookup(self.encoding).name)) > 1
        except LookupError:
            raise UsageError(
                f"{self.name}: no encoding {self.encoding!r}", fix="name one such as latin-1"
            ) from None
        if wide:
            raise UsageError(
                f"{self.name}: {self.encoding} is not read", fix="make it UTF-8 first, with iconv"
            )
        return Dialect(mark, form != "tsv", self.encoding)

    def content(self) -> Mapping[str, str]:
        """Digest the template, wherever it lies."""
        return {"template": hashlib.sha256(self._template.source.encode()).hexdigest()}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the columns of documents and those that are kept."""
        return self._columns.schema

    def plan(self, *sources: str) -> list[Task]:
        """Make every file a task, and a large one of JSON lines or Parquet several."""
        tasks = table_tasks(corpus_files(sources, _NAMES), self.format)
        for number, task in enumerate(tasks):
            if not number or task.inputs != tasks[number - 1].inputs:
                self._check(task)
        return tasks

    def _check(self, task: Task) -> None:
        """Check that a file has the fields that are asked for."""
        dialect = self._dialect(task.work["format"])
        known = fields(task, dialect)
        kept = (one.path for one in self._columns.kept)
        ours = self.template in READY
        asked = [path for path, needed in self._template.fields.items() if needed or not ours]
        for path in [*asked, *self._named, *kept]:
            if known and path not in known and path not in self.optional_fields:
                raise self._unknown(path, known, task)

    def _unknown(self, path: str, known: Sequence[str], task: Task) -> UsageError:
        found = no_column(path, known, task.inputs[0].path)
        if len(known) == 1 and task.work["format"] in ("csv", "tsv"):
            mark = next((mark for mark in (";", "\t", "|", ",") if mark in known[0]), None)
            if mark:
                return UsageError(
                    found.what, fix=f"its fields may be divided by another mark: --delimiter {mark!r}"
                )
        return UsageError(found.what, fix=f"{found.fix} If files may lack it: --optional-fields {path}")

    def finish(self, dataset: Dataset) -> None:
        """Check that the ids the rows gave are unique in all files.

        Raises:
            InputError: They are not.
        """
        if self.id_column is not None:
            check_ids(dataset, self.name)

    def run(self, task: Task) -> Iterator[Split]:
        """Read one file or a range of it, at most 16 MiB of text at a time."""
        form = task.work["format"]
        wanted = [*self._template.fields, *self._named, *(one.path for one in self._columns.kept)]
        if form == "parquet":
            known = fields(task, self._dialect(form))
            wanted = [path for path in dict.fromkeys(wanted) if path in known]
        rows = Rows.of(self, self._columns.schema, task, self.source)
        yield from split_rows(read_rows(task, wanted, self._dialect(form)), self._read, rows)

    def _read(self, row: Row, rows: Rows) -> None:
        none = {"", *self.missing}
        record = {
            name: value
            for name, value in row.record.items()
            if not isinstance(value, str) or value not in none
        }
        lang = as_language(lookup(record, self.language_column)) if self.language_column else None
        text = self._template.render(record, lang or self._columns.lang)
        if not text:
            rows.refuse(Refused(row.at, "missing" if text is None else "empty"))
        else:
            self._columns.add(Row(row.at, record), text, rows)
