"""Repeats, step 1: the key of every run of n units, divided into shards by its anchor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import settings
from corpuskit.dataset import ROW_GROUPS_BY, cut, read_batches
from corpuskit.dedup.cutting import check_no_images
from corpuskit.dedup.grams import text_bytes
from corpuskit.dedup.index import identities
from corpuskit.dedup.numbering import numbered_tasks
from corpuskit.dedup.units import SLICE_BYTES, Unit, units_of, windows_of
from corpuskit.kernels.firstseen import ENTRY_BYTES
from corpuskit.kernels.utf8 import buffers
from corpuskit.stage import Split, Stage, Task, check_memory

__all__ = [
    "ANCHOR_BITS",
    "WINDOWS",
    "Windows",
    "memory_needed",
    "shard_bits",
    "turns_and_room",
    "worker_bytes",
]

Columns = list[npt.NDArray[np.generic]]

WINDOWS = pa.schema(
    [
        pa.field("shard", pa.int16(), nullable=False),
        pa.field("anchor", pa.uint16(), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("place", pa.int64(), nullable=False),
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
    ],
    metadata={ROW_GROUPS_BY: b"shard"},
)
"""A row for every run of units: its shard, the leading bits of its anchor, the number of its document (below
0 in a reference), the place of its first unit there, and both halves of its key."""

GROUP_BYTES = 8 << 20
"""The runs of so many bytes of text are sorted by shard together, a row group for each: fewer, and they are
tiny; more, and they take more memory than all else."""
SHARD_ROWS = 2 << 20
"""A shard has about this many runs."""
ANCHOR_BITS = 16
MOST_BITS = 8
"""There are at most 256 shards; beyond that they grow, and are taken in several turns."""
UNIT_BYTES: dict[Unit, int] = {"word": 6, "line": 40, "sentence": 60, "paragraph": 100}
"""What a unit takes on the web, about: to guess before counting."""
TABLE_ROWS = 8 << 20
"""The most keys in memory at a time: some 340 MB."""
BASE_BYTES = 832 << 20
"""What a worker takes besides its table: the interpreter, its kernels, a batch and its keys."""
INDEX_BYTES = 192 << 20
"""What a worker takes more where there is an index: a row group of it, with its names."""
KEPT_BYTES = 48
"""What a key takes more then, while those that are new are written."""


def shard_bits(sources: Sequence[str], unit: Unit) -> int:
    """Return how many leading bits of an anchor choose a shard, from the bytes of text alone."""
    rows = text_bytes(sources) // UNIT_BYTES[unit]
    return min(MOST_BITS, max(0, (rows - 1) // SHARD_ROWS).bit_length())


def turns_and_room(rows: int) -> tuple[int, int]:
    """Say in how many turns a shard is taken, and for how many keys each has room.

    >>> turns_and_room(1_000_000), turns_and_room(20_000_000)
    ((1, 1062500), (4, 5312500))
    """
    turns = 1 << min(8, max(0, (rows - 1) // TABLE_ROWS).bit_length())
    return turns, rows // turns * 17 // 16  # turns are not quite even


def worker_bytes(rows: int, *, indexed: bool) -> int:
    """Return what a worker needs for a shard of so many runs."""
    room = turns_and_room(rows)[1]
    old = INDEX_BYTES + room * KEPT_BYTES if indexed else 0
    return BASE_BYTES + room * ENTRY_BYTES + old


def memory_needed(sources: Sequence[str], unit: Unit, *, indexed: bool) -> int:
    """Return about what a worker needs for a shard of some datasets, before anything is read."""
    rows = text_bytes(sources) // UNIT_BYTES[unit] >> shard_bits(sources, unit)
    return worker_bytes(rows, indexed=indexed)


@dataclass(frozen=True)
class Windows(Stage):
    """Writes the key of every run of n units, of the references and of every document, in order."""

    name: ClassVar[str] = "dedup.repeats.windows"

    unit: Unit
    n: int
    normalised: bool
    against: tuple[str, ...] = settings.setting((), "references", content=False)
    memory: int = settings.setting(4 << 30, "most memory one worker may use", content=False)

    def content(self) -> dict[str, str]:
        """Return what identifies the references."""
        return identities(self.against)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of runs."""
        return WINDOWS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per part, the references first.

        Raises:
            DoesNotFit: A worker needs more memory than there is.
            UsageError: Text is to be cut from documents with images.
        """
        read = (*self.against, *sources)
        bits = shard_bits(read, self.unit)
        check_memory(self.name, memory_needed(read, self.unit, indexed=False), self.memory)
        tasks = []
        for paths, reference in ((self.against, True), (sources, False)):
            for task in numbered_tasks(*paths) if paths else []:
                work = {"first": task.work["first"], "reference": reference, "bits": bits}
                tasks.append(dataclasses.replace(task, work=work))
        check_no_images(task for task in tasks if not task.work["reference"])
        return tasks

    def run(self, task: Task) -> Iterator[Split]:
        """Hash the runs of one part."""
        first, bits = task.work["first"], task.work["bits"]
        batches = read_batches(task.inputs[0].path, columns=["text"])
        for several in (piece for batch in batches for piece in cut(batch, GROUP_BYTES)):
            found = []
            for piece in cut(several, SLICE_BYTES):
                found.append(self._windows(piece, first, bits, reference=task.work["reference"]))
                first += len(piece)
            yield Split(_by_shard(found))

    def _windows(self, batch: pa.RecordBatch, first: int, bits: int, *, reference: bool) -> Columns:
        data, offsets = buffers(batch["text"])
        found = windows_of(*units_of(data, offsets, self.unit, normalised=self.normalised), self.n)
        rows = np.repeat(np.arange(len(batch)), np.diff(found.offsets))
        numbers = ~(rows + first) if reference else rows + first
        places = np.arange(len(rows)) - found.offsets[rows]
        shards = (found.anchors >> np.uint64(64 - bits) if bits else 0 * found.anchors).astype(np.int16)
        anchors = (found.anchors >> np.uint64(64 - ANCHOR_BITS)).astype(np.uint16)
        return [shards, anchors, numbers, places, found.high, found.low]


def _by_shard(pieces: list[Columns]) -> pa.RecordBatch:
    """Join the columns of several pieces and sort the rows by shard; the pieces are used up."""
    order = np.argsort(np.concatenate([piece[0] for piece in pieces]), kind="stable")
    arrays = [
        pa.array(np.concatenate([piece.pop(0) for piece in pieces])[order]) for _ in range(len(WINDOWS))
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=WINDOWS)
