"""Signals with one value a line, for rules that cut lines (C4, RefinedWeb), and the citations that C4 cuts.

Lines are those of `corpuskit.filter.signals.lines`. C4 strips citations before it looks at a line; here they
count as words, but a line may end in citations after its terminal mark.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.filter.signals.lines import (
    BULLET,
    ENDS_ELLIPSIS,
    ENDS_QUOTE,
    ENDS_TERMINAL,
    line_table,
    look,
    trim,
)
from corpuskit.filter.signals.signal import Scan, Signal, counts, ratios
from corpuskit.filter.signals.words import Column, words_of
from corpuskit.kernels import Int, kernel
from corpuskit.kernels.bits import find
from corpuskit.kernels.unicode import DIGIT, PUNCTUATION, SPACE, UPPER
from corpuskit.kernels.utf8 import Bytes, Offsets, class_of, decode, readonly, strings

_COUNTERS = (
    "likes?|dislikes?|shares?|comments?|repl(?:y|ies)|retweets?|reposts?|quotes?|bookmarks?|upvotes?|downvotes?|votes?|"
    "points?|downloads?|views?|visits?|reads?|plays?|followers?|following|subscribers?|members?|reactions?|ratings?|"
    "reviews?|stars?|posts?|photos?|videos?|hits?"
)
_COUNTER = rf"(?i)^[^\pL\pN]*\d[\d.,]*\s*[kmb]?\+?\s+(?:{_COUNTERS})[^\pL\pN]*$"
_COUNTER_LENGTH = 64


@dataclass(frozen=True)
class Lines:
    """The lines of a batch with what the signals say of each.

    Attributes:
        text: int64; the row of the text that a line is of, ascending.
        starts, ends: int64; where it begins and ends in the UTF-8 bytes of that text, its newline included.
        columns: One value a line, by signal.
    """

    text: Column
    starts: Column
    ends: Column
    columns: Mapping[str, pa.Array]


def spans(scan: Scan, columns: Mapping[str, pa.Array]) -> Lines:
    """Put columns of line signals beside the lines they are of."""
    table = scan.once(line_table)
    text = np.repeat(np.arange(scan.rows), np.diff(table.spans.offsets))
    begin = scan.text[1][:-1][text]
    return Lines(text, table.starts - begin, table.ends - begin, columns)


@dataclass(frozen=True)
class TextSpans:
    """Spans in the UTF-8 bytes of texts, in order: `text` is the row, `starts` and `ends` are within it."""

    text: Column
    starts: Column
    ends: Column


def citations(batch: pa.RecordBatch) -> TextSpans:
    r"""Find what C4 strips before anything else: [1] (any digits, or none), [edit] and [citation needed].

    Source: Raffel et al. 2020 (C4; tfds `c4_utils`), whose pattern is
    `\[\d*\]|\[edit\]|\[citation needed\]`; here a digit is an ASCII one.

    >>> found = citations(pa.RecordBatch.from_pydict({"text": ["As said.[12] So[citation needed] [sic]"]}))
    >>> found.starts.tolist(), found.ends.tolist()
    ([8, 15], [12, 32])
    """
    data, offsets = Scan(batch).text
    most = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == ord("[")))
    table = np.empty((3, most), np.int64)
    count = _citations(data, offsets, table)
    text, starts, ends = table[:, :count]
    return TextSpans(text, starts - offsets[text], ends - offsets[text])


@kernel
def _citations(data: Bytes, offsets: Offsets, table: npt.NDArray[np.int64]) -> Int:
    count = 0
    for text in range(len(offsets) - 1):
        end = offsets[text + 1]
        at = find(data, offsets[text], end, 91)
        while at < end:
            after = _citation(data, at, end)
            if after > at:
                table[0, count] = text
                table[1, count] = at
                table[2, count] = after
                count += 1
            at = find(data, max(after, at + 1), end, 91)
    return count


_WORDS = (np.frombuffer(b"[edit]", np.uint8), np.frombuffer(b"[citation needed]", np.uint8))


@kernel
def _citation(data: Bytes, at: Int, end: Int) -> Int:
    """Return where the citation that begins at an opening bracket ends; `at` if it is none."""
    after = at + 1
    while after < end and 48 <= data[after] <= 57:
        after += 1
    if after < end and data[after] == 93:
        return after + 1
    for word in _WORDS:
        after = at + len(word)
        if after <= end and np.all(data[at:after] == word):
            return after
    return at


@kernel
def _ends_terminal(data: Bytes, first: Offsets, last: Offsets, out: npt.NDArray[np.bool_]) -> None:
    for line in range(len(first)):
        start, end = first[line], last[line]
        while start < end and data[end - 1] == 93:
            place = end - 2
            while place > start and data[place] != 91 and data[place] != 93:
                place -= 1
            if place < start or data[place] != 91 or _citation(data, place, end) != end:
                break
            start, end = trim(data, start, place)
        if start < end:
            flags = look(data, start, end)
            out[line] = flags & (ENDS_TERMINAL | ENDS_QUOTE) > 0 and not flags & ENDS_ELLIPSIS


@kernel
def _sum_lines(data: Bytes, first: Offsets, last: Offsets, out: npt.NDArray[np.int64]) -> None:
    """Count the code points of each line but whitespace, and of them upper case, digits and punctuation."""
    for line in range(len(first)):
        at, end = first[line], last[line]
        while at < end:
            code, size = decode(data, at, end)
            kind = class_of(code)
            out[0, line] += kind & SPACE == 0
            out[1, line] += kind & UPPER > 0
            out[2, line] += kind & DIGIT > 0
            out[3, line] += kind & PUNCTUATION > 0
            at += size


def line_totals(scan: Scan) -> npt.NDArray[np.int64]:
    """Return rows of counts a line: all but whitespace, upper case, digits, punctuation."""
    lines = scan.once(line_table).spans
    out = np.zeros((4, len(lines.first)), np.int64)
    _sum_lines(scan.text[0], readonly(lines.first), readonly(lines.last), out)
    return out


def first_words(scan: Scan) -> npt.NDArray[np.int64]:
    """Return the number of the first word of each line, and of the word after the last."""
    starts = scan.once(words_of).starts
    return np.append(np.searchsorted(starts, scan.once(line_table).spans.first), len(starts))


def _word_count(scan: Scan) -> pa.Array:
    return counts(np.diff(scan.once(first_words)))


def _longest_word(scan: Scan) -> pa.Array:
    first = scan.once(first_words)[:-1]
    chars = scan.once(words_of).chars
    return counts(np.maximum.reduceat(chars, first) if len(first) else chars)


def _terminal(scan: Scan) -> pa.Array:
    lines = scan.once(line_table).spans
    out = np.zeros(len(lines.first), np.bool_)
    _ends_terminal(scan.text[0], readonly(lines.first), readonly(lines.last), out)
    return pa.array(out)


def _upper_ratio(scan: Scan) -> pa.Array:
    seen, upper, _, _ = scan.once(line_totals)
    return ratios(upper, seen)


def _numeric(scan: Scan) -> pa.Array:
    seen, _, digits, punctuation = scan.once(line_totals)
    return pa.array((digits > 0) & (digits + punctuation == seen))


def _digit_ratio(scan: Scan) -> pa.Array:
    seen, _, digits, _ = scan.once(line_totals)
    return ratios(digits, seen)


def _starts_bullet(scan: Scan) -> pa.Array:
    return pa.array(scan.once(line_table).flags & BULLET > 0)


def _is_counter(scan: Scan) -> pa.Array:
    lines = scan.once(line_table).spans
    _, _, digits, _ = scan.once(line_totals)
    out = np.zeros(len(lines.first), np.bool_)
    likely = np.flatnonzero((digits > 0) & (lines.chars <= _COUNTER_LENGTH))
    if len(likely):
        bounds = np.stack([lines.first[likely], lines.last[likely]], axis=1).ravel()
        texts = strings(scan.text[0], bounds).take(pa.array(np.arange(0, len(bounds), 2)))
        out[likely] = pc.match_substring_regex(texts, _COUNTER).to_numpy(zero_copy_only=False)
    return pa.array(out)


_INT, _FLOAT, _BOOL = pa.int64(), pa.float64(), pa.bool_()

SIGNALS = (
    Signal("line_word_count", _INT, "Words of the line.", _word_count),
    Signal("line_longest_word", _INT, "Code points of the line's longest word.", _longest_word),
    Signal(
        "line_ends_terminal",
        _BOOL,
        "Whether the line ends in a mark that ends sentences or a quotation mark, and not in an ellipsis.",
        _terminal,
    ),
    Signal(
        "line_upper_ratio",
        _FLOAT,
        "Share of upper-case letters among the line's code points other than whitespace.",
        _upper_ratio,
    ),
    Signal("line_numeric", _BOOL, "Whether the line has digits and else punctuation only.", _numeric),
    Signal(
        "line_digit_ratio",
        _FLOAT,
        "Share of digits among the line's code points other than whitespace.",
        _digit_ratio,
    ),
    Signal(
        "line_starts_bullet",
        _BOOL,
        "Whether the line begins with a bullet (• and its kin; -, * and – if a space follows).",
        _starts_bullet,
    ),
    Signal("line_is_counter", _BOOL, 'Whether the line is a counter such as "3 likes".', _is_counter),
)
"""Line signals.

Source: Raffel et al. 2020 (C4; tfds `c4_utils`): `line_word_count`, `line_longest_word` and
`line_ends_terminal`, whose marks there are . ? ! and the straight double quotation mark; here also their kin
of all scripts and the other closing quotation marks (” 」 』 »). Penedo et al. 2023 (RefinedWeb), appendix
G.2: `line_upper_ratio`, `line_numeric`, `line_is_counter`. RedPajama-V2's list of quality signals:
`line_digit_ratio`, `line_starts_bullet`.
"""
