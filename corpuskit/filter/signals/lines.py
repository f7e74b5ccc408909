"""Signals of lines, paragraphs and sentences.

A line ends at a newline (LF). Blank lines, of whitespace alone, are no lines: they are neither counted nor
compared, only `newline_word_ratio` sees them. Whitespace at the ends of a line, as a carriage return, is
never looked at. A paragraph is a run of lines without a blank one between. Source: FineWeb's filter
(datatrove) drops blank lines too; for Gopher datatrove counts them as lines that begin with no bullet.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.filter.signals.signal import Scan, Signal, counts, ratios
from corpuskit.filter.signals.words import Column, char_totals, word_totals
from corpuskit.kernels import Int, kernel
from corpuskit.kernels.bits import find
from corpuskit.kernels.sentences import count_sentences
from corpuskit.kernels.unicode import SPACE, TERMINAL
from corpuskit.kernels.utf8 import Bytes, Offsets, before, class_of, decode, readonly

SHORT_LINE = 30
"""A line of at most so many code points is short. Source: Penedo et al. 2024 (FineWeb), section 3.6."""

BULLET, ENDS_ELLIPSIS, ENDS_TERMINAL, ENDS_QUOTE, NEW_PARAGRAPH = 1, 2, 4, 8, 16
"""Flags of a line, from `look`; `NEW_PARAGRAPH` is set on the first line of a paragraph."""

_BULLETS = np.array([ord(mark) for mark in "•‣⁃∙▪▫■□●○◦▶◀·"], np.int64)
_LIST_MARKS = np.array([ord(mark) for mark in "-*–"], np.int64)
_QUOTES = np.array([ord(mark) for mark in '"”」』»'], np.int64)


class Spans(NamedTuple):
    """Spans of each text, without the whitespace around them.

    Attributes:
        first, last: int64; where a span begins and ends in the bytes of the column.
        chars: int64; its code points.
        offsets: int64, n + 1; text i has the spans `offsets[i]` to `offsets[i + 1]`.
    """

    first: Offsets
    last: Offsets
    chars: Column
    offsets: Offsets


class LineTable(NamedTuple):
    """The lines of a batch.

    Attributes:
        spans: Them, without the whitespace around them.
        starts, ends: int64; where each begins and ends with its whitespace and its newline.
        flags: uint8; what `look` saw at its ends.
    """

    spans: Spans
    starts: Offsets
    ends: Offsets
    flags: npt.NDArray[np.uint8]


def line_table(scan: Scan) -> LineTable:
    """Find the lines of each text."""
    data, offsets = scan.text
    most = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == 10)) + scan.rows
    table = np.empty((5, most), np.int64)
    flags = np.empty(most, np.uint8)
    line_offsets = np.zeros(scan.rows + 1, np.int64)
    _scan_lines(data, offsets, table, flags, line_offsets)
    starts, ends, first, last, chars = table[:, : line_offsets[-1]]
    return LineTable(Spans(first, last, chars, line_offsets), starts, ends, flags[: line_offsets[-1]])


def paragraphs(scan: Scan) -> Spans:
    """Find the paragraphs of each text."""
    table = scan.once(line_table)
    begins = np.flatnonzero(table.flags & NEW_PARAGRAPH)
    offsets = np.searchsorted(begins, table.spans.offsets)
    after = np.append(begins, len(table.flags))[1:] - 1
    first, last = table.spans.first[begins], table.spans.last[after]
    return Spans(first, last, _count_chars(scan, first, last), offsets)


def per_text(values: npt.NDArray[Any], offsets: Offsets) -> Column:
    """Sum the values of each text's items.

    >>> per_text(np.array([True, True, False]), np.array([0, 2, 2, 3])).tolist()
    [2, 0, 0]
    """
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    totals: Column = sums[offsets[1:]] - sums[offsets[:-1]]
    return totals


def _count_chars(scan: Scan, first: Offsets, last: Offsets) -> Column:
    data, _ = scan.text
    out = np.zeros(len(first), np.int64)
    _code_points(data, readonly(first), readonly(last), out)
    return out


@kernel
def _code_points(data: Bytes, starts: Offsets, ends: Offsets, out: Column) -> None:
    for span in range(len(starts)):
        count = 0
        for byte in data[starts[span] : ends[span]]:
            count += byte & 0xC0 != 0x80
        out[span] = count


@kernel
def _scan_lines(
    data: Bytes,
    offsets: Offsets,
    table: npt.NDArray[np.int64],
    flags: npt.NDArray[np.uint8],
    line_offsets: Offsets,
) -> None:
    """Fill the rows starts, ends, first, last and chars of `table`."""
    line = 0
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        apart = True
        while start < end:
            newline = find(data, start, end, 10)
            first, last = trim(data, start, newline)
            if first < last:
                table[0, line] = start
                table[1, line] = min(newline + 1, end)
                table[2, line] = first
                table[3, line] = last
                chars = 0
                for byte in data[first:last]:
                    chars += byte & 0xC0 != 0x80
                table[4, line] = chars
                flags[line] = look(data, first, last) | (NEW_PARAGRAPH if apart else 0)
                line += 1
            apart = first == last
            start = newline + 1
        line_offsets[text + 1] = line


@kernel
def trim(data: Bytes, first: Int, last: Int) -> tuple[Int, Int]:
    """Return a span without the whitespace at its ends. For use inside kernels."""
    while first < last:
        code, size = decode(data, first, last)
        if not class_of(code) & SPACE:
            break
        first += size
    while first < last:
        place = before(data, first, last)
        if not class_of(decode(data, place, last)[0]) & SPACE:
            break
        last = place
    return first, last


@kernel
def look(data: Bytes, first: Int, last: Int) -> Int:
    """Return the flags of a line, which is not empty, by its ends. For use inside kernels."""
    flags = 0
    code, size = decode(data, first, last)
    if code in _BULLETS:
        flags |= BULLET
    elif code in _LIST_MARKS and first + size < last:
        flags |= BULLET * (class_of(decode(data, first + size, last)[0]) & SPACE)
    code = decode(data, before(data, first, last), last)[0]
    if code == 0x2026 or (last - first >= 3 and data[last - 1] == data[last - 2] == data[last - 3] == 46):
        flags |= ENDS_ELLIPSIS
    if class_of(code) & TERMINAL:
        flags |= ENDS_TERMINAL
    if code in _QUOTES:
        flags |= ENDS_QUOTE
    return flags


def _line_ratio(scan: Scan, chosen: npt.NDArray[Any]) -> pa.Array:
    offsets = scan.once(line_table).spans.offsets
    return ratios(per_text(chosen, offsets), np.diff(offsets))


def _flag_ratio(scan: Scan, flag: int) -> pa.Array:
    return _line_ratio(scan, scan.once(line_table).flags & flag > 0)


def _short_line_ratio(scan: Scan) -> pa.Array:
    return _line_ratio(scan, scan.once(line_table).spans.chars <= SHORT_LINE)


def _line_count(scan: Scan) -> pa.Array:
    return counts(np.diff(scan.once(line_table).spans.offsets))


def _newline_word_ratio(scan: Scan) -> pa.Array:
    return ratios(scan.once(char_totals).newlines, scan.once(word_totals).words)


def _sentence_count(scan: Scan) -> pa.Array:
    data, _ = scan.text
    spans = scan.once(line_table).spans
    return counts(per_text(count_sentences(data, spans.first, spans.last), spans.offsets))


_INT, _FLOAT = pa.int64(), pa.float64()

SIGNALS = (
    Signal("line_count", _INT, "Lines that are not blank.", _line_count),
    Signal(
        "bullet_line_ratio",
        _FLOAT,
        "Share of the lines that begin with a bullet (• and its kin; -, * and – if a space follows).",
        lambda scan: _flag_ratio(scan, BULLET),
    ),
    Signal(
        "ellipsis_line_ratio",
        _FLOAT,
        "Share of the lines that end in ... or ….",
        lambda scan: _flag_ratio(scan, ENDS_ELLIPSIS),
    ),
    Signal(
        "terminal_punctuation_line_ratio",
        _FLOAT,
        "Share of the lines that end in a mark that ends sentences (. ! ? and their kin in all scripts).",
        lambda scan: _flag_ratio(scan, ENDS_TERMINAL),
    ),
    Signal("short_line_ratio", _FLOAT, "Share of the lines of at most 30 code points.", _short_line_ratio),
    Signal(
        "newline_word_ratio", _FLOAT, "Newlines a word, those of blank lines included.", _newline_word_ratio
    ),
    Signal("sentence_count", _INT, "Sentences; each line has at least one.", _sentence_count),
    Signal(
        "curly_bracket_count",
        _INT,
        "Opening curly brackets ({), as in code.",
        lambda scan: counts(scan.once(char_totals).curly),
    ),
)
"""Document signals of lines; ratios are null where there is no line (or no word).

Source: Rae et al. 2021 (Gopher), section A1.1: bullets and ellipses. The paper names no bullet characters;
datatrove takes • and any hyphen, so that it also counts a line that begins with a negative number.
Penedo et al. 2024 (FineWeb), section 3.6: terminal punctuation (quotation marks are none, as in datatrove),
short lines, newlines a word. Raffel et al. 2020 (C4; tfds `c4_utils`): sentences and `{`.
"""
