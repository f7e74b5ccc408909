"""Means of token vectors, and the cutting of texts into pieces that a tokenizer sees alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from corpuskit.kernels import Int, kernel
from corpuskit.kernels.utf8 import Bytes, Offsets, readonly

__all__ = ["cut_before_space", "means"]

Vectors = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int32]

_SPACE, _NEWLINE = 0x20, 0x0A


def cut_before_space(data: Bytes, offsets: Offsets) -> tuple[Offsets, Offsets]:
    r"""Cut texts wherever spaces and newlines begin: each piece but the first begins with them.

    Returns:
        The offsets of the pieces (int64, one more than there are pieces), and of which pieces each text is
        made: text i is pieces `firsts[i]` up to `firsts[i + 1]`. An empty text has none.

    >>> text = np.frombuffer(b" a bc\n\n d", np.uint8)
    >>> pieces, firsts = cut_before_space(readonly(text), readonly(np.array([0, 2, 2, 9])))
    >>> [bytes(text[start:end]) for start, end in zip(pieces, pieces[1:])], firsts.tolist()
    ([b' a', b' bc', b'\n\n d'], [0, 1, 1, 3])
    """
    firsts = np.zeros(len(offsets), np.int64)
    _count(data, offsets, firsts)
    pieces = np.empty(firsts[-1] + 1, np.int64)
    _cut(data, offsets, pieces)
    return pieces, firsts


@kernel
def _begins(data: Bytes, start: Int, at: Int) -> bool:
    """Say whether a piece of the text that begins at `start` begins at `at`."""
    if at == start:
        return True
    space = data[at] == _SPACE or data[at] == _NEWLINE
    return space and not (data[at - 1] == _SPACE or data[at - 1] == _NEWLINE)


@kernel
def _count(data: Bytes, offsets: Offsets, firsts: Offsets) -> None:
    count = 0
    for text in range(len(offsets) - 1):
        for at in range(offsets[text], offsets[text + 1]):
            count += _begins(data, offsets[text], at)
        firsts[text + 1] = count


@kernel
def _cut(data: Bytes, offsets: Offsets, pieces: Offsets) -> None:
    count = 0
    for text in range(len(offsets) - 1):
        for at in range(offsets[text], offsets[text + 1]):
            if _begins(data, offsets[text], at):
                pieces[count] = at
                count += 1
    pieces[count] = offsets[-1]


def means(
    vectors: Vectors, words: tuple[Tokens, Offsets], pieces: tuple[Tokens, Offsets], most: int, skipped: int
) -> Vectors:
    """Average the vectors of the tokens of texts, where a text is a list of words from a dictionary.

    Args:
        vectors: float32[vocabulary, width].
        words: The tokens of all words, and the offsets of each word's.
        pieces: The words of all texts, and the offsets of each text's.
        most: Only so many tokens of a text count.
        skipped: A token that has no part in the mean, though it counts among `most`; -1: none.

    Returns:
        float32[texts, width], added up in float64 in the order of the text; NaN for a text without tokens.

    >>> vectors = np.array([[1, 0], [0, 1], [9, 9]], np.float32)
    >>> words = np.array([0, 1, 1, 2], np.int32), np.array([0, 2, 3, 4])
    >>> pieces = np.array([0, 1, 2, 2], np.int32), np.array([0, 2, 3, 3, 4])
    >>> means(vectors, words, pieces, 9, -1).astype(float).round(2).tolist()
    [[0.33, 0.67], [9.0, 9.0], [nan, nan], [9.0, 9.0]]
    """
    out = np.empty((len(pieces[1]) - 1, vectors.shape[1]), np.float32)
    (tokens, token_offsets), (texts, text_offsets) = words, pieces
    arrays = (readonly(tokens), readonly(token_offsets), readonly(texts), readonly(text_offsets))
    _means(readonly(vectors), *arrays, most, skipped, out)
    return out


@kernel
def _means(
    vectors: Vectors,
    tokens: Tokens,
    token_offsets: Offsets,
    words: Tokens,
    word_offsets: Offsets,
    most: Int,
    skipped: Int,
    out: Vectors,
) -> None:
    total = np.empty(vectors.shape[1], np.float64)
    for text in range(len(word_offsets) - 1):
        total[:] = 0
        left, count = most, 0
        for at in range(word_offsets[text], word_offsets[text + 1]):
            word = words[at]
            for place in range(token_offsets[word], min(token_offsets[word + 1], token_offsets[word] + left)):
                if tokens[place] != skipped:
                    count += 1
                    row = vectors[tokens[place]]
                    for column in range(len(total)):
                        total[column] += row[column]
            left -= min(left, token_offsets[word + 1] - token_offsets[word])
            if left == 0:
                break
        for column in range(len(total)):
            out[text, column] = total[column] / count if count else np.nan
