"""The n-grams of documents, step 2: which were seen before, by a Bloom filter for each shard."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpuskit import files, settings
from corpuskit.dedup.bloom import PROBES, Header, NgramFilter
from corpuskit.dedup.fresh import GRAM_BYTES, FirstUnits, shard_between
from corpuskit.dedup.grams import shard_bits, shard_counts, shard_units
from corpuskit.dedup.references import SavedFilters, datasets, identities
from corpuskit.errors import InputError, TargetError
from corpuskit.kernels.bloom import sizing
from corpuskit.stage import Split, Stage, Task, check_memory, dataset_input

__all__ = ["SEEN", "Seen", "check_kept", "facts_of", "filter_path", "header_of", "keep_filter", "shard_tasks"]

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
    """Counts the n-grams of each unit that an earlier unit or a reference has, a shard at a time.

    With an index, so does an earlier batch; then all hashes are compared, without a filter.
    """

    name: ClassVar[str] = "dedup.ngram.seen"

    n: int
    rate: float
    seed: int
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    filters: str | None = settings.setting(None, "folder to keep the filters in", content=False)
    indexed: bool = False
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def content(self) -> dict[str, str]:
        """Return what identifies the references."""
        return identities(self.against)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of counts."""
        return SEEN

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per shard; `sources` are the n-grams, new ones if indexed, then the documents.

        Raises:
            DoesNotFit: A shard takes more than the memory there is.
        """
        grams, *documents = sources
        fresh = tuple(dataset_input(documents.pop(0)) for _ in range(self.indexed))
        tasks = shard_tasks(grams, (*datasets(self.against), *documents))
        most = max(task.work["grams"] for task in tasks)
        needed = most * GRAM_BYTES if self.indexed else sizing(most, self.rate).table_bytes
        check_memory("dedup.ngram", needed, self.memory)
        return [dataclasses.replace(task, inputs=task.inputs + fresh) for task in tasks]

    def run(self, task: Task) -> Iterator[Split]:
        """Take the units of one shard in order: count what is known of each, then add it."""
        found = self._first_units(task) if self.indexed else NgramFilter(self._header(task))
        references = SavedFilters(self.against, self.n)
        for units in shard_units(task.inputs[0].path, task.work["shard"]):
            known = units.known | found.add_units(units.hashes, units.bounds)
            known |= references.contains(units.hashes)
            counts = np.add.reduceat(known.astype(np.int64), units.bounds[:-1])
            rows = np.flatnonzero((counts > 0) & (units.numbers >= 0))
            columns = [pa.array(column[rows]) for column in (units.numbers, units.starts, counts)]
            yield Split(pa.RecordBatch.from_arrays(columns, schema=SEEN))
        if isinstance(found, NgramFilter):
            yield Split(pa.RecordBatch.from_pylist([], SEEN), facts=facts_of(found))
            if self.filters is not None:
                keep_filter(found, self.filters)

    def _header(self, task: Task) -> Header:
        return header_of(task, self.n, self.rate, self.seed)

    def _first_units(self, task: Task) -> FirstUnits:
        hashes = shard_between(task.inputs[-1].path, task.work["shard"], task.work["bits"])
        return FirstUnits(np.concatenate([np.zeros(0, np.uint64), *hashes]))


def facts_of(found: NgramFilter) -> dict[str, int]:
    """Measure a filter, and say what the manifest is to tell of it.

    Raises:
        AssertionError: It errs more often than its rate allows.
    """
    return {"filter ngrams": len(found), "filter probes": PROBES, "filter probes hit": found.measure()}


def shard_tasks(grams: str, documents: Sequence[str]) -> list[Task]:
    """Plan one task per shard of the n-grams of some documents, knowing how many there are."""
    bits = shard_bits(documents)
    counts = shard_counts(grams, bits)
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
