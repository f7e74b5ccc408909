"""Unigram: over bytes in a tokenizer.json, or (BPE too) in SentencePiece's .model files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from corpuskit.errors import InputError, UsageError
from corpuskit.shard.tokenizers.huggingface import whole
from corpuskit.shard.tokenizers.tokenizer import Ids, Tokenizer

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

__all__ = ["SentencePieceTokenizer", "describe", "from_sentencepiece"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SentencePieceTokenizer(Tokenizer):
    """A vocabulary of SentencePiece; decoding gives the text as SentencePiece normalised it."""

    engine: SentencePieceProcessor

    def _encode(self, texts: list[str]) -> list[Ids]:
        return [np.array(ids, np.uint32) for ids in self.engine.encode(texts, out_type=int, num_threads=1)]

    def _decode(self, ids: list[int]) -> bytes:
        if min(ids) < 0 or max(ids) >= self.size:
            raise self._unknown(ids)
        return str(self.engine.decode(ids)).encode()


def describe(pieces: Sequence[tuple[str, float]], specials: Mapping[str, int]) -> dict[str, Any]:
    """Describe pieces over bytes, with GPT-2's words, as tokenizer.json does."""
    words = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    vocabulary = [[piece, score] for piece, score in pieces]
    return whole(
        specials,
        pre_tokenizer=words,
        decoder=words,
        model={"type": "Unigram", "unk_id": None, "vocab": vocabulary, "byte_fallback": False},
    )


def from_sentencepiece(name: str, content: bytes, digest: str) -> SentencePieceTokenizer:
    """Read a SentencePiece model; its control pieces and the unknown one are the special tokens.

    Raises:
        InputError: The file is damaged.
        UsageError: The package sentencepiece is missing.
    """
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise UsageError(
            f"{name} is a SentencePiece model, and the package sentencepiece is missing",
            fix="pip install 'corpuskit[sentencepiece]'",
        ) from None
    engine = SentencePieceProcessor()
    try:
        read = bool(content) and engine.LoadFromSerializedProto(content)
    except (RuntimeError, OSError):
        read = False
    if not read:
        raise InputError(f"{name} is no SentencePiece model, or damaged", fix="fetch the file again")
    size = engine.get_piece_size()
    special = [number for number in range(size) if engine.IsControl(number) or engine.IsUnknown(number)]
    specials = {engine.id_to_piece(number): number for number in special}
    return SentencePieceTokenizer(size=size, specials=specials, digest=digest, engine=engine)
