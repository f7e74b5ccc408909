"""nanoGPT's train.bin and val.bin: the bare tokens of all documents, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from corpuskit.shard.tokenfiles.layout import Layout, Lengths, Shard, TokenArray, TokenFile, narrowest

__all__ = ["NanoGPT", "RawFile"]


class NanoGPT(Layout):
    """One file a split, uint16; uint32 where the vocabulary is larger.

    Source: nanoGPT, data/openwebtext/prepare.py: the end of text is appended to each document. Deviation:
    there documents are shuffled and drawn for val at random; here they stay in order, and val is drawn by
    a hash.
    """

    sharded = False

    def dtype(self, vocabulary: int) -> np.dtype[Any]:
        """Return uint16, or uint32 where that is too small."""
        return narrowest(vocabulary)

    def names(self, shard: Shard) -> tuple[str, ...]:
        """Name the file."""
        return (f"{shard.stem}.bin",)

    def open(self, shard: Shard, paths: Sequence[Path], dtype: np.dtype[Any]) -> TokenFile:
        """Begin the file."""
        return RawFile(paths[0].open("wb"))


class RawFile:
    """Tokens without anything around them, after what stands in the file already."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, tokens: TokenArray, lengths: Lengths) -> None:
        """Add tokens."""
        self._file.write(tokens.data)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
