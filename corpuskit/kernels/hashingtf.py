r"""Spark's Tokenizer and HashingTF, as GPT-3's quality classifier used them: tokens, buckets, sums.

A text is lower-cased as Java's `String.toLowerCase` does and split as Java's `split("\\s")` does, which is
not what Python does:

- only space, tab, line feed, vertical tab, form feed and carriage return separate; U+00A0 does not;
- each of them separates by itself, so two in a row, or one at the start, leave an empty token, which counts;
- empty tokens at the end are removed: white space alone has no token, and a text of no bytes has one, empty;
- U+0130 becomes two code points, and a capital sigma at the end of a word becomes the final one.

A token's bucket is MurmurHash3_x86_32 (seed 42) of its UTF-8, modulo 2^18; a bucket's value is how often its
tokens occur.

Source: Brown et al. 2020 (GPT-3), appendix A: "Spark's standard tokenizer and HashingTF"; Spark 3.5,
ml/feature/Tokenizer.scala, ml/feature/HashingTF.scala, Murmur3_x86_32.hashUnsafeBytes2 (Spark 2 hashed the
last one to three bytes otherwise). Deviations: letters are lowered by Unicode 14 on every machine, in Spark
by the JVM's Unicode (Java 17 has 13, and leaves alone 40 capitals that came later); the locale is none, in
Spark the machine's, which matters for Turkish, Azeri and Lithuanian; and capital sigma, see `_is_final`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.bits import HIGH, chunk, keep, trailing_zeros, within
from corpuskit.kernels.unicode import DIGIT, IGNORABLE, LETTER, LOWER, MARK, UNSPACED, UPPER
from corpuskit.kernels.utf8 import Bytes, Offsets, before, class_of, decode, lower_of, readonly

__all__ = ["BUCKETS", "buckets", "sums"]

BUCKETS = 1 << 18
"""How many buckets there are: Spark's default."""

Buckets = npt.NDArray[np.int32]
Weights = npt.NDArray[np.float64]

_SEED = np.uint64(42)
_LOW = np.uint64(0xFFFFFFFF)
_C1 = np.uint64(0xCC9E2D51)
_C2 = np.uint64(0x1B873593)
_F1 = np.uint64(0x85EBCA6B)
_F2 = np.uint64(0xC2B2AE35)
_MASK = np.uint64(BUCKETS - 1)
_SIGMA, _FINAL_SIGMA, _DOTTED_I = 0x3A3, 0x3C2, 0x130
_DOTTED_I_LOWER = np.uint64(0x87CC69)  # i and U+0307, three bytes


@kernel
def _scramble(block: Int) -> Int:
    block = (block * _C1) & _LOW
    block = ((block << np.uint64(15)) | (block >> np.uint64(17))) & _LOW
    return (block * _C2) & _LOW


@kernel
def _absorb(value: Int, block: Int) -> Int:
    """Take four more bytes, the low half of a uint64, into a hash."""
    value = value ^ _scramble(block)
    value = ((value << np.uint64(13)) | (value >> np.uint64(19))) & _LOW
    return (value * np.uint64(5) + np.uint64(0xE6546B64)) & _LOW


@kernel
def _settle(value: Int, rest: Int, size: Int) -> Int:
    """Finish a hash with its last bytes, at most three and zeros beyond, and its size; return the bucket."""
    value ^= _scramble(rest)
    value ^= np.uint64(size)
    value = ((value ^ (value >> np.uint64(16))) * _F1) & _LOW
    value = ((value ^ (value >> np.uint64(13))) * _F2) & _LOW
    return np.int64((value ^ (value >> np.uint64(16))) & _MASK)


@kernel
def _token(data: Bytes, start: Int, end: Int) -> tuple[Int, Int]:
    """Return where the token that begins at `start` ends (there, if it is empty), and its bucket."""
    at = start
    value = _SEED
    while True:
        eight = chunk(data, at)
        stop = (eight & HIGH) | within(eight, 9, 13) | within(eight, 32, 32)
        size = min(trailing_zeros(stop) >> 3, end - at)
        if size < 8 and at + size < end and data[at + size] > 127:
            return _unicode_token(data, start, end)
        eight = keep(eight | (within(eight, 0x41, 0x5A) >> np.uint64(2)), size)
        at += size
        if size >= 4:
            value = _absorb(value, eight & _LOW)
            eight >>= np.uint64(32)
        if size < 8:
            return at, _settle(value, eight, at - start)
        value = _absorb(value, eight)


@kernel
def _unicode_token(data: Bytes, start: Int, end: Int) -> tuple[Int, Int]:
    """Do what `_token` does for any token, a code point at a time."""
    at = start
    value, held = _SEED, np.uint64(0)
    size = holds = 0
    while at < end:
        code = np.int64(data[at])
        step = 1
        if code < 128:
            if 9 <= code <= 13 or code == 32:
                break
            eight, width = np.uint64(code | 32 if 65 <= code <= 90 else code), 1
        else:
            code, step = decode(data, at, end)
            if code == _DOTTED_I:
                eight, width = _DOTTED_I_LOWER, 3
            elif code == _SIGMA and _is_final(data, start, at, end):
                eight, width = _encoded(_FINAL_SIGMA)
            else:
                eight, width = _encoded(lower_of(code))
        at += step
        held |= eight << np.uint64(8 * holds)
        holds += width
        size += width
        if holds >= 4:
            value = _absorb(value, held & _LOW)
            held >>= np.uint64(32)
            holds -= 4
    return at, _settle(value, held, size)


@kernel
def _encoded(code: Int) -> tuple[Int, Int]:
    """Return the UTF-8 of a code point as a little-endian uint64, and its size in bytes."""
    first, second, third = code >> 6, code >> 12, code >> 18
    last = 0x80 | (code & 0x3F)
    if code < 0x80:
        return np.uint64(code), 1
    if code < 0x800:
        return np.uint64(0xC0 | first | last << 8), 2
    first = 0x80 | (first & 0x3F)
    if code < 0x10000:
        return np.uint64(0xE0 | second | first << 8 | last << 16), 3
    second = 0x80 | (second & 0x3F)
    return np.uint64(0xF0 | third | second << 8 | first << 16 | last << 24), 4


@kernel
def _is_final(data: Bytes, start: Int, at: Int, end: Int) -> bool:
    """Say whether the capital sigma at `at` ends its word: a cased letter comes before it and none after.

    What a word is says the JDK's word break iterator: marks do not count, and single punctuation between
    letters (apostrophe, quotation mark, full stop, dash, underscore, soft hyphen) or between digits does not
    end a word, but Han and kana do. Not followed: what it makes of a mark right after such punctuation, and
    of characters above U+FFFF, near which it loses its way.
    """
    return _meets_cased(data, start, at, end, -1) and not _meets_cased(data, start, at + 2, end, 1)


@kernel
def _meets_cased(data: Bytes, start: Int, at: Int, end: Int, way: Int) -> bool:
    """Say whether a walk from `at`, backwards (-1) or on (1), meets a cased letter before the word ends."""
    beside, bridged = LETTER, False
    while (way < 0 and at > start) or (way > 0 and at < end):
        if way < 0:
            at = before(data, start, at)
        code, size = decode(data, at, end)
        kind = class_of(code)
        if way > 0:
            at += size
        solid = kind & (LETTER | DIGIT)
        if (kind & UNSPACED and code > 0x3000) or (bridged and solid and solid != beside):
            return False
        if solid:
            if kind & (UPPER | LOWER) and code != 0xAA and code != 0xBA:
                return True
            beside, bridged = solid, False
        elif code == 0xAD or not kind & (MARK | IGNORABLE):
            if bridged or not _bridges(code, beside):
                return False
            bridged = True
    return False


@kernel
def _bridges(code: Int, beside: Int) -> bool:
    """Say whether punctuation may stand between two letters of a word, or (`beside` is DIGIT) two digits."""
    if code == 0x22 or code == 0x27 or code == 0x2E:
        return True
    if beside == DIGIT:
        return bool(code == 0x2C or code == 0x66B)
    return bool(code == 0x2D or code == 0x5F or code == 0xAD or code == 0x2027 or 0x2010 <= code <= 0x2015)


_EMPTY = int(_token(readonly(np.zeros(0, np.uint8)), 0, 0)[1])
"""The bucket of the empty token."""


def buckets(data: Bytes, offsets: Offsets) -> tuple[Buckets, Offsets]:
    """Return the bucket of each token of each text, in order: Spark's HashingTF before it counts.

    Args:
        data: Bytes, as `corpuskit.kernels.utf8.buffers` returns them; a null text is an empty one.
        offsets: Where the texts begin and end, as `buffers` returns them.

    Returns:
        `buckets` (int32) and `token_offsets` (int64, n + 1): text i has `token_offsets[i]` to `[i + 1]`.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> found, token_offsets = buckets(*buffers(pa.array(["To be or not to be", " a", ""])))
    >>> found[:6].tolist(), token_offsets.tolist()
    ([27576, 145207, 119453, 221693, 27576, 145207], [0, 6, 8, 9])
    """
    found = np.empty(int(offsets[-1] - offsets[0]) + len(offsets), np.int32)
    bounds = np.zeros(len(offsets), np.int64)
    _buckets(readonly(data), readonly(offsets), found, bounds)
    return found[: bounds[-1]].copy(), bounds


def sums(data: Bytes, offsets: Offsets, weights: Weights) -> tuple[Weights, Offsets]:
    """Sum the weights of each text's tokens: the product of its counts and `weights`, with no counts made.

    Args:
        data: Bytes, as `corpuskit.kernels.utf8.buffers` returns them; a null text is an empty one.
        offsets: Where the texts begin and end, as `buffers` returns them.
        weights: float64[2^18], one a bucket.

    Returns:
        `sums` (float64) and how many tokens each text has (int64).

    Raises:
        ValueError: there are not 2^18 weights.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> [values.tolist() for values in sums(*buffers(pa.array(["a b a", ""])), np.ones(BUCKETS))]
    [[3.0, 1.0], [3, 1]]
    """
    if weights.shape != (BUCKETS,):
        raise ValueError(f"there are {weights.shape} weights, not {BUCKETS}")
    found, counts = np.zeros(len(offsets) - 1, np.float64), np.zeros(len(offsets) - 1, np.int64)
    _sums(readonly(data), readonly(offsets), readonly(weights), found, counts)
    return found, counts


@kernel
def _buckets(data: Bytes, offsets: Offsets, out: Buckets, bounds: Offsets) -> None:
    put = 0
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        last = put
        if at == end:
            out[put] = _EMPTY
            last += 1
        while at < end:
            start = at
            at, bucket = _token(data, start, end)
            out[put] = bucket
            put += 1
            if at > start:
                last = put
            at += 1
        put = last
        bounds[text + 1] = put


@kernel
def _sums(data: Bytes, offsets: Offsets, weights: Weights, out: npt.NDArray[Any], counts: Offsets) -> None:
    empty = weights[_EMPTY]
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        total, count, skipped = 0.0, 0, 0
        if at == end:
            total, count = empty, 1
        while at < end:
            start = at
            at, bucket = _token(data, start, end)
            if at > start:
                total += weights[bucket] + skipped * empty
                count += 1 + skipped
                skipped = 0
            else:
                skipped += 1
            at += 1
        out[text] = total
        counts[text] = count
