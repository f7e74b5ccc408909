"""What a layout of token files says of itself, and how one of its files is written."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from corpuskit.dataset import Dataset
from corpuskit.errors import UsageError

__all__ = [
    "TRAIN",
    "VAL",
    "Layout",
    "Lengths",
    "Shard",
    "TokenFile",
    "TokenArray",
    "missing_package",
    "narrowest",
]

TRAIN, VAL = "train", "val"

TokenArray = npt.NDArray[Any]
Lengths = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """What lies in one file: a number of documents of one split, and their tokens with each end of text.

    `number` is null where a split is one file.
    """

    split: str
    number: int | None
    documents: int
    tokens: int

    @property
    def stem(self) -> str:
        """What its files are called before the dot.

        >>> Shard("train", 7, 1, 10).stem, Shard("val", None, 1, 10).stem
        ('train_000007', 'val')
        """
        return self.split if self.number is None else f"{self.split}_{self.number:06d}"


class TokenFile(Protocol):
    """A file that is being written."""

    def write(self, tokens: TokenArray, lengths: Lengths) -> None:
        """Add tokens; where documents are whole, `lengths` of them in order make up the tokens."""

    def close(self) -> None:
        """Finish the file."""


class Layout(abc.ABC):
    """One form of token files."""

    whole: ClassVar[bool] = True
    """Whether a document lies in one file: where not, files are cut after so many tokens exactly."""
    leads: ClassVar[bool] = False
    """Whether the end of text stands before a document, not after it."""
    samples: ClassVar[bool] = False
    """Whether a document is found by its number in the file, not by its first token."""
    sharded: ClassVar[bool] = True
    """Whether a split may be several files."""
    tokens: ClassVar[int | None] = None
    """Tokens a file unless asked; null: all."""
    most: ClassVar[int] = 1 << 40
    """Most tokens a file that may be asked for."""

    @abc.abstractmethod
    def dtype(self, vocabulary: int) -> np.dtype[Any]:
        """Say how a token is stored, for ids below `vocabulary`.

        Raises:
            UsageError: The layout has no type for so many.
        """

    @abc.abstractmethod
    def names(self, shard: Shard) -> tuple[str, ...]:
        """Name the files of a shard."""

    @abc.abstractmethod
    def open(self, shard: Shard, paths: Sequence[Path], dtype: np.dtype[Any]) -> TokenFile:
        """Begin the files of a shard at local paths, in the order of `names`."""

    def check(self) -> None:  # noqa: B027 - most layouts need no package
        """Raise UsageError where a package is missing that the layout needs."""

    def finish(self, dataset: Dataset) -> None:  # noqa: B027 - most layouts have nothing to add
        """Write what can only be written when all shards are there; the same again where it is there."""


def narrowest(vocabulary: int) -> np.dtype[Any]:
    """Return uint16 where all ids fit, else uint32; both little-endian.

    >>> narrowest(65536).name, narrowest(65537).name
    ('uint16', 'uint32')
    """
    return np.dtype("<u2" if vocabulary <= 1 << 16 else "<u4")


def missing_package(layout: str, package: str, error: Exception) -> UsageError:
    """Say that a layout's package is missing, or is there and cannot be imported."""
    if isinstance(error, ModuleNotFoundError):
        return UsageError(
            f"the layout {layout} needs the package {package}", fix=f"pip install 'corpuskit[{layout}]'"
        )
    return UsageError(
        f"{package} cannot be imported: {error}",
        fix="install it into an environment of its own, so that torch and torchvision belong together",
    )
