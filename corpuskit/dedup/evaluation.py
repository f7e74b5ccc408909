"""Evaluation sets as the n-grams of their examples, and where these n-grams occur in documents."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.dataset import Dataset
from corpuskit.errors import InputError
from corpuskit.kernels.bare import BareWords, bare_words
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.ngrams import ngram_hashes
from corpuskit.kernels.spans import same_spans
from corpuskit.kernels.utf8 import buffers
from corpuskit.stage import Input

__all__ = ["BYTES_A_BYTE", "Evaluation", "Occurrences", "evaluation"]

Numbers = npt.NDArray[np.int64]

BYTES_A_BYTE = 16
"""About how many bytes of memory a byte of an evaluation set takes."""
LEAST, MOST = 8, 13
"""Between these lies the number of words in an n-gram where it is measured (GPT-3, appendix C)."""


class Occurrences(NamedTuple):
    """Where n-grams of evaluation sets occur in a batch, in order: row, n-gram, bytes in the row's text."""

    rows: Numbers
    grams: Numbers
    starts: Numbers
    ends: Numbers


@dataclass(frozen=True)
class Evaluation:
    """The n-grams of all examples of some evaluation sets.

    Attributes:
        examples: The id of each example.
        sets: int64; the place of its set.
        lengths: int64; its words.
        sizes: The n of each set.
        hashes: uint64; the hash of each distinct n-gram, ascending.
    """

    examples: pa.StringArray
    sets: Numbers
    lengths: Numbers
    sizes: tuple[int, ...]
    hashes: Hashes
    _words: BareWords
    _firsts: Numbers
    _counts: Numbers
    _owners: tuple[Numbers, Numbers]

    def occurrences(self, text: pa.LargeStringArray) -> Occurrences:
        """Find every occurrence of an n-gram in a batch of texts: the same words, not only the same hash."""
        data, offsets = buffers(text)
        words = bare_words(data, offsets)
        found = [self._occurrences(words, size) for size in sorted(set(self.sizes))]
        grams, first, last = (np.concatenate(column) for column in zip(*found, strict=True))
        rows = np.searchsorted(words.offsets, first, side="right") - 1
        order = np.lexsort((last, first))
        rows, grams, first, last = rows[order], grams[order], first[order], last[order]
        return Occurrences(rows, grams, words.starts[first] - offsets[rows], words.ends[last] - offsets[rows])

    def _occurrences(self, words: BareWords, size: int) -> tuple[Numbers, Numbers, Numbers]:
        """Return the n-grams of one size that occur, and their first and last words."""
        hashes, edges = ngram_hashes(words.hashes, words.offsets, size)
        at = np.flatnonzero(self._filter[hashes >> self._shift])  # most are ruled out without a search
        grams = np.searchsorted(self.hashes, hashes[at])
        known = (
            self.hashes[np.minimum(grams, len(self.hashes) - 1)] == hashes[at] if len(grams) else grams > 0
        )
        at, grams = at[known], grams[known]
        rows = np.searchsorted(edges, at, side="right") - 1
        first = words.offsets[rows] + at - edges[rows]
        mine, theirs = self._firsts[grams], self._words
        same = self._counts[grams] == size
        same[same] = same_spans(
            words.data,
            (words.edges[first[same]], words.edges[first[same] + size]),
            theirs.data,
            (theirs.edges[mine[same]], theirs.edges[mine[same] + size]),
        )
        return grams[same], first[same], first[same] + size - 1

    def owners(self, gram: int) -> Numbers:
        """Return the examples that have an n-gram, ascending."""
        starts, owners = self._owners
        return np.unique(owners[starts[gram] : starts[gram + 1]])

    @functools.cached_property
    def _shift(self) -> np.uint64:
        return np.uint64(64 - min(26, max(16, len(self.hashes).bit_length() + 4)))

    @functools.cached_property
    def _filter(self) -> npt.NDArray[np.bool_]:
        table = np.zeros(1 << (64 - int(self._shift)), bool)
        table[self.hashes >> self._shift] = True
        return table


def evaluation(inputs: Sequence[Input], ngram: int | None) -> Evaluation:
    """Read evaluation sets, each a dataset whose documents are the examples.

    Args:
        inputs: The datasets, in order.
        ngram: Words in an n-gram; null for each set's own: the 5th percentile of its examples' lengths,
            rounded down, between 8 and 13.

    Raises:
        InputError: A set has no example.
    """
    return _read(tuple((item.path, item.identity) for item in inputs), ngram)


@functools.lru_cache(maxsize=1)  # a worker reads them once, not again for each of its tasks
def _read(sets: tuple[tuple[str, str], ...], ngram: int | None) -> Evaluation:
    ids, texts, places = [pa.array([], pa.string())], [pa.array([], pa.large_string())], []
    for path, _ in sets:
        rows = 0
        for batch in Dataset(path).batches(["id", "text"]):
            ids.append(batch["id"])
            texts.append(batch["text"])
            rows += len(batch)
        if not rows:
            raise InputError(f"the evaluation set {path} has no example", fix="leave it out, or fill it")
        places.append(rows)
    words = bare_words(*buffers(pa.concat_arrays(texts)))
    lengths = np.diff(words.offsets)
    numbers = np.repeat(np.arange(len(sets)), places)
    sizes = tuple(ngram or _percentile(lengths[numbers == place]) for place in range(len(sets)))
    hashes, firsts, counts, owners = _grams(words, numbers, sizes)
    distinct, heads = np.unique(hashes, return_index=True)
    return Evaluation(
        examples=pa.concat_arrays(ids),
        sets=numbers,
        lengths=lengths,
        sizes=sizes,
        hashes=distinct,
        _words=words,
        _firsts=firsts[heads],
        _counts=counts[heads],
        _owners=(np.append(heads, len(hashes)), owners),
    )


def _percentile(lengths: Numbers) -> int:
    """Return GPT-3's N.

    >>> _percentile(np.array([3, 3, 3])), _percentile(np.arange(0, 201, 10)), _percentile(np.array([99]))
    (8, 10, 13)
    """
    return int(np.clip(np.percentile(lengths, 5, method="lower"), LEAST, MOST))


def _grams(
    words: BareWords, sets: Numbers, sizes: tuple[int, ...]
) -> tuple[Hashes, Numbers, Numbers, Numbers]:
    """Return the hash, the first word, the number of words and the example of every n-gram, by hash."""
    found: list[tuple[Hashes, Numbers, Numbers, Numbers]] = []
    for size in sorted(set(sizes)):
        hashes, edges = ngram_hashes(words.hashes, words.offsets, size)
        owners = np.repeat(np.arange(len(sets)), np.diff(edges))
        firsts = words.offsets[owners] + np.arange(len(hashes)) - edges[owners]
        mine = np.asarray(sizes)[sets[owners]] == size
        found.append((hashes[mine], firsts[mine], np.full(int(mine.sum()), size), owners[mine]))
    hashes, firsts, counts, owners = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(hashes, kind="stable")
    return hashes[order], firsts[order], counts[order], owners[order]
