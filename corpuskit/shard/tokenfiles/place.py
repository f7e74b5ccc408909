"""Where each document goes: which file of its split, and at which token there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.dataset import Dataset, read_batches
from corpuskit.shard.tokenfiles import TRAIN, VAL, Layout

__all__ = ["Range", "Stretch", "laid_out", "stretch"]

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Consecutive documents of one split: their rows, where each begins in the split, its length, its file.

    Lengths count the end of text; a document without tokens has length 0, and belongs to the file in which
    the token before it lies. `begins` is a document's own first token, after an end of text that leads it.
    """

    rows: pa.RecordBatch
    starts: Numbers
    begins: Numbers
    lengths: Numbers
    shards: Numbers

    def slice(self, start: int, stop: int) -> Stretch:
        """Return some of them."""
        numbers = (self.starts, self.begins, self.lengths, self.shards)
        return Stretch(self.rows.slice(start, stop - start), *(one[start:stop] for one in numbers))

    def by_shard(self) -> Iterator[tuple[int, int, int]]:
        """Give each file with a document, and from which row to which its documents are."""
        edges = np.flatnonzero(np.diff(self.shards)) + 1
        for start, stop in pairwise([0, *edges.tolist(), len(self.shards)]):
            if start < stop:
                yield int(self.shards[start]), start, stop


@dataclass
class Range:
    """One file: its tokens in the split, its documents, and the parts of rows that tell of them.

    `before` is the split's tokens before the first of those parts. `number` counts the files of a split;
    `share` is which share of the tokens its documents begin in, null where none begins.
    """

    split: str
    number: int
    share: int | None
    start: int
    stop: int
    documents: int = 0
    first: int = 0
    last: int = -1
    before: int = 0
    pieces: list[tuple[int, int, int]] = field(default_factory=list)
    """Parts, and from which of their tokens to which."""

    def as_work(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return dataclasses.asdict(self) | {"pieces": [list(piece) for piece in self.pieces]}


def stretch(batch: pa.RecordBatch, split: str, before: int, layout: Layout, share: int | None) -> Stretch:
    """Place the documents of one split in a batch of rows, of which `before` tokens come first.

    >>> from corpuskit.shard.tokenfiles import LAYOUTS
    >>> rows = pa.RecordBatch.from_pydict({"val": [False] * 3, "tokens": pa.array([4, 0, 2], pa.int64())})
    >>> found = stretch(rows, "train", 0, LAYOUTS["npy"], 5)
    >>> found.starts.tolist(), found.lengths.tolist(), found.shards.tolist()
    ([0, 5, 5], [5, 0, 3], [0, 0, 1])
    """
    held = np.asarray(batch["val"])
    rows = batch.filter(pa.array(held if split == VAL else ~held))
    counts = rows["tokens"].to_numpy()
    some = counts > 0
    lengths = counts + some
    starts = before + np.cumsum(lengths) - lengths
    begins = starts + (some if layout.leads else 0)
    found = np.where(some, begins, np.maximum(starts - 1, 0))
    shards = found // share if share else np.zeros(len(rows), np.int64)
    return Stretch(rows, starts, begins, lengths, shards)


def laid_out(counted: Dataset, layout: Layout, share: int | None) -> list[Range]:
    """Divide both splits into files of about `share` tokens each; null: one file each.

    A file of whole documents has those that begin in its share of the tokens; a share in which none begins
    has no file. Where documents are cut, each file has its share exactly. Empty documents alone make no file,
    but a range of no tokens, so that somebody rejects them.
    """
    found: list[Range] = []
    for split in (TRAIN, VAL):
        ranges, totals = _measured(counted, split, layout, share)
        if not layout.whole:
            _cut_evenly(ranges, split, sum(totals.values()), share)
        parts, ends = np.array([*totals], np.int64), np.cumsum([*totals.values()], dtype=np.int64)
        number = 0
        for key in sorted(ranges):
            one = ranges[key]
            one.number, one.pieces = number, list(_pieces(parts, ends, one.start, one.stop))
            found.append(one)
            number += bool(one.pieces)
    return found


def _measured(
    counted: Dataset, split: str, layout: Layout, share: int | None
) -> tuple[dict[int, Range], dict[int, int]]:
    """Return the files by their share, and the tokens of each part; reads the counts alone."""
    ranges: dict[int, Range] = {}
    totals: dict[int, int] = {}
    at = 0
    for place, part in enumerate(counted.parts):
        before = at
        for batch in read_batches(counted.path_of(part), columns=["part", "val", "tokens"]):
            found = stretch(batch, split, at, layout, share)
            at += int(found.lengths.sum())
            parts = found.rows["part"].to_numpy()
            for number in np.unique(parts).tolist():
                totals[number] = totals.get(number, 0) + int(found.lengths[parts == number].sum())
            for shard, start, stop in found.by_shard():
                new = Range(split, 0, shard, int(found.starts[start]), 0, first=place, before=before)
                one = ranges.setdefault(shard, new)
                one.stop = int(found.starts[stop - 1] + found.lengths[stop - 1])
                one.documents += int(np.count_nonzero(found.lengths[start:stop]))
                one.last = place
    return ranges, totals


def _cut_evenly(ranges: dict[int, Range], split: str, total: int, share: int | None) -> None:
    """Give each file its share of the tokens, and a file to shares in which no document begins."""
    size = share or max(1, total)
    for shard in range(-(-total // size)):
        one = ranges.setdefault(shard, Range(split, 0, None, 0, 0))
        one.start, one.stop = shard * size, min(total, (shard + 1) * size)


def _pieces(parts: Numbers, ends: Numbers, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Say which tokens of which parts lie from `start` to `stop`; `ends` is where each part's tokens end.

    >>> list(_pieces(np.array([0, 1, 2]), np.array([10, 15, 25]), 8, 17))
    [(0, 8, 10), (1, 0, 5), (2, 0, 2)]
    """
    first, last = np.searchsorted(ends, start, "right"), np.searchsorted(ends, stop, "left") + 1
    begins = np.concatenate([[0], ends[:-1]])[first:last]
    for part, begin, end in zip(parts[first:last], begins, ends[first:last], strict=True):
        if max(start, begin) < min(stop, end):
            yield int(part), int(max(start, begin) - begin), int(min(stop, end) - begin)
