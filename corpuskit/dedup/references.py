"""References, which documents are compared with and which are never dropped: datasets and saved filters."""

from __future__ import annotations

import functools
import io
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.dedup.bloom import MAGIC, NgramFilter
from corpuskit.errors import InputError
from corpuskit.kernels.utf8 import Bytes, Offsets, strings
from corpuskit.kernels.words import normalise

if TYPE_CHECKING:
    from corpuskit.kernels.hashing import Hashes

__all__ = ["PybloomFilters", "SavedFilters", "datasets", "identities"]

Flags = npt.NDArray[np.bool_]

_PYBLOOM = struct.Struct("<dQQQQ")
_SCALABLE = struct.Struct("<idQd")


def datasets(against: Sequence[str]) -> tuple[str, ...]:
    """Return those references that are datasets, in order."""
    return tuple(path for path in against if _is_dataset(path))


def identities(against: Sequence[str]) -> dict[str, str]:
    """Say what identifies each reference, wherever it lies: for a stage's `content`.

    Raises:
        InputError: One is missing, or neither a dataset nor a filter.
    """
    return {f"against {place}": _identity(path) for place, path in enumerate(against)}


def _identity(path: str) -> str:
    if _is_dataset(path):
        return Dataset(path).sha256
    return " ".join(files.identity(name)[1] for name in _filter_files(path))


def _is_dataset(path: str) -> bool:
    return files.exists(files.join(path, "manifest.json"))


def _filter_files(path: str) -> list[str]:
    """List the filters of a reference: a file, or all `.bloom` files of a folder."""
    if not files.is_url(path) and Path(path).is_dir():
        found = sorted(str(name) for name in Path(path).glob("*.bloom"))
        if not found:
            what = f"{path} is neither a dataset nor a folder of filters (*.bloom)"
            raise InputError(what, fix="name a dataset, a filter, or a folder of filters")
        return found
    return files.expand(path)


def _is_ours(path: str) -> bool:
    with files.open_input(path) as file:
        return file.read(len(MAGIC)) == MAGIC


class SavedFilters:
    """The filters among references that `NgramFilter.save` wrote.

    Raises:
        InputError: One is damaged, or holds runs of another number of words than `n`.
    """

    def __init__(self, against: Sequence[str], n: int) -> None:
        self._filters = []
        for path in _others(against, ours=True):
            found = NgramFilter.load(path)
            if found.header.n != n:
                raise InputError(
                    f"{path} holds runs of {found.header.n} words, and runs of {n} are looked for",
                    fix=f"use --ngram {found.header.n}, or build a filter with n = {n}",
                )
            self._filters.append(found)

    def contains(self, hashes: Hashes) -> Flags:
        """Say which n-grams any of them knows."""
        found = np.zeros(len(hashes), bool)
        if not len(hashes):
            return found
        low, high = int(hashes.min()), int(hashes.max())
        for one in self._filters:
            bits, shard = one.header.bits, one.header.shard
            if low >> 64 - bits <= shard <= high >> 64 - bits:  # else no hash is of its shard
                found |= one.contains(hashes)
        return found


def _others(against: Sequence[str], *, ours: bool) -> Iterator[str]:
    for path in against:
        if not _is_dataset(path):
            yield from (name for name in _filter_files(path) if _is_ours(name) is ours)


class PybloomFilters:
    """The filters among references that pybloom-live saved, whose elements are n-grams.

    An element is n normalised words with one space between them. pybloom-live hashes and
    looks them up itself, string by string: slow, and by its own scheme.

    Raises:
        InputError: A file is neither a filter of ours nor one of pybloom-live.
    """

    def __init__(self, against: Sequence[str], n: int) -> None:
        self._n = n
        self._filters = [open_pybloom(path) for path in _others(against, ours=False)]

    def __bool__(self) -> bool:
        return bool(self._filters)

    def contains(self, data: Bytes, offsets: Offsets) -> Flags:
        """Say of every n-gram of some texts, in the order of `grams_of`, whether any filter knows it."""
        known = functools.cache(lambda gram: any(gram in one for one in self._filters))
        found = [known(gram) for text in _words(data, offsets) for gram in _runs(text, self._n)]
        return np.array(found, bool)


def _words(data: Bytes, offsets: Offsets) -> Iterator[list[str]]:
    texts: pa.LargeStringArray = strings(*normalise(data, offsets))
    for text in texts:
        yield text.as_py().split(" ")


def _runs(words: list[str], n: int) -> Iterator[str]:
    for first in range(len(words) - n + 1 if words != [""] else 0):
        yield " ".join(words[first : first + n])


def open_pybloom(path: str) -> Any:  # noqa: ANN401 - pybloom_live has no types
    """Open a filter that pybloom-live's `tofile` wrote, plain or scalable; nothing in it is executed.

    Raises:
        InputError: It is no such file.
    """
    from pybloom_live import BloomFilter, ScalableBloomFilter

    with files.open_input(path) as file:
        data = file.read()
    if len(data) >= _SCALABLE.size + 4 and _SCALABLE.unpack_from(data)[:2] in ((2, 0.9), (4, 0.9)):
        start, lengths = _scalable(data, path)
        for length in lengths:
            _check_pybloom(data[start : start + length], path)
            start += length
        return ScalableBloomFilter.fromfile(io.BytesIO(data))
    _check_pybloom(data, path)
    return BloomFilter.fromfile(io.BytesIO(data))


def _scalable(data: bytes, path: str) -> tuple[int, tuple[int, ...]]:
    start = _SCALABLE.size + 4
    count = int.from_bytes(data[start - 4 : start], "little")
    if not 0 < count <= 64 or len(data) < start + 8 * count:
        raise _foreign(path)
    lengths = struct.unpack_from(f"<{count}Q", data, start)
    start += 8 * count
    if start + sum(lengths) != len(data):
        raise _foreign(path)
    return start, lengths


def _check_pybloom(data: bytes, path: str) -> None:
    """Check a header before pybloom-live acts on it: the sizes in it must be those of the file."""
    if len(data) < _PYBLOOM.size:
        raise _foreign(path)
    rate, slices, slice_bits, capacity, _ = _PYBLOOM.unpack_from(data)
    if not 0 < rate < 1 or capacity < 1 or slices != math.ceil(math.log2(1 / rate)):
        raise _foreign(path)
    if len(data) != _PYBLOOM.size + -(-slices * slice_bits // 8) or slice_bits < 1:
        raise _foreign(path)


def _foreign(path: str) -> InputError:
    return InputError(
        f"{path} is neither a filter of corpuskit nor one that pybloom-live saved with tofile",
        fix="name a dataset, a filter, or a folder of filters",
    )
