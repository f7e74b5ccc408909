"""Spans of text: copied, cut out, trimmed, measured and widened, never inside a code point.

A span is `data[starts[i]:ends[i]]`; `starts` and `ends` are int64.
"""

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.unicode import SPACE
from corpuskit.kernels.utf8 import Bytes, Offsets, before, class_of, decode, readonly


def gathered(data: Bytes, starts: Offsets, ends: Offsets) -> tuple[Bytes, Offsets]:
    """Copy spans, in the order given, into texts of their own.

    Returns:
        `data` and `offsets` of the new texts, as `corpuskit.kernels.utf8.strings` takes them.

    >>> data, offsets = gathered(np.frombuffer(b"one two", np.uint8), np.array([4, 0]), np.array([7, 3]))
    >>> bytes(data), offsets.tolist()
    (b'twoone', [0, 3, 6])
    """
    offsets = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(ends - starts, out=offsets[1:])
    out = np.empty(int(offsets[-1]), np.uint8)
    _gather(readonly(data), readonly(starts), readonly(ends), out)
    return readonly(out), readonly(offsets)


@kernel
def _gather(data: Bytes, starts: Offsets, ends: Offsets, out: Bytes) -> None:
    put = 0
    for span in range(len(starts)):
        size = ends[span] - starts[span]
        out[put : put + size] = data[starts[span] : ends[span]]
        put += size


def characters(data: Bytes, starts: Offsets, ends: Offsets) -> npt.NDArray[np.int64]:
    """Count the code points of each span.

    >>> characters(np.frombuffer("né€".encode(), np.uint8), np.array([0]), np.array([6])).tolist()
    [3]
    """
    out = np.empty(len(starts), np.int64)
    _characters(readonly(data), readonly(starts), readonly(ends), out)
    return out


@kernel
def _characters(data: Bytes, starts: Offsets, ends: Offsets, out: npt.NDArray[np.int64]) -> None:
    for span in range(len(starts)):
        count = 0
        for at in range(starts[span], ends[span]):
            count += data[at] & 0xC0 != 0x80
        out[span] = count


def trimmed(data: Bytes, starts: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
    r"""Take whitespace, as `str.strip` sees it, from both ends of each span; a blank one becomes empty.

    >>> trimmed(np.frombuffer(b"\t one \n", np.uint8), np.array([0, 0]), np.array([7, 2]))
    (array([2, 2]), array([5, 2]))
    """
    first, last = starts.copy(), ends.copy()
    _trim(readonly(data), first, last)
    return first, last


@kernel
def _trim(data: Bytes, starts: Offsets, ends: Offsets) -> None:
    for span in range(len(starts)):
        at, end = starts[span], ends[span]
        while at < end:
            code, size = decode(data, at, end)
            if not class_of(code) & SPACE:
                break
            at += size
        while end > at:
            last = before(data, at, end)
            if not class_of(decode(data, last, end)[0]) & SPACE:
                break
            end = last
        starts[span], ends[span] = at, end


def widened(
    data: Bytes, spans: tuple[Offsets, Offsets], bounds: tuple[Offsets, Offsets], count: int
) -> tuple[Offsets, Offsets]:
    """Widen each span by `count` code points on each side, but not beyond its `bounds` (starts, ends).

    >>> data = np.frombuffer("éa-b€".encode(), np.uint8)
    >>> widened(data, (np.array([3]), np.array([4])), (np.array([0]), np.array([8])), 2)
    (array([0]), array([8]))
    """
    starts, ends = spans[0].copy(), spans[1].copy()
    _widen(readonly(data), (starts, ends), (readonly(bounds[0]), readonly(bounds[1])), count)
    return starts, ends


@kernel
def _widen(data: Bytes, spans: tuple[Offsets, Offsets], bounds: tuple[Offsets, Offsets], count: Int) -> None:
    starts, ends = spans
    for span in range(len(starts)):
        first, last = bounds[0][span], bounds[1][span]
        at, end = starts[span], ends[span]
        for _ in range(count):
            if at > first:
                at = before(data, first, at)
            if end < last:
                end += decode(data, end, last)[1]
        starts[span], ends[span] = at, end


def united(rows: Offsets, starts: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
    """Group spans that overlap or touch, of the same row of a batch.

    Args:
        rows: int64; the row of each span. Spans are sorted by row, then start.
        starts: int64; where each begins.
        ends: int64; where each ends.

    Returns:
        `heads` (int64): the first span of each group; and `stops` (int64): where each group ends.

    >>> heads, stops = united(np.array([0, 0, 0, 1]), np.array([0, 3, 9, 9]), np.array([5, 4, 12, 10]))
    >>> heads.tolist(), stops.tolist()
    ([0, 2, 3], [5, 12, 10])
    """
    heads = np.empty(len(rows), np.int64)
    stops = np.empty(len(rows), np.int64)
    count = _unite(readonly(rows), readonly(starts), readonly(ends), heads, stops)
    return heads[:count], stops[:count]


@kernel
def _unite(rows: Offsets, starts: Offsets, ends: Offsets, heads: Offsets, stops: Offsets) -> int:
    count = 0
    for span in range(len(rows)):
        same = count > 0 and rows[heads[count - 1]] == rows[span]
        if same and starts[span] <= stops[count - 1]:
            stops[count - 1] = max(stops[count - 1], ends[span])
        else:
            heads[count], stops[count] = span, ends[span]
            count += 1
    return count


def same_spans(
    data: Bytes, spans: tuple[Offsets, Offsets], other: Bytes, others: tuple[Offsets, Offsets]
) -> npt.NDArray[np.bool_]:
    """Say of each span whether it has the same bytes as the span of the same place in `other`.

    >>> data = np.frombuffer(b"abcab", np.uint8)
    >>> same_spans(data, (np.array([0]), np.array([2])), data, (np.array([3]), np.array([5]))).tolist()
    [True]
    """
    out = np.zeros(len(spans[0]), bool)
    arrays = [readonly(array) for array in (*spans, *others)]
    _same(readonly(data), (arrays[0], arrays[1]), readonly(other), (arrays[2], arrays[3]), out)
    return out


@kernel
def _same(
    data: Bytes,
    spans: tuple[Offsets, Offsets],
    other: Bytes,
    others: tuple[Offsets, Offsets],
    out: npt.NDArray[np.bool_],
) -> None:
    for span in range(len(out)):
        size = spans[1][span] - spans[0][span]
        same = size == others[1][span] - others[0][span]
        at = 0
        while same and at < size:
            same = data[spans[0][span] + at] == other[others[0][span] + at]
            at += 1
        out[span] = same
