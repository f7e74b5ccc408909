"""Signals of the order of a text's sentences: whether neighbours have more to do with each other than others.

In a text that someone wrote, a sentence takes up words of the one before it. In a set of shuffled sentences,
such as the 1 Billion Word benchmark, neighbours share no more words than any two sentences do. The words that
neighbours share are counted and compared with what a random order would give; its mean and variance over all
orders are known exactly, so that nothing is drawn.

Words are normalised. Those in one sentence only tell nothing; those in more than a fifth of the sentences, as
"the", stand everywhere. Sentences are compared within blocks of 256, so that a book takes linear time.

Source: lexical cohesion (Halliday and Hasan 1976; Hearst 1997, TextTiling); neighbours' similarity as a
measure of coherence (Foltz, Kintsch and Landauer 1998); telling a text from its sentences in another order
(Barzilay and Lapata 2008); the moments over all orders are Mantel's (1967).
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.filter.signals.lines import line_table
from corpuskit.filter.signals.signal import Scan, Signal
from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.sentences import sentence_starts
from corpuskit.kernels.utf8 import Offsets, readonly
from corpuskit.kernels.words import normalised_word_hashes

__all__ = ["BLOCK", "LEAST_SENTENCES", "ORDERED", "SIGNALS"]

Matrix = npt.NDArray[np.int64]
Sums = npt.NDArray[np.float64]

BLOCK = 256
"""Sentences that are compared with one another."""
LEAST_BLOCK = 8
"""A last block of fewer sentences is left out."""
COMMON = 5
"""A word in more than one of so many sentences of a block is too common to tell anything."""
LEAST_SENTENCES = 100
"""A text of fewer sentences is not judged."""
ORDERED = 2.0
"""From this `sentence_cohesion` on, a text of enough sentences is in order.

One in some forty texts of shuffled sentences is above it by chance. Of 100 sentences from the start of a
chapter or a Wikipedia article, one in forty is below it, of 250 none.
"""


def _cohesion(scan: Scan) -> pa.Array:
    """Return the standard deviations between neighbours' shared words and a random order's."""
    return scan.once(_compared)[0]


def _shuffled(scan: Scan) -> pa.Array:
    """Say where enough sentences are no more coherent than in a random order."""
    cohesion, sentences = scan.once(_compared)
    values = np.nan_to_num(cohesion.to_numpy(zero_copy_only=False))
    unknown = (sentences < LEAST_SENTENCES) | np.asarray(cohesion.is_null())
    return pa.array(values < ORDERED, mask=unknown)


def _compared(scan: Scan) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Compare the neighbours of each text: the cohesion, and how many sentences there are."""
    data, offsets = scan.text
    spans = scan.once(line_table).spans
    starts, lines = sentence_starts(data, spans.first, spans.last)
    bounds = np.searchsorted(lines, spans.offsets)  # of each text's sentences
    ends = np.append(starts, offsets[-1])
    hashes, words = normalised_word_hashes(data, readonly(ends))
    sums = np.zeros((3, scan.rows), np.float64)
    _compare(readonly(hashes), readonly(words), readonly(bounds), sums)
    shared, expected, variance = sums
    undefined = variance <= 0
    score = (shared - expected) / np.sqrt(np.where(undefined, 1, variance))
    return pa.array(score, mask=undefined), np.diff(bounds)


@kernel
def _compare(hashes: Hashes, words: Offsets, bounds: Offsets, sums: Sums) -> None:
    """Sum over the blocks of each text what its neighbours share, and the mean and variance of that."""
    shares = np.zeros((BLOCK, BLOCK), np.int64)
    for text in range(len(bounds) - 1):
        for first in range(bounds[text], bounds[text + 1], BLOCK):
            count = min(BLOCK, bounds[text + 1] - first)
            if count < LEAST_BLOCK:
                continue
            keys = np.empty(words[first + count] - words[first], np.uint64)
            for sentence in range(count):
                for word in range(words[first + sentence], words[first + sentence + 1]):
                    # The sentence takes the place of the hash's last byte: equal words stand together.
                    keys[word - words[first]] = (hashes[word] & ~np.uint64(255)) | np.uint64(sentence)
            keys.sort()
            _share(keys, count, shares)
            _add_moments(shares, count, sums[:, text])


@kernel
def _share(keys: Hashes, count: Int, shares: Matrix) -> None:
    """Count the words that each two of `count` sentences share, but for those too common."""
    shares[:count, :count] = 0
    most = max(2, count // COMMON)
    holders = np.empty(BLOCK, np.int64)
    at = 0
    while at < len(keys):
        word, held = keys[at] >> np.uint64(8), 0
        while at < len(keys) and keys[at] >> np.uint64(8) == word:
            sentence = np.int64(keys[at] & np.uint64(255))
            if held == 0 or holders[held - 1] != sentence:
                holders[held] = sentence
                held += 1
            at += 1
        if held <= most:
            for one in range(held):
                for other in range(one):
                    shares[holders[one], holders[other]] += 1
                    shares[holders[other], holders[one]] += 1


@kernel
def _add_moments(shares: Matrix, count: Int, sums: Sums) -> None:
    """Add what neighbours share, and its mean and variance over all orders of the sentences."""
    total, squares, rows, shared = 0.0, 0.0, 0.0, 0.0
    for one in range(count):
        row = 0.0
        for other in range(count):
            value = np.float64(shares[one, other])
            row += value
            squares += value * value
        total += row
        rows += row * row
        if one + 1 < count:
            shared += shares[one, one + 1]
    mean = total / count
    # The square of a sum over neighbours: pairs of the same two, with one sentence in common, and with none.
    apart = total * total - 4 * (rows - squares) - 2 * squares
    square = squares / count + (2 * (rows - squares) + apart) / (count * (count - 1))
    sums[0] += shared
    sums[1] += mean
    sums[2] += max(0.0, square - mean * mean)


SIGNALS = (
    Signal(
        "sentence_cohesion",
        pa.float64(),
        "How many standard deviations more words neighbouring sentences share than in a random order.",
        _cohesion,
    ),
    Signal(
        "sentence_shuffled",
        pa.bool_(),
        "Whether at least 100 sentences stand in an order no better than a random one; null with fewer.",
        _shuffled,
    ),
)
"""Document signals of the sentences' order; null where no word is in two sentences and not in too many."""
