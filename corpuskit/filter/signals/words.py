"""Signals of words and characters.

Words are those of `corpuskit.kernels.words`: split at whitespace, punctuation stays with its word, scripts
without spaces are cut in twos. Gopher does not say how it splits; datatrove tokenises with nltk and counts
punctuation as words of their own, so its counts are higher and its words shorter.

Where more than half of the words come from scripts without spaces, signals that suppose words of a language
with spaces (`mean_word_length`, `stop_word_count`) are undefined, so that no rule on them can fail.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.filter.signals.signal import Scan, Signal, counts, ratios
from corpuskit.kernels import Int, kernel, words
from corpuskit.kernels.bits import chunk, find, keep
from corpuskit.kernels.unicode import DIGIT, LETTER, LOWER, UNSPACED, UPPER
from corpuskit.kernels.utf8 import ASCII_CLASSES, Bytes, Offsets, before, class_of, decode

Column = npt.NDArray[np.int64]

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Source: Rae et al. 2021 (Gopher), section A1.1."""
WORDS_BEFORE = "word_count before cuts"
"""The column that tells `removed_word_ratio` how many words there were; it is never written to a dataset."""
_LOWER_EIGHT = np.uint64(0x2020202020202020)
_SPREAD = np.uint64(0xA648A7DD06839EB9)  # Found by trial: sends the eight words to eight of sixteen places.
_STOP_KEYS = np.zeros(16, np.uint64)
for _word in STOP_WORDS:
    _key = int.from_bytes(_word.encode(), "little")
    _STOP_KEYS[(_key * int(_SPREAD) >> 60) & 15] = _key


class WordTotals(NamedTuple):
    """Sums over the words of each text."""

    words: Column
    chars: Column
    longest: Column
    alphabetic: Column
    upper: Column
    unspaced: Column
    stop_words: Column
    stop_word_occurrences: Column

    @property
    def mostly_unspaced(self) -> npt.NDArray[np.bool_]:
        """True where more than half of the words come from scripts written without spaces."""
        mostly: npt.NDArray[np.bool_] = self.unspaced * 2 > self.words
        return mostly


class CharTotals(NamedTuple):
    """Sums over the code points of each text."""

    chars: Column
    letters: Column
    hashes: Column
    ellipses: Column
    curly: Column
    closing_curly: Column
    newlines: Column


def words_of(scan: Scan) -> words.Words:
    """Split the texts of a batch into words."""
    return words.split(*scan.text)


def word_totals(scan: Scan) -> WordTotals:
    """Sum up the words of each text."""
    data, _ = scan.text
    found = scan.once(words_of)
    out = np.zeros((len(WordTotals._fields), scan.rows), np.int64)
    _sum_words(data, found.starts, found.ends, found.chars, found.classes, found.offsets, out)
    return WordTotals(*out)


def char_totals(scan: Scan) -> CharTotals:
    """Sum up the code points of each text."""
    data, offsets = scan.text
    out = np.zeros((len(CharTotals._fields), scan.rows), np.int64)
    _sum_chars(data, offsets, out)
    return CharTotals(*out)


@kernel
def _sum_words(
    data: Bytes,
    starts: Offsets,
    ends: Offsets,
    chars: npt.NDArray[np.int32],
    classes: npt.NDArray[np.uint16],
    offsets: Offsets,
    out: npt.NDArray[np.int64],
) -> None:
    """Fill the rows of `out` in the order of `WordTotals`."""
    for text in range(len(offsets) - 1):
        length = longest = alphabetic = upper = unspaced = stop = np.int64(0)
        for word in range(offsets[text], offsets[text + 1]):
            kind = np.int64(classes[word])
            length += chars[word]
            longest = max(longest, np.int64(chars[word]))
            alphabetic += kind & LETTER > 0
            upper += kind & (UPPER | LOWER) == UPPER
            unspaced += kind & UNSPACED > 0
            found = _stop_word(data, starts[word], ends[word])
            out[7, text] += found > 0
            stop |= found
        out[0, text] = offsets[text + 1] - offsets[text]
        out[1, text] = length
        out[2, text] = longest
        out[3, text] = alphabetic
        out[4, text] = upper
        out[5, text] = unspaced
        while stop:
            out[6, text] += stop & 1
            stop >>= 1


@kernel
def _stop_word(data: Bytes, start: Int, end: Int) -> Int:
    """Return the bit of the stop word that a word is, in any case, without the marks around it; else 0."""
    if not (_plain(data[start]) and _plain(data[end - 1])):
        start, end = _core(data, start, end)
    key = keep(chunk(data, start) | _LOWER_EIGHT, min(end - start, 5))
    place = np.int64((key * _SPREAD) >> np.uint64(60))
    return np.int64(_STOP_KEYS[place] == key) << place


@kernel
def _core(data: Bytes, start: Int, end: Int) -> tuple[Int, Int]:
    """Return a word without all that is not a letter or digit at its ends."""
    while start < end:
        code, size = decode(data, start, end)
        if class_of(code) & (LETTER | DIGIT):
            break
        start += size
    while start < end:
        last = before(data, start, end)
        if class_of(decode(data, last, end)[0]) & (LETTER | DIGIT):
            break
        end = last
    return start, end


@kernel
def _plain(byte: Int) -> bool:
    return bool(byte < 128 and ASCII_CLASSES[byte] & (LETTER | DIGIT))


@kernel
def _sum_chars(data: Bytes, offsets: Offsets, out: npt.NDArray[np.int64]) -> None:
    """Fill the rows of `out` in the order of `CharTotals`."""
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        inner = letters = hashes = curly = closing = newlines = 0
        for byte in data[start:end]:
            inner += byte & 0xC0 == 0x80
            letters += 97 <= (byte | 0x20) <= 122
            hashes += byte == 35
            curly += byte == 123
            closing += byte == 125
            newlines += byte == 10
        ellipses = _dots(data, start, end)
        if inner:
            more, single = _sum_beyond_ascii(data, start, end)
            letters += more
            ellipses += single
        out[0, text] = end - start - inner
        out[1, text] = letters
        out[2, text] = hashes
        out[3, text] = ellipses
        out[4, text] = curly
        out[5, text] = closing
        out[6, text] = newlines


@kernel
def _dots(data: Bytes, at: Int, end: Int) -> Int:
    """Count "..." as `str.count` does: a run of six dots is two."""
    count = 0
    while at < end:
        at = find(data, at, end, 46)
        first = at
        while at < end and data[at] == 46:
            at += 1
        count += (at - first) // 3
    return count


@kernel
def _sum_beyond_ascii(data: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Count letters that are not ASCII, and the one-character ellipsis."""
    letters = ellipses = 0
    while at < end:
        if data[at] < 128:
            at += 1
            continue
        code, size = decode(data, at, end)
        letters += class_of(code) & LETTER > 0
        ellipses += code == 0x2026
        at += size
    return letters, ellipses


def _mean_word_length(scan: Scan) -> pa.Array:
    total = scan.once(word_totals)
    return ratios(total.chars, np.where(total.mostly_unspaced, 0, total.words))


def _stop_word_count(scan: Scan) -> pa.Array:
    total = scan.once(word_totals)
    return counts(total.stop_words, total.mostly_unspaced)


def _stop_word_occurrences(scan: Scan) -> pa.Array:
    total = scan.once(word_totals)
    return counts(total.stop_word_occurrences, total.mostly_unspaced)


def _symbol_word_ratio(scan: Scan) -> pa.Array:
    total = scan.once(char_totals)
    return _per_word(scan, total.hashes + total.ellipses)


def _curly_bracket_char_ratio(scan: Scan) -> pa.Array:
    total = scan.once(char_totals)
    return ratios(total.curly + total.closing_curly, total.chars)


def _longest_word_length(scan: Scan) -> pa.Array:
    total = scan.once(word_totals)
    return counts(total.longest, total.words == 0)


def _removed_word_ratio(scan: Scan) -> pa.Array:
    left = scan.once(word_totals).words
    if WORDS_BEFORE not in scan.batch.schema.names:
        return ratios(np.zeros_like(left), left)
    before = scan.column(WORDS_BEFORE).to_numpy()
    return ratios(before - left, before)


def _per_word(scan: Scan, part: Column) -> pa.Array:
    return ratios(part, scan.once(word_totals).words)


def _alphabetic_char_ratio(scan: Scan) -> pa.Array:
    total = scan.once(char_totals)
    return ratios(total.letters, total.chars)


_INT, _FLOAT = pa.int64(), pa.float64()

SIGNALS = (
    Signal("word_count", _INT, "Words.", lambda scan: counts(scan.once(word_totals).words)),
    Signal(
        "mean_word_length",
        _FLOAT,
        "Code points a word, its punctuation included; null where most words are of unspaced scripts.",
        _mean_word_length,
    ),
    Signal(
        "longest_word_length",
        _INT,
        "Code points of the longest word; null without words.",
        _longest_word_length,
    ),
    Signal(
        "hash_word_ratio",
        _FLOAT,
        "Hash marks (#) a word.",
        lambda scan: _per_word(scan, scan.once(char_totals).hashes),
    ),
    Signal(
        "ellipsis_word_ratio",
        _FLOAT,
        "Ellipses (... or …) a word.",
        lambda scan: _per_word(scan, scan.once(char_totals).ellipses),
    ),
    Signal(
        "symbol_word_ratio",
        _FLOAT,
        "Hash marks and ellipses together (#, ... and …) a word.",
        _symbol_word_ratio,
    ),
    Signal(
        "alphabetic_word_ratio",
        _FLOAT,
        "Share of the words that have a letter.",
        lambda scan: _per_word(scan, scan.once(word_totals).alphabetic),
    ),
    Signal(
        "upper_word_ratio",
        _FLOAT,
        "Share of the words that are all upper case, one-letter words included.",
        lambda scan: _per_word(scan, scan.once(word_totals).upper),
    ),
    Signal(
        "unspaced_word_ratio",
        _FLOAT,
        "Share of the words that come from scripts written without spaces.",
        lambda scan: _per_word(scan, scan.once(word_totals).unspaced),
    ),
    Signal(
        "stop_word_count",
        _INT,
        "How many different ones of the, be, to, of, and, that, have, with occur, in any case; "
        "null where most words are of unspaced scripts.",
        _stop_word_count,
    ),
    Signal(
        "stop_word_occurrences",
        _INT,
        "How often any of those eight words occurs; null where most words are of unspaced scripts.",
        _stop_word_occurrences,
    ),
    Signal(
        "removed_word_ratio",
        _FLOAT,
        "Share of the words that the last table with cuts took away; 0 where none did, null without words.",
        _removed_word_ratio,
    ),
    Signal(
        "char_count",
        _INT,
        "Code points, whitespace included.",
        lambda scan: counts(scan.once(char_totals).chars),
    ),
    Signal(
        "alphabetic_char_ratio", _FLOAT, "Share of the code points that are letters.", _alphabetic_char_ratio
    ),
    Signal(
        "curly_bracket_char_ratio",
        _FLOAT,
        "Share of the code points that are curly brackets, opening or closing.",
        _curly_bracket_char_ratio,
    ),
)
"""Document signals of words and characters.

Source: Rae et al. 2021 (Gopher), section A1.1. Stop words are counted once each (the paper: "at least two of
the following"), in any case; length is the mean (the paper's word), not the median of some implementations.
DCLM (arXiv:2406.11794): `stop_word_occurrences`, and `symbol_word_ratio`, where its code adds up what the
paper of Gopher judges apart. Penedo et al. 2023 (RefinedWeb), appendix G.2: `removed_word_ratio`; a word that
was cut in two counts as left.
"""
