"""What every tokenizer can do, whatever file it came from."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.errors import InputError

__all__ = ["Ids", "Tokenizer"]

Ids = npt.NDArray[np.uint32]

_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]", "[SEP]")
"""What an end of text is called, the likeliest first."""
_AT_ONCE = 1 << 20
"""Bytes of text that are encoded at once: what a library holds beside the ids is a hundred times as much."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Tokenizer(abc.ABC):
    """A vocabulary and its way from text to ids and back.

    `size` is one more than the largest id, specials with it. `specials` are the tokens that no text gives:
    their names in a text are encoded as any text (but for a token that stands for the unknown, which any
    text may give). `digest` is the sha256 of the files (64 hex digits).
    """

    size: int
    specials: Mapping[str, int]
    digest: str

    @property
    def end_of_text(self) -> int | None:
        """The id that ends a document; null where no special token is called like one."""
        return next((self.specials[name] for name in _ENDS if name in self.specials), None)

    def encode_batch(self, texts: pa.Array) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Encode texts (string or large_string): their ids one after the other, and the n + 1 offsets.

        A null text has no ids, as the empty one. No special token is added.
        """
        found = [
            ids for part in _parts(texts) for ids in self._encode([text or "" for text in part.to_pylist()])
        ]
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(ids) for ids in found], out=offsets[1:])
        return (np.concatenate(found) if found else np.empty(0, np.uint32)), offsets

    def encode(self, text: str) -> list[int]:
        """Encode one text."""
        ids: list[int] = self.encode_batch(pa.array([text], pa.large_string()))[0].tolist()
        return ids

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """Return the text of ids; bytes that are no UTF-8, as in half a character, become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> bytes:
        """Return the bytes of ids: the text exactly where the vocabulary is one of bytes. Specials are named.

        Raises:
            InputError: An id lies outside the vocabulary.
        """
        names = {number: name.encode() for name, number in self.specials.items()}
        asked, runs, run = np.asarray(ids, np.int64).tolist(), [], []
        for number in [*asked, None]:
            if number is not None and number not in names:
                run.append(number)
                continue
            runs += [self._decode(run)] if run else []
            runs += [names[number]] if number is not None else []
            run = []
        return b"".join(runs)

    @abc.abstractmethod
    def _encode(self, texts: list[str]) -> list[Ids]:
        """Encode some texts."""

    @abc.abstractmethod
    def _decode(self, ids: list[int]) -> bytes:
        """Decode ids of which none is special."""

    def _unknown(self, ids: Sequence[int]) -> InputError:
        wrong = next((number for number in ids if not 0 <= number < self.size), ids[0])
        return InputError(
            f"the id {wrong} is none of the vocabulary's {self.size}",
            fix="decode with the tokenizer that the ids were made with",
        )


def _parts(texts: pa.Array) -> Iterator[pa.Array]:
    """Cut an array into slices of about `_AT_ONCE` bytes, or one text."""
    ends = np.cumsum(pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    start = 0
    while start < len(texts):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + _AT_ONCE, "right")))
        yield texts.slice(start, end - start)
        start = end
