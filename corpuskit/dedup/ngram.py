"""`dedup ngram`: documents and paragraphs most of whose n-grams were seen before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from corpuskit import settings
from corpuskit.dataset import Dataset, read_batches
from corpuskit.dedup.bloom import Header
from corpuskit.dedup.fresh import Fresh, fresh_bytes
from corpuskit.dedup.grams import Grams, Unit, filter_bytes, paragraphs
from corpuskit.dedup.index import INDEX_HELP, Generations, Indexed
from corpuskit.dedup.numbering import numbered_tasks
from corpuskit.dedup.references import datasets, identities
from corpuskit.dedup.seen import SEEN, Seen, check_kept
from corpuskit.document import IMAGES, empty_rejects, reject_rows
from corpuskit.errors import UsageError
from corpuskit.kernels.utf8 import Bytes, Offsets, buffers
from corpuskit.kernels.words import normalised_word_hashes
from corpuskit.stage import Split, Stage, Step, Task

__all__ = ["Ngram"]

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

RULE = "ngram.seen"
_ROWS_AT_ONCE = 4 << 20


@dataclass(frozen=True)
class Ngram(Indexed):
    """Drops documents, or cuts paragraphs, of whose n-grams at least the share `threshold` was seen before.

    An n-gram is seen if it occurs in a reference, or in an earlier document: in the order of sources, parts
    and rows, whether that document itself is kept or not, so that the answer depends on the input alone.
    Every occurrence counts. A repeat within the document itself is not seen. With `unit` paragraph (a line),
    the same holds for paragraphs: earlier ones, of the same document too. A unit of fewer than `ngram` words
    never goes.

    Rejects have the rule `ngram.seen` and the threshold as `bound`. A document has its share as `value`; a
    cut paragraph is a span, without a value. A document of which only white space would be left goes as a
    whole. There is no `twin`: a Bloom filter cannot name one.

    With an `index`, what earlier batches had is seen too. It keeps the hashes of n-grams, not a filter, and
    they are compared exactly: runs in turn drop what one run over all would. `rate` then has no part.

    Steps: grams (hashes, divided into shards), seen (a Bloom filter for each shard), drop. With an index,
    generations (what there is) comes first, and fresh (n-grams that are new to it) before seen.

    Source: DCLM (arXiv:2406.11794), section on deduplication by Bloom filter: threshold .8 (bff). Deviations:
    n-grams have 8 words (DCLM: 13), the rate is 1e-8 (DCLM: .01); a share of just the threshold goes; units
    that go still count as seen, which makes the outcome the same for any number of workers; a unit is judged
    once, against earlier ones only (bff's naive-both asks for each n-gram twice).

    >>> [step.stage.name for step in Ngram(unit="paragraph").steps()]
    ['dedup.ngram.grams', 'dedup.ngram.seen', 'dedup.ngram.drop']
    """

    name: ClassVar[str] = "dedup.ngram"

    threshold: float = settings.setting(0.8, "share of seen n-grams from which a unit goes")
    unit: Unit = settings.setting("document", "what is judged and goes: document, or paragraph (a line)")
    ngram: int = settings.setting(8, "words in an n-gram")
    rate: float = settings.setting(1e-8, "false positives of a Bloom filter")
    against: tuple[str, ...] = settings.setting(
        (), "references: datasets, filters, or folders of filters", content=False
    )
    index: str | None = settings.setting(None, INDEX_HELP, content=False)
    filters: str | None = settings.setting(
        None, "folder to keep the filters in, for a later --against", content=False
    )
    seed: int = settings.setting(1, "seed of the filters")
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold}", fix="a share above 0 and up to 1")
        Header(n=self.ngram, rate=self.rate, seed=self.seed)  # raises
        if self.index is not None and self.filters is not None:
            raise UsageError("an index keeps n-grams, not filters", fix="drop --filters, or --index")

    @property
    def made_with(self) -> tuple[str, ...]:
        """What an index must have been made with."""
        return (f"kind={self.name}", f"ngram={self.ngram}", f"unit={self.unit}")

    def references(self) -> dict[str, str]:
        """Say what identifies the references, filters among them."""
        return identities(self.against)

    def memory_needed(self, *sources: str) -> int:
        """Return about how many bytes one worker needs for a shard, before anything is read."""
        read = (*datasets(self.against), *sources)
        return filter_bytes(read, self.rate) if self.index is None else fresh_bytes(read)

    def finish(self, dataset: Dataset) -> None:
        """Check that the filters were kept, where that was asked for, and that the index knows the batch."""
        super().finish(dataset)
        check_kept(self.filters)

    def steps(self) -> tuple[Step, ...]:
        """List the steps: grams, seen, drop; and those of the index."""
        against, memory = self.against, self.memory
        grams = Step(Grams(self.ngram, self.unit, self.rate, against, memory), sources=True)
        shared = (self.ngram, self.rate, self.seed, against, self.filters)
        drop = Drop(self.ngram, self.unit, self.threshold)
        if self.index is None:
            seen = Seen(*shared, memory=memory)
            return grams, Step(seen, steps=(0,), sources=True), Step(drop, steps=(1,), sources=True)
        return (
            Step(Generations(self.index), sources=True),
            grams,
            Step(Fresh(self.index, self.made_with, against, memory), steps=(1, 0), sources=True),
            Step(Seen(*shared, indexed=True, memory=memory), steps=(1, 2), sources=True),
            Step(drop, steps=(3,), sources=True),
        )


@dataclass(frozen=True)
class Drop(Stage):
    """Adds the counts of all shards and drops what was seen before."""

    name: ClassVar[str] = "dedup.ngram.drop"

    n: int
    unit: Unit
    threshold: float

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part of the documents; `sources` are the counts, then the documents.

        Raises:
            UsageError: Paragraphs are to be cut from documents with images.
        """
        tasks = numbered_tasks(*sources[1:], beside=sources[:1])
        if self.unit == "paragraph" and any(IMAGES.name in task.schema.names for task in tasks):
            raise UsageError(
                "paragraphs cannot be cut from documents with images: their offsets would point elsewhere",
                fix="use --unit document",
            )
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Divide each batch of one part."""
        first, rows = task.work["first"], task.work["rows"]
        numbers, starts, seen = _sums(task.inputs[1].path, first, first + rows)
        for batch in read_batches(task.inputs[0].path, task.schema):
            low, high = (int(place) for place in np.searchsorted(numbers, [first, first + len(batch)]))
            mine = numbers[low:high] - first
            if low == high:
                yield Split(batch, empty_rejects(), batch)
            elif self.unit == "document":
                yield self._documents(batch, mine, seen[low:high])
            else:
                yield self._paragraphs(batch, mine, starts[low:high], seen[low:high])
            first += len(batch)

    def _documents(self, batch: pa.RecordBatch, rows: Numbers, seen: Numbers) -> Split:
        shares = seen / self._totals(*buffers(batch["text"].take(pa.array(rows))))
        goes = shares >= self.threshold
        return Split(*self._without(batch, rows[goes], shares[goes]), batch)

    def _paragraphs(self, batch: pa.RecordBatch, rows: Numbers, starts: Numbers, seen: Numbers) -> Split:
        touched, places = np.unique(rows, return_inverse=True)
        data, offsets = buffers(batch["text"].take(pa.array(touched)))
        bounds, owners = paragraphs(data, offsets)
        totals, counted = self._totals(data, bounds), np.zeros(len(owners), np.int64)
        counted[np.searchsorted(bounds, offsets[places] + starts)] = seen
        goes = (counted > 0) & (counted / np.maximum(totals, 1) >= self.threshold)
        cut = np.flatnonzero(goes)
        texts = _left(data, bounds, owners, goes)
        blank = np.array([place for place, text in texts.items() if not text.strip()], np.int64)
        whole = np.bincount(owners, counted, len(touched)) / np.bincount(owners, totals, len(touched))
        column = batch["text"].to_numpy(zero_copy_only=False)
        column[touched[list(texts)]] = list(texts.values())
        cut = cut[~np.isin(owners[cut], blank)]
        spans = reject_rows(
            batch,
            Ngram.name,
            RULE,
            pa.array(touched[owners[cut]]),
            bound=self.threshold,
            start=pa.array(bounds[cut] - offsets[owners[cut]]),
            end=pa.array(bounds[cut + 1] - offsets[owners[cut]]),
        )
        place = batch.schema.get_field_index("text")
        edited = batch.set_column(place, batch.schema.field(place), pa.array(column, pa.large_string()))
        kept, rejected = self._without(edited, touched[blank], whole[blank])
        return Split(kept, pa.concat_batches([rejected, spans]), batch)

    def _totals(self, data: Bytes, offsets: Offsets) -> Numbers:
        """Count the n-grams of each text."""
        _, words = normalised_word_hashes(data, offsets)
        return np.asarray(np.maximum(np.diff(words) - (self.n - 1), 0))

    def _without(
        self, batch: pa.RecordBatch, gone: Numbers, shares: npt.NDArray[np.float64]
    ) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Drop whole documents: return what stays, and their rejects."""
        stays = np.ones(len(batch), bool)
        stays[gone] = False
        told = {"value": pa.array(shares), "bound": self.threshold}
        return batch.filter(pa.array(stays)), reject_rows(batch, Ngram.name, RULE, pa.array(gone), **told)


def _sums(counts: str, first: int, end: int) -> tuple[Numbers, Numbers, Numbers]:
    """Add the counts of all shards for the documents `first` to `end - 1`, sorted by number and start."""
    wanted = [("number", ">=", first), ("number", "<", end)]
    dataset = Dataset(counts)
    total = pa.Table.from_batches([], SEEN)
    for part in dataset.parts:
        with dataset.open(part) as file:
            total = pa.concat_tables([total, pq.read_table(file, filters=wanted).cast(SEEN)])
        if len(total) > _ROWS_AT_ONCE:
            total = _added(total)
    total = _added(total).sort_by([("number", "ascending"), ("start", "ascending")])
    return total["number"].to_numpy(), total["start"].to_numpy(), total["seen"].to_numpy()


def _added(table: pa.Table) -> pa.Table:
    """Add the counts of the same unit."""
    found = table.group_by(["number", "start"]).aggregate([("seen", "sum")])
    columns = [found["number"], found["start"], found["seen_sum"]]
    return pa.Table.from_arrays(columns, schema=SEEN)


def _left(data: Bytes, bounds: Offsets, owners: Numbers, goes: Flags) -> dict[int, str]:
    """Put together what is left of each text of which something goes."""
    left: dict[int, list[bytes]] = {place: [] for place in np.unique(owners[goes]).tolist()}
    view = memoryview(data)  # type: ignore[arg-type]  # numpy's stubs for 3.11 lack it
    for paragraph in np.flatnonzero(~goes & np.isin(owners, list(left))).tolist():
        left[owners[paragraph]].append(bytes(view[bounds[paragraph] : bounds[paragraph + 1]]))
    return {place: b"".join(pieces).decode() for place, pieces in left.items()}
