"""The steps of every layout: scatter the rows by key, write each shard, join the pieces of one file."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.settings import setting
from corpuskit.shard import layout as layouts
from corpuskit.shard.layout import INDEX, TRAIN, VAL, Shard, asked_of, layout_of
from corpuskit.shard.parquet import BIN_BITS, Gather, Scatter
from corpuskit.stage import Split, Stage, Task

__all__ = ["Join", "Scattered", "Write"]

_BINS = 1 << BIN_BITS


@dataclass(frozen=True)
class Scattered(Scatter):
    """Sorts runs of rows by key, once it is sure that the layout can be made of them."""

    layout: str = setting("jsonl", "what is read")
    label: str | None = setting(None, "the column of the class")
    turns: tuple[str, ...] = setting((), "the columns of the user and of the assistant")

    name: ClassVar[str] = "shard.layouts.scatter"

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task for about 64 MiB.

        Raises:
            UsageError: The documents lack what the layout is made of.
        """
        tasks = super().plan(*sources)
        for task in tasks[:1]:  # all have the one schema of all sources
            layout_of(self.layout).check(task.schema, asked_of(self))
        return tasks


@dataclass(frozen=True)
class Write(Gather):
    """Writes the files, or the pieces, of one shard a task; those held out are shards of their own."""

    layout: str = setting("jsonl", "what is read")
    val: float = setting(0.0, "share held out")
    seed: int = setting(0, "seed of all that is drawn")
    compressed: bool = setting(False, "write .jsonl.zst")
    label: str | None = setting(None, "the column of the class")
    turns: tuple[str, ...] = setting((), "the columns of the user and of the assistant")
    pixels: int | None = setting(None, "width and height of an image")

    name: ClassVar[str] = "shard.layouts.write"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the index."""
        return INDEX

    @property
    def _edge(self) -> int:
        """The first bin of keys whose documents are held out."""
        return max(1, round((1 - self.val) * _BINS))

    def shares(self, weights: npt.NDArray[np.int64], target: int) -> list[tuple[int, int]]:
        """Divide the bins of those that train, then the bins of those held out."""
        edge = self._edge
        trained, held = weights[:edge], weights[edge:]
        found = super().shares(trained, target) if trained.any() or not held.any() else []
        if held.any():
            found += [(edge + start, edge + stop) for start, stop in super().shares(held, target)]
        return found

    def plan(self, *sources: str) -> list[Task]:
        """Plan as for Parquet, and number the shards of each split."""
        tasks, edge = super().plan(*sources), self._edge
        chosen, asked = layout_of(self.layout), asked_of(self)
        moved = chosen.moves(Dataset(sources[0]), asked, edge) if chosen.moves else ()
        splits = [VAL if task.work["ranges"][0][0] >= edge else TRAIN for task in tasks]
        planned = []
        for place, (task, split) in enumerate(zip(tasks, splits, strict=True)):
            start, stop = task.work["ranges"][0][0], task.work["ranges"][-1][1]
            work = {
                "split": split,
                "number": splits[:place].count(split),
                "shards": splits.count(split),
                "moved": [name for key, name in moved if start <= key < stop],
            }
            planned.append(dataclasses.replace(task, work={**task.work, **work}))
        return planned

    def run(self, task: Task) -> Iterator[Split]:
        """Write one shard, and say where each document lies."""
        work = task.work
        shard = Shard(
            work["split"],
            work["number"],
            work["shards"],
            self.target or task.inputs[0].path,
            asked_of(self),
            frozenset(work["moved"]),
        )
        splits = super().run(task)
        yield from layout_of(self.layout).write((split.kept for split in splits), shard)


@dataclass(frozen=True)
class Join(Stage):
    """Copies pieces into the one file that a trainer reads, and tells again what was rejected."""

    layout: str = setting("mingpt", "what is read")
    pixels: int | None = setting(None, "width and height of an image")

    name: ClassVar[str] = "shard.layouts.join"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the index."""
        return INDEX

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task for those that train, and one for those held out where there are any."""
        pieces = Dataset(sources[0])
        held = any(file.path.startswith(f"{VAL}-") for file in pieces.files)
        inputs = tuple(layouts.contents(source) for source in sources)
        return [Task(inputs, INDEX, {"split": split}) for split in (TRAIN, VAL)[: 2 if held else 1]]

    def run(self, task: Task) -> Iterator[Split]:
        """Write the file, then say where each document lies in it."""
        inputs, split = [Dataset(item.path) for item in task.inputs], task.work["split"]
        pieces, folder = inputs[0], self.target or task.inputs[0].path
        joined = layout_of(self.layout).joined
        if joined is None:
            raise TypeError(f"{self.layout} has nothing to join")
        sizes = _sizes(pieces, split, in_bytes=joined.in_bytes)
        nothing = pa.RecordBatch.from_pylist([], INDEX)
        if sizes:
            path = files.scratch(folder)
            _copy(
                path, joined.head(sum(sizes.values()), asked_of(self)) if joined.head else b"", pieces, sizes
            )
            yield Split(nothing, beside={joined.name[split]: path})
        if joined.beside and split == TRAIN:
            path = files.scratch(folder)
            yield Split(nothing, beside={joined.beside(inputs, path): path})
        yield from _placed(pieces, sizes, joined.name[split])
        for part in pieces.parts if split == TRAIN else ():
            for rejected in layouts.rejects_of(pieces, part):
                yield Split(nothing, rejected)


def _sizes(pieces: Dataset, split: str, *, in_bytes: bool) -> dict[str, int]:
    """Measure each piece of a split, in order: its bytes, or what its documents are counted in."""
    found = {file.path: file.file_bytes for file in pieces.files if file.path.startswith(f"{split}-")}
    if in_bytes:
        return found
    counted = dict.fromkeys(found, 0)
    for batch in pieces.batches(["file", "count"]):
        for name, many in layouts.counts_of(batch).items():
            if name in counted:
                counted[name] += many
    return counted


def _copy(path: Path, head: bytes, pieces: Dataset, sizes: dict[str, int]) -> None:
    with path.open("wb") as out:
        out.write(head)
        for name in sizes:
            with files.open_input(files.join(pieces.path, name)) as piece:
                shutil.copyfileobj(piece, out, 1 << 20)


def _placed(pieces: Dataset, sizes: dict[str, int], name: str) -> Iterator[Split]:
    """Move the places of a split's documents from their pieces to the one file."""
    names = list(sizes)
    starts = pa.array(np.cumsum([0, *sizes.values()])[:-1], pa.int64())
    for batch in pieces.batches():
        which = pc.index_in(batch["file"], pa.array(names, pa.string()))
        ours = batch.filter(pc.is_valid(which))
        places = pc.add(ours["place"], starts.take(which.drop_null()))
        columns = [ours["id"], pa.repeat(pa.scalar(name), len(ours)), places, ours["count"]]
        yield Split(pa.RecordBatch.from_arrays(columns, schema=INDEX))
