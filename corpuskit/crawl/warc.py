"""`crawl warc`: web archives in, documents out."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpuskit import files
from corpuskit.crawl import gates
from corpuskit.crawl.archive import RECORD_BYTES, Lost, Record, records
from corpuskit.crawl.extract import Extracted, ExtractorName, extract
from corpuskit.crawl.gates import BlockList, Verdict
from corpuskit.crawl.linkcolumns import LinkColumns, fetched_archives, link_columns, was_fetched
from corpuskit.crawl.payload import PAGE_BYTES, BadPayload, Bomb, decode, inflate
from corpuskit.document import BATCH_BYTES, REJECT, SCHEMA, document_id
from corpuskit.errors import InputError, UsageError
from corpuskit.language import language, model_digest
from corpuskit.settings import setting
from corpuskit.stage import Input, Poisoned, Split, Stage, Task, TookTooLong, dataset_input, watching

__all__ = ["Warc"]

_SCHEMA = SCHEMA.append(pa.field("title", pa.string()))
_ARCHIVES = re.compile(r"\.(?:warc|arc|wet|wat)(?:\.(?:wet|wat))?(?:\.(?:gz|zst|zstd|lz4))?\Z", re.IGNORECASE)
_NOT_DOCUMENTS = frozenset({"request", "metadata", "warcinfo"})
_HTML = re.compile(r"\s*(?:text/html|application/xhtml\+xml)\b", re.IGNORECASE)
_LOOKS_LIKE_HTML = re.compile(
    rb"\s*(?:<!--.{0,512}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_CRAWL = re.compile(r"CC-(?:MAIN|NEWS)-\d{4}-\d{2}(?!\d)")
_PART_OF = re.compile(rb"^isPartOf:[ \t]*(\S[^\r\n]{0,200})", re.MULTILINE | re.IGNORECASE)
_NUMBERS = re.compile(r"[-_.]?\d+(?:[-_.]\d+)*\Z")


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
        found = {}
        for kind, paths in (("block_domains", self.block_domains), ("block_urls", self.block_urls)):
            if paths:
                entries = "\n".join(gates.read_block_list(paths))
                found[kind] = hashlib.sha256(entries.encode()).hexdigest()
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
        paths: dict[str, str | None] = {}
        for source in sources:
            if was_fetched(source):
                paths |= dict.fromkeys(fetched_archives(source), source)
            else:
                paths |= {path: paths.get(path) for path in _expand(source)}
        packings = Counter(_unpacked(files.file_name(path)) for path, links in paths.items() if links is None)
        tasks = []
        for path, links in paths.items():
            name = files.file_name(path)
            inputs = (Input(path, name, *files.identity(path)), *([dataset_input(links)] if links else []))
            # The same archive packed twice, or two of one name, must not give the same ids.
            twice = self.source is None and packings[_unpacked(name)] > 1
            work = {"source": "/".join(path.split("/")[-2:])} if twice else {}
            tasks.append(Task(inputs=inputs, schema=schema, work=work))
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Read one archive, at most 16 MiB of text at a time."""
        archive = task.inputs[0]
        along = [field for field in task.schema if field.name not in _SCHEMA.names]
        links = task.inputs[1].path if len(task.inputs) > 1 else None
        rows = _Rows(self.name, LinkColumns(links, archive.name, along), self.writes(task.schema))
        source = self.source or task.work.get("source") or _source_of_path(archive.path)
        with files.open_input(archive.path) as stream:
            for item in records(stream, archive.size if archive.size >= 0 else None, self.max_record):
                if isinstance(item, Record) and item.kind == "warcinfo" and source is None:
                    source = _source_of_info(item.body)
                if isinstance(item, Record) and item.kind in _NOT_DOCUMENTS:
                    continue
                source = source or _source_of_name(archive.name)
                origin = f"{archive.path}@{item.position}"
                place = f"{archive.name}@{item.position}"
                rows.begin(source, origin, place, item)
                rows.end(self._judge(item, origin))
                if rows.text_bytes >= BATCH_BYTES:
                    yield rows.take()
        yield rows.take()

    def _judge(self, item: Record | Lost, origin: str) -> Extracted | Verdict:
        if isinstance(item, Lost):
            return Verdict("warc.lost", value=item.length)
        verdict = _record_verdict(item) or self._blocked.verdict(item.url)
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


def _record_verdict(record: Record) -> Verdict | None:
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


def _expand(source: str) -> list[str]:
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


@dataclass
class _Rows:
    """Documents and rejects of one archive as they come, until a batch is full."""

    stage: str
    links: LinkColumns
    schema: pa.Schema
    text_bytes: int = 0
    _kept: list[dict[str, Any]] = field(default_factory=list)
    _rejected: list[dict[str, Any]] = field(default_factory=list)
    _now: dict[str, Any] = field(default_factory=dict)
    _repeated: bool = False
    _seen: set[bytes] = field(default_factory=set)
    _record_id: str | None = None
    _record_ids: list[str | None] = field(default_factory=list)

    def begin(self, source: str, origin: str, place: str, item: Record | Lost) -> None:
        record = item if isinstance(item, Record) else None
        self._record_id = record.record_id if record else None
        name = document_id(source, self._record_id, place)
        self._repeated = bytes.fromhex(name) in self._seen
        if self._repeated:
            name = document_id(source, None, place)
        self._seen.add(bytes.fromhex(name))
        self._now = {"id": name, "url": record.url if record else None, "source": source, "origin": origin}
        self._now["date"] = record.date if record else None

    def end(self, found: Extracted | Verdict) -> None:
        if self._repeated and isinstance(found, Extracted):
            found = Verdict("warc.duplicate_id")
        if isinstance(found, Extracted):
            self._kept.append({**self._now, "text": found.text, "title": found.title})
            self._record_ids.append(self._record_id)
            self.text_bytes += len(found.text.encode("utf-8", "replace"))
            return
        bounds = {"rule": found.rule, "value": found.value, "bound": found.bound}
        self._rejected.append({**self._now, "stage": self.stage, **bounds})

    def take(self) -> Split:
        own = pa.RecordBatch.from_pylist(self._kept, _SCHEMA)
        columns = [*own.columns, *self.links.take(self._record_ids)]
        rejected = pa.RecordBatch.from_pylist(self._rejected, REJECT)
        self._kept, self._rejected, self._record_ids, self.text_bytes = [], [], [], 0
        return Split(pa.RecordBatch.from_arrays(columns, schema=self.schema), rejected)
