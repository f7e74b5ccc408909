"""MosaicML's streaming shards, written by its own package."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpuskit.dataset import Dataset
from corpuskit.shard.tokenfiles.indexes import Packaged, documents, write_indexes
from corpuskit.shard.tokenfiles.layout import (
    Lengths,
    Shard,
    TokenArray,
    TokenFile,
    missing_package,
)

__all__ = ["Mds"]


class Mds(Packaged):
    """A folder a split, a document a sample: `tokens` as ndarray:int32, as LLM Foundry writes them.

    A shard is held in memory while its samples are gathered: that is how the package writes.
    """

    samples = True

    def names(self, shard: Shard) -> tuple[str, ...]:
        """Name the shard and its entry for the index."""
        stem = f"{shard.split}/shard.{shard.number:05d}"
        return f"{stem}.mds", f"{stem}.json"

    def open(self, shard: Shard, paths: Sequence[Path], dtype: np.dtype[Any]) -> TokenFile:
        """Begin a shard."""
        return _Samples(paths[0], paths[1], Path(self.names(shard)[0]).name)

    def package(self) -> Any:  # noqa: ANN401 - parts of a package that may be missing
        """Import the package."""
        return _writer()

    def finish(self, dataset: Dataset) -> None:
        """Write index.json of each split."""
        write_indexes(dataset, lambda entries, _: {"shards": entries, "version": 2})


def _writer() -> Any:  # noqa: ANN401 - a class of a package that may be missing
    try:
        from streaming import MDSWriter
    except Exception as error:  # noqa: BLE001 - torchvision, which it imports, raises RuntimeError beside another torch
        raise missing_package("mds", "mosaicml-streaming", error) from error
    return MDSWriter


class _Samples:
    def __init__(self, path: Path, entry: Path, name: str) -> None:
        self._path, self._entry, self._name = path, entry, name
        self._folder = tempfile.TemporaryDirectory(prefix="corpuskit-")
        columns = {"tokens": "ndarray:int32"}
        self._writer = _writer()(out=f"{self._folder.name}/shard", columns=columns, size_limit=None)

    def write(self, tokens: TokenArray, lengths: Lengths) -> None:
        for one in documents(tokens, lengths):
            self._writer.write({"tokens": one})

    def close(self) -> None:
        self._writer.finish()
        written = Path(self._folder.name, "shard")
        (told,) = json.loads((written / "index.json").read_text("utf-8"))["shards"]
        shutil.move(written / told["raw_data"]["basename"], self._path)
        told["raw_data"]["basename"] = self._name
        self._entry.write_text(json.dumps(told, sort_keys=True), "utf-8")
        self._folder.cleanup()
