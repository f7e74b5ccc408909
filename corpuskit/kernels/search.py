"""Which of many phrases occur in each text, as whole words: a trie of word hashes in one flat table.

A phrase is a sequence of words, and occurs where a text has its words one after the other. Every beginning
of a phrase is a key of the table, so from each word of a text the search goes on as long as some phrase
begins so: about one look-up a word, however many phrases there are. Words are compared by 64-bit hashes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.hashing import Hashes, mix64, word_hash
from corpuskit.kernels.utf8 import Bytes, Offsets, readonly

__all__ = ["Found", "Trie", "separated_hashes"]

Places = npt.NDArray[np.int32]

_EMPTY, _BEGINNING = -2, -1
_STEP = np.uint64(0x9E3779B97F4A7C15)


class Found(NamedTuple):
    """The phrases found in n texts: text i has `phrases[offsets[i]:offsets[i + 1]]`, each once, as met."""

    phrases: Places
    offsets: Offsets


class Trie:
    """Phrases to look for, as the hashes of their words; the same phrase again is the first of its kind.

    Attributes:
        same: int32, one a phrase: the first phrase that is the same, itself for most; -1 for one without
            words, which is never found.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> from corpuskit.kernels.words import normalised_word_hashes
    >>> phrases = pa.array(["York", "new york", "New York!", "U.S.", "?"])
    >>> trie = Trie(*normalised_word_hashes(*buffers(phrases)))
    >>> trie.same.tolist()
    [0, 1, 1, 3, -1]
    >>> texts = pa.array(["(New York) in the U.S., New York", "news"])
    >>> found = trie.find(*normalised_word_hashes(*buffers(texts)))
    >>> found.phrases.tolist(), found.offsets.tolist()
    ([1, 0, 3], [0, 3, 3])
    """

    def __init__(self, words: Hashes, offsets: Offsets) -> None:
        """Take the hashes of the phrases' words, and where each phrase's begin (int64, one more)."""
        room = 1 << max(4, int(2 * len(words)).bit_length())
        self._keys: Hashes = np.zeros(room, np.uint64)
        self._values: Places = np.full(room, _EMPTY, np.int32)
        self.same: Places = np.empty(len(offsets) - 1, np.int32)
        _insert(self._keys, self._values, readonly(words), readonly(offsets), self.same)

    @property
    def nbytes(self) -> int:
        """The bytes of the table."""
        return self._keys.nbytes + self._values.nbytes

    def find(self, words: Hashes, offsets: Offsets) -> Found:
        """Find the phrases that occur in texts, given the hashes of their words."""
        table = (self._keys, self._values)
        bounds = np.zeros(len(offsets), np.int64)
        seen = np.full(len(self.same), -1, np.int64)
        out = np.empty(2 * len(words) + 16, np.int32)
        while (count := _find(table, readonly(words), readonly(offsets), seen, (out, bounds))) > len(out):
            out = np.empty(count, np.int32)
            seen[:] = -1
        return Found(out[:count], bounds)


def separated_hashes(data: Bytes, offsets: Offsets) -> tuple[Hashes, Offsets]:
    """Return the hashes of what stands between the spaces of each text, as `str.split(" ")` gives it.

    Between two spaces, before one at the start and after one at the end there is an empty word.

    >>> import pyarrow as pa
    >>> from corpuskit.kernels.utf8 import buffers
    >>> separated_hashes(*buffers(pa.array(["a  b ", ""])))[1].tolist()
    [0, 4, 5]
    """
    hashes = np.empty(int(offsets[-1] - offsets[0]) + len(offsets) - 1, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    _separated(readonly(data), readonly(offsets), hashes, bounds)
    return hashes[: bounds[-1]], bounds


@kernel
def _separated(data: Bytes, offsets: Offsets, hashes: Hashes, bounds: Offsets) -> None:
    word = 0
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        for at in range(start, end + 1):
            if at == end or data[at] == 32:
                hashes[word] = word_hash(data, start, at)
                start = at + 1
                word += 1
        bounds[text + 1] = word


@kernel
def _further(state: Int, word: Int) -> Int:
    """Return the key of a beginning with one more word."""
    return mix64(state * _STEP + word)


@kernel
def _slot(keys: Hashes, values: Places, key: Int) -> Int:
    """Return the slot that holds a key, or the empty one where it would be."""
    mask = np.int64(len(keys) - 1)
    at = np.int64(key & np.uint64(mask))
    while values[at] != _EMPTY and keys[at] != key:
        at = (at + 1) & mask
    return at


@kernel
def _insert(keys: Hashes, values: Places, words: Hashes, offsets: Offsets, same: Places) -> None:
    for phrase in range(len(offsets) - 1):
        state = np.uint64(1)
        at = np.int64(-1)
        for word in range(offsets[phrase], offsets[phrase + 1]):
            state = _further(state, words[word])
            at = _slot(keys, values, state)
            if values[at] == _EMPTY:
                keys[at] = state
                values[at] = _BEGINNING
        same[phrase] = -1
        if at >= 0:
            if values[at] == _BEGINNING:
                values[at] = phrase
            same[phrase] = values[at]


@kernel
def _find(
    table: tuple[Hashes, Places],
    words: Hashes,
    offsets: Offsets,
    seen: Offsets,
    found: tuple[Places, Offsets],
) -> Int:
    """Fill `found` and return how many there are, of which those that do not fit are not written."""
    keys, values = table
    out, bounds = found
    count = 0
    for text in range(len(offsets) - 1):
        end = offsets[text + 1]
        for first in range(offsets[text], end):
            state = np.uint64(1)
            for word in range(first, end):
                state = _further(state, words[word])
                phrase = values[_slot(keys, values, state)]
                if phrase == _EMPTY:
                    break
                if phrase >= 0 and seen[phrase] != text:
                    seen[phrase] = text
                    if count < len(out):
                        out[count] = phrase
                    count += 1
        bounds[text + 1] = count
    return count
