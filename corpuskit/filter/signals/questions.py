"""The signal of how much a text has in common with a set of questions: what CC-Stories was chosen by."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.filter.signals.repetition import count_alike, room_for
from corpuskit.filter.signals.signal import Scan, Signal
from corpuskit.kernels import kernel
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.ngrams import ngram_hashes
from corpuskit.kernels.utf8 import Offsets, buffers, readonly
from corpuskit.kernels.words import normalised_word_hashes

__all__ = ["LONGEST", "SIGNALS"]

LONGEST = 4
"""N-grams of one word up to so many are compared, each weighted by its length."""


class _Listed(NamedTuple):
    """The different n-grams of the questions: a hash table of them (0 is a free place), and their number."""

    table: Hashes
    size: int


@lru_cache(maxsize=8)
def _ngrams(questions: tuple[str, ...]) -> tuple[_Listed, ...]:
    """Return the n-grams of the questions, of 1 to `LONGEST` words."""
    words, offsets = normalised_word_hashes(*buffers(pa.array(questions, pa.large_string())))
    found = []
    for n in range(1, LONGEST + 1):
        hashes = np.unique(ngram_hashes(words, offsets, n)[0])
        table = np.zeros(max(4, 1 << int(4 * len(hashes) - 1).bit_length()), np.uint64)
        _enter(hashes, table)
        found.append(_Listed(readonly(table), len(hashes)))
    return tuple(found)


@kernel
def _enter(hashes: Hashes, table: Hashes) -> None:
    mask = np.uint64(len(table) - 1)
    for item in hashes:
        place = item & mask
        while table[place]:
            place = (place + np.uint64(1)) & mask
        table[place] = item


@kernel
def _count_shared(
    hashes: Hashes,
    offsets: Offsets,
    room: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]],
    listed: Hashes,
    out: npt.NDArray[np.int64],
) -> None:
    """Count the different n-grams of each text, and those among them that are listed."""
    places, times = room
    mask = np.uint64(len(listed) - 1)
    for text in range(len(offsets) - 1):
        own = hashes[offsets[text] : offsets[text + 1]]
        count_alike(places, own, times)
        for item in range(len(own)):
            if times[item] == 0:
                continue
            out[0, text] += 1
            place = own[item] & mask
            while listed[place] and listed[place] != own[item]:
                place = (place + np.uint64(1)) & mask
            out[1, text] += listed[place] == own[item]


def _overlap(scan: Scan) -> pa.Array:
    questions = scan.lists.get("question_overlap", ())
    words, offsets = normalised_word_hashes(*scan.text)
    undefined = np.diff(offsets) == 0
    if not questions:
        return pa.nulls(scan.rows, pa.float64())
    score = np.zeros(scan.rows, np.float64)
    for n, listed in enumerate(_ngrams(questions), 1):
        hashes, bounds = ngram_hashes(words, offsets, n)
        counts = np.zeros((2, scan.rows), np.int64)
        times = np.zeros(int(np.diff(bounds).max(initial=0)), np.int64)
        _count_shared(readonly(hashes), readonly(bounds), (room_for(bounds), times), listed.table, counts)
        different, shared = counts
        score += n * 2 * shared / np.maximum(1, different + listed.size)  # F1 of precision and recall
    return pa.array(score / (LONGEST * (LONGEST + 1) / 2), mask=undefined)


SIGNALS = (
    Signal(
        "question_overlap",
        pa.float64(),
        "F1 of the n-grams (n = 1 to 4, weighted by n) shared with a list of questions; null without one.",
        _overlap,
    ),
)
"""Source: Trinh and Le 2018 (CC-Stories), on the customized corpus: sum of n F1(n) over sum of n, n = 1 to 4.

Deviations: the paper does not say what a word is, nor whether an n-gram counts once. Here words are
normalised, and each different n-gram counts once on either side. Null without words, too.
"""
