"""What the layouts mds and litdata share: int32 tokens in a folder a split, and an index of its shards."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from corpuskit import files, settings
from corpuskit.dataset import Dataset
from corpuskit.shard.tokenfiles.layout import TRAIN, VAL, Layout, Lengths, TokenArray

__all__ = ["Packaged", "documents", "write_indexes"]

_INDEX = "index.json"


class Packaged(Layout):
    """A layout that its own package writes, with a shard in memory while its documents are gathered."""

    tokens = 1 << 24  # 64 MiB
    most = 1 << 29  # the packages' offsets are 32 bits wide

    def dtype(self, vocabulary: int) -> np.dtype[Any]:
        """Return int32."""
        return np.dtype("<i4")

    @abc.abstractmethod
    def package(self) -> Any:  # noqa: ANN401 - parts of a package that may be missing
        """Import the package.

        Raises:
            UsageError: It is missing, or cannot be imported.
        """

    def check(self) -> None:
        """Import the package, or say why that fails."""
        self.package()


def documents(tokens: TokenArray, lengths: Lengths) -> Iterator[TokenArray]:
    """Cut tokens into documents.

    >>> [one.tolist() for one in documents(np.array([1, 2, 3]), np.array([2, 1]))]
    [[1, 2], [3]]
    """
    ends = np.cumsum(lengths)
    for start, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True):
        yield tokens[start:end]


def write_indexes(dataset: Dataset, index: Callable[[list[Any], str], dict[str, Any]]) -> None:
    """Write index.json of each split from the entries beside its shards, where it does not stand yet.

    `index` is given the entries in order, and a digest of the split's files.
    """
    for split in (TRAIN, VAL):
        mine = [file for file in dataset.files if file.path.startswith(f"{split}/")]
        names = [file.path for file in mine if file.path.endswith(".json")]
        entries = [json.loads(files.read_bytes(files.join(dataset.path, name))) for name in names]
        if not entries:
            continue
        digest = settings.digest([file.sha256 for file in mine])
        told = json.dumps(index(entries, digest), sort_keys=True).encode()
        path = files.join(dataset.path, split, _INDEX)
        if not files.exists(path) or files.read_bytes(path) != told:
            files.write_bytes(path, told)
