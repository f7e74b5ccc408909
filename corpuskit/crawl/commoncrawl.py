"""`crawl commoncrawl`: a crawl, a sample of it, or what an index selects of it, as documents."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.crawl import captures
from corpuskit.crawl.archive import Lost, Record, records
from corpuskit.crawl.collected import Collected
from corpuskit.crawl.extract import Extracted
from corpuskit.crawl.gates import Verdict
from corpuskit.crawl.ranges import Piece, fetched, merged
from corpuskit.crawl.selection import Captures, Listing, Selection
from corpuskit.crawl.store import Missing, RemoteFile
from corpuskit.crawl.warc import Warc
from corpuskit.dataset import Dataset
from corpuskit.document import document_id
from corpuskit.seeds import draw, shuffle_key
from corpuskit.settings import passed_on
from corpuskit.stage import Chain, Input, Split, Step, Task, dataset_input

__all__ = ["CommonCrawl"]

TASK_CAPTURES = 4000
TASK_BYTES = 512 << 20
_NOT_DOCUMENTS = frozenset({"request", "metadata", "warcinfo"})
_PLACES = ["warc", "offset", "length"]
_SAME = ("warc", "offset", "url")
_SIZES_ASKED = 4


@dataclass(frozen=True)
class _Reading(Warc, Selection):
    """Reads records of a crawl's archives and judges them as `crawl warc` does."""

    name = "crawl.commoncrawl"

    def __post_init__(self) -> None:
        """Check the settings of both."""
        Warc.__post_init__(self)
        Selection.__post_init__(self)

    @property
    def collection(self) -> str:
        """What the documents are said to be of."""
        return self.source or self.crawl

    def documents(self) -> _Documents:
        """Begin to collect the documents and rejects of a task."""
        return _Documents(Collected(self.name, self.writes(pa.schema([]))), self.collection)


@dataclass(frozen=True)
class Archives(_Reading):
    """Read whole archives, each a task."""

    def plan(self, *sources: str) -> list[Task]:
        """Make every archive of the listing a task."""
        return [
            self.task(path) for batch in Dataset(sources[0]).batches() for path in batch["path"].to_pylist()
        ]

    def task(self, path: str, size: int = -1) -> Task:
        """Make one archive a task; its bytes never change, so its name identifies it."""
        identity = hashlib.blake2b(path.encode(), digest_size=16).hexdigest()
        return Task(inputs=(Input(self.place(path), path, size, identity),))

    def run(self, task: Task) -> Iterator[Split]:
        """Read one archive, at most 16 MiB of text at a time."""
        archive, rows = task.inputs[0], self.documents()
        with self.services() as services:
            stream = RemoteFile(services.store, archive.name, self.max_request)
            try:
                for item in records(stream, None, self.max_record):  # type: ignore[arg-type]
                    if isinstance(item, Record) and item.kind in _NOT_DOCUMENTS:
                        continue
                    origin = f"{archive.path}@{item.position}"
                    rows.add(item, origin, self._judge(item, origin))
                    if rows.full:
                        yield rows.take()
            except Missing:
                rows.add(Lost(0, 0, 0, "missing"), f"{archive.path}@0", Verdict("commoncrawl.missing"))
        yield rows.take()


@dataclass(frozen=True)
class Ranges(_Reading):
    """Read the records of captures, with one request for those that lie close together."""

    def plan(self, *sources: str) -> list[Task]:
        """Divide the archives among as many tasks as 4,000 captures each, or 512 MiB, ask for.

        Raises:
            InputError: There are no captures.
        """
        return self.tasks(lambda: Dataset(sources[0]).batches(_PLACES), (dataset_input(sources[0]),))

    def tasks(self, batches: Any, inputs: tuple[Input, ...]) -> list[Task]:  # noqa: ANN401 - a function, called twice
        """Plan for captures that `batches()` reads."""
        below = self._bound(batches())
        count = size = 0
        for batch in batches():
            mine = self._within(batch, below)
            count += len(mine)
            size += int(pc.sum(mine["length"]).as_py() or 0)
        if not count:
            raise self.nothing()
        of = max(-(-count // TASK_CAPTURES), -(-size // TASK_BYTES))
        bound = {} if below is None else {"below": below}
        return [Task(inputs=inputs, work={"share": number, "of": of, **bound}) for number in range(of)]

    def _bound(self, batches: Iterable[pa.RecordBatch]) -> float | None:
        """Return the largest draw of a sample of so many captures; null where all are taken."""
        if self.count is None:
            return None
        least: npt.NDArray[np.float64] = np.empty(0)
        for batch in batches:
            least = captures.smallest(np.append(least, captures.chances(batch, self.seed)), self.count)
        return float(least[-1]) if len(least) else None

    def _within(self, batch: pa.RecordBatch, below: float | None) -> pa.RecordBatch:
        if below is None or not len(batch):
            return batch
        return batch.filter(pa.array(captures.chances(batch, self.seed) <= below))

    def share_of(self, batches: Iterable[pa.RecordBatch], task: Task) -> list[dict[str, Any]]:
        """Return the captures that a task is to read, sorted by archive and offset."""
        found: list[dict[str, Any]] = []
        for batch in batches:
            mine = self._within(batch, task.work.get("below"))
            if len(mine):
                share = shuffle_key(0, mine["warc"]) % np.uint64(task.work["of"]) == task.work["share"]
                found += mine.filter(pa.array(share)).to_pylist()
        return sorted(
            found, key=lambda row: (row["warc"], row["offset"], row.get("url") or "", row.get("id", ""))
        )

    def run(self, task: Task) -> Iterator[Split]:
        """Read the records of one share of the archives."""
        wanted = self.share_of(Dataset(task.inputs[0].path).batches(["id", "url", *_PLACES]), task)
        rows = self.documents()
        ask = []
        for place, row in enumerate(wanted):
            twin = wanted[place - 1] if place else None
            if twin is not None and all(twin[name] == row[name] for name in _SAME):
                rows.repeat(row, f"{self.place(row['warc'])}@{row['offset']}")
            elif row["length"] > self.max_record:
                self._lose(rows, row, Verdict("warc.lost", row["length"], self.max_record))
            else:
                ask.append(Piece(row["warc"], row["offset"], row["length"], place))
        with self.services() as services:
            spans = merged(ask, self.gap, self.max_request)
            with closing(fetched(services.store, spans, self.connections)) as answers:
                for span, data in answers:
                    for piece in span.pieces:
                        self._add(rows, wanted[piece.row], _cut(data, piece.start - span.start, piece.length))
                        if rows.full:
                            yield rows.take()
        yield rows.take()

    def _add(self, rows: _Documents, row: dict[str, Any], data: bytes | None) -> None:
        """Read and judge the record of one capture."""
        if data is None:
            self._lose(rows, row, Verdict("commoncrawl.missing"))
            return
        if len(data) < row["length"]:
            self._lose(rows, row, Verdict("commoncrawl.short", len(data), row["length"]))
            return
        item = next(records(io.BytesIO(data), len(data), self.max_record))
        item = dataclasses.replace(item, offset=item.offset + row["offset"])
        if isinstance(item, Lost):
            self._lose(rows, row, Verdict("warc.lost", row["length"]))
        elif item.kind in _NOT_DOCUMENTS or (row["url"] is not None and item.url != row["url"]):
            self._lose(rows, row, Verdict("commoncrawl.mismatch"))
        else:
            origin = f"{self.place(row['warc'])}@{item.position}"
            rows.add(item, origin, self._judge(item, origin))

    def _lose(self, rows: _Documents, row: dict[str, Any], why: Verdict) -> None:
        lost = Lost(row["offset"], 0, row["length"], "")
        rows.add(lost, f"{self.place(row['warc'])}@{row['offset']}", why, row["url"])


def _cut(data: bytes | None, start: int, length: int) -> bytes | None:
    return None if data is None else data[start : start + length]


@dataclass
class _Documents:
    """Documents and rejects as `crawl warc` names them, until they fill a batch."""

    rows: Collected
    source: str
    _seen: set[str] = field(default_factory=set)

    @property
    def full(self) -> bool:
        """Whether it is time to take them."""
        return self.rows.full

    def add(
        self, item: Record | Lost, origin: str, found: Extracted | Verdict, url: str | None = None
    ) -> None:
        """Add what a record became; an id that came before makes it a reject under an id of its place."""
        record = item if isinstance(item, Record) else None
        place = PurePosixPath(origin).name
        name = document_id(self.source, record.record_id if record else None, place)
        if name in self._seen:
            found = Verdict("warc.duplicate_id") if isinstance(found, Extracted) else found
            name = document_id(self.source, None, place)
        if name in self._seen:  # an index may name one place twice, under two URLs
            name = document_id(self.source, None, f"{place} {len(self._seen)}")
        self._seen.add(name)
        row = {"id": name, "url": record.url if record else url, "source": self.source, "origin": origin}
        if isinstance(found, Extracted):
            date = record.date if record else None
            self.rows.keep({**row, "date": date, "text": found.text, "title": found.title})
        else:
            self.rows.reject(row, found)

    def repeat(self, row: dict[str, Any], origin: str) -> None:
        """Reject a capture that was selected twice."""
        told = {"id": row["id"], "url": row["url"], "origin": origin}
        self.rows.reject(told, Verdict("commoncrawl.duplicate"))

    def take(self) -> Split:
        """Give out what has come since the last time."""
        return self.rows.take()


@dataclass(frozen=True)
class CommonCrawl(_Reading, Chain):
    """Read a crawl of Common Crawl, a sample, or the pages that an index selects, and extract their text.

    Without a selection, whole archives are read. With one, an index says where the records of the pages
    lie, TARGET/steps keeps what it said, and only those records are fetched. Records are judged, named and
    rejected as in `crawl warc`, and besides:

    - `commoncrawl.missing`: the archive is not there; `commoncrawl.short`: it ends before the record does
    - `commoncrawl.mismatch`: another record is where the index says
    - `commoncrawl.duplicate`: several patterns selected the same record
    - `captures.line`: the index does not say where a record lies

    Raises:
        UsageError: Settings that contradict each other, or one outside its range.
    """

    reads = False
    bad_rules = Warc.bad_rules | {"commoncrawl.missing", "commoncrawl.short", "commoncrawl.mismatch"}

    def steps(self) -> tuple[Step, ...]:
        """List the steps: listing, captures where there is a selection, and documents."""
        first = Step(passed_on(Listing, self))
        if not self.selects:
            return first, Step(passed_on(Archives, self), steps=(0,))
        return (
            first,
            Step(passed_on(Captures, self), steps=(0,), kept=True),
            Step(passed_on(Ranges, self), steps=(1,)),
        )

    def plan(self, *sources: str) -> list[Task]:
        """Ask what there is to read, for a dry run; a run plans step by step instead."""
        listing = passed_on(Listing, self)
        listed = [row for split in listing.run(listing.plan()[0]) for row in split.kept.to_pylist()]
        if not self.selects:
            return self._archive_tasks([row["path"] for row in listed])
        lookup, last = passed_on(Captures, self), passed_on(Ranges, self)
        found = [
            split.kept.select(_PLACES)
            for row in listed
            for split in lookup.run(lookup.task(row))
            if len(split.kept)
        ]
        return [self._foreseen(last, found, task) for task in last.tasks(lambda: found, ())]

    def _archive_tasks(self, paths: Sequence[str]) -> list[Task]:
        """Plan whole archives; their size is the mean of a few."""
        numbers = draw(0, pa.array(paths, pa.string()))
        asked = [paths[row] for row in np.argsort(numbers, kind="stable")[:_SIZES_ASKED]]
        archives = passed_on(Archives, self)
        with archives.services() as services:
            sizes = []
            for path in asked:
                try:
                    sizes.append(services.store.size(path))
                except Missing:
                    sizes.append(None)
        known = [size for size in sizes if size is not None]
        mean = sum(known) // len(known) if known else -1
        return [archives.task(path, mean) for path in paths]

    def _foreseen(self, last: Ranges, found: Sequence[pa.RecordBatch], task: Task) -> Task:
        rows = last.share_of(found, task)
        places = list(dict.fromkeys((row["warc"], row["offset"], row["length"]) for row in rows))
        spans = list(merged((Piece(*place, 0) for place in places), self.gap, self.max_request))
        size = sum(span.length for span in spans)
        counts = {
            "captures": len(places),
            "requests": len(spans),
            "files": len({span.path for span in spans}),
        }
        return Task(inputs=(Input("", "", size, ""),), work=counts)

    def foresees(self, tasks: Sequence[Task]) -> tuple[str, ...]:
        """Say how much there is to fetch."""
        if not self.selects:
            return (
                f"{len(tasks):,} archives; the size is that of {min(len(tasks), _SIZES_ASKED)}, times all",
            )
        captures, requests, archives = (
            sum(task.work[name] for task in tasks) for name in ("captures", "requests", "files")
        )
        return (f"{captures:,} captures in {archives:,} archives, with {requests:,} requests",)
