"""Signals of how varied the words of a text are, of its normalised words as fuzzy comparisons see them."""

from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.filter.signals.repetition import count_alike, room_for
from corpuskit.filter.signals.signal import Scan, Signal, ratios
from corpuskit.kernels import kernel
from corpuskit.kernels.hashing import Hashes
from corpuskit.kernels.utf8 import Offsets, buffers, readonly
from corpuskit.kernels.words import normalised_word_hashes

__all__ = ["SIGNALS"]

_PLACES = 4096


def _normalised_words(scan: Scan) -> tuple[Hashes, Offsets]:
    return normalised_word_hashes(*scan.text)


def _frequencies(scan: Scan) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return how many different words each text has, and the entropy of their frequencies in nats."""
    hashes, offsets = scan.once(_normalised_words)
    times = np.zeros(int(np.diff(offsets).max(initial=0)), np.int64)
    different, entropy = np.zeros(scan.rows, np.int64), np.zeros(scan.rows, np.float64)
    _count(readonly(hashes), readonly(offsets), (room_for(offsets), times), different, entropy)
    return different, entropy


@kernel
def _count(
    hashes: Hashes,
    offsets: Offsets,
    room: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]],
    different: npt.NDArray[np.int64],
    entropy: npt.NDArray[np.float64],
) -> None:
    table, times = room
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        total = end - start
        count_alike(table, hashes[start:end], times)
        weighted = 0.0
        for count in times[:total]:
            if count:
                different[text] += 1
                weighted += count * np.log(count)
        if total:
            entropy[text] = max(0.0, np.log(total) - weighted / total)


@cache
def _stop_words() -> Hashes:
    """Return a hash table of the stop words' hashes; 0 is a free place."""
    text = resources.files("corpuskit.filter").joinpath("tables", "stop_words.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    table = np.zeros(_PLACES, np.uint64)
    for word in normalised_word_hashes(*buffers(pa.array(lines)))[0]:
        place = int(word) % _PLACES
        while table[place]:
            place = (place + 1) % _PLACES
        table[place] = word
    return readonly(table)


@kernel
def _count_listed(hashes: Hashes, offsets: Offsets, listed: Hashes, out: npt.NDArray[np.int64]) -> None:
    mask = np.uint64(_PLACES - 1)
    for text in range(len(offsets) - 1):
        for word in hashes[offsets[text] : offsets[text + 1]]:
            place = word & mask
            while listed[place] and listed[place] != word:
                place = (place + np.uint64(1)) & mask
            out[text] += listed[place] == word


def _unique_word_ratio(scan: Scan) -> pa.Array:
    return ratios(scan.once(_frequencies)[0], np.diff(scan.once(_normalised_words)[1]))


def _word_entropy(scan: Scan) -> pa.Array:
    _, offsets = scan.once(_normalised_words)
    return pa.array(scan.once(_frequencies)[1], mask=np.diff(offsets) == 0)


def _stop_word_ratio(scan: Scan) -> pa.Array:
    hashes, offsets = scan.once(_normalised_words)
    found = np.zeros(scan.rows, np.int64)
    _count_listed(readonly(hashes), readonly(offsets), _stop_words(), found)
    return ratios(found, np.diff(offsets))


_FLOAT = pa.float64()

SIGNALS = (
    Signal(
        "unique_word_ratio",
        _FLOAT,
        "Share of different words among the words, in any case and without punctuation.",
        _unique_word_ratio,
    ),
    Signal(
        "word_entropy",
        _FLOAT,
        "Entropy of the words' frequencies in nats, in any case and without punctuation.",
        _word_entropy,
    ),
    Signal(
        "stop_word_ratio",
        _FLOAT,
        "Share of the words that are on the list of English stop words, in any case.",
        _stop_word_ratio,
    ),
)
"""Document signals of variety; null without words.

Source: RedPajama-V2's quality signals `rps_doc_frac_unique_words`, `rps_doc_unigram_entropy` and
`rps_doc_stop_word_fraction`. Words are those of `corpuskit.kernels.words.normalise`. Deviations: stop words
count in any case and are divided by the same words (there: as written, by words and marks), and the list is
English only.
"""
