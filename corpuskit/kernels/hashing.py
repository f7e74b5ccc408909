"""64-bit hashes that are the same on every machine: XXH64 of bytes, and a mixer of integers.

Source: XXH64, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md; `mix64` is the finaliser of
SplitMix64 (Steele, Lea, Flood 2014; Stafford's variant 13).
"""

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.bits import chunk, keep, load32, load64
from corpuskit.kernels.utf8 import Bytes, Offsets, readonly

Hashes = npt.NDArray[np.uint64]

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


@kernel
def mix64(value: Int) -> Int:
    """Return a 64-bit integer whose every bit depends on every bit of `value`: a bijection, and 0 stays 0.

    >>> hex(mix64(np.uint64(1)))
    '0x5692161d100b05e5'
    """
    mixed = np.uint64(value)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _M1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _M2
    return mixed ^ (mixed >> np.uint64(31))


@kernel
def mix64_each(values: Hashes) -> Hashes:
    """Return `mix64` of every number of an array, uint64[n].

    >>> mix64_each(np.array([0, 1], np.uint64)).tolist() == [0, int(mix64(np.uint64(1)))]
    True
    """
    mixed = np.empty_like(values)
    for place in range(len(values)):
        mixed[place] = mix64(values[place])
    return mixed


@kernel
def _rotate(value: Int, bits: Int) -> Int:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@kernel
def _round(lane: Int, word: Int) -> Int:
    return _rotate(lane + word * _P2, 31) * _P1


@kernel
def _stripes(data: Bytes, start: Int, end: Int, seed: Int) -> Int:
    one, two, three, four = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
    at = start
    while at + 32 <= end:
        one = _round(one, load64(data, at))
        two = _round(two, load64(data, at + 8))
        three = _round(three, load64(data, at + 16))
        four = _round(four, load64(data, at + 24))
        at += 32
    value = _rotate(one, 1) + _rotate(two, 7) + _rotate(three, 12) + _rotate(four, 18)
    for lane in (one, two, three, four):
        value = (value ^ _round(np.uint64(0), lane)) * _P1 + _P4
    return value


@kernel
def xxh64(data: Bytes, start: Int, end: Int, seed: Int) -> Int:
    """Return XXH64 of `data[start:end]`; `seed` must be a uint64. For use inside kernels.

    >>> hex(xxh64(np.frombuffer(b"abc", np.uint8), 0, 3, np.uint64(0)))
    '0x44bc2cf5ad770999'
    """
    size = end - start
    at = start
    if size >= 32:
        value = _stripes(data, start, end, seed)
        at += size & ~31
    else:
        value = seed + _P5
    value += np.uint64(size)
    while at + 8 <= end:
        value = _rotate(value ^ _round(np.uint64(0), load64(data, at)), 27) * _P1 + _P4
        at += 8
    if at + 4 <= end:
        value = _rotate(value ^ (load32(data, at) * _P1), 23) * _P2 + _P3
        at += 4
    while at < end:
        value = _rotate(value ^ (np.uint64(data[at]) * _P5), 11) * _P1
        at += 1
    return _avalanche(value)


@kernel
def _avalanche(value: Int) -> Int:
    value = (value ^ (value >> np.uint64(33))) * _P2
    value = (value ^ (value >> np.uint64(29))) * _P3
    return value ^ (value >> np.uint64(32))


@kernel
def absorb(value: Int, eight: Int) -> Int:
    """Take eight more bytes (a uint64) into a word's hash, as XXH64 does after its stripes."""
    return _rotate(value ^ _round(np.uint64(0), eight), 27) * _P1 + _P4


@kernel
def settle(value: Int, size: Int) -> Int:
    """Finish a word's hash with its size in bytes."""
    return _avalanche(value + np.uint64(size))


@kernel
def word_hash(data: Bytes, start: Int, end: Int) -> Int:
    """Return the hash of a word: `absorb` each eight bytes, the last padded with zeros; then `settle`.

    It is faster than XXH64 on short strings, because it does not branch on the size of what is left.

    >>> data = np.frombuffer(b"the the", np.uint8)
    >>> word_hash(data, 0, 3) == word_hash(data, 4, 7)
    True
    """
    value = np.uint64(0)
    at = start
    while at < end:
        value = absorb(value, keep(chunk(data, at), min(8, end - at)))
        at += 8
    return settle(value, end - start)


@kernel
def _hash_spans(data: Bytes, starts: Offsets, ends: Offsets, seed: Int, out: Hashes) -> None:
    for i in range(len(starts)):
        out[i] = xxh64(data, starts[i], ends[i], seed)


def hash_spans(data: Bytes, starts: Offsets, ends: Offsets, seed: int = 0) -> Hashes:
    """Return XXH64 of each `data[starts[i]:ends[i]]`.

    >>> import pyarrow as pa
    >>> data = np.frombuffer(b"abcabc", np.uint8)
    >>> one, two = hash_spans(data, np.array([0, 3]), np.array([3, 6]))
    >>> bool(one == two)
    True
    """
    out = np.empty(len(starts), np.uint64)
    _hash_spans(readonly(data), readonly(starts), readonly(ends), np.uint64(seed), out)
    return out


def hash_strings(data: Bytes, offsets: Offsets, seed: int = 0) -> Hashes:
    """Return XXH64 of each text, on every platform what `xxhash.xxh64_intdigest(text, seed)` returns.

    Args:
        data: Bytes, as `corpuskit.kernels.utf8.buffers` returns them; a null text is hashed as an empty one.
        offsets: Where the texts begin and end, as `buffers` returns them.
        seed: 0 to 2**64 - 1; another seed gives an independent hash.

    Returns:
        uint64, one a text.

    Raises:
        OverflowError: the seed is negative or too large.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> [hex(h) for h in hash_strings(*buffers(pa.array(["abc", ""])))]
    ['0x44bc2cf5ad770999', '0xef46db3751d8e999']
    """
    return hash_spans(data, offsets[:-1], offsets[1:], seed)
