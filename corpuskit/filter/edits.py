"""Cuts in the texts of a batch: what they leave, and where each lay in the text that came in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpuskit.kernels import kernel
from corpuskit.kernels.utf8 import Bytes, Offsets, buffers, readonly, strings

__all__ = ["Cuts", "Edits"]


@dataclass(frozen=True)
class Cuts:
    """Spans that were cut, one value of each array a span, in the order of the text.

    Attributes:
        rows: int64; the text it was cut from.
        starts: int64; its first byte in that text as it came in.
        ends: int64; the byte after its last.
        which: int64; the span asked for. One that lay across an earlier cut comes back in pieces.
    """

    rows: Offsets
    starts: Offsets
    ends: Offsets
    which: Offsets


class Edits:
    """The texts of a batch while things are cut from them, one round of cuts after another.

    All texts are one row of bytes here, so a round costs one pass over them however many texts it touches.

    >>> edits = Edits(pa.array(["one two three", "four"]))
    >>> edits.cut(np.array([4, 13]), np.array([8, 14]))  # one text begins where the last ends: at 13
    Cuts(rows=array([0, 1]), starts=array([4, 0]), ends=array([8, 1]), which=array([0, 1]))
    >>> edits.text.to_pylist()
    ['one three', 'our']
    >>> edits.cut(np.array([2]), np.array([5]))  # "e t", which the first cut lies within
    Cuts(rows=array([0, 0]), starts=array([2, 8]), ends=array([4, 9]), which=array([0, 0]))
    """

    def __init__(self, text: pa.Array) -> None:
        """Begin with `text` (strings), nothing cut; a null text is empty."""
        data, offsets = buffers(text)
        self._data: Bytes = data[offsets[0] : offsets[-1]]
        self._first: Offsets = offsets - offsets[0]
        self._now: Offsets = self._first
        self._starts = self._ends = np.zeros(0, np.int64)

    @property
    def offsets(self) -> Offsets:
        """Where each text begins among the bytes that are left, and where the last one ends."""
        return self._now

    @property
    def text(self) -> pa.LargeStringArray:
        """The texts as they are left."""
        return strings(readonly(self._data), readonly(self._now))

    def cut(self, starts: Offsets, ends: Offsets) -> Cuts:
        """Cut spans from the bytes that are left, and say where they lay in the texts that came in.

        Args:
            starts: int64; where each span begins among the bytes that are left, as `offsets` counts them.
                Spans are in order, not empty, apart from one another, and each within one text.
            ends: int64; where each ends.
        """
        if not len(starts):
            return Cuts(*(np.zeros(0, np.int64) for _ in range(4)))
        pieces, which = self._split(starts, ends)
        came_in = self._came_in(*pieces)
        self._data = _without(readonly(self._data), readonly(starts), readonly(ends))
        removed = np.concatenate([[0], np.cumsum(ends - starts)])
        self._now = self._now - removed[np.searchsorted(ends, self._now, side="right")]
        self._starts, self._ends = _joined(self._starts, self._ends, *came_in)
        rows = np.searchsorted(self._first, came_in[0], side="right") - 1
        return Cuts(rows, came_in[0] - self._first[rows], came_in[1] - self._first[rows], which)

    def _split(self, starts: Offsets, ends: Offsets) -> tuple[tuple[Offsets, Offsets], Offsets]:
        """Divide spans at the earlier cuts that lie within them."""
        seams = self._starts - _before(self._starts, self._ends)
        first = np.searchsorted(seams, starts, side="right")
        inside = np.searchsorted(seams, ends, side="left") - first
        which = np.repeat(np.arange(len(starts)), inside + 1)
        heads = np.cumsum(inside + 1) - inside - 1  # the first piece of each span
        rest = np.ones(len(which), bool)
        rest[heads] = False
        number = np.arange(len(which)) - heads[which]
        begins, stops = starts[which], ends[which]
        begins[rest] = seams[(first[which] + number - 1)[rest]]
        stops[:-1][rest[1:]] = begins[1:][rest[1:]]
        return (begins, stops), which

    def _came_in(self, starts: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
        """Say where spans of what is left, which no earlier cut lies within, lay in what came in."""
        seams = self._starts - _before(self._starts, self._ends)
        removed = np.concatenate([[0], np.cumsum(self._ends - self._starts)])
        after = starts + removed[np.searchsorted(seams, starts, side="right")]
        return after, ends + removed[np.searchsorted(seams, ends, side="left")]


def _before(starts: Offsets, ends: Offsets) -> Offsets:
    """Count the bytes that cuts take away before each of them."""
    lengths = ends - starts
    return np.asarray(np.cumsum(lengths) - lengths)


def _joined(starts: Offsets, ends: Offsets, more: Offsets, more_ends: Offsets) -> tuple[Offsets, Offsets]:
    """Unite two sets of disjoint spans, and join those that touch."""
    begins, stops = np.concatenate([starts, more]), np.concatenate([ends, more_ends])
    order = np.argsort(begins, kind="stable")
    begins, stops = begins[order], stops[order]
    apart = begins[1:] != stops[:-1]
    return begins[np.concatenate([[True], apart])], stops[np.concatenate([apart, [True]])]


def _without(data: Bytes, starts: Offsets, ends: Offsets) -> Bytes:
    out = np.empty(len(data) - int((ends - starts).sum()), np.uint8)
    _copy(data, starts, ends, out)
    return out


@kernel
def _copy(data: Bytes, starts: Offsets, ends: Offsets, out: Bytes) -> None:
    put = at = 0
    for span in range(len(starts) + 1):
        stop = starts[span] if span < len(starts) else len(data)
        out[put : put + stop - at] = data[at:stop]
        put += stop - at
        at = ends[span] if span < len(starts) else stop
