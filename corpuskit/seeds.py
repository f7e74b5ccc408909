"""Randomness that repeats: every random choice is a hash of a seed and a document's id."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["choice_key", "draw", "shuffle_key"]


def draw(seed: int, ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Draw one number for each id, float64[rows], uniform in [0, 1).

    The same seed and id give the same number on every machine, in any order and any batch. A null
    id draws as an empty one; no ids give no numbers. A document is kept with probability p where
    its number is below p, so a set kept at a smaller p is a part of one kept at a larger.

    >>> import pyarrow as pa
    >>> draw(0, pa.array(["a", "b", "a"])).round(4).tolist()
    [0.8872, 0.1939, 0.8872]
    """
    import numpy as np

    high = _hash("draw", seed, ids) >> np.uint64(11)  # a float64 holds 53 bits
    return np.asarray(high * 2.0**-53, np.float64)


def shuffle_key(seed: int, ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Give each id a key, uint64[rows], such that sorting by it shuffles the documents.

    Independent of `draw` with the same seed: a set that was sampled first still shuffles evenly.

    >>> import pyarrow as pa
    >>> shuffle_key(0, pa.array(["a"])).tolist() == shuffle_key(1, pa.array(["a"])).tolist()
    False
    """
    return _hash("shuffle", seed, ids)


def choice_key(seed: int, ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Give each id a key, uint64[rows]: the documents with the smallest are a random choice of so many.

    Independent of `draw` and `shuffle_key` with the same seed.

    >>> import pyarrow as pa
    >>> choice_key(0, pa.array(["a"])).tolist() == shuffle_key(0, pa.array(["a"])).tolist()
    False
    """
    return _hash("choice", seed, ids)


def _hash(purpose: str, seed: int, ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    from corpuskit.kernels.hashing import hash_strings
    from corpuskit.kernels.utf8 import buffers

    salt = hashlib.blake2b(f"{purpose}\0{seed}".encode(), digest_size=8).digest()
    return hash_strings(*buffers(ids), seed=int.from_bytes(salt, "little"))
