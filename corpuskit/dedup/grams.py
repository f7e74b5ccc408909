"""The n-grams of documents, step 1: every n-gram's hash, divided into shards by its leading bits.

Each shard then has a filter of its own, of a size that fits into memory, and a task of its own. The hashes
are written once, 8 bytes an n-gram (a little more than the text takes): reading them costs the same for any
number of shards, where reading the documents again for every shard would not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import settings
from corpuskit.dataset import ROW_GROUPS_BY, Dataset, read_batches
from corpuskit.dedup.bloom import Flags, grams_of
from corpuskit.dedup.numbering import distinct, numbered_tasks
from corpuskit.dedup.references import PybloomFilters, datasets, identities
from corpuskit.errors import UsageError
from corpuskit.kernels.bloom import sizing
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import Bytes, Offsets, buffers
from corpuskit.stage import Split, Stage, Task, check_memory

__all__ = [
    "GRAMS",
    "Grams",
    "Unit",
    "Units",
    "filter_bytes",
    "gram_count",
    "paragraphs",
    "shard_bits",
    "shard_counts",
    "shard_units",
]

Numbers = npt.NDArray[np.int64]
Unit = Literal["document", "paragraph"]

GRAMS = pa.schema(
    [
        pa.field("shard", pa.int16(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("known", pa.bool_(), nullable=False),
    ],
    metadata={ROW_GROUPS_BY: b"shard"},
)
"""A row for every n-gram: its shard, the number of its document (below 0 in a reference), the byte its
paragraph starts at (0 where documents are judged whole), its hash, and whether pybloom-live knows it."""

SHARD_GRAMS = 16 << 20
"""A shard has about this many n-grams: a filter of 94 MiB at 1e-8."""
MOST_BITS = 8
"""There are at most 256 shards, of 4 billion n-grams; beyond that they grow."""
BYTES_A_WORD = 6
"""What a word and its space take in English, and two letters in Chinese: to guess before counting."""


def gram_count(sources: Sequence[str]) -> int:
    """Guess how many n-grams there are, from the bytes of text alone."""
    return text_bytes(sources) // BYTES_A_WORD


def text_bytes(sources: Sequence[str]) -> int:
    """Add up the text of datasets, as their manifests say."""
    return sum(part.text_bytes for source in sources for part in Dataset(source).parts)


def shard_bits(sources: Sequence[str]) -> int:
    """Return how many leading bits of a hash choose a shard, from the bytes of text alone."""
    return min(MOST_BITS, max(0, (gram_count(sources) - 1) // SHARD_GRAMS).bit_length())


def filter_bytes(sources: Sequence[str], rate: float) -> int:
    """Return about how many bytes the filter of one shard takes, which is what one worker needs."""
    return sizing(gram_count(sources) >> shard_bits(sources), rate).table_bytes


def paragraphs(data: Bytes, offsets: Offsets) -> tuple[Offsets, Numbers]:
    r"""Divide texts into paragraphs: lines, each with the newline that ends it, so that they tile the texts.

    Returns:
        `bounds` (int64): paragraph p is `data[bounds[p]:bounds[p + 1]]`; and `rows` (int64): the text each is
        of. An empty text has none.

    >>> bounds, rows = paragraphs(*buffers(pa.array(["a\nb", "", "c\n"])))
    >>> bounds.tolist(), rows.tolist()
    ([0, 2, 3, 5], [0, 0, 2])
    """
    first = int(offsets[0])
    breaks = np.flatnonzero(data[first : int(offsets[-1])] == 10) + first + 1
    bounds = distinct(np.concatenate([offsets, breaks]))
    return bounds, np.searchsorted(offsets, bounds[:-1], side="right") - 1


@dataclass(frozen=True)
class Grams(Stage):
    """Writes the hash of every n-gram of every document, and of the references, by shard and in order."""

    name: ClassVar[str] = "dedup.ngram.grams"

    n: int
    unit: Unit
    rate: float
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def content(self) -> dict[str, str]:
        """Return what identifies the references."""
        return identities(self.against)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of n-grams."""
        return GRAMS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part, the references first.

        Raises:
            DoesNotFit: A shard's filter would take more than the memory there is.
        """
        return self.tasks(datasets(self.against), sources, (*datasets(self.against), *sources))

    def tasks(self, references: Sequence[str], sources: Sequence[str], filtered: Sequence[str]) -> list[Task]:
        """Plan one task per part, references first; n-grams of those in `filtered` go into filters."""
        check_memory(self.name.rsplit(".", 1)[0], filter_bytes(filtered, self.rate), self.memory)
        bits = shard_bits(filtered)
        tasks = []
        for paths, reference in ((references, True), (sources, False)):
            for task in numbered_tasks(*paths) if paths else []:
                if "text" not in task.schema.names:
                    raise UsageError(f"{self.name}: {task.inputs[0].path} has no column 'text'")
                work = {"first": task.work["first"], "reference": reference, "bits": bits}
                tasks.append(replace(task, work=work))
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Hash the n-grams of one part."""
        foreign = PybloomFilters(self.against, self.n)
        first, bits = task.work["first"], task.work["bits"]
        for batch in read_batches(task.inputs[0].path, columns=["text"]):
            data, offsets = buffers(batch["text"])
            rows, starts = np.arange(len(batch)), np.zeros(len(batch), np.int64)
            if self.unit == "paragraph":
                bounds, rows = paragraphs(data, offsets)
                starts, offsets = bounds[:-1] - offsets[rows], bounds
            hashes, edges = grams_of(data, offsets, self.n)
            known = foreign.contains(data, offsets) if foreign else np.zeros(len(hashes), bool)
            numbers = ~(rows + first) if task.work["reference"] else rows + first
            counts = np.diff(edges)
            columns = [np.repeat(numbers, counts), np.repeat(starts, counts), hashes, known]
            yield Split(_by_shard(columns, bits))
            first += len(batch)


def _by_shard(columns: list[npt.NDArray[np.generic]], bits: int) -> pa.RecordBatch:
    hashes = columns[2].astype(np.uint64, copy=False)
    shards = np.zeros(len(hashes), np.int16)
    if bits:
        shards = (hashes >> np.uint64(64 - bits)).astype(np.int16)
        order = np.argsort(shards, kind="stable")
        shards, columns = shards[order], [column[order] for column in columns]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in (shards, *columns)], schema=GRAMS)


def shard_counts(grams: str, bits: int) -> list[int]:
    """Count the n-grams of each shard, from the footers of the parts where they tell."""
    counts = np.zeros(1 << bits, np.int64)
    dataset = Dataset(grams)
    for part in dataset.parts:
        with dataset.open(part) as file:
            parquet = pq.ParquetFile(file)
            for number in range(parquet.num_row_groups):
                told = parquet.metadata.row_group(number).column(0).statistics
                if told is not None and told.has_min_max and told.min == told.max:
                    counts[told.min] += parquet.metadata.row_group(number).num_rows
                else:
                    shards = parquet.read_row_group(number, ["shard"])["shard"].to_numpy()
                    counts += np.bincount(shards, minlength=len(counts))
    return [int(count) for count in counts]


class Units(NamedTuple):
    """N-grams of one shard; those of unit u are `hashes[bounds[u]:bounds[u + 1]]`, and `known` likewise."""

    hashes: Hashes
    known: Flags
    bounds: Numbers
    numbers: Numbers
    """The number of each unit's document; below 0 for a reference."""
    starts: Numbers


def shard_units(grams: str, shard: int) -> Iterator[Units]:
    """Read the n-grams of one shard in order, never dividing those of a unit between two pieces."""
    held: list[npt.NDArray[np.generic]] = []
    for columns in _shard_rows(grams, shard):
        joined = [np.concatenate(pair) for pair in zip(held, columns, strict=True)] if held else columns
        number, start = joined[:2]
        changes = np.flatnonzero((number[1:] != number[:-1]) | (start[1:] != start[:-1])) + 1
        last = int(changes[-1]) if len(changes) else 0
        held = [column[last:] for column in joined]
        if last:
            yield _units([column[:last] for column in joined], np.concatenate([[0], changes]))
    if held:
        yield _units(held, np.array([0, len(held[0])]))


def _units(columns: list[npt.NDArray[np.generic]], bounds: Numbers) -> Units:
    number, start, hashes, known = columns
    return Units(hashes, known, bounds, number[bounds[:-1]], start[bounds[:-1]])  # type: ignore[arg-type]


def _shard_rows(grams: str, shard: int) -> Iterator[list[npt.NDArray[np.generic]]]:
    """Read number, start, hash and known of a shard, a row group at a time."""
    dataset = Dataset(grams)
    names = GRAMS.names[1:]
    for part in dataset.parts:
        with dataset.open(part) as file:
            parquet = pq.ParquetFile(file)
            for number in range(parquet.num_row_groups):
                told = parquet.metadata.row_group(number).column(0).statistics
                if told is not None and told.has_min_max and not told.min <= shard <= told.max:
                    continue
                table = parquet.read_row_group(number)
                table = table.filter(pc.equal(table["shard"], shard))
                if len(table):
                    yield [table[name].to_numpy() for name in names]
