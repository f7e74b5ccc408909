"""Signals of repetition within a document: Gopher's table A1.

Source: Rae et al. 2021 (Gopher), section A1.1 and table A1. Choices where the paper is silent:

- Lines and paragraphs are those of `corpuskit.filter.signals.lines`: blank lines are none, and whitespace at
  the ends does not tell two apart. A duplicate is a copy of an earlier one: three equal lines are two
  duplicates. Shares of characters are of the code points of all lines (or paragraphs), without the whitespace
  around them.
- n-grams are of the words of `corpuskit.kernels.words`; their characters are those of the words, without the
  whitespace between, as a share of those of all words. No character counts twice ("taking care not to count
  characters that occur in overlapping n-grams more than once"), so no share exceeds 1.
- `top_*`: all occurrences of the most frequent n-gram count; of several, the longest. Where no n-gram occurs
  twice nothing is repeated, and the share is 0.
- `duplicate_*`: occurrences after the first count.

datatrove differs: it steps over a duplicate n-gram before it looks for the next, so it misses up to n - 1
words at the end of a repeated passage; it counts overlapping occurrences of the top n-gram in full, counts an
n-gram that occurs once, and divides by the length of the text with its whitespace.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.filter.signals.lines import Spans, line_table, paragraphs, per_text
from corpuskit.filter.signals.signal import Scan, Signal, ratios
from corpuskit.filter.signals.words import Column, word_totals, words_of
from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes, hash_spans
from corpuskit.kernels.utf8 import Offsets, readonly

_BASE = np.uint64(0x9E6C63D0876A9A47)
_TOP = 4
_LONGEST = 10


def repeats(hashes: Hashes, offsets: Offsets) -> npt.NDArray[np.bool_]:
    """Return which items equal an earlier item of the same text.

    Args:
        hashes: uint64, one an item.
        offsets: int64, n + 1; text i has the items `offsets[i]` to `offsets[i + 1]`.

    >>> repeats(np.array([7, 7, 7, 8], np.uint64), np.array([0, 2, 4])).tolist()
    [False, True, False, False]
    """
    out = np.zeros(len(hashes), np.bool_)
    _repeats(readonly(hashes), readonly(offsets), room_for(offsets), out)
    return out


class Room(NamedTuple):
    """Working memory for the n-grams of one text; all but the tables have a value a word.

    Attributes:
        grams: Hash of the n-gram that begins at a word.
        places: Where n-grams that may occur twice begin, in order.
        repeated: The largest n for which the n-gram at a word is known to occur twice.
        first: Where the same n-gram first begins.
        times: How often the n-gram that first begins here occurs.
        upto: Characters of all words before this one.
        table: Hash table of `_first`.
        seen: How often a place of the table of `_sieve` was hit, up to twice.
    """

    grams: Hashes
    places: npt.NDArray[np.int32]
    repeated: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]
    times: npt.NDArray[np.int32]
    upto: npt.NDArray[np.int32]
    table: npt.NDArray[np.int32]
    seen: npt.NDArray[np.uint8]


def ngram_chars(scan: Scan) -> npt.NDArray[np.int64]:
    """Return the repeated characters of each text: row n - 2 for n-grams of n words, 2 to 10."""
    found = scan.once(words_of)
    out = np.zeros((_LONGEST - 1, scan.rows), np.int64)
    most = int(np.diff(found.offsets).max(initial=0)) + 1
    places, repeated, first, times, upto = np.empty((5, most), np.int32)
    table = room_for(found.offsets)
    seen = np.zeros(len(table), np.uint8)
    room = Room(np.empty(most, np.uint64), places, repeated, first, times, upto, table, seen)
    _ngram_chars(readonly(found.hashes), found.chars, readonly(found.offsets), room, out)
    return out


def room_for(offsets: Offsets) -> npt.NDArray[np.int32]:
    """Return room for a hash table of any one text: four times its items, a power of two."""
    most = int(np.diff(offsets).max(initial=0))
    return np.zeros(max(4, 1 << (4 * most - 1).bit_length()), np.int32)


@kernel
def _clear(table: npt.NDArray[Any], items: Int) -> Int:
    """Empty as much of the table as `items` need and return its mask."""
    size = 4
    while size < 4 * items:
        size *= 2
    table[:size] = 0
    return size - 1


@kernel
def _first(table: npt.NDArray[np.int32], mask: Int, hashes: Hashes, item: Int) -> Int:
    """Return the first item entered with the hash of this one: itself if it is new, which enters it.

    The table holds item + 1; 0 is a free place.
    """
    place = np.int64(hashes[item] & np.uint64(mask))
    while table[place]:
        other = np.int64(table[place]) - 1
        if hashes[other] == hashes[item]:
            return other
        place = (place + 1) & mask
    table[place] = item + 1
    return item


@kernel
def count_alike(table: npt.NDArray[np.int32], hashes: Hashes, times: npt.NDArray[np.int64]) -> None:
    """Count each item with the first of its hash: `times` is 0 for the others. For use inside kernels."""
    mask = _clear(table, len(hashes))
    times[: len(hashes)] = 0
    for item in range(len(hashes)):
        times[_first(table, mask, hashes, item)] += 1


@kernel
def _repeats(
    hashes: Hashes, offsets: Offsets, table: npt.NDArray[np.int32], out: npt.NDArray[np.bool_]
) -> None:
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        mask = _clear(table, end - start)
        own = hashes[start:end]
        for item in range(end - start):
            out[start + item] = _first(table, mask, own, item) != item


@kernel
def _ngram_chars(
    hashes: Hashes, chars: npt.NDArray[np.int32], offsets: Offsets, room: Room, out: npt.NDArray[np.int64]
) -> None:
    """Fill row n - 2 of `out` with the repeated characters of n-grams.

    An n-gram can occur twice only where both (n - 1)-grams in it do, so each n looks only at the places that
    the n before has left over: most texts have none after a few.
    """
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        left = _begin(hashes[start:end], chars[start:end], room)
        for n in range(2, _LONGEST + 1):
            left = _sieve(room, _lengthen(n, hashes[start:end], room, left))
            left = _enter(n, room, left)
            if left == 0:
                break
            if n <= _TOP:
                out[n - 2, text] = _top_chars(n, room, left)
            else:
                out[n - 2, text] = _duplicate_chars(n, room, left)


@kernel
def _begin(hashes: Hashes, chars: npt.NDArray[np.int32], room: Room) -> Int:
    """Enter all words of a text; return how many there are."""
    grams, places, repeated, upto = room.grams, room.places, room.repeated, room.upto
    upto[0] = 0
    for i in range(len(hashes)):
        grams[i] = hashes[i]
        places[i] = i
        repeated[i] = 1
        upto[i + 1] = upto[i] + chars[i]
    return len(hashes)


@kernel
def _lengthen(n: Int, hashes: Hashes, room: Room, left: Int) -> Int:
    """Make (n - 1)-grams n-grams where those may occur twice; return how many are left."""
    grams, places, repeated = room.grams, room.places, room.repeated
    while left and places[left - 1] + n > len(hashes):
        left -= 1
    kept = 0
    for place in places[:left]:
        grams[place] = grams[place] * _BASE + hashes[place + n - 1]
        places[kept] = place
        kept += repeated[place + 1] == n - 1
    return kept


@kernel
def _sieve(room: Room, left: Int) -> Int:
    """Drop most n-grams that occur once, without a branch: those alone in their place of a small table."""
    grams, places, seen = room.grams, room.places, room.seen
    mask = np.uint64(_clear(seen, left))
    for place in places[:left]:
        slot = np.int64(grams[place] >> np.uint64(20) & mask)
        seen[slot] += seen[slot] < 2
    kept = 0
    for place in places[:left]:
        places[kept] = place
        kept += seen[np.int64(grams[place] >> np.uint64(20) & mask)] == 2
    return kept


@kernel
def _enter(n: Int, room: Room, left: Int) -> Int:
    """Find the first occurrence of each n-gram, and drop those that occur once; return how many are left."""
    grams, places, repeated, firsts, times = room.grams, room.places, room.repeated, room.first, room.times
    table = room.table
    mask = _clear(table, left)
    for place in places[:left]:
        first = _first(table, mask, grams, place)
        firsts[place] = first
        if first == place:
            times[place] = 1
        else:
            times[first] += 1
            repeated[first] = n
            repeated[place] = n
    kept = 0
    for place in places[:left]:
        places[kept] = place
        kept += repeated[place] == n
    return kept


@kernel
def _top_chars(n: Int, room: Room, left: Int) -> Int:
    """Return the characters within the n-gram that occurs most often."""
    firsts, times, upto = room.first, room.times, room.upto
    top = most = length = 0
    for place in room.places[:left]:
        size = upto[place + n] - upto[place]
        often = times[place] if firsts[place] == place else 0
        if often > most or (often == most and size > length):
            top, most, length = place, often, size
    total = covered = 0
    for place in room.places[:left]:
        if firsts[place] == top:
            total += upto[place + n] - upto[max(place, covered)]
            covered = place + n
    return total


@kernel
def _duplicate_chars(n: Int, room: Room, left: Int) -> Int:
    """Return the characters within n-grams that occurred before."""
    firsts, upto = room.first, room.upto
    total = covered = 0
    for place in room.places[:left]:
        if firsts[place] != place:
            total += upto[place + n] - upto[max(place, covered)]
            covered = place + n
    return total


class Duplicates(NamedTuple):
    """Lines, or paragraphs, of each text: all of them, and those that are copies of an earlier one."""

    items: Column
    copies: Column
    chars: Column
    copied_chars: Column


def _duplicates(scan: Scan, spans: Spans) -> Duplicates:
    data, _ = scan.text
    again = repeats(hash_spans(data, spans.first, spans.last), spans.offsets)
    totals = (np.ones_like(spans.chars), again, spans.chars, spans.chars * again)
    return Duplicates(*(per_text(values, spans.offsets) for values in totals))


def duplicate_lines(scan: Scan) -> Duplicates:
    """Count the lines of each text that are copies of an earlier one."""
    return _duplicates(scan, scan.once(line_table).spans)


def duplicate_paragraphs(scan: Scan) -> Duplicates:
    """Count the paragraphs of each text that are copies of an earlier one."""
    return _duplicates(scan, scan.once(paragraphs))


def _count_ratio(step: Callable[[Scan], Duplicates], scan: Scan) -> pa.Array:
    found = scan.once(step)
    return ratios(found.copies, found.items)


def _char_ratio(step: Callable[[Scan], Duplicates], scan: Scan) -> pa.Array:
    found = scan.once(step)
    return ratios(found.copied_chars, found.chars)


def _ngram_ratio(n: int, scan: Scan) -> pa.Array:
    return ratios(scan.once(ngram_chars)[n - 2], scan.once(word_totals).chars)


_FLOAT = pa.float64()

SIGNALS = (
    Signal(
        "duplicate_line_ratio",
        _FLOAT,
        "Share of the lines that are copies of an earlier one.",
        partial(_count_ratio, duplicate_lines),
    ),
    Signal(
        "duplicate_line_char_ratio",
        _FLOAT,
        "Share of the lines' characters that are in copies of an earlier line.",
        partial(_char_ratio, duplicate_lines),
    ),
    Signal(
        "duplicate_paragraph_ratio",
        _FLOAT,
        "Share of the paragraphs that are copies of an earlier one.",
        partial(_count_ratio, duplicate_paragraphs),
    ),
    Signal(
        "duplicate_paragraph_char_ratio",
        _FLOAT,
        "Share of the paragraphs' characters that are in copies of an earlier paragraph.",
        partial(_char_ratio, duplicate_paragraphs),
    ),
    *(
        Signal(
            f"top_{n}gram_char_ratio",
            _FLOAT,
            f"Share of the words' characters within the {n} words that follow each other most often.",
            partial(_ngram_ratio, n),
        )
        for n in range(2, _TOP + 1)
    ),
    *(
        Signal(
            f"duplicate_{n}gram_char_ratio",
            _FLOAT,
            f"Share of the words' characters within runs of {n} words that occurred before.",
            partial(_ngram_ratio, n),
        )
        for n in range(_TOP + 1, _LONGEST + 1)
    ),
)
"""Document signals of repetition; null where there are no lines, paragraphs or words."""
