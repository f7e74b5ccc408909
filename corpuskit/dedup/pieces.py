"""The pieces that cuts divide documents into."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpuskit.kernels.spans import characters
from corpuskit.kernels.utf8 import Bytes, Offsets

__all__ = ["Pieces", "pieces_of"]

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pieces:
    """What is left of the documents of a batch that something is cut from.

    Attributes:
        rows, starts, ends: int64, one a piece, in order: its document, and its bytes in the batch's data.
        short: bool, one a piece.
        touched: bool, one a document: something is cut from it.
        counts: int64, one a document: its pieces, short ones too.
        longest: int64, one a document: code points of its longest piece; 0 where there is none.
    """

    rows: Numbers
    starts: Numbers
    ends: Numbers
    short: Flags
    touched: Flags
    counts: Numbers
    longest: Numbers


def pieces_of(
    data: Bytes, offsets: Offsets, cuts: tuple[Numbers, Numbers, Numbers], min_piece: int
) -> Pieces:
    """Divide documents at cuts.

    Args:
        data: Bytes, as `corpuskit.kernels.utf8.buffers` returns them.
        offsets: Where the texts begin and end in it.
        cuts: Row, start and end (in `data`) of each cut, sorted, apart from one another.
        min_piece: A piece of fewer code points is short.

    Returns:
        The pieces; an empty one, before a cut at the beginning or after one at the end, is none.

    >>> data, offsets = np.frombuffer(b"one two three", np.uint8), np.array([0, 13])
    >>> found = pieces_of(data, offsets, (np.array([0]), np.array([4]), np.array([8])), 5)
    >>> found.starts.tolist(), found.ends.tolist(), found.short.tolist()
    ([0, 8], [4, 13], [True, False])
    """
    rows, starts, ends = cuts
    touched = np.zeros(len(offsets) - 1, bool)
    touched[rows] = True
    cut = np.flatnonzero(touched)
    owners = np.concatenate([rows, cut])
    begins, stops = np.concatenate([offsets[cut], ends]), np.concatenate([starts, offsets[cut + 1]])
    begin_order = np.lexsort((begins, np.concatenate([cut, rows])))
    stop_order = np.lexsort((stops, owners))
    owners, begins, stops = owners[stop_order], begins[begin_order], stops[stop_order]
    some = begins < stops
    owners, begins, stops = owners[some], begins[some], stops[some]
    sizes = characters(data, begins, stops)
    longest = np.zeros(len(touched), np.int64)
    np.maximum.at(longest, owners, sizes)
    counts = np.bincount(owners, minlength=len(touched))
    return Pieces(owners, begins, stops, sizes < min_piece, touched, counts, longest)
