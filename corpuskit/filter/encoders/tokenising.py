"""From texts to the tokens a model reads at once: in Rust, and no more of a text than counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.filter.encoders import Floats, with_prompt
from corpuskit.filter.encoders.pooling import Making

if TYPE_CHECKING:
    from tokenizers import Encoding as Tokens
    from tokenizers import Tokenizer

__all__ = ["Pieces", "Tokenising"]

_AT_ONCE = 1 << 20
"""Characters whose encodings are held at a time: they take some hundred times as many bytes."""
_CHARS_A_TOKEN = 8
"""A text's beginning of so many characters a token has more tokens than are read, but for odd texts."""
_BETWEEN_WORDS = re.compile(r".*[A-Za-z0-9](?= [A-Za-z0-9])", re.DOTALL)
_SPLITTERS = frozenset({"BertPreTokenizer", "Whitespace", "WhitespaceSplit", "ByteLevel"})
_LOCAL = frozenset({"BertNormalizer", "Lowercase", "StripAccents", "NFC", "NFD", "NFKC", "NFKD"})


@dataclass(frozen=True, eq=False)
class Pieces:
    """Texts as a model reads them, one piece each, or as many as there are windows.

    Attributes:
        ids: The tokens of all pieces, int32[tokens].
        starts: Where each piece begins, int64[pieces + 1].
        texts: Of which text each is, int64[pieces], in order.
        count: How many texts there are; those without a piece have no vector.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    texts: npt.NDArray[np.int64]
    count: int

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """How many tokens each piece has, int64[pieces]."""
        return np.diff(self.starts)

    def joined(self, vectors: Floats, normalize: bool) -> Floats:
        """Average the vectors of each text's pieces by their tokens: float32[texts, width].

        A text without pieces has a row of NaN. With `normalize` the mean is scaled to length 1.

        Source: OpenAI's cookbook, "Embedding texts that are longer than the model's maximum context length":
        the vectors of the pieces, weighted by their lengths, then scaled.
        """
        out = np.full((self.count, vectors.shape[1]), np.nan, np.float32)
        if len(np.unique(self.texts)) == len(self.texts):
            out[self.texts] = vectors
            return out
        weights = self.lengths.astype(np.float64)[:, None]
        first = np.flatnonzero(np.diff(self.texts, prepend=-1))
        means = np.add.reduceat(vectors * weights, first) / np.add.reduceat(weights, first)
        if normalize:
            means /= np.linalg.norm(means, axis=1, keepdims=True)
        out[self.texts[first]] = means
        return out


class Tokenising:
    """Turns texts into pieces of at most `most` tokens, the special ones included."""

    def __init__(self, tokenizer: Tokenizer, most: int, making: Making, *, windows: bool) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(most)
        self._tokenizer, self._making, self._windows = tokenizer, making, windows
        short = not windows and _splits_at_spaces(json.loads(tokenizer.to_str()))
        self._chars = most * _CHARS_A_TOKEN if short else None

    def __call__(self, texts: pa.Array) -> Pieces:
        """Tokenise texts; one that is null or of white space alone gives no piece."""
        text = with_prompt(texts, self._making.prompt)
        there = np.flatnonzero(np.asarray(pc.binary_length(text)))
        ids, owners = [np.zeros(0, np.int32)], []
        for row, piece in zip(*self._pieces(text, there), strict=True):
            ids.append(piece)
            owners.append(row)
        starts = np.cumsum([len(piece) for piece in ids])
        return Pieces(np.concatenate(ids), starts.astype(np.int64), np.array(owners, np.int64), len(text))

    def _pieces(
        self, text: pa.Array, rows: npt.NDArray[np.int64]
    ) -> tuple[list[int], list[npt.NDArray[np.int32]]]:
        owners: list[int] = []
        pieces: list[npt.NDArray[np.int32]] = []
        for some in _portions(text, rows, self._chars):
            for row, tokens in zip(some, self._tokens(text, some), strict=True):
                for one in (tokens, *tokens.overflowing) if self._windows else (tokens,):
                    owners.append(row)
                    pieces.append(np.array(one.ids, np.int32))
        return owners, pieces

    def _tokens(self, text: pa.Array, rows: Sequence[int]) -> list[Tokens]:
        """Tokenise some texts: of long ones the beginnings, and those whole that were too short by that."""
        texts = [text[row].as_py() for row in rows]
        begun = [self._beginning(one) for one in texts]
        found = self._tokenizer.encode_batch_fast([self._made(one) for one in begun])
        again = [
            at
            for at, (one, whole) in enumerate(zip(begun, texts, strict=True))
            if len(one) < len(whole) and not found[at].overflowing
        ]
        for at, tokens in zip(
            again, self._tokenizer.encode_batch_fast([self._made(texts[at]) for at in again]), strict=True
        ):
            found[at] = tokens
        return found

    def _beginning(self, text: str) -> str:
        """Return as much of a text as has more tokens than are read: cut where no token changes by it."""
        if self._chars is None or len(text) <= self._chars:
            return text
        cut = _BETWEEN_WORDS.match(text, 0, self._chars)
        return cut[0] if cut else text

    def _made(self, text: str) -> str:
        return text.lower() if self._making.lower else text


def _portions(text: pa.Array, rows: npt.NDArray[np.int64], most: int | None) -> Iterator[Sequence[int]]:
    """Divide rows so that the texts of each portion have about `_AT_ONCE` characters."""
    sizes = np.asarray(pc.utf8_length(text.take(pa.array(rows))), np.int64)
    sizes = sizes if most is None else np.minimum(sizes, most)
    portions = (np.cumsum(sizes) - sizes) // _AT_ONCE
    for some in np.split(rows, np.flatnonzero(np.diff(portions)) + 1):
        if len(some):
            yield some.tolist()


def _splits_at_spaces(told: dict[str, Any]) -> bool:
    """Say whether a tokenizer looks at each word alone, so that a text may be cut between two words."""
    splitters, changes = _parts(told.get("pre_tokenizer")), _parts(told.get("normalizer"))
    if any(part["type"] == "ByteLevel" and not part.get("use_regex", True) for part in splitters):
        return False
    return (
        bool(splitters)
        and {part["type"] for part in splitters} <= _SPLITTERS
        and {part["type"] for part in changes} <= _LOCAL
    )


def _parts(told: dict[str, Any] | None) -> list[dict[str, Any]]:
    """List the parts of a normalizer or a pre-tokenizer, which may be a sequence of such."""
    if not told:
        return []
    return list(told.get("normalizers") or told.get("pretokenizers") or [told])
