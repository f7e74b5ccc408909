"""The last step of `shard tokens`: the tokens of all parts in the files of the layout, and their index."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import files, settings
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import reject_rows
from corpuskit.settings import setting
from corpuskit.shard.tokenfiles import LAYOUTS, TRAIN, VAL, Layout, Shard
from corpuskit.shard.tokenfiles.encode import check_tokenizer, piece_name
from corpuskit.shard.tokenfiles.layout import TokenFile
from corpuskit.shard.tokenfiles.place import Range, Stretch, laid_out, stretch
from corpuskit.shard.tokenizers import load
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["EMPTY", "INDEX", "META", "STAGE", "Write"]

STAGE = "shard.tokens"
EMPTY = "tokens.empty"
META = "meta.json"
INDEX = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)
"""Where a document lies: its first token in the file (in mds its sample), its tokens without the end."""

_BLOCK = 4 << 20
"""Tokens in memory at a time, or one document."""


@dataclass(frozen=True)
class Write(Stage):
    """Write one file of tokens a task, from the tokens of all parts."""

    tokenizer: str = setting(dataclasses.MISSING, "the tokenizer", content=False)
    layout: str = setting("nanogpt", "the layout")
    val: float = setting(0.0005, "share held out")
    seed: int = setting(0, "another seed holds out others")
    shard_tokens: int | None = setting(None, "tokens a file")

    name: ClassVar[str] = "shard.tokens.write"

    def content(self) -> Mapping[str, str]:
        """Return the digest of the tokenizer."""
        return {"tokenizer": load(self.tokenizer).digest}

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the index."""
        return INDEX

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task a file; the first also writes what is true of all."""
        counted, layout = Dataset(sources[0]), LAYOUTS[self.layout]
        share = self.shard_tokens or layout.tokens
        ranges = laid_out(counted, layout, share) or [Range(TRAIN, 0, None, 0, 0)]
        # The rows and tokens alone, not the manifest: a source that is renamed must not rename the files.
        digests = [part.sha256 for part in counted.parts] + [file.sha256 for file in counted.files]
        whole = dataclasses.replace(dataset_input(counted.path), identity=settings.digest(digests))
        work = [{"share": share, "range": one.as_work()} for one in ranges]
        work[0] |= {"totals": _totals(ranges)}
        return [Task((whole,), counted.schema, one) for one in work]

    def run(self, task: Task) -> Iterator[Split]:
        """Write one file, and say which documents begin in it."""
        folder, one, layout = task.inputs[0].path, Range(**task.work["range"]), LAYOUTS[self.layout]
        dtype = check_tokenizer(self.tokenizer, self.layout)[2]
        number = one.number if layout.sharded and task.work["share"] else None
        shard = Shard(one.split, number, one.documents, one.stop - one.start)
        names = layout.names(shard) if shard.tokens else ()
        paths = [files.scratch(self.target) for _ in names]
        file = layout.open(shard, paths, dtype) if names else None
        documents = 0
        with contextlib.closing(_Pieces(folder, one, dtype)) as pieces:
            if file and not layout.whole:
                _copy(pieces, file, shard.tokens)
            for found in _stretches(folder, one, layout, task.work["share"]):
                if file and layout.whole:
                    _copy_documents(pieces, file, found.lengths[found.lengths > 0])
                positions = found.begins - one.start
                if layout.samples:
                    positions = documents + np.cumsum(found.lengths > 0) - 1
                documents += int(np.count_nonzero(found.lengths))
                yield _told(found, one.split, names, positions)
        if file:
            file.close()
        yield self._last(task, shard, dict(zip(names, paths, strict=True)))

    def _last(self, task: Task, shard: Shard, beside: dict[str, Path]) -> Split:
        """Give the engine the files, and count what is in them."""
        facts = {f"{shard.split} tokens": shard.tokens, f"{shard.split} documents": shard.documents}
        if totals := task.work.get("totals"):
            facts = {
                f"{split} {what}": 0 for split in (TRAIN, VAL) for what in ("tokens", "documents")
            } | facts
            beside[META] = files.scratch(self.target)
            beside[META].write_text(json.dumps(self._meta(totals), indent=1) + "\n", "utf-8")
        return Split(pa.RecordBatch.from_pylist([], INDEX), beside=beside, facts=facts)

    def _meta(self, totals: Mapping[str, Any]) -> dict[str, Any]:
        """Say what a reader of the files must know."""
        tokenizer, end, dtype = check_tokenizer(self.tokenizer, self.layout)
        return {
            "layout": self.layout,
            "dtype": dtype.name,
            "vocabulary": tokenizer.size,
            "end_of_text": end,
            "end_of_text_stands": "before" if LAYOUTS[self.layout].leads else "after",
            "tokenizer": tokenizer.digest,
            "val": self.val,
            "seed": self.seed,
            "splits": totals,
        }


def _totals(ranges: Sequence[Range]) -> dict[str, dict[str, int]]:
    """Count the tokens, with each end of text, the documents and the files of each split."""
    found = {split: {"tokens": 0, "documents": 0, "files": 0} for split in (TRAIN, VAL)}
    for one in ranges:
        told = found[one.split]
        told["tokens"] += one.stop - one.start
        told["documents"] += one.documents
        told["files"] += one.stop > one.start
    return found


class _Pieces:
    """Reads the tokens of one range from the files of the parts, in order."""

    def __init__(self, folder: str, one: Range, dtype: np.dtype[Any]) -> None:
        self._folder, self._split, self._dtype = folder, one.split, dtype
        self._waiting = iter(one.pieces)
        self._file: BinaryIO = io.BytesIO()
        self._left = 0

    def read(self, count: int) -> npt.NDArray[Any]:
        """Return the next tokens: as many as are asked for."""
        found = []
        while count:
            if not self._left:
                self._open_next()
            taken = min(count, self._left)
            tokens = np.frombuffer(self._file.read(taken * self._dtype.itemsize), self._dtype)
            if len(tokens) < taken:
                raise OSError(f"a part's tokens end early: {taken} are wanted, {len(tokens)} are there")
            found.append(tokens)
            self._left -= taken
            count -= taken
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _open_next(self) -> None:
        self.close()
        part, start, stop = next(self._waiting)
        self._file = files.open_input(files.join(self._folder, piece_name(self._split, part)))
        self._file.seek(start * self._dtype.itemsize)
        self._left = stop - start

    def close(self) -> None:
        """Close the file that is open."""
        self._file.close()


def _copy(pieces: _Pieces, file: TokenFile, count: int) -> None:
    """Write tokens wherever documents end."""
    while count:
        block = min(count, _BLOCK)
        file.write(pieces.read(block), np.empty(0, np.int64))
        count -= block


def _copy_documents(pieces: _Pieces, file: TokenFile, lengths: npt.NDArray[np.int64]) -> None:
    """Write documents of these lengths, some at a time."""
    ends, start = np.cumsum(lengths), 0
    while start < len(lengths):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _BLOCK, side="right")))
        file.write(pieces.read(int(ends[stop - 1]) - before), lengths[start:stop])
        start = stop


def _stretches(folder: str, one: Range, layout: Layout, share: int | None) -> Iterator[Stretch]:
    """Read the rows of the documents that begin in a file; no text and no token."""
    if one.share is None:
        return
    counted, at = Dataset(folder), one.before
    for part in counted.parts[one.first : one.last + 1]:
        for batch in read_batches(counted.path_of(part)):
            found = stretch(batch, one.split, at, layout, share)
            at += int(found.lengths.sum())
            first, last = np.searchsorted(found.shards, [one.share, one.share + 1]).tolist()
            if first < last:
                yield found.slice(first, last)


def _told(found: Stretch, split: str, names: Sequence[str], positions: npt.NDArray[np.int64]) -> Split:
    """Say where documents lie, and reject those without tokens."""
    some = found.lengths > 0
    rows = found.rows.filter(pa.array(some))
    columns = {
        "id": rows["id"],
        "split": pa.repeat(pa.scalar(split), len(rows)),
        "file": pa.repeat(pa.scalar(names[0] if names else ""), len(rows)),
        "position": pa.array(positions[some]),
        "tokens": rows["tokens"],
    }
    kept = pa.RecordBatch.from_arrays([columns[field.name] for field in INDEX], schema=INDEX)
    rejected = reject_rows(found.rows, STAGE, EMPTY, pa.array(np.flatnonzero(~some)))
    return Split(kept, rejected, source=found.rows)
