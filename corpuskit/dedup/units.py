"""The units that repeats are made of (paragraphs, lines, sentences, words), and the runs of n of them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from corpuskit.dedup.grams import paragraphs as lines_of
from corpuskit.kernels.hashing import Hashes, hash_spans
from corpuskit.kernels.ngrams import ngram_hashes, window_minima
from corpuskit.kernels.sentences import sentence_starts
from corpuskit.kernels.spans import gathered, trimmed
from corpuskit.kernels.utf8 import Bytes, Offsets
from corpuskit.kernels.words import normalise, split

__all__ = ["SLICE_BYTES", "Unit", "Units", "WindowKeys", "units_of", "windows_of"]

Numbers = npt.NDArray[np.int64]
Unit = Literal["paragraph", "line", "sentence", "word"]

SLICE_BYTES = 4 << 20
"""Documents are divided into units so many bytes at a time: a word takes some 150 bytes meanwhile."""
LEAST_ANCHORED = 8
"""In runs of fewer units neighbours share too little to have an anchor of their own."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Units(NamedTuple):
    """The units of a batch of n texts, in order; none of them is blank. All arrays are int64."""

    starts: Offsets
    """Where each unit begins, with its indentation; the first of a text, with all white space before it."""
    ends: Offsets
    """Where its content ends."""
    befores: Offsets
    """Where the content of the unit before it ends; of the first of a text, where the text begins."""
    nexts: Offsets
    """Where the unit after it begins; of the last of a text, where the text ends."""
    offsets: Offsets
    """n + 1 values; text i has the units `offsets[i]` to `offsets[i + 1]`."""


class Contents(NamedTuple):
    """What units are compared by: that of unit u is `data[starts[u]:ends[u]]`."""

    data: Bytes
    starts: Offsets
    ends: Offsets


def units_of(
    data: Bytes, offsets: Offsets, unit: Unit, *, normalised: bool = False
) -> tuple[Units, Contents]:
    r"""Divide texts into units.

    A line ends at a newline, a paragraph at a blank line, a sentence at a line's end or as
    `corpuskit.kernels.sentences` says, a word as `corpuskit.kernels.words` says.

    Args:
        data: Bytes, as `corpuskit.kernels.utf8.buffers` returns them.
        offsets: Where the texts begin and end in it.
        unit: Which units.
        normalised: Compare them by their normalised words (`corpuskit.kernels.words.normalise`); one without
            words is no unit then. Otherwise they are compared by their bytes, white space around them apart.

    >>> data = np.frombuffer(b"One. Two.\n\n  three\nfour", np.uint8)
    >>> for unit in ("paragraph", "line", "sentence", "word"):
    ...     units_of(data, np.array([0, 23]), unit)[0].starts.tolist()
    [0, 11]
    [0, 11, 19]
    [0, 5, 11, 19]
    [0, 5, 13, 19]
    """
    if unit == "word":
        words = split(data, offsets)
        starts, ends, edges = words.starts, words.ends, words.offsets
        contents = Contents(data, starts, ends)
    else:
        starts, edges, contents = _divided(data, offsets, unit)
        ends = contents.ends
    some = np.flatnonzero(np.diff(edges))
    begins, befores, nexts = starts.copy(), np.roll(ends, 1), np.roll(starts, -1)
    begins[edges[some]] = befores[edges[some]] = offsets[some]
    nexts[edges[some + 1] - 1] = offsets[some + 1]
    units = Units(begins, ends, befores, nexts, edges)
    if not normalised:
        return units, contents
    normal, bounds = normalise(*gathered(*contents))
    worded = np.flatnonzero(np.diff(bounds))
    begins, ends, befores, nexts = (column[worded] for column in (begins, ends, befores, nexts))
    units = Units(begins, ends, befores, nexts, np.searchsorted(worded, edges))
    return units, Contents(normal, bounds[worded], bounds[worded + 1])


def _divided(data: Bytes, offsets: Offsets, unit: Unit) -> tuple[Offsets, Offsets, Contents]:
    """Return where each unit begins, the units' offsets, and what they are compared by."""
    bounds, rows = lines_of(data, offsets)
    firsts, ends = trimmed(data, bounds[:-1], bounds[1:])
    some = np.flatnonzero(firsts < ends)
    starts, rows, firsts, ends = bounds[some], rows[some], firsts[some], ends[some]
    if unit == "paragraph":
        heads = np.ones(len(some), bool)
        heads[1:] = (rows[1:] != rows[:-1]) | (np.diff(some) > 1)  # a line that is left out is blank
        ends = ends[np.append(heads[1:], True)[: len(heads)]]
        starts, rows, firsts = starts[heads], rows[heads], firsts[heads]
    elif unit == "sentence":
        places, owners = sentence_starts(data, firsts, ends)
        heads = np.ones(len(places), bool)
        heads[1:] = owners[1:] != owners[:-1]
        starts, rows = np.where(heads, starts[owners], places), rows[owners]
        stops = ends[owners]
        stops[:-1][~heads[1:]] = places[1:][~heads[1:]]
        firsts, ends = trimmed(data, places, stops)
    return starts, np.searchsorted(rows, np.arange(len(offsets))), Contents(data, firsts, ends)


class WindowKeys(NamedTuple):
    """The runs of n units of a batch of texts, in order."""

    high: Hashes
    """uint64; half of each run's 128-bit key."""
    low: Hashes
    """uint64; the other half, an independent hash."""
    anchors: Hashes
    """uint64; the same for runs with the same key, and mostly for neighbours too, unless n is small."""
    offsets: Offsets
    """int64; text i has the runs `offsets[i]` to `offsets[i + 1]`."""


def windows_of(units: Units, contents: Contents, n: int) -> WindowKeys:
    """Return the keys of every run of n units.

    >>> data = np.frombuffer(b"to be or not to be", np.uint8)
    >>> high, low, _, offsets = windows_of(*units_of(data, np.array([0, 18]), "word"), 2)
    >>> bool(high[0] == high[4]), bool(low[0] == low[4]), offsets.tolist()
    (True, True, [0, 5])
    """
    hashes = hash_spans(*contents, 0)
    high, offsets = ngram_hashes(hashes, units.offsets, n)
    low, _ = ngram_hashes(hash_spans(*contents, 1), units.offsets, n)
    anchors = high
    if n >= LEAST_ANCHORED:
        anchors, _ = window_minima(*ngram_hashes(hashes, units.offsets, n // 2), n - n // 2 + 1)
    return WindowKeys(high, low, anchors * _GOLDEN, offsets)
