"""Small stages for the engine's tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit.document import reject_rows
from corpuskit.settings import setting
from corpuskit.stage import Chain, Split, Stage, Step, Task


@dataclass(frozen=True)
class Longer(Stage):
    """Keep texts of more than `bytes` bytes."""

    name: ClassVar[str] = "filter.longer"
    bytes: int = setting(3, "Keep texts longer than this.")
    nap: float = setting(0.0, "Seconds to sleep per batch.", content=False)

    def split(self, batch: pa.RecordBatch) -> Split:
        time.sleep(self.nap)
        keep = pc.greater(pc.binary_length(batch["text"]), self.bytes)
        rows = pc.indices_nonzero(pc.invert(keep)).cast(pa.int64())
        values = pc.binary_length(batch["text"].take(rows))
        return Split(
            batch.filter(keep),
            reject_rows(batch, self.name, "longer.min", rows, value=values, bound=self.bytes),
        )


@dataclass(frozen=True)
class Deadly(Stage):
    """Kill, hang or raise on texts that say so."""

    name: ClassVar[str] = "filter.deadly"

    def split(self, batch: pa.RecordBatch) -> Split:
        for text in batch["text"].to_pylist():
            if "kill me" in text:
                os.kill(os.getpid(), 9)
            if "hang me" in text:
                while True:
                    pass
            if "raise me" in text:
                raise ValueError("as told")
        return Split(batch)


@dataclass(frozen=True)
class Loses(Stage):
    """Lose the last document without a word."""

    name: ClassVar[str] = "filter.loses"

    def split(self, batch: pa.RecordBatch) -> Split:
        return Split(batch.slice(0, max(0, len(batch) - 1)))


@dataclass(frozen=True)
class Count(Stage):
    """Count the rows of each part."""

    name: ClassVar[str] = "test.count"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        return pa.schema([("rows", pa.int64())])

    def run(self, task: Task) -> Iterator[Split]:
        rows = sum(len(split.kept) for split in Stage.run(_Keep(), task))
        yield Split(pa.RecordBatch.from_pydict({"rows": [rows]}, self.writes(task.schema)))


@dataclass(frozen=True)
class _Keep(Stage):
    name: ClassVar[str] = "test.keep"

    def split(self, batch: pa.RecordBatch) -> Split:
        return Split(batch)


@dataclass(frozen=True)
class _KeepAfter(Stage):
    name: ClassVar[str] = "test.after"
    limit: int = 0
    version_: int = 0

    def plan(self, *sources: str) -> list[Task]:
        from corpuskit.stage import document_tasks

        return document_tasks(*sources[1:], beside=sources[:1])

    def run(self, task: Task) -> Iterator[Split]:
        from corpuskit.dataset import Dataset

        total = pc.sum(Dataset(task.inputs[1].path).table()["rows"]).as_py()
        for split in Stage.run(_Keep(), task):
            batch = split.source
            gone = pa.array(range(len(batch) if total > self.limit else 0), pa.int64())
            kept = batch.slice(0, 0) if total > self.limit else batch
            yield Split(kept, reject_rows(batch, "dedup.most", "most.limit", gone, value=float(total)), batch)


@dataclass(frozen=True)
class Most(Chain):
    """Drop everything where all parts together have more than `limit` rows."""

    name: ClassVar[str] = "dedup.most"
    limit: int = setting(10, "Rows.")

    def steps(self) -> tuple[Step, ...]:
        return Step(Count(), sources=True), Step(_KeepAfter(self.limit), steps=(0,), sources=True)


@dataclass(frozen=True)
class Drops(Stage):
    """Drop the texts that hold `word`; a step that says in its own name what it drops."""

    name: ClassVar[str] = "crawl.drops"
    bad_rules: ClassVar[frozenset[str]] = frozenset({"drops.broken"})
    word: str = setting("drop me", "The word.")
    nap: float = setting(0.0, "Seconds to sleep per batch.", content=False)

    def split(self, batch: pa.RecordBatch) -> Split:
        time.sleep(self.nap)
        gone = pc.match_substring(batch["text"], self.word)
        rows = pc.indices_nonzero(gone).cast(pa.int64())
        rule = "drops.broken" if self.word == "broken" else "drops.word"
        return Split(batch.filter(pc.invert(gone)), reject_rows(batch, self.name, rule, rows))


@dataclass(frozen=True)
class Within(Chain):
    """Drop everything where there is more than `limit`, then what holds a word: a chain in a chain."""

    name: ClassVar[str] = "crawl.within"
    bad_rules: ClassVar[frozenset[str]] = Drops.bad_rules
    limit: int = setting(1000, "Rows.")
    word: str = setting("drop me", "The word.")
    nap: float = setting(0.0, "Seconds to sleep per batch.", content=False)

    def steps(self) -> tuple[Step, ...]:
        return (
            Step(Most(self.limit), sources=True, kept=True),
            Step(Drops("broken"), steps=(0,), kept=True),
            Step(Drops(self.word, self.nap), steps=(1,)),
        )
