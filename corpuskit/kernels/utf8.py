"""Text as the kernels see it: Arrow's bytes and offsets, and code points with their classes.

The device functions (`decode`, `encode`, `class_of`, `lower_of`) are for use inside kernels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.kernels import Int, kernel, unicode

Bytes = npt.NDArray[np.uint8]

Offsets = npt.NDArray[np.int64]

_TABLES = unicode.load()
_PAGES, _CLASSES = _TABLES["pages"], _TABLES["classes"]
_LOWER_PAGES, _LOWER = _TABLES["lower_pages"], _TABLES["lower"]
ASCII_CLASSES = _CLASSES[int(_PAGES[0]) * 256 :][:128].copy()
"""Classes of the 128 ASCII bytes: the fast path of every kernel."""

REPLACEMENT = 0xFFFD


def buffers(array: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Offsets]:
    r"""Return the UTF-8 bytes and the offsets of a string column, without copying a large_string array.

    Args:
        array: large_string, string, or any type that casts to large_string; it may be a slice or chunked.

    Returns:
        `data` (uint8, read-only) and `offsets` (int64, read-only, one more than there are values): value i
        is `data[offsets[i]:offsets[i + 1]]`. Offsets of a slice do not begin at 0. A null is an empty text
        (that needs a copy, as do several chunks, and 32-bit offsets are widened).

    Raises:
        pa.ArrowInvalid, pa.ArrowNotImplementedError: the array is not of strings.

    >>> data, offsets = buffers(pa.array(["ab", None, "ä"], pa.large_string()))
    >>> bytes(data), offsets.tolist()
    (b'ab\xc3\xa4', [0, 2, 2, 4])
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not pa.types.is_large_string(array.type):
        array = array.cast(pa.large_string())
    if array.null_count:
        array = pc.fill_null(array, "")
    _, offsets, data = array.buffers()
    if len(array) == 0 or offsets is None:
        return readonly(np.zeros(0, np.uint8)), readonly(np.zeros(len(array) + 1, np.int64))
    span = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return readonly(np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)), readonly(span)


def strings(data: Bytes, offsets: Offsets) -> pa.LargeStringArray:
    """Return the texts as an Arrow array over the same memory: the inverse of `buffers`.

    >>> strings(*buffers(pa.array(["ab", "c"]))).to_pylist()
    ['ab', 'c']
    """
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def readonly(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a read-only view: numba compiles once for all inputs, as Arrow's buffers are read-only too.

    >>> readonly(np.zeros(2)).flags.writeable
    False
    """
    view = array.view()
    view.flags.writeable = False
    return view


@kernel
def decode(data: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return the code point that begins at `data[at]` and its size in bytes.

    A broken or cut sequence is U+FFFD of one byte; nothing at or after `end` is read.

    >>> decode(np.frombuffer("é".encode(), np.uint8), 0, 2)
    (233, 2)
    """
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    size = 2 if first < 0xE0 else (3 if first < 0xF0 else 4)
    if first < 0xC2 or first > 0xF4 or at + size > end:
        return REPLACEMENT, 1
    code = first & (0x7F >> size)
    for i in range(at + 1, at + size):
        byte = np.int64(data[i])
        if byte & 0xC0 != 0x80:
            return REPLACEMENT, 1
        code = (code << 6) | (byte & 0x3F)
    if code > 0x10FFFF:
        return REPLACEMENT, 1
    return code, size


@kernel
def before(data: Bytes, start: Int, at: Int) -> Int:
    """Return where the code point that ends at `at` begins, not before `start`.

    >>> before(np.frombuffer("aé".encode(), np.uint8), 0, 3)
    1
    """
    at -= 1
    while at > start and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@kernel
def encode(code: Int, out: Bytes, at: Int) -> Int:
    """Write a code point at `out[at]` as UTF-8 and return the position after it.

    >>> out = np.zeros(4, np.uint8)
    >>> encode(233, out, 0), bytes(out[:2]).decode()
    (2, 'é')
    """
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at] = 0xC0 | (code >> 6)
        out[at + 1] = 0x80 | (code & 0x3F)
        return at + 2
    if code < 0x10000:
        out[at] = 0xE0 | (code >> 12)
        out[at + 1] = 0x80 | ((code >> 6) & 0x3F)
        out[at + 2] = 0x80 | (code & 0x3F)
        return at + 3
    out[at] = 0xF0 | (code >> 18)
    out[at + 1] = 0x80 | ((code >> 12) & 0x3F)
    out[at + 2] = 0x80 | ((code >> 6) & 0x3F)
    out[at + 3] = 0x80 | (code & 0x3F)
    return at + 4


@kernel
def class_of(code: Int) -> Int:
    """Return the classes of a code point, flags of `corpuskit.kernels.unicode`.

    >>> bool(class_of(ord("字")) & unicode.UNSPACED)
    True
    """
    return np.int64(_CLASSES[np.int64(_PAGES[code >> 8]) * 256 + (code & 255)])


@kernel
def lower_of(code: Int) -> Int:
    """Return the lower-case code point, one for one: U+0130 becomes i, and final sigma is not told apart.

    >>> chr(lower_of(ord("É")))
    'é'
    """
    return code + np.int64(_LOWER[np.int64(_LOWER_PAGES[code >> 8]) * 256 + (code & 255)])
