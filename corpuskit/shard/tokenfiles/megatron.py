"""Megatron-LM's indexed datasets: tokens in a .bin, and their index in an .idx beside it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from corpuskit.shard.tokenfiles.layout import Layout, Lengths, Shard, TokenArray, TokenFile

__all__ = ["Megatron"]

_MAGIC, _VERSION = b"MMIDIDX\x00\x00", 1
_HEADER = struct.Struct("<9sQBQQ")
_CODES = {"uint16": 8, "int32": 4}


class Megatron(Layout):
    """A pair of files a split, or several where a number of tokens is asked for; a document is a sequence.

    Source: Megatron-LM, megatron/core/datasets/indexed_dataset.py (uint16 below 65,500 ids, else int32; then
    sizes as int32, pointers in bytes as int64, the first sequence of each document and their number as
    int64) and tools/preprocess_data.py --append-eod (the end of text stands after each document).
    """

    def dtype(self, vocabulary: int) -> np.dtype[Any]:
        """Return uint16, or int32 where Megatron-LM would."""
        return np.dtype("<u2" if vocabulary < 65_500 else "<i4")

    def names(self, shard: Shard) -> tuple[str, ...]:
        """Name the tokens and the index."""
        return f"{shard.stem}.bin", f"{shard.stem}.idx"

    def open(self, shard: Shard, paths: Sequence[Path], dtype: np.dtype[Any]) -> TokenFile:
        """Begin both files."""
        return _Indexed(paths[0].open("wb"), paths[1].open("wb"), dtype, shard.documents)


class _Indexed:
    """Writes the three tables of the index side by side: where each begins is known from the start."""

    def __init__(self, tokens: BinaryIO, index: BinaryIO, dtype: np.dtype[Any], documents: int) -> None:
        self._tokens, self._index, self._itemsize = tokens, index, dtype.itemsize
        self._documents = self._bytes = 0
        self._sizes = _HEADER.size
        self._pointers = self._sizes + 4 * documents
        self._firsts = self._pointers + 8 * documents
        index.write(_HEADER.pack(_MAGIC, _VERSION, _CODES[dtype.name], documents, documents + 1))
        self._put(self._firsts, np.zeros(1, "<i8"))

    def write(self, tokens: TokenArray, lengths: Lengths) -> None:
        self._tokens.write(tokens.data)
        ends = self._bytes + np.cumsum(lengths) * self._itemsize
        firsts = self._documents + np.arange(1, len(lengths) + 1)
        self._put(self._sizes + 4 * self._documents, lengths.astype("<i4"))
        self._put(self._pointers + 8 * self._documents, (ends - lengths * self._itemsize).astype("<i8"))
        self._put(self._firsts + 8 * (self._documents + 1), firsts.astype("<i8"))
        self._documents += len(lengths)
        self._bytes += len(tokens) * self._itemsize

    def _put(self, place: int, values: np.ndarray[Any, Any]) -> None:
        self._index.seek(place)
        self._index.write(values.data)

    def close(self) -> None:
        self._tokens.close()
        self._index.close()
