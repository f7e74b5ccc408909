"""Texts to learn a vocabulary from, and others to measure it with, drawn by id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from corpuskit import files, seeds
from corpuskit.dataset import Dataset
from corpuskit.errors import InputError

__all__ = ["Corpora"]

_MEASURED = 1000
_MEASURED_SHARE = 0.05
"""So many documents are measured with, or this share where there are few."""


class Corpora:
    """The documents of some datasets; `learnt` counts those that the last pass over `texts` had.

    Raises:
        InputError: A dataset is missing, or all are empty.
    """

    def __init__(self, paths: Sequence[str], sample: int, seed: int) -> None:
        self._datasets = [Dataset(path) for path in paths]
        self._seed = seed
        rows = sum(dataset.rows for dataset in self._datasets)
        if paths and not rows:
            raise InputError(
                f"there are no documents in {', '.join(paths)}", fix="give datasets that have some"
            )
        self._from = 1 - min(_MEASURED_SHARE, _MEASURED / max(rows, 1))
        self._share = min(self._from, sample / max(rows, 1))
        self.learnt = 0

    def describe(self) -> list[dict[str, Any]]:
        """Tell which datasets they are, in an order of their own."""
        found = [
            {"name": files.file_name(each.path), "rows": each.rows, "sha256": each.sha256}
            for each in self._datasets
        ]
        return sorted(found, key=lambda one: (one["name"], one["sha256"]))

    def texts(self) -> Iterator[list[str]]:
        """Go through the texts to learn from, a batch at a time."""
        self.learnt = 0
        for texts in self._drawn(0.0, self._share):
            self.learnt += len(texts)
            yield texts.to_pylist()

    def others(self) -> Iterator[pa.Array]:
        """Go through the texts to measure with, a batch at a time."""
        return self._drawn(self._from, 1.0)

    def _drawn(self, low: float, high: float) -> Iterator[pa.Array]:
        for dataset in self._datasets:
            for batch in dataset.batches(["id", "text"]):
                number = seeds.draw(self._seed, batch["id"])
                yield batch["text"].filter(pa.array((number >= low) & (number < high)))
