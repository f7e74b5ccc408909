# ruff: noqa: ANN401 - numba hands an intrinsic types and builders of its own
"""A blocked Bloom filter of 64-bit hashes: its size for a promised rate, and its bulk insert and query.

The table is two halves of cache lines, eight words of 64 bits each. A hash picks one line in either half, and
one bit in every word of both. So adding or asking costs two cache misses, whatever the rate, and a few
vector instructions; asking for a hash that is not there mostly costs one miss. Lines fill unevenly, which
costs bits: 47.2 a hash at 1e-8, where a classic filter takes 38.3, and up to 27 misses.

Lines are chosen by multiplication, hash * lines / 2**64, never by a mask: any number of lines will do, and
all of them are used.

Source: Putze, Sanders and Singler 2007, "Cache-, Hash- and Space-Efficient Bloom Filters", section 3; Lang et
al. 2019, "Performance-Optimal Filtering", section 3.2 (sectorization). Deviation: two lines, not one.
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

LINE_WORDS = 8
PROBES = 2 * LINE_WORDS
"""Bits that a hash sets."""
_MOST_LOAD = 4096.0
_AHEAD = 16
_ZERO, _ONE, _SIX, _LAST_BIT = (np.uint64(value) for value in (0, 1, 6, 63))
_WORDS, _BOTH = np.uint64(LINE_WORDS), np.uint64(2 * LINE_WORDS)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Sizing(NamedTuple):
    """The size of a filter: cache lines in either half (below 2**32), and its exact rate when it is full."""

    lines: int
    rate: float

    @property
    def table_bytes(self) -> int:
        """Bytes of the table."""
        return self.lines * PROBES * 8


def sizing(capacity: int, rate: float) -> Sizing:
    """Return the smallest table in which `capacity` hashes give false positives at most at `rate`.

    Raises:
        ValueError: The capacity is negative, or the rate is not between 1e-12 and .5.

    >>> round(8 * sizing(1_000_000, 1e-8).table_bytes / 1_000_000, 1)
    47.2
    """
    if capacity < 0:
        raise ValueError(f"capacity is {capacity}")
    lines = max(1, math.ceil(capacity / _load(rate)))
    return Sizing(lines, false_positives(capacity / lines))


@functools.cache
def _load(rate: float) -> float:
    """Return how many hashes a line may hold on average."""
    if not 1e-12 <= rate <= 0.5:
        raise ValueError(f"a rate of {rate} is not between 1e-12 and .5")
    low, high = 0.0, _MOST_LOAD
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if false_positives(middle) <= rate else (low, middle)
    return low


def false_positives(load: float) -> float:
    """Return the exact rate of false positives: the chance that a hash never added finds all its bits set.

    Hashes fall on the lines of a half independently, so the number on a line is Poisson. If it is i, a bit is
    set with the chance 1 - (63/64)**i, in each of the eight words independently; and both lines must agree.

    Args:
        load: Hashes a line holds on average.

    >>> f"{false_positives(21.688):.1e}"
    '1.0e-08'
    """
    if not load:
        return 0.0
    count = np.arange(int(load + 12 * math.sqrt(load) + 40))
    poisson = np.exp(count * math.log(load) - load - _log_factorials()[: len(count)])
    beyond = max(0.0, 1.0 - float(poisson.sum()))
    chances = (1.0 - (63 / 64) ** count) ** LINE_WORDS
    return min(1.0, float(poisson @ chances) + beyond) ** 2


@functools.cache
def _log_factorials() -> npt.NDArray[np.float64]:
    return np.array([math.lgamma(i + 1) for i in range(2 * int(_MOST_LOAD))])


def estimate(table: Hashes) -> int:
    """Return about how many hashes were added to a table, from the bits that are set.

    The number of hashes on a line is Poisson, so a bit stays empty with the chance exp(-load / 64).
    """
    empty = 1.0 - float(np.bitwise_count(table).sum(dtype=np.int64)) / (64 * len(table))
    return round(-64 * math.log(empty) * len(table) / PROBES) if empty > 0 else int(np.iinfo(np.int64).max)


def empty_table(size: Sizing) -> Hashes:
    """Return an empty table, uint64, whose lines are the processor's.

    Its pages take memory only when they are first written.
    """
    count = size.table_bytes // 8
    room = np.zeros(count + LINE_WORDS, np.uint64)
    first = -room.ctypes.data % 64 // 8
    return room[first : first + count]


def contains(table: Hashes, hashes: Hashes, seed: int = 0) -> Flags:
    """Say for each hash whether it may have been added (bool, one a hash); never false for one that was.

    >>> table = empty_table(sizing(10, 1e-8))
    >>> _ = add(table, np.array([5, 7], np.uint64), room=10)
    >>> contains(table, np.array([7, 8], np.uint64)).tolist()
    [True, False]
    """
    out = np.empty(len(hashes), np.bool_)
    _contains(readonly(table), readonly(hashes), np.uint64(seed), out)
    return out


def add(table: Hashes, hashes: Hashes, seed: int = 0, *, room: int) -> tuple[Flags, int, int]:
    """Add hashes one after the other, each a unit of its own; see `add_units`."""
    known = np.empty(len(hashes), np.bool_)
    done, new = _add(table, readonly(hashes), np.uint64(seed), known, room)
    return known, int(done), int(new)


def add_units(
    table: Hashes, hashes: Hashes, units: Offsets, seed: int = 0, *, room: int
) -> tuple[Flags, int, int]:
    """Add hashes a unit (a document, a paragraph) at a time, until `room` new ones are in.

    Args:
        table: uint64, as `empty_table` makes it; it is changed.
        hashes: uint64.
        units: int64; unit i has the hashes `units[i]` to `units[i + 1]`.
        seed: 0 to 2**64 - 1; a table knows its hashes under the seed they were added with.
        room: How many new hashes may be added; one that is there already takes none.

    Returns:
        `known` (bool, one a hash): it was there before its unit came; how many hashes are in now, which is
        all of them where there was room; and how many of those were new.
    """
    known = np.empty(len(hashes), np.bool_)
    done, new = _add_units(table, readonly(hashes), np.uint64(seed), readonly(units), known, room)
    return known, int(done), int(new)


def probe_hashes(count: int, seed: int) -> Hashes:
    """Return pseudo-random hashes to measure a rate with: always the same for a seed.

    >>> len(set(probe_hashes(1000, 1).tolist()))
    1000
    """
    out = np.empty(count, np.uint64)
    _draw(np.uint64(seed), out)
    return out


@intrinsic
def _prefetch(typingctx: Any, table: Any, at: Any) -> Any:
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


prefetch: Any = _prefetch
"""`prefetch(table, at)`: numba itself passes the first argument."""


@kernel
def _draw(seed: Word, out: Hashes) -> None:
    state: Word = mix64(~seed)
    for i in range(len(out)):
        state += _GOLDEN
        out[i] = mix64(state)


@kernel
def _line(draw: Word, lines: Word) -> Word:
    """Return draw * lines / 2**64, rounded down; `lines` is below 2**32."""
    return ((draw >> _HALF) * lines + (((draw & _LOW) * lines) >> _HALF)) >> _HALF


@kernel
def _places(table: Hashes, value: Word) -> tuple[Word, Word, Word]:
    """Return where either line of a hash begins, and the draw that both choices of bits come from."""
    lines: Word = np.uint64(len(table)) // _BOTH
    one: Word = mix64(value + _GOLDEN)
    two: Word = mix64(one + _GOLDEN)
    return _line(one, lines) * _WORDS, (lines + _line(two, lines)) * _WORDS, mix64(two + _GOLDEN)


@kernel
def _missing(table: Hashes, at: Word, draw: Word) -> Word:
    """Return 0 if the bits that a draw chooses in a line are all set: six bits of it for each word."""
    missing: Word = _ZERO
    for i in range(LINE_WORDS):
        missing |= (_ONE << ((draw >> (_SIX * np.uint64(i))) & _LAST_BIT)) & ~table[at + np.uint64(i)]
    return missing


@kernel
def _set(table: Hashes, at: Word, draw: Word) -> Word:
    """Set the bits that a draw chooses in a line; return 0 if all were set before."""
    missing: Word = _ZERO
    for i in range(LINE_WORDS):
        bit = _ONE << ((draw >> (_SIX * np.uint64(i))) & _LAST_BIT)
        word = table[at + np.uint64(i)]
        missing |= bit & ~word
        table[at + np.uint64(i)] = word | bit
    return missing


@kernel
def _is_in(table: Hashes, value: Word) -> bool:
    first, second, draw = _places(table, value)
    return bool(_missing(table, first, draw) == 0 and _missing(table, second, mix64(draw + _GOLDEN)) == 0)


@kernel
def _put_in(table: Hashes, value: Word) -> bool:
    first, second, draw = _places(table, value)
    return bool(_set(table, first, draw) | _set(table, second, mix64(draw + _GOLDEN)) == 0)


@kernel
def _fetch(table: Hashes, value: Word) -> None:
    """Ask for the lines of a hash, so that they are there when its turn comes."""
    first, second, _ = _places(table, value)
    prefetch(table, first)
    prefetch(table, second)


@kernel
def _contains(table: Hashes, hashes: Hashes, seed: Word, out: Flags) -> None:
    for i in range(len(hashes)):
        if i + _AHEAD < len(hashes):
            _fetch(table, hashes[i + _AHEAD] ^ seed)
        out[i] = _is_in(table, hashes[i] ^ seed)


@kernel
def _add(table: Hashes, hashes: Hashes, seed: Word, known: Flags, room: int) -> tuple[int, int]:
    new = 0
    for i in range(len(hashes)):
        if i + _AHEAD < len(hashes):
            _fetch(table, hashes[i + _AHEAD] ^ seed)
        if new == room and not _is_in(table, hashes[i] ^ seed):
            return i, new
        known[i] = _put_in(table, hashes[i] ^ seed)
        new += 0 if known[i] else 1
    return len(hashes), new


@kernel
def _add_units(
    table: Hashes, hashes: Hashes, seed: Word, units: Offsets, known: Flags, room: int
) -> tuple[int, int]:
    new = 0
    for unit in range(len(units) - 1):
        for i in range(units[unit], units[unit + 1]):
            if i + _AHEAD < len(hashes):
                _fetch(table, hashes[i + _AHEAD] ^ seed)
            known[i] = _is_in(table, hashes[i] ^ seed)
        for i in range(units[unit], units[unit + 1]):
            if new == room and not _is_in(table, hashes[i] ^ seed):
                return i, new
            new += 0 if _put_in(table, hashes[i] ^ seed) else 1
    return units[-1], new
