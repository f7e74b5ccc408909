"""`crawl warc`: web archives in, documents out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from corpuskit.crawl import gates
from corpuskit.crawl.archive import RECORD_BYTES, Lost, Record
from corpuskit.crawl.extract import Extracted, ExtractorName, extract
from corpuskit.crawl.gates import BlockList, Verdict
from corpuskit.crawl.linkcolumns import LinkColumns, fetched_archives, link_columns, was_fetched
from corpuskit.crawl.pages import Item, archive_inputs, expand, items, unusable
from corpuskit.crawl.payload import PAGE_BYTES, BadPayload, Bomb, decode, inflate
from corpuskit.document import BATCH_BYTES, REJECT, SCHEMA
from corpuskit.errors import UsageError
from corpuskit.language import language, model_digest
from corpuskit.settings import setting
from corpuskit.stage import Poisoned, Split, Stage, Task, TookTooLong, dataset_input, watching

__all__ = ["Warc"]

_SCHEMA = SCHEMA.append(pa.field("title", pa.string()))


@dataclass(frozen=True)
class Warc(Stage):
    """Read WARC, ARC and WET files and extract the main text of every HTML page.

    Every response, resource, conversion and revisit record, and every stretch of a file that cannot
    be read, becomes a document or a reject that says why not; request, metadata and warcinfo records
    describe others and are passed over. Rejects by rule:

    - `warc.lost`: bytes no record could be read from; the value is how many
    - `warc.status` (the status, not 200), `warc.type` (not HTML), `warc.revisit`, `warc.empty`
    - `warc.kind`: a record of a kind that is not known; `warc.duplicate_id`: its id came before
    - `gate.domain`, `gate.url`, `gate.size`, `gate.language`: a gate before extraction
    - `payload.bomb`: larger than `max_page` inflated; `payload.bad`: neither as its headers say nor text
    - `extract.empty`, `extract.timeout`, `extract.crash`

    A WET record becomes a document as it is. The output has a `title` column beside the usual ones; where a
    source is a dataset of `crawl fetch`, it has the columns of its links too, such as `score`.

    Raises:
        UsageError: A setting outside its range, or a language the model does not know.
    """

    name = "crawl.warc"
    bad_rules = frozenset({"warc.lost", "payload.bomb", "payload.bad", "extract.timeout", "extract.crash"})

    extractor: ExtractorName = setting("trafilatura", "how the main text is found")
    precision: bool = setting(True, "with trafilatura: rather lose text than keep boilerplate")
    source: str | None = setting(
        None, "name of the collection  [default: from the file: CC-MAIN-..., or its name]"
    )
    block_domains: tuple[str, ...] = setting((), "files of hosts and registrable domains to leave out")
    block_urls: tuple[str, ...] = setting((), "files of pieces of URLs to leave out")
    languages: tuple[str, ...] = setting(
        (), "languages to extract, such as en, told by a rough look at the page"
    )
    min_language_score: float = setting(0.5, "with languages: how sure another language must be, 0 to 1")
    min_bytes: int | None = setting(None, "least bytes of a page before extraction")
    max_page: int = setting(PAGE_BYTES, "most bytes of a page, inflated")
    max_record: int = setting(RECORD_BYTES, "most bytes of a record; a larger one counts as lost")
    timeout: float = setting(10.0, "seconds of processor time a page may take")

    def __post_init__(self) -> None:
        """Check the settings, and bring `languages` under one spelling."""
        object.__setattr__(self, "languages", tuple(sorted({language(name) for name in self.languages})))
        for name in ("max_page", "max_record", "timeout"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{self.name}: {name} is {getattr(self, name)}", fix="give a number above 0")
        if not 0 <= self.min_language_score <= 1:
            raise UsageError(
                f"{self.name}: min_language_score is {self.min_language_score}", fix="give 0 to 1"
            )

    def content(self) -> Mapping[str, str]:
        """Digest the block lists, and the model where languages are told."""
        found = gates.block_list_digests(self.block_domains, self.block_urls)
        return found | ({"language": model_digest()} if self.languages else {})

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say that documents have a title, and the columns of the links they were fetched for."""
        along = [field for field in schema if field.name not in _SCHEMA.names]
        return pa.schema([*_SCHEMA, *along])

    def plan(self, *sources: str) -> list[Task]:
        """Make every archive a task, once; a folder stands for the archives in it and below.

        A dataset of `crawl fetch` stands for its archives, and comes with each as a second input.
        """
        schema = pa.schema([*_SCHEMA, *link_columns(sources, _SCHEMA.names)])
        fetched = {path: place for place in sources if was_fetched(place) for path in fetched_archives(place)}
        others = [path for place in sources if not was_fetched(place) for path in expand(place)]
        tasks = [
            Task((item,), schema, work)
            for item, work in archive_inputs(
                [path for path in others if path not in fetched], bool(self.source)
            )
        ]
        for item, _ in archive_inputs(fetched, named=True):
            tasks.append(Task((item, dataset_input(fetched[item.path])), schema))
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Read one archive, at most 16 MiB of text at a time."""
        along = [field for field in task.schema if field.name not in _SCHEMA.names]
        links = task.inputs[1].path if len(task.inputs) > 1 else None
        columns = LinkColumns(links, task.inputs[0].name, along)
        rows = _Rows(self.name, columns, self.writes(task.schema))
        for item in items(task, self.source, self.max_record):
            found = self._judge(item.what, item.origin)
            if item.repeated and isinstance(found, Extracted):
                found = Verdict("warc.duplicate_id")
            rows.add(item, found)
            if rows.text_bytes >= BATCH_BYTES:
                yield rows.take()
        yield rows.take()

    def _judge(self, item: Record | Lost, origin: str) -> Extracted | Verdict:
        if isinstance(item, Lost):
            return Verdict("warc.lost", value=item.length)
        verdict = unusable(item) or self._blocked.verdict(item.url)
        if verdict:
            return verdict
        try:
            with watching(origin, self.timeout):
                return self._read(item)
        except TookTooLong:
            return Verdict("extract.timeout", bound=self.timeout)
        except Poisoned as poisoned:
            return Verdict("extract.timeout" if poisoned.rule.endswith("timeout") else "extract.crash")
        except Bomb:
            return Verdict("payload.bomb", value=len(item.body), bound=self.max_page)
        except BadPayload:
            return Verdict("payload.bad", value=len(item.body))
        except Exception:  # noqa: BLE001 - whatever a hostile page makes the extractor raise costs that page alone
            return Verdict("extract.crash")

    def _read(self, record: Record) -> Extracted | Verdict:
        body = inflate(record.http, record.body, self.max_page)
        if self.min_bytes is not None and len(body) < self.min_bytes:
            return Verdict("gate.size", value=len(body), bound=self.min_bytes)
        if record.kind == "conversion":
            text = body.decode("utf-8", "replace").rstrip("\r\n")
            return Extracted(text, None) if text.strip() else Verdict("warc.empty", value=len(body))
        page, _ = decode(record.http or {"content-type": record.content_type or ""}, body)
        if self.languages:
            verdict = gates.language_verdict(page, self.languages, self.min_language_score)
            if verdict:
                return verdict
        found = extract(page, self.extractor, self.precision)
        return found if found.text.strip() else Verdict("extract.empty", value=len(found.text))

    @cached_property
    def _blocked(self) -> BlockList:
        return BlockList(gates.read_block_list(self.block_domains), gates.read_block_list(self.block_urls))


@dataclass
class _Rows:
    """Documents and rejects of one archive as they come, until a batch is full."""

    stage: str
    links: LinkColumns
    schema: pa.Schema
    text_bytes: int = 0
    _kept: list[dict[str, Any]] = field(default_factory=list)
    _rejected: list[dict[str, Any]] = field(default_factory=list)
    _record_ids: list[str | None] = field(default_factory=list)

    def add(self, item: Item, found: Extracted | Verdict) -> None:
        record = item.what if isinstance(item.what, Record) else None
        url = record.url if record else None
        row = {"id": item.id, "url": url, "origin": item.origin}
        if isinstance(found, Verdict):
            self._rejected.append({**row, "stage": self.stage, **vars(found)})
            return
        date = record.date if record else None
        self._kept.append(
            {**row, "source": item.source, "date": date, "text": found.text, "title": found.title}
        )
        self._record_ids.append(record.record_id if record else None)
        self.text_bytes += len(found.text.encode("utf-8", "replace"))

    def take(self) -> Split:
        own = pa.RecordBatch.from_pylist(self._kept, _SCHEMA)
        columns = [*own.columns, *self.links.take(self._record_ids)]
        rejected = pa.RecordBatch.from_pylist(self._rejected, REJECT)
        self._kept, self._rejected, self._record_ids, self.text_bytes = [], [], [], 0
        return Split(pa.RecordBatch.from_arrays(columns, schema=self.schema), rejected)
