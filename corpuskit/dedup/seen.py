"""The n-grams of documents, step 2: which were seen before, by a Bloom filter for each shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpuskit import files, settings
from corpuskit.dedup.bloom import Header, NgramFilter
from corpuskit.dedup.grams import check_memory, shard_bits, shard_counts, shard_units
from corpuskit.dedup.references import SavedFilters, datasets, identities
from corpuskit.errors import InputError, TargetError
from corpuskit.kernels.bloom import sizing
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["SEEN", "Seen", "check_kept", "filter_path", "header_of", "keep_filter", "shard_tasks"]

SEEN = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("seen", pa.int64(), nullable=False),
    ]
)
"""How many n-grams of a unit (document number, first byte) were seen before; no row where none was."""


@dataclass(frozen=True)
class Seen(Stage):
    """Counts the n-grams of each unit that an earlier unit or a reference has, a shard at a time."""

    name: ClassVar[str] = "dedup.ngram.seen"

    n: int
    rate: float
    seed: int
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    filters: str | None = settings.setting(None, "folder to keep the filters in", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def content(self) -> dict[str, str]:
        """Return what identifies the references."""
        return identities(self.against)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of counts."""
        return SEEN

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per shard; `sources` are the n-grams, then the documents.

        Raises:
            DoesNotFit: A shard's filter takes more than the memory there is.
        """
        documents = (*datasets(self.against), *sources[1:])
        return shard_tasks(self.name, sources[0], documents, self.rate, self.memory)

    def run(self, task: Task) -> Iterator[Split]:
        """Take the units of one shard in order: count what is known of each, then add it."""
        found = NgramFilter(header_of(task, self.n, self.rate, self.seed))
        references = SavedFilters(self.against, self.n)
        for units in shard_units(task.inputs[0].path, found.header.shard):
            known = units.known | found.add_units(units.hashes, units.bounds)
            known |= references.contains(units.hashes)
            counts = np.add.reduceat(known.astype(np.int64), units.bounds[:-1])
            rows = np.flatnonzero((counts > 0) & (units.numbers >= 0))
            columns = [pa.array(column[rows]) for column in (units.numbers, units.starts, counts)]
            yield Split(pa.RecordBatch.from_arrays(columns, schema=SEEN))
        found.measure()
        if self.filters is not None:
            keep_filter(found, self.filters)


def shard_tasks(kind: str, grams: str, documents: Sequence[str], rate: float, memory: int) -> list[Task]:
    """Plan one task per shard of the n-grams of some documents, knowing how many there are.

    Raises:
        DoesNotFit: A shard's filter takes more than `memory`.
    """
    bits = shard_bits(documents)
    counts = shard_counts(grams, bits)
    check_memory(kind.rsplit(".", 1)[0], sizing(max(counts), rate).table_bytes, memory)
    inputs = tuple(dataset_input(path) for path in (grams, *documents))
    return [
        Task(inputs, SEEN, {"shard": shard, "bits": bits, "grams": count})
        for shard, count in enumerate(counts)
    ]


def header_of(task: Task, n: int, rate: float, seed: int) -> Header:
    """Say what the filter of a shard is made for: all its n-grams, repeats counted: it never fills."""
    work, inputs = task.work, tuple(item.identity for item in task.inputs[1:])
    return Header(n, rate, seed, work["grams"], work["shard"], work["bits"], inputs)


def filter_path(folder: str, header: Header) -> str:
    """Name the file of a shard's filter.

    >>> filter_path("seen", Header(shard=3, bits=2))
    'seen/3-of-4.bloom'
    """
    return files.join(folder, f"{header.shard}-of-{1 << header.bits}.bloom")


def keep_filter(found: NgramFilter, folder: str) -> None:
    """Save a shard's filter, unless another one stands there.

    Raises:
        TargetError: The folder holds the filters of other documents or settings.
    """
    path = filter_path(folder, found.header)
    if files.exists(path) and (differ := NgramFilter.load(path).header.differences(found.header)):
        raise TargetError(f"{path} is another filter: {'; '.join(differ)}", fix="choose another --filters")
    found.save(path)


def check_kept(folder: str | None) -> None:
    """Check that a finished run has kept its filters in `folder`; null asks for none.

    Raises:
        TargetError: There are none: the run was finished without them, and is not done again for them.
    """
    if folder is None:
        return
    try:
        files.expand(files.join(folder, "*.bloom"))
    except InputError:
        what = f"{folder} holds no filters: this run was finished before it was asked to keep them"
        raise TargetError(what, fix="run it again with --force") from None
