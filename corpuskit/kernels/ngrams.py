"""Hashes of runs of n words, from the hashes of the words."""

import numpy as np

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes, mix64
from corpuskit.kernels.utf8 import Offsets, readonly

_BASE = np.uint64(0x9E6C63D0876A9A47)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def ngram_hashes(
    word_hashes: Hashes, word_offsets: Offsets, n: int, *, whole: bool = False
) -> tuple[Hashes, Offsets]:
    """Return the hash of every run of n words of each text.

    The hash of words w0 .. wk is `mix64(w0 * B**k + ... + wk + (k + 1) * G)`, modulo 2**64: it depends on the
    order of the words and on how many they are.

    Args:
        word_hashes: As `corpuskit.kernels.words` returns them.
        word_offsets: Where the words of each text begin.
        n: Words a run, at least 1.
        whole: A text of 1 to n - 1 words gives one hash, that of all its words, instead of none. MinHash
            needs this: without it all short texts would have the same, empty, set.

    Returns:
        `hashes` (uint64), in the order of the text, repeats included; and `offsets` (int64, one more than
        there are texts).

    Raises:
        ValueError: n < 1.

    >>> words = np.array([1, 2, 3, 1, 2, 9], np.uint64)
    >>> hashes, offsets = ngram_hashes(words, np.array([0, 5, 6]), 2)
    >>> offsets.tolist(), bool(hashes[0] == hashes[3])
    ([0, 4, 4], True)
    >>> ngram_hashes(words, np.array([0, 5, 6]), 2, whole=True)[1].tolist()
    [0, 4, 5]
    """
    if n < 1:
        raise ValueError(f"n is {n}; a run has at least one word")
    counts = np.diff(word_offsets)
    runs = np.maximum(counts - (n - 1), 0)
    if whole:
        runs = np.where(counts > 0, np.maximum(runs, 1), 0)
    offsets = np.zeros(len(word_offsets), np.int64)
    np.cumsum(runs, out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.uint64)
    _ngrams(readonly(word_hashes), readonly(word_offsets), n, readonly(offsets), out)
    return out, offsets


@kernel
def _ngrams(words: Hashes, word_offsets: Offsets, n: Int, offsets: Offsets, out: Hashes) -> None:
    for text in range(len(offsets) - 1):
        runs = offsets[text + 1] - offsets[text]
        if runs == 0:
            continue
        first = word_offsets[text]
        size = min(n, word_offsets[text + 1] - first)
        rolling = np.uint64(0)
        oldest = np.uint64(1)
        for i in range(size):
            rolling = rolling * _BASE + words[first + i]
            oldest *= _BASE
        salt = np.uint64(size) * _GOLDEN
        put = offsets[text]
        out[put] = mix64(rolling + salt)
        for i in range(1, runs):
            rolling = rolling * _BASE + words[first + size + i - 1] - words[first + i - 1] * oldest
            out[put + i] = mix64(rolling + salt)


def window_minima(hashes: Hashes, offsets: Offsets, size: int) -> tuple[Hashes, Offsets]:
    """Return the least of every `size` hashes in a row, for the hashes of each text.

    Two equal stretches of text have the same least hash, wherever they are: it can choose the same place
    for both, and neighbouring stretches mostly share one (Schleimer et al. 2003, winnowing).

    Returns:
        The minima (uint64), and their offsets (int64, one more than there are texts).

    >>> minima, offsets = window_minima(np.array([5, 3, 4, 6, 1], np.uint64), np.array([0, 4, 5]), 2)
    >>> minima.tolist(), offsets.tolist()
    ([3, 3, 4], [0, 3, 3])
    """
    bounds = np.zeros(len(offsets), np.int64)
    np.cumsum(np.maximum(np.diff(offsets) - (size - 1), 0), out=bounds[1:])
    out = np.empty(int(bounds[-1]), np.uint64)
    _minima(readonly(hashes), readonly(offsets), size, readonly(bounds), out)
    return out, bounds


@kernel
def _minima(hashes: Hashes, offsets: Offsets, size: Int, bounds: Offsets, out: Hashes) -> None:
    for text in range(len(offsets) - 1):
        first = offsets[text]
        least = first - 1  # where the least of the last window stood
        for i in range(bounds[text + 1] - bounds[text]):
            at = first + i
            if least < at:
                least = at
                for j in range(at + 1, at + size):
                    if hashes[j] <= hashes[least]:
                        least = j
            elif hashes[at + size - 1] <= hashes[least]:
                least = at + size - 1
            out[bounds[text] + i] = hashes[least]
