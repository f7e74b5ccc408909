"""Plain NumPy arrays: the tokens, and where each document begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from corpuskit.shard.tokenfiles.layout import Layout, Lengths, Shard, TokenArray, TokenFile, narrowest

__all__ = ["Npy"]


class Npy(Layout):
    """A shard is `tokens`, uint16 or uint32[tokens], and `offsets`, int64[documents + 1].

    Document i is `tokens[offsets[i]:offsets[i + 1]]`, its end of text the last. `numpy.load(path,
    mmap_mode="r")` opens either without reading it.
    """

    tokens = 100_000_000

    def dtype(self, vocabulary: int) -> np.dtype[Any]:
        """Return uint16, or uint32 where that is too small."""
        return narrowest(vocabulary)

    def names(self, shard: Shard) -> tuple[str, ...]:
        """Name the tokens and the offsets."""
        return f"{shard.stem}.npy", f"offsets_{shard.stem}.npy"

    def open(self, shard: Shard, paths: Sequence[Path], dtype: np.dtype[Any]) -> TokenFile:
        """Begin both arrays: how long they will be is known."""
        tokens = _begin(paths[0], dtype, shard.tokens)
        offsets = _begin(paths[1], np.dtype("<i8"), shard.documents + 1)
        return _Arrays(tokens, offsets)


def _begin(path: Path, dtype: np.dtype[Any], length: int) -> BinaryIO:
    file = path.open("wb")
    header = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file


class _Arrays:
    def __init__(self, tokens: BinaryIO, offsets: BinaryIO) -> None:
        self._tokens, self._offsets, self._end = tokens, offsets, 0
        offsets.write(np.zeros(1, "<i8").data)

    def write(self, tokens: TokenArray, lengths: Lengths) -> None:
        self._tokens.write(tokens.data)
        self._offsets.write((self._end + np.cumsum(lengths)).astype("<i8").data)
        self._end += len(tokens)

    def close(self) -> None:
        self._tokens.close()
        self._offsets.close()
