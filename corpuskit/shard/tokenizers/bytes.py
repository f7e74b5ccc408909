"""A vocabulary of the 256 bytes: id and byte are one, and nothing is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit.errors import InputError
from corpuskit.shard.tokenizers.tokenizer import Ids, Tokenizer

__all__ = ["ByteTokenizer", "plain_bytes"]


@dataclass(frozen=True, eq=False, kw_only=True)
class ByteTokenizer(Tokenizer):
    """The bytes of UTF-8, straight from Arrow's buffers.

    >>> plain_bytes().encode("né")
    [110, 195, 169]
    """

    def encode_batch(self, texts: pa.Array) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Return the bytes as ids, and the offsets; a null text has none."""
        texts = texts.cast(pa.large_string()).fill_null("")
        _, offsets, data = texts.buffers()
        if not len(texts):
            return np.empty(0, np.uint32), np.zeros(1, np.int64)
        ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        held = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
        return held.astype(np.uint32), ends - ends[0]

    def _encode(self, texts: list[str]) -> list[Ids]:
        return [np.frombuffer(text.encode(), np.uint8).astype(np.uint32) for text in texts]

    def _decode(self, ids: list[int]) -> bytes:
        try:
            return bytes(ids)
        except ValueError:
            raise InputError(
                f"the id {next(one for one in ids if not 0 <= one < 256)} is no byte and no special token",
                fix="decode with the tokenizer that the ids were made with",
            ) from None


def plain_bytes(specials: Mapping[str, int] | None = None, digest: str | None = None) -> ByteTokenizer:
    """Make the vocabulary of bytes; without `specials` it has one, <|endoftext|>, of the id 256."""
    specials = {"<|endoftext|>": 256} if specials is None else dict(specials)
    told = "\n".join(f"{name}={number}" for name, number in sorted(specials.items(), key=lambda one: one[1]))
    return ByteTokenizer(
        size=max([255, *specials.values()]) + 1,
        specials=specials,
        digest=digest or hashlib.sha256(f"bytes\n{told}".encode()).hexdigest(),
    )
