"""Draws samples of one size from corpora of any size: passages with so many words, rows of so many documents.

What is drawn depends on the ids and texts alone: not on parts, batches, or the order of documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes, mix64_each
from corpuskit.kernels.utf8 import Bytes, Offsets, readonly
from corpuskit.kernels.words import normalised_word_hashes

__all__ = ["GROUPS", "PASSAGE_BYTES", "Passages", "Rows", "WordSample"]

GROUPS = 10
"""Groups of documents, by hash, of which each is left out in turn to see how much a number depends on it."""
PASSAGE_BYTES = 2048
_SPACE_WITHIN = 64
_BYTES_A_WORD = 32
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_BLOCK = 1024

Numbers = npt.NDArray[np.int64]


class Passage(NamedTuple):
    """A piece of a text. Passages compare by key, and by text where two have one key."""

    key: int
    text: bytes
    document: int
    words: int


@dataclass(frozen=True)
class WordSample:
    """The normalised words of passages, in the order of their keys.

    Attributes:
        hashes: uint64[words]; equal words have equal hashes.
        offsets: int64[passages + 1]; passage i has the words `offsets[i]` to `offsets[i + 1]`.
        texts: The UTF-8 bytes of each passage, as they came; of the last one all, even if its words were cut.
        groups: int64[passages]; 0 to `GROUPS` - 1, the same for all passages of a document.
    """

    hashes: Hashes
    offsets: Offsets
    texts: tuple[bytes, ...]
    groups: Numbers

    def without_each(self) -> Iterator[WordSample]:
        """Yield the sample without each group that it has, all cut to the same number of words."""
        words = np.diff(self.offsets)
        held = np.bincount(self.groups, words, GROUPS).astype(np.int64)
        present = np.flatnonzero(held)
        if len(present) > 1:
            left = int(words.sum() - held.max())
            yield from (self._of(np.flatnonzero(self.groups != group), left) for group in present)

    def _of(self, rows: Numbers, words: int) -> WordSample:
        ends = np.cumsum(np.diff(self.offsets)[rows])
        rows = rows[: int(np.searchsorted(ends, words)) + 1]
        pieces = [self.hashes[self.offsets[row] : self.offsets[row + 1]] for row in rows]
        offsets = np.minimum(np.concatenate([[0], ends[: len(rows)]]), words)
        texts = tuple(self.texts[row] for row in rows)
        return WordSample(np.concatenate(pieces)[:words], offsets, texts, self.groups[rows])


class Passages:
    """The passages with the smallest keys: just enough of them for `words` words.

    A text is cut into passages of about 2 KiB, at white space where there is some, and the key of a passage
    is a hash of its document's key and its number. So a long book gives many passages, no document decides
    alone, and only passages that are drawn are looked at. At most 32 bytes a word are held: a corpus of
    texts that have next to no words has no sample.

    >>> text = np.frombuffer(b"to be or not to be", np.uint8)
    >>> drawn = Passages(4)
    >>> drawn.add(np.array([7], np.uint64), text, np.array([0]), np.array([18]))
    >>> drawn.sample().hashes.shape
    (4,)
    """

    def __init__(self, words: int) -> None:
        self._words = words
        self._kept: list[Passage] = []
        self._bound: int | None = None

    def add(self, documents: Hashes, data: Bytes, starts: Offsets, ends: Offsets) -> None:
        """Offer documents: the key of each (uint64), and where its text lies in `data`."""
        sizes = ends - starts
        counts = np.where(sizes > 0, np.maximum(1, (sizes + PASSAGE_BYTES // 2) // PASSAGE_BYTES), 0)
        rows = np.repeat(np.arange(len(sizes)), counts)
        numbers = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        keys = mix64_each(documents[rows] + numbers.astype(np.uint64) * _GOLDEN)
        for block in _ascending(keys, lambda: self._bound):
            row, number = rows[block], numbers[block]
            begin, end, place = starts[row], ends[row], starts[row] + number * PASSAGE_BYTES
            last = number == counts[row] - 1
            cuts = (
                _edges(readonly(data), begin, end, place),
                _edges(readonly(data), begin, end, np.where(last, end, place + PASSAGE_BYTES)),
            )
            self._take(keys[block], documents[row], data, cuts)

    def merge(self, others: Iterable[Passages]) -> None:
        """Take what others drew, as if their documents had been added here."""
        for other in others:
            self._kept += other._kept
        self._shrink()

    def sample(self) -> WordSample | None:
        """Return exactly so many words; null where there are fewer."""
        words = np.array([one.words for one in self._kept], np.int64)
        if words.sum() < self._words:
            return None
        hashes, _ = _hashes([one.text for one in self._kept])
        offsets = np.minimum(np.concatenate([[0], np.cumsum(words)]), self._words)
        groups = np.array([one.document % GROUPS for one in self._kept], np.int64)
        return WordSample(hashes[: self._words], offsets, tuple(one.text for one in self._kept), groups)

    def _take(self, keys: Hashes, documents: Hashes, data: Bytes, cuts: tuple[Offsets, Offsets]) -> None:
        texts = [data[start:end].tobytes() for start, end in zip(*cuts, strict=True)]
        words = np.diff(_hashes(texts)[1]).tolist()
        self._kept += map(Passage, keys.tolist(), texts, documents.tolist(), words)
        self._shrink()

    def _shrink(self) -> None:
        self._kept.sort()
        words = np.cumsum([one.words for one in self._kept])
        sizes = np.cumsum([len(one.text) for one in self._kept])
        enough = (words >= self._words) | (sizes >= self._words * _BYTES_A_WORD)
        if enough.any():
            del self._kept[int(np.argmax(enough)) + 1 :]
            self._bound = self._kept[-1].key


class Rows:
    """The values of the `count` documents with the smallest keys, of those that have a value.

    >>> drawn = Rows(2)
    >>> values = np.array(["c", "", "a", "b"])
    >>> drawn.add(np.array([3, 0, 1, 2], np.uint64), lambda rows: (values[rows] != "", values[rows]))
    >>> drawn.sample()[0].tolist()
    ['a', 'b']
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._keys: Hashes = np.empty(0, np.uint64)
        self._values: npt.NDArray[Any] | None = None

    def add(
        self, keys: Hashes, read: Callable[[Numbers], tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]]
    ) -> None:
        """Offer documents by their keys; `read` says of rows which have a value, and the values."""
        for block in _ascending(keys, self._last):
            there, values = read(block)
            self._take(keys[block][there], values[there])

    def merge(self, others: Iterable[Rows]) -> None:
        """Take what others drew, as if their documents had been offered here."""
        for other in others:
            if other._values is not None:
                self._take(other._keys, other._values)

    def sample(self) -> tuple[npt.NDArray[Any], Numbers] | None:
        """Return the values in the order of the keys, and their groups; null where there are too few."""
        if self._values is None or len(self._keys) < self._count:
            return None
        return self._values, (self._keys % np.uint64(GROUPS)).astype(np.int64)

    def _last(self) -> int | None:
        return int(self._keys[-1]) if len(self._keys) == self._count else None

    def _take(self, keys: Hashes, values: npt.NDArray[Any]) -> None:
        keys = np.concatenate([self._keys, keys])
        values = values if self._values is None else np.concatenate([self._values, values])
        order = np.argsort(keys, kind="stable")[: self._count]
        self._keys, self._values = keys[order], values[order]


def _ascending(keys: Hashes, bound: Callable[[], int | None]) -> Iterator[Numbers]:
    """Yield rows by ascending key, a block at a time, while they are below a bound that may sink."""
    most = bound()
    rows = np.arange(len(keys)) if most is None else np.flatnonzero(keys <= np.uint64(most))
    rows = rows[np.argsort(keys[rows], kind="stable")]
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        most = bound()
        block = block if most is None else block[keys[block] <= np.uint64(most)]
        if not len(block):
            return
        yield block


def _hashes(texts: list[bytes]) -> tuple[Hashes, Offsets]:
    data = np.frombuffer(b"".join(texts), np.uint8)
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    return normalised_word_hashes(data, offsets)


@kernel
def _edges(data: Bytes, starts: Offsets, ends: Offsets, places: Offsets) -> Offsets:
    """Move each place on to ASCII white space, if some is near, or else to where a character begins."""
    edges = np.empty(len(places), np.int64)
    for i in range(len(places)):
        edges[i] = _edge(data, starts[i], ends[i], places[i])
    return edges


@kernel
def _edge(data: Bytes, start: Int, end: Int, place: Int) -> Int:
    if place <= start or place >= end:
        return min(max(place, start), end)
    for at in range(place, min(place + _SPACE_WITHIN, end)):
        if data[at] == 32 or 9 <= data[at] <= 13:
            return at
    at = place
    while at < end and data[at] & 0xC0 == 0x80:
        at += 1
    return at
