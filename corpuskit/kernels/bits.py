"""Eight bytes at a time: the machine instructions numba lacks, and tests of eight ASCII bytes in one go.

A mask holds bit 7 of every byte for which the test is true. All of it is for use inside kernels.
"""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from corpuskit.kernels import Int, kernel

_Bytes = npt.NDArray[np.uint8]
Numba = Any
"""An object of numba's compiler, which has no types."""

_ONES = np.uint64(0x0101010101010101)
HIGH = np.uint64(0x8080808080808080)
"""The mask of eight bytes: all true."""
_BIG_ENDIAN = sys.byteorder == "big"


def _pointer(context: Numba, builder: Numba, array_type: Numba, place: Numba, bits: int) -> Numba:
    array, at = place
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), ir.IntType(bits).as_pointer())


def _loader(bits: int) -> Numba:
    @intrinsic
    def load(typingctx: Numba, data: Numba, at: Numba) -> Numba:
        def codegen(context: Numba, builder: Numba, signature: Numba, args: Numba) -> Numba:
            value = builder.load(_pointer(context, builder, signature.args[0], args, bits), align=1)
            if _BIG_ENDIAN:
                value = builder.bswap(value)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return types.uint64(data, types.int64), codegen

    return load


load64 = _loader(64)
"""`load64(data, at)`: `data[at:at + 8]` as a little-endian uint64. The caller answers for the bounds."""

load32 = _loader(32)
"""`load32(data, at)`: `data[at:at + 4]` as a little-endian number, in a uint64."""


def _store64(typingctx: Numba, data: Numba, at: Numba, value: Numba) -> Numba:
    def codegen(context: Numba, builder: Numba, signature: Numba, args: Numba) -> Numba:
        value = args[2]
        pointer = _pointer(context, builder, signature.args[0], args[:2], 64)
        builder.store(builder.bswap(value) if _BIG_ENDIAN else value, pointer, align=1)
        return context.get_dummy_value()

    return types.void(data, types.int64, types.uint64), codegen


def _trailing_zeros(typingctx: Numba, value: Numba) -> Numba:
    def codegen(context: Numba, builder: Numba, signature: Numba, args: Numba) -> Numba:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


store64: Numba = intrinsic(_store64)
"""`store64(data, at, value)`: write `data[at:at + 8]`, little-endian. The caller answers for the bounds."""

trailing_zeros: Numba = intrinsic(_trailing_zeros)
"""`trailing_zeros(value)`: the zero bits below the lowest one bit of a uint64; 64 for 0."""


@kernel
def chunk(data: _Bytes, at: Int) -> Int:
    """Return `data[at:at + 8]` as a little-endian uint64, with zeros where the array has ended.

    >>> hex(chunk(np.frombuffer(b"abc", np.uint8), 1))
    '0x6362'
    """
    if at + 8 <= len(data):
        return load64(data, at)
    value = np.uint64(0)
    for i in range(len(data) - at):
        value |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return value


@kernel
def within(eight: Int, low: Int, high: Int) -> Int:
    """Return the mask of the bytes between `low` and `high`, both included; right for bytes below 128 only.

    >>> hex(within(np.uint64(0x2061417A39), 0x61, 0x7A))
    '0x80008000'
    """
    least = eight + _ONES * np.uint64(0x80 - low)
    more = eight + _ONES * np.uint64(0x7F - high)
    return least & ~more & HIGH


@kernel
def equal(eight: Int, byte: Int) -> Int:
    """Return a mask whose lowest true byte is the first that equals `byte`; those above it may be wrong.

    >>> hex(equal(np.uint64(0x2061207A39), 0x20) & np.uint64(0xFFFFFF))
    '0x800000'
    """
    other = eight ^ (_ONES * np.uint64(byte))
    return (other - _ONES) & ~other & HIGH


@kernel
def keep(eight: Int, count: Int) -> Int:
    """Return the first `count` (0 to 8) bytes, and zeros for the others.

    >>> hex(keep(np.uint64(0x4142434445464748), 2))
    '0x4748'
    """
    return eight if count == 8 else eight & ((np.uint64(1) << np.uint64(8 * count)) - np.uint64(1))


@kernel
def find(data: _Bytes, at: Int, end: Int, byte: Int) -> Int:
    r"""Return where `byte` (below 128) first stands in `data[at:end]`; `end` where it does not.

    >>> find(np.frombuffer(b"a line\nanother", np.uint8), 0, 14, 10)
    6
    """
    while at < end:
        place = trailing_zeros(equal(chunk(data, at), byte)) >> 3
        if place < 8:
            return min(at + place, end)
        at += 8
    return end
