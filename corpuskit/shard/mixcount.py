"""The first step of `shard mix`: the tokens of each document, and the key by which it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpuskit import seeds
from corpuskit.dataset import Dataset, read_batches
from corpuskit.errors import InputError, UsageError
from corpuskit.settings import setting, suggest
from corpuskit.shard.mixture import COUNTS, check_sources
from corpuskit.stage import Split, Stage, Task, document_tasks

__all__ = ["REPEAT", "Count", "tokenizer_digest"]

REPEAT = r"~[0-9]+$"
"""How the id of a repeat ends."""

_READS = {"tokens": ("text",), "words": ("text",), "bytes": ("text",), "documents": ()}


def tokenizer_digest(path: str | None) -> Mapping[str, str]:
    """Return what a stage's content tells of a tokenizer; nothing where there is none."""
    if path is None:
        return {}
    from corpuskit.shard.tokenizers import load

    return {"tokenizer": load(path).digest}


@dataclass(frozen=True)
class Count(Stage):
    """Count the tokens of each document, and draw its key."""

    count: str = setting("tokens", "what is counted")
    tokenizer: str | None = setting(None, "a tokenizer's file or folder")
    seed: int = setting(0, "another seed draws other documents")
    way: str = setting("weight", "the setting that names the sources", content=False)
    named: tuple[str, ...] = setting((), "the sources it names", content=False)

    name: ClassVar[str] = "shard.mix.count"

    def content(self) -> Mapping[str, str]:
        """Return the digest of the tokenizer."""
        return tokenizer_digest(self.tokenizer)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the counts."""
        return COUNTS

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task for each part, once it is sure that all sources are named and can be counted.

        Raises:
            UsageError: A source is named that is not there, or the other way round; no column of counts.
        """
        tasks = document_tasks(*sources)
        for task in tasks[:1]:  # all have the one schema of all sources
            self._check_column(task.schema)
        present = {name for source in sources for name in _sources_of(Dataset(source))}
        if present:  # no documents give no documents, as in every stage
            check_sources(self.named, present, self.way)
        return tasks

    def _check_column(self, schema: pa.Schema) -> None:
        whole = [field.name for field in schema if pa.types.is_integer(field.type)]
        if self.count not in _READS and self.count not in whole:
            there = "is no whole number" if self.count in schema.names else "is not there"
            what = f"shard.mix: the column {self.count!r}, which is to be counted, {there}"
            raise UsageError(what, fix=suggest(self.count, [*_READS, *whole]))

    def run(self, task: Task) -> Iterator[Split]:
        """Count one part."""
        columns = ["id", "source", *_READS.get(self.count, (self.count,))]
        schema = pa.schema([task.schema.field(name) for name in columns])
        for batch in read_batches(task.inputs[0].path, schema, columns):
            repeats = batch["id"].filter(pc.match_substring_regex(batch["id"], REPEAT))
            if len(repeats):
                what = f"document {repeats[0]} is a repeat: it comes from a mix"
                raise InputError(what, fix="mix what that mix was made of")
            key = seeds.choice_key(self.seed, batch["id"])
            counted = pa.array(self._counted(batch), pa.int64())
            yield Split(pa.RecordBatch.from_arrays([batch["source"], pa.array(key), counted], schema=COUNTS))

    def _counted(self, batch: pa.RecordBatch) -> pa.Array | npt.NDArray[np.int64]:
        if self.count == "tokens":
            from corpuskit.shard.tokenizers import load

            return np.diff(load(str(self.tokenizer)).encode_batch(batch["text"])[1])
        if self.count == "words":
            from corpuskit.kernels.utf8 import buffers
            from corpuskit.kernels.words import spaced_counts

            return spaced_counts(*buffers(batch["text"]))
        if self.count == "bytes":
            return pc.binary_length(batch["text"])
        if self.count == "documents":
            return np.ones(len(batch), np.int64)
        counted = batch[self.count].cast(pa.int64())
        wrong = batch["id"].filter(pc.fill_null(pc.less(counted, 0), True))
        if len(wrong):
            what = f"document {wrong[0]} has no count in the column {self.count!r}, or one below 0"
            raise InputError(what, fix="count something else, such as --count words")
        return counted


def _sources_of(dataset: Dataset) -> set[str]:
    """Name the sources of the documents, by the statistics of row groups where those have but one."""
    found: set[str] = set()
    for part in dataset.parts:
        with dataset.open(part) as file:
            parquet = pq.ParquetFile(file)
            leaves = [parquet.schema.column(number).path for number in range(parquet.metadata.num_columns)]
            for group in range(parquet.num_row_groups):
                seen = parquet.metadata.row_group(group).column(leaves.index("source")).statistics
                if seen is not None and seen.has_min_max and seen.min == seen.max:
                    found.add(seen.min)
                else:
                    found.update(pc.unique(parquet.read_row_group(group, ["source"])["source"]).to_pylist())
    return found
