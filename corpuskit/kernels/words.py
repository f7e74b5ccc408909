"""What a word is, and the words of a batch in one pass.

A word is a maximal run of non-whitespace (whitespace as `str.split()` sees it), except in scripts written
without spaces: Chinese, Japanese, Thai, Lao, Khmer, Myanmar, Tibetan and a few more. There a whole sentence
would be one word, and every rule that counts words would fail, so a run of such letters is cut into words of
two letters. Two, because that is close to the mean length of a Chinese or Japanese word and half a Thai one,
needs no dictionary, and is the same for everyone. In detail, inside a run of non-whitespace:

- a new word begins between an unspaced letter and any other letter or digit ("CD播放" is "CD", "播放");
- a new word begins after two unspaced letters, and after an unspaced letter that something other than a
  letter follows, so that words begin anew after each punctuation mark;
- punctuation, symbols, combining marks and joiners never begin a word of their own inside a run: they belong
  to the word before them, as a comma does in English.

Korean has spaces and is split at them. This is THE definition: signals, MinHash, Bloom filters and n-grams
all use it.

`normalise` gives the text that fuzzy comparisons see: lower-case runs of letters, digits and their marks, one
space between them. Its words are the normalised words.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.bits import HIGH, chunk, equal, keep, store64, trailing_zeros, within
from corpuskit.kernels.hashing import Hashes, absorb, settle, word_hash
from corpuskit.kernels.unicode import DIGIT, IGNORABLE, LETTER, LOWER, MARK, SPACE, UNSPACED, UPPER
from corpuskit.kernels.utf8 import ASCII_CLASSES, Bytes, Offsets, class_of, decode, encode, lower_of, readonly

_ALNUM = LETTER | DIGIT
_ATTACHED = MARK | IGNORABLE
_KEPT = LETTER | DIGIT | UPPER | LOWER | UNSPACED


@dataclass(frozen=True)
class Words:
    """The words of a batch of n texts, as arrays of one value a word.

    Attributes:
        starts, ends: int64; word w is `data[starts[w]:ends[w]]`.
        hashes: uint64; `corpuskit.kernels.hashing.word_hash` of its bytes.
        chars: int32; its length in code points.
        classes: uint16; the flags of `corpuskit.kernels.unicode` that any of its code points has, of
            LETTER, DIGIT, UPPER, LOWER and UNSPACED.
        offsets: int64, n + 1; text i has the words `offsets[i]` to `offsets[i + 1]`.
    """

    starts: Offsets
    ends: Offsets
    hashes: Hashes
    chars: npt.NDArray[np.int32]
    classes: npt.NDArray[np.uint16]
    offsets: Offsets


def split(data: Bytes, offsets: Offsets) -> Words:
    """Split texts into words, in one pass.

    Args:
        data: Bytes, as `corpuskit.kernels.utf8.buffers` returns them.
        offsets: Where the texts begin and end, as `buffers` returns them.

    Returns:
        The words; an empty or null text has none.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> data, offsets = buffers(pa.array(["A man, a plan.", "", "我喜欢 CD播放。"]))
    >>> words = split(data, offsets)
    >>> [bytes(data[a:b]).decode() for a, b in zip(words.starts, words.ends)]
    ['A', 'man,', 'a', 'plan.', '我喜', '欢', 'CD', '播放。']
    >>> words.offsets.tolist()
    [0, 4, 4, 8]
    """
    most = _most_words(offsets)
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    hashes = np.empty(most, np.uint64)
    chars = np.empty(most, np.int32)
    classes = np.empty(most, np.uint16)
    bounds = np.zeros(len(offsets), np.int64)
    _split(readonly(data), readonly(offsets), (starts, ends, hashes, chars, classes), bounds)
    count = int(bounds[-1])
    return Words(starts[:count], ends[:count], hashes[:count], chars[:count], classes[:count], bounds)


def word_hashes(data: Bytes, offsets: Offsets) -> tuple[Hashes, Offsets]:
    """Return the hashes of the words of each text and where each text's begin.

    Returns:
        `hashes` (uint64, `word_hash` of each word) and `word_offsets` (int64, n + 1).

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> hashes, word_offsets = word_hashes(*buffers(pa.array(["to be or not to be", None])))
    >>> bool(hashes[0] == hashes[4]), word_offsets.tolist()
    (True, [0, 6, 6])
    """
    words = split(data, offsets)
    return words.hashes, words.offsets


def normalise(data: Bytes, offsets: Offsets) -> tuple[Bytes, Offsets]:
    """Return each text as lower-case alphanumeric words with one space between them.

    A normalised word is a run of letters and digits with their combining marks; all else separates, except
    joiners and soft hyphens, which vanish. Runs of unspaced letters are cut in twos as in `split`, which
    gives just these words when it is applied to the result. No Unicode normal form is applied.

    Source: Radford et al. 2019 (GPT-2), section 4: "strings were normalized to contain only lower-cased
    alphanumeric words with a single space as a delimiter".

    Returns:
        `data` and `offsets` of new texts.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers, strings
    >>> texts = pa.array(["Don't STOP -- Élan!", "¿?", "我喜欢CD"])
    >>> strings(*normalise(*buffers(texts))).to_pylist()
    ['don t stop élan', '', '我喜 欢 cd']
    """
    size = int(offsets[-1] - offsets[0])
    out = np.empty(2 * size + 8, np.uint8)  # Lowering adds at most a byte to two, a space at most one to one.
    bounds = np.zeros(len(offsets), np.int64)
    _normalise(readonly(data), readonly(offsets), out, bounds)
    return readonly(out[: bounds[-1]]), readonly(bounds)


def normalised_word_hashes(data: Bytes, offsets: Offsets) -> tuple[Hashes, Offsets]:
    """Return the hashes of the normalised words of each text: what MinHash and Bloom filters are made of.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> one, _ = normalised_word_hashes(*buffers(pa.array(["Hello, world!"])))
    >>> two, _ = normalised_word_hashes(*buffers(pa.array(["hello world"])))
    >>> one.tolist() == two.tolist()
    True
    """
    text, bounds = normalise(data, offsets)
    hashes = np.empty(_most_words(bounds), np.uint64)
    word_offsets = np.zeros(len(bounds), np.int64)
    _spaced_hashes(text, bounds, hashes, word_offsets)
    return hashes[: word_offsets[-1]], word_offsets


def _most_words(offsets: Offsets) -> int:
    """Return how many words the texts can have at most: a word of one byte has another byte after it."""
    return (int(offsets[-1] - offsets[0]) + len(offsets)) // 2


@kernel
def _split(
    data: Bytes, offsets: Offsets, columns: tuple[npt.NDArray[Any], ...], word_offsets: Offsets
) -> None:
    """Fill the columns of `Words`, in its order."""
    starts, ends, hashes, chars, classes = columns
    word = 0
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        while True:
            while at < end and data[at] < 128 and ASCII_CLASSES[data[at]] & SPACE:
                at += 1
            if at >= end:
                break
            start = at
            at, value, flags = _ascii_word(data, at, end)
            length = at - start
            if length < 0:
                at, length, flags = _word(data, start, end)
                value = word_hash(data, start, at)
            if length:
                starts[word] = start
                ends[word] = at
                hashes[word] = value
                chars[word] = length
                classes[word] = flags
                word += 1
            else:
                at += decode(data, at, end)[1]
        word_offsets[text + 1] = word


@kernel
def _ascii_word(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """Return where an ASCII word ends, its hash and its classes; an end of -1 if it is not all ASCII."""
    start = at
    value = lower = upper = digit = np.uint64(0)
    size = 8
    while size == 8:
        eight = chunk(data, at)
        stop = (eight & HIGH) | within(eight, 9, 13) | within(eight, 28, 32)
        size = min(trailing_zeros(stop) >> 3, end - at)
        if size < 8 and at + size < end and data[at + size] > 127:
            return -1, value, 0
        if size == 0:
            break
        eight = keep(eight, size)
        value = absorb(value, eight)
        lower |= within(eight, 0x61, 0x7A)
        upper |= within(eight, 0x41, 0x5A)
        digit |= within(eight, 0x30, 0x39)
        at += size
    flags = LOWER * (lower > 0) + UPPER * (upper > 0) + DIGIT * (digit > 0) + LETTER * (lower | upper > 0)
    return at, settle(value, at - start), flags


@kernel
def _word(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int]:
    """Return where the word that begins at `at` ends, its code points and its classes; 0 at whitespace."""
    flags: Int = 0
    length = unspaced = 0
    resume = False
    while at < end:
        code, size = np.int64(data[at]), 1
        if code < 128:
            kind = np.int64(ASCII_CLASSES[code])
        else:
            code, size = decode(data, at, end)
            kind = class_of(code)
        if kind & SPACE:
            break
        if (kind | flags) & UNSPACED:
            if kind & UNSPACED:
                if unspaced == 2 or resume or (unspaced == 0 and flags & _ALNUM):
                    break
                unspaced += 1
            elif kind & _ALNUM:
                break
            elif not kind & _ATTACHED:
                resume = True
        flags |= kind
        length += 1
        at += size
    return at, length, flags & _KEPT


@kernel
def _normalise(data: Bytes, offsets: Offsets, out: Bytes, bounds: Offsets) -> None:
    put = 0
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        first = put
        apart = False
        unspaced = 0
        while at < end:
            if unspaced == 0 and data[at] < 128:
                eight = chunk(data, at)
                size, eight = _lower_eight(eight, end - at)
                if size:
                    if apart and put > first:
                        out[put] = 32
                        put += 1
                    store64(out, put, eight)
                    put += size
                    at += size
                    apart = False
                    continue
            code, size = decode(data, at, end)
            kind = class_of(code)
            at += size
            if kind & _ALNUM:
                cut = apart or unspaced == 2 or (unspaced > 0) != (kind & UNSPACED > 0)
                if cut and put > first:
                    out[put] = 32
                    put += 1
                unspaced = (0 if cut else unspaced) + (kind & UNSPACED > 0)
                apart = False
                put = encode(lower_of(code), out, put)
            elif kind & MARK:
                if not apart and put > first:
                    put = encode(code, out, put)
            elif not kind & IGNORABLE:
                apart = True
                unspaced = 0
        bounds[text + 1] = put


@kernel
def _spaced_hashes(data: Bytes, offsets: Offsets, hashes: Hashes, word_offsets: Offsets) -> None:
    """Hash the words of texts that `normalise` made: one space between words, none at the ends."""
    word = 0
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        while at < end:
            start = at
            value = np.uint64(0)
            size = 8
            while size == 8:
                eight = chunk(data, at)
                size = min(trailing_zeros(equal(eight, 32)) >> 3, end - at)
                if size:
                    value = absorb(value, keep(eight, size))
                at += size
            hashes[word] = settle(value, at - start)
            word += 1
            at += 1
        word_offsets[text + 1] = word


@kernel
def _lower_eight(eight: Int, room: Int) -> tuple[Int, Int]:
    """Return how many of eight bytes, at most `room`, are letters or digits at first, and all lowered."""
    upper = within(eight, 0x41, 0x5A)
    inside = upper | within(eight, 0x61, 0x7A) | within(eight, 0x30, 0x39)
    size = min(trailing_zeros((eight | ~inside) & HIGH) >> 3, room)
    return size, eight | (upper >> np.uint64(2))


def spaced_counts(data: Bytes, offsets: Offsets) -> Offsets:
    """Count the runs of bytes between ASCII white space in each text, int64[n]: what `wc -w` counts.

    This is the count of manifests and reports, which say "words between white space"; it needs no Unicode.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> spaced_counts(*buffers(pa.array(["two words", "", None, " one "]))).tolist()
    [2, 0, 0, 1]
    """
    counts = np.zeros(len(offsets) - 1, np.int64)
    _spaced_counts(readonly(data), readonly(offsets), counts)
    return counts


@kernel
def _spaced_counts(data: Bytes, offsets: Offsets, counts: Offsets) -> None:
    for text in range(len(counts)):
        words, space = 0, True
        for at in range(offsets[text], offsets[text + 1]):
            byte = data[at]
            now = byte == 32 or (9 <= byte <= 13)
            words += space and not now
            space = now
        counts[text] = words
