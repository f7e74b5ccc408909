"""The .bin files of llm.c and modded-nanogpt: a header of 256 numbers, then the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpuskit.errors import UsageError
from corpuskit.shard.tokenfiles.layout import Layout, Shard, TokenFile, narrowest
from corpuskit.shard.tokenfiles.nanogpt import RawFile

__all__ = ["LlmC"]

_MAGIC, _VERSION = 20240520, 1


class LlmC(Layout):
    """Files of exactly so many tokens, the last of each split what is left; documents are cut.

    Source: llm.c, dev/data/data_common.py (the header: magic, version and tokens, then 253 zeros, int32) and
    dev/data/fineweb.py (the end of text stands before each document; 100 million tokens a file for 10B).
    """

    whole = False
    leads = True
    tokens = 100_000_000
    most = (1 << 31) - 1  # the header's number is an int32

    def dtype(self, vocabulary: int) -> np.dtype[Any]:
        """Return uint16.

        Raises:
            UsageError: It is too small.
        """
        if vocabulary > 1 << 16:
            raise UsageError(
                f"the layout llmc stores tokens in 16 bits, and the vocabulary has {vocabulary:,}",
                fix="choose another layout, such as npy, or a smaller vocabulary",
            )
        return narrowest(vocabulary)

    def names(self, shard: Shard) -> tuple[str, ...]:
        """Name the file."""
        return (f"{shard.stem}.bin",)

    def open(self, shard: Shard, paths: Sequence[Path], dtype: np.dtype[Any]) -> TokenFile:
        """Begin the file with its header."""
        header = np.zeros(256, "<i4")
        header[:3] = _MAGIC, _VERSION, shard.tokens
        file = paths[0].open("wb")
        file.write(header.data)
        return RawFile(file)
