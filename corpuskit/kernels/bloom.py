# ruff: noqa: ANN401 - numba hands an intrinsic types and builders of its own
"""A blocked Bloom filter of 64-bit hashes: its size for a promised rate, and its bulk insert and query.

The table is two halves of cache lines, 512 bits each. A hash picks one line in either half and `probes` bits
in each of the two, so that adding or asking costs two cache misses, whatever the rate, and a hash that is not
there mostly one. Lines fill unevenly, which costs bits: 44.1 a hash at 1e-8, where a classic filter takes
38.3 and 27 misses, and a single line 63.5. `sizing` finds the fewest bits that keep the promise.

Lines are chosen by multiplication, hash * lines / 2**64, never by a mask: any number of lines will do, and
all of them are used.

Source: Putze, Sanders and Singler 2007, "Cache-, Hash- and Space-Efficient Bloom Filters", section 3.
Deviation: the rate is computed exactly, for bits that may coincide, and not from the mean fill of a line.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from corpuskit.kernels import kernel
from corpuskit.kernels.hashing import Hashes, mix64
from corpuskit.kernels.utf8 import Offsets, readonly

Flags = npt.NDArray[np.bool_]
Word = Any
"""A uint64 inside a kernel; numba infers it."""

LINE_BITS = 512
_LINE_WORDS = np.uint64(8)
_WORDS_BOTH = np.uint64(16)
_ONE, _SIX, _SEVEN, _NINE, _LAST_BIT = (np.uint64(value) for value in (1, 6, 7, 9, 63))
_AHEAD = 16
_POSITIONS = 7
"""Positions in a line that one 64-bit draw gives: 7 of 9 bits."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.uint64(0xFFFFFFFF)
_PAIRS = np.uint64(0x5555555555555555)
_FOURS = np.uint64(0x3333333333333333)
_EIGHTS = np.uint64(0x0F0F0F0F0F0F0F0F)
_ONES = np.uint64(0x0101010101010101)
_MOST_PROBES = 26
_SHARE_FULL = 3 * LINE_BITS
"""Bits set in a line, repeats counted, beyond which it is taken as full: e**-3 of it is still empty."""


@intrinsic
def prefetch(typingctx: Any, table: Any, at: Any) -> Any:
    """Ask the processor for the cache line of `table[at]`, to write, without waiting."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer_type, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [args[1]]), pointer_type)
        kind = ir.FunctionType(ir.VoidType(), [pointer_type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer_type], kind)
        builder.call(function, [pointer, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(table, types.uint64), codegen


class Sizing(NamedTuple):
    """The size of a filter.

    Attributes:
        lines: Cache lines of 512 bits in either half, below 2**32.
        probes: Bits that a hash sets in each of its two lines.
        rate: The exact rate of false positives when it is full.
    """

    lines: int
    probes: int
    rate: float

    @property
    def table_bytes(self) -> int:
        """Bytes of the table."""
        return 2 * self.lines * LINE_BITS // 8


def sizing(capacity: int, rate: float) -> Sizing:
    """Return the smallest table in which `capacity` hashes give false positives at most at `rate`.

    Raises:
        ValueError: The capacity is negative, or the rate is not between 1e-12 and .5.

    >>> size = sizing(1_000_000, 1e-8)
    >>> round(8 * size.table_bytes / 1_000_000, 1), size.probes
    (44.1, 12)
    """
    if capacity < 0:
        raise ValueError(f"capacity is {capacity}")
    load, probes = _best_load(rate)
    lines = max(1, math.ceil(capacity / load))
    return Sizing(lines, probes, false_positives(max(1, capacity) / lines, probes))


@functools.cache
def _best_load(rate: float) -> tuple[float, int]:
    """Return the most hashes a line may hold on average, and the bits each sets in it."""
    if not 1e-12 <= rate <= 0.5:
        raise ValueError(f"a rate of {rate} is not between 1e-12 and .5")
    return max((_load(rate, probes), probes) for probes in range(1, _MOST_PROBES + 1))


def _load(rate: float, probes: int) -> float:
    low, high = 0.0, float(2 * LINE_BITS)
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if false_positives(middle, probes) <= rate else (low, middle)
    return low


def false_positives(load: float, probes: int) -> float:
    """Return the exact rate of false positives: the chance that a hash never added finds all its bits set.

    Hashes fall on the lines of a half independently, so the number on a line is Poisson; given that number,
    the chance that all `probes` bits are set is exact (see `_full_chances`); and both lines must say yes.

    Args:
        load: Hashes a line holds on average.
        probes: Bits a hash sets in each of its two lines; they may coincide.

    >>> f"{false_positives(23.2408, 12):.1e}"
    '1.0e-08'
    """
    chances = _full_chances(probes)
    count = np.arange(len(chances))
    poisson = np.exp(count * math.log(load) - load - _log_factorials(len(chances)))
    beyond = max(0.0, 1.0 - float(poisson.sum()))
    return float(min(1.0, float(poisson @ chances) + beyond)) ** 2


@functools.cache
def _log_factorials(count: int) -> npt.NDArray[np.float64]:
    return np.array([math.lgamma(i + 1) for i in range(count)])


@functools.cache
def _full_chances(probes: int) -> npt.NDArray[np.float64]:
    """Return for i = 0, 1, 2, .. hashes on a line the chance that `probes` random bits of it are all set.

    That is the mean of (set / 512)**probes over how many bits are set, and that number is a Markov chain: a
    draw sets a new bit with the share of bits that are not set yet.
    """
    share = np.arange(LINE_BITS + 1) / LINE_BITS
    occupied = np.zeros(LINE_BITS + 1)
    occupied[0] = 1.0
    chances = [0.0]
    for _ in range(_SHARE_FULL // probes):
        for _ in range(probes):
            moved = occupied * (1.0 - share)
            occupied = occupied * share
            occupied[1:] += moved[:-1]
        chances.append(float(occupied @ share**probes))
    return np.array(chances)


def estimate(table: Hashes, probes: int) -> int:
    """Return about how many hashes were added to a table, from the bits that are set.

    The number of hashes on a line is Poisson, so a bit stays empty with exp(-load * (1 - (511/512)**probes)).
    """
    lines = len(table) // 16
    empty = 1.0 - float(_ones(readonly(table))) / (64 * len(table))
    if empty <= 0.0:
        return np.iinfo(np.int64).max
    missed = 1.0 - (1.0 - 1.0 / LINE_BITS) ** probes
    return round(-math.log(empty) / missed * lines)


def empty_table(size: Sizing) -> Hashes:
    """Return an empty table, uint64; its pages take memory only when they are first written."""
    return np.zeros(size.table_bytes // 8, np.uint64)


def contains(table: Hashes, probes: int, hashes: Hashes) -> Flags:
    """Say for each hash whether it may have been added (bool, one a hash); never false for one that was.

    >>> size = sizing(10, 1e-8)
    >>> table = empty_table(size)
    >>> _ = add(table, size.probes, np.array([5, 7], np.uint64), room=10)
    >>> contains(table, size.probes, np.array([7, 8], np.uint64)).tolist()
    [True, False]
    """
    out = np.empty(len(hashes), np.bool_)
    _contains(readonly(table), probes, readonly(hashes), out)
    return out


def add(table: Hashes, probes: int, hashes: Hashes, *, room: int) -> tuple[Flags, int, int]:
    """Add hashes one after the other, each a unit of its own; see `add_units`."""
    return add_units(table, probes, hashes, np.arange(len(hashes) + 1, dtype=np.int64), room=room)


def add_units(
    table: Hashes, probes: int, hashes: Hashes, units: Offsets, *, room: int
) -> tuple[Flags, int, int]:
    """Add hashes a unit (a document, a paragraph) at a time, until `room` new ones are in.

    Args:
        table: uint64, as `empty_table` makes it; it is changed.
        probes: As its sizing says.
        hashes: uint64.
        units: int64; unit i has the hashes `units[i]` to `units[i + 1]`.
        room: How many new hashes may be added; one that is there already takes none.

    Returns:
        `known` (bool, one a hash): it was there before its unit came; how many hashes are in now, which is
        all of them where there was room; and how many of those were new.
    """
    known = np.empty(len(hashes), np.bool_)
    done, new = _add(table, probes, readonly(hashes), readonly(units), known, room)
    return known, int(done), int(new)


def probe_hashes(count: int, seed: int) -> Hashes:
    """Return pseudo-random hashes to measure a rate with: always the same for a seed.

    >>> len(set(probe_hashes(1000, 1).tolist()))
    1000
    """
    out = np.empty(count, np.uint64)
    _draw(np.uint64(seed), out)
    return out


@kernel
def _draw(seed: Word, out: Hashes) -> None:
    state: Word = mix64(~seed)
    for i in range(len(out)):
        state += _GOLDEN
        out[i] = mix64(state)


@kernel
def _line(draw: Word, lines: Word) -> Word:
    """Return draw * lines / 2**64, rounded down; `lines` is below 2**32."""
    high = (draw >> np.uint64(32)) * lines
    return (high + (((draw & _LOW) * lines) >> np.uint64(32))) >> np.uint64(32)


@kernel
def _places(table: Hashes, value: Word) -> tuple[Word, Word, Word, Word]:
    """Return where either line of a hash begins, and the states of the SplitMix64 streams that fill them."""
    lines: Word = np.uint64(len(table)) // _WORDS_BOTH
    one = mix64(value + _GOLDEN)
    two = mix64(one + _GOLDEN)
    return _line(one, lines) * _LINE_WORDS, (lines + _line(two, lines)) * _LINE_WORDS, one, two


@kernel
def _in_line(table: Hashes, at: Word, state: Word, probes: int) -> bool:
    left = probes
    while left > 0:
        state += _GOLDEN
        draw: Word = mix64(state)
        for _ in range(min(left, _POSITIONS)):
            if not table[at + ((draw >> _SIX) & _SEVEN)] & (_ONE << (draw & _LAST_BIT)):
                return False
            draw >>= _NINE
        left -= _POSITIONS
    return True


@kernel
def _set_in_line(table: Hashes, at: Word, state: Word, probes: int) -> bool:
    """Set a hash's bits in a line, and say whether all were set before."""
    fresh: Word = np.uint64(0)
    left = probes
    while left > 0:
        state += _GOLDEN
        draw: Word = mix64(state)
        for _ in range(min(left, _POSITIONS)):
            at_word = at + ((draw >> _SIX) & _SEVEN)
            bit = _ONE << (draw & _LAST_BIT)
            word = table[at_word]
            fresh |= bit & ~word
            table[at_word] = word | bit
            draw >>= _NINE
        left -= _POSITIONS
    return bool(fresh == 0)


@kernel
def _is_in(table: Hashes, probes: int, value: Word) -> bool:
    first, second, one, two = _places(table, value)
    return _in_line(table, first, one, probes) and _in_line(table, second, two, probes)


@kernel
def _put_in(table: Hashes, probes: int, value: Word) -> bool:
    first, second, one, two = _places(table, value)
    full = _set_in_line(table, first, one, probes)
    return full & _set_in_line(table, second, two, probes)


@kernel
def _fetch(table: Hashes, hashes: Hashes, i: int) -> None:
    """Ask for the lines of a hash a few turns ahead, so that they are there when its turn comes."""
    if i + _AHEAD < len(hashes):
        for at in _places(table, hashes[i + _AHEAD])[:2]:
            prefetch(table, at)  # type: ignore[call-arg]  # numba itself passes the first


@kernel
def _contains(table: Hashes, probes: int, hashes: Hashes, out: Flags) -> None:
    for i in range(len(hashes)):
        _fetch(table, hashes, i)
        out[i] = _is_in(table, probes, hashes[i])


@kernel
def _add(
    table: Hashes, probes: int, hashes: Hashes, units: Offsets, known: Flags, room: int
) -> tuple[int, int]:
    new = 0
    for unit in range(len(units) - 1):
        start, end = units[unit], units[unit + 1]
        alone = end - start == 1
        if not alone:
            for i in range(start, end):
                _fetch(table, hashes, i)
                known[i] = _is_in(table, probes, hashes[i])
        for i in range(start, end):
            if new == room and not _is_in(table, probes, hashes[i]):
                return i, new
            if alone:
                _fetch(table, hashes, i)
            there = _put_in(table, probes, hashes[i])
            new += 0 if there else 1
            if alone:
                known[i] = there
    return units[-1], new


@kernel
def _ones(table: Hashes) -> Word:
    """Count the bits that are set."""
    total: Word = np.uint64(0)
    for i in range(len(table)):
        bits = table[i]
        bits -= (bits >> np.uint64(1)) & _PAIRS
        bits = (bits & _FOURS) + ((bits >> np.uint64(2)) & _FOURS)
        bits = (bits + (bits >> np.uint64(4))) & _EIGHTS
        total += (bits * _ONES) >> np.uint64(56)
    return total
