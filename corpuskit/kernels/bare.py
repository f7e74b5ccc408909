"""Bare words: lower case, without punctuation; the grams of contamination are made of them.

A bare word is a word (`corpuskit.kernels.words`: between whitespace; letters in twos in scripts without
spaces) of which only the letters, digits and their combining marks are left, in lower case: "Don't" is one
word, "dont", where `normalise` makes two. A word of which nothing is left is none.

Source: Brown et al. 2020 (GPT-3), appendix C: "a gram [is] a lowercase, whitespace delimited word with no
punctuation". Deviations: symbols ("$", "+") go like punctuation, as in Python's `string.punctuation`; scripts
written without spaces are divided, since a sentence of theirs would else be one word.
"""

from dataclasses import dataclass

import numpy as np

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes, word_hash
from corpuskit.kernels.unicode import DIGIT, LETTER, MARK
from corpuskit.kernels.utf8 import Bytes, Offsets, class_of, decode, encode, lower_of, readonly
from corpuskit.kernels.words import split

_ASCII = np.array([ord(chr(byte).lower()) if chr(byte).isalnum() else 0 for byte in range(128)], np.uint8)
"""What is left of each ASCII byte; 0 for nothing."""


@dataclass(frozen=True)
class BareWords:
    """The bare words of a batch of n texts.

    Attributes:
        data: uint8; the words one after the other, a space after each: words v to w - 1 are
            `data[edges[v]:edges[w] - 1]`.
        edges: int64, one more than there are words.
        hashes: uint64; the hash of each word.
        starts, ends: int64; where each lay, with its punctuation, in the bytes of the texts that came in.
        offsets: int64, n + 1; text i has the words `offsets[i]` to `offsets[i + 1]`.
    """

    data: Bytes
    edges: Offsets
    hashes: Hashes
    starts: Offsets
    ends: Offsets
    offsets: Offsets


def bare_words(data: Bytes, offsets: Offsets) -> BareWords:
    """Return the bare words of texts, as `corpuskit.kernels.utf8.buffers` returns them.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> words = bare_words(*buffers(pa.array(["Don't -- STOP!", "?"])))
    >>> bytes(words.data), words.offsets.tolist(), words.starts.tolist()
    (b'dont stop ', [0, 2, 2], [0, 9])
    """
    words = split(data, offsets)
    size = int((words.ends - words.starts).sum())
    out = np.empty(2 * size + len(words.starts) + 4, np.uint8)  # Lowering adds at most a byte to two.
    edges = np.zeros(len(words.starts) + 1, np.int64)
    hashes = np.empty(len(words.starts), np.uint64)
    left = np.empty(len(words.starts), np.int64)
    spans = (readonly(words.starts), readonly(words.ends))
    count = _bare(readonly(data), spans, out, (edges, left), hashes)
    left = left[:count]
    edges = edges[: count + 1]
    bounds = np.searchsorted(left, words.offsets)
    return BareWords(
        out[: edges[-1]], edges, hashes[:count], words.starts[left], words.ends[left], bounds.astype(np.int64)
    )


@kernel
def _bare(
    data: Bytes,
    spans: tuple[Offsets, Offsets],
    out: Bytes,
    places: tuple[Offsets, Offsets],
    hashes: Hashes,
) -> Int:
    """Write the words; note where each begins and which it was, and return how many there are."""
    starts, ends = spans
    edges, left = places
    count = put = 0
    for word in range(len(starts)):
        first = put
        at, end = starts[word], ends[word]
        while at < end:
            if data[at] < 128:
                byte = _ASCII[data[at]]
                out[put] = byte
                put += byte != 0
                at += 1
                continue
            code, size = decode(data, at, end)
            kind = class_of(code)
            at += size
            if kind & (LETTER | DIGIT) or (kind & MARK and put > first):
                put = encode(lower_of(code), out, put)
        if put > first:
            hashes[count] = word_hash(out, first, put)
            left[count] = word
            out[put] = 32
            put += 1
            count += 1
            edges[count] = put
    return count
