"""LitData's chunks of tokens, written by its own package."""

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

__all__ = ["LitData"]


class LitData(Packaged):
    """A folder a split, for `TokensLoader`, which cuts it into blocks: int32 tokens, as LitGPT writes them.

    A chunk is held in memory while its documents are gathered: that is how the package writes. Deviation: the
    index's `updated_at` is a digest of the chunks, not the time, so the same documents give the same bytes.
    """

    def names(self, shard: Shard) -> tuple[str, ...]:
        """Name the chunk and its entry for the index."""
        stem = f"{shard.split}/chunk-0-{shard.number}"
        return f"{stem}.bin", f"{stem}.json"

    def open(self, shard: Shard, paths: Sequence[Path], dtype: np.dtype[Any]) -> TokenFile:
        """Begin a chunk."""
        return _Chunk(paths[0], paths[1], Path(self.names(shard)[0]).name)

    def package(self) -> Any:  # noqa: ANN401 - parts of a package that may be missing
        """Import the package."""
        return _package()

    def finish(self, dataset: Dataset) -> None:
        """Write index.json of each split."""
        write_indexes(dataset, _index)


def _index(entries: list[Any], digest: str) -> dict[str, Any]:
    chunks = [chunk for entry in entries for chunk in entry["chunks"]]
    return {"chunks": chunks, "config": entries[0]["config"], "updated_at": digest}


def _package() -> tuple[Any, Any, Any]:
    try:
        import torch
        from litdata.streaming.item_loader import TokensLoader
        from litdata.streaming.writer import BinaryWriter
    except Exception as error:  # noqa: BLE001 - torch and what comes with it raise many kinds
        raise missing_package("litdata", "litdata", error) from error
    return torch, TokensLoader, BinaryWriter


class _Chunk:
    def __init__(self, path: Path, entry: Path, name: str) -> None:
        self._path, self._entry, self._name = path, entry, name
        self._folder = tempfile.TemporaryDirectory(prefix="corpuskit-")
        self._torch, loader, writer = _package()
        self._writer = writer(self._folder.name, chunk_bytes=1 << 32, item_loader=loader())
        self._documents = 0

    def write(self, tokens: TokenArray, lengths: Lengths) -> None:
        for one in documents(tokens, lengths):
            self._writer.add_item(self._documents, self._torch.from_numpy(one.copy()))
            self._documents += 1

    def close(self) -> None:
        (written,) = self._writer.done()
        (index,) = Path(self._folder.name).glob("*index.json")
        told = json.loads(index.read_text("utf-8"))
        told["chunks"][0]["filename"] = self._name
        shutil.move(written, self._path)
        self._entry.write_text(json.dumps(told, sort_keys=True), "utf-8")
        self._folder.cleanup()
