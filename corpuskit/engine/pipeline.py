"""One task: run its stages over its batches, check that nothing is lost, write its part and its marker."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import files
from corpuskit.dataset import File, Part, PartWriter, as_json, read_batches
from corpuskit.document import REJECT, empty_rejects, reject_rows
from corpuskit.engine.placing import placed
from corpuskit.engine.target import marker_path, part_name
from corpuskit.stage import Poisoned, Split, Stage, Task, TookTooLong, check_conservation, watching

__all__ = ["BATCH_KEY", "perform"]

BATCH_KEY = "batch:"
BATCH_SECONDS = 600.0
DOCUMENT_SECONDS = 60.0

Report = Callable[[int, int, int], None]


@dataclass
class Tally:
    """Counts of one stage over one task."""

    rows_in: int = 0
    rows_out: int = 0
    bytes_in: int | None = 0
    bytes_out: int = 0
    rejected: int = 0
    rules: dict[str, dict[str, int]] = field(default_factory=dict)
    ids: list[pa.Array] = field(default_factory=list)
    facts: Counter[str] = field(default_factory=Counter)

    def add(self, stage: Stage, split: Split) -> None:
        """Count one split and check it against the law of conservation."""
        check_conservation(split, stage.name)
        self.facts.update(split.facts)
        whole = split.rejected.filter(pc.is_null(split.rejected["start"]))
        gone = pc.unique(whole["id"])
        self.rows_out += len(split.kept)
        self.rejected += len(gone)
        self.bytes_out += _bytes(split.kept)
        if split.source is not None:
            self.rows_in += len(split.source)
            self.bytes_in = None if self.bytes_in is None else self.bytes_in + _bytes(split.source)
        else:
            self.rows_in += len(split.kept) + len(gone)
            self.bytes_in = None
            if "id" in split.kept.schema.names:
                self.ids += [split.kept["id"], gone.cast(pa.string())]
        self._count_rules(split.rejected)

    def _count_rules(self, rejected: pa.RecordBatch) -> None:
        spans = pc.is_valid(rejected["start"])
        cut = pc.fill_null(pc.subtract(rejected["end"], rejected["start"]), 0)
        for rule in pc.unique(rejected["rule"]).to_pylist():
            mine = pc.equal(rejected["rule"], rule)
            counts = self.rules.setdefault(rule, {"documents": 0, "spans": 0, "bytes": 0})
            counts["documents"] += len(pc.unique(rejected["id"].filter(pc.and_(mine, pc.invert(spans)))))
            counts["spans"] += int(pc.sum(pc.and_(mine, spans)).as_py() or 0)
            counts["bytes"] += int(pc.sum(cut.filter(mine)).as_py() or 0)

    def close(self, stage: Stage) -> dict[str, Any]:
        """Check that ids are unique where the stage made them, and return the counts."""
        if self.ids:
            ids = pa.chunked_array(self.ids, pa.string())
            if pc.count_distinct(ids).as_py() != len(ids):
                raise AssertionError(f"{stage.name}: the same id was given twice in one task")
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "rejected": self.rejected,
            "rules": dict(sorted(self.rules.items())),
            **({"facts": dict(sorted(self.facts.items()))} if self.facts else {}),
        }


def perform(stages: Sequence[Stage], task: Task, number: int, key: str, folder: str, report: Report) -> None:
    """Do one task and commit its part, its rejects and its marker, in that order."""
    schema = task.schema
    for stage in stages:
        schema = stage.writes(schema)
    tallies = [Tally() for _ in stages]
    with _Output(folder, part_name(number, key), schema) as output:
        for split, rows in _splits(stages, task, tallies):
            output.write(split)
            report(rows, len(split.kept), _bytes(split.kept))
        part, rejects = output.commit()
    marker = {
        "key": key,
        "part": as_json(part),
        "rejects": as_json(rejects) if rejects else None,
        "files": [dataclasses.asdict(file) for file in output.beside],
        "stages": [tally.close(stage) for tally, stage in zip(tallies, stages, strict=True)],
    }
    files.write_bytes(marker_path(folder, number), json.dumps(marker, ensure_ascii=False).encode())


def _splits(stages: Sequence[Stage], task: Task, tallies: list[Tally]) -> Iterator[tuple[Split, int]]:
    """Yield what all stages together keep and reject of each batch, and how many rows came in."""
    first, rest = stages[0], list(zip(stages[1:], tallies[1:], strict=True))
    for number, split in enumerate(_first(first, task)):
        tallies[0].add(first, split)
        split = placed(split)
        came = len(split.source) if split.source is not None else len(split.kept) + len(split.rejected)
        kept, rejected, beside = split.kept, [split.rejected], split.beside
        for stage, tally in rest:
            split = _split(stage, kept, number)
            tally.add(stage, split)
            kept = placed(split).kept
            rejected.append(split.rejected)
        yield Split(kept, pa.concat_batches(rejected), beside=beside), came


def _first(stage: Stage, task: Task) -> Iterator[Split]:
    if type(stage).run is not Stage.run:
        yield from stage.run(task)
        return
    for number, batch in enumerate(read_batches(task.inputs[0].path, task.schema)):
        yield _split(stage, batch, number)


def _split(stage: Stage, batch: pa.RecordBatch, number: int) -> Split:
    """Split a batch; where that killed or hung a worker before, one document at a time."""
    try:
        with watching(f"{BATCH_KEY}{stage.name}:{number}", BATCH_SECONDS):
            return dataclasses.replace(stage.split(batch), source=batch)
    except (Poisoned, TookTooLong):
        splits = [_split_one(stage, batch.slice(row, 1)) for row in range(len(batch))]
    schema = stage.writes(batch.schema)
    kept = (
        pa.concat_batches([split.kept for split in splits])
        if splits
        else pa.RecordBatch.from_pylist([], schema)
    )
    rejected = pa.concat_batches([empty_rejects(), *(split.rejected for split in splits)])
    return Split(kept, rejected, batch)


def _split_one(stage: Stage, one: pa.RecordBatch) -> Split:
    try:
        with watching(f"{stage.name}:{one['id'][0]}", DOCUMENT_SECONDS):
            return stage.split(one)
    except Poisoned as poisoned:
        rule = poisoned.rule
    except TookTooLong:
        rule = "engine.timeout"
    nothing = pa.RecordBatch.from_pylist([], stage.writes(one.schema))
    return Split(nothing, reject_rows(one, stage.name, rule, pa.array([0])))


class _Output:
    """The files a task writes, under temporary names until all are whole."""

    def __init__(self, folder: str, name: str, schema: pa.Schema) -> None:
        self._folder, self._name, self._schema = folder, name, schema
        self._waiting: dict[str, Path] = {}
        self.beside: list[File] = []

    def __enter__(self) -> _Output:
        self._kept_path = files.scratch(self._folder)
        self._kept = PartWriter(self._kept_path, self._schema)
        self._rejects_path = files.scratch(self._folder)
        self._rejects: PartWriter | None = None
        return self

    def write(self, split: Split) -> None:
        self._waiting |= split.beside
        self._kept.write(split.kept)
        if len(split.rejected):
            if self._rejects is None:
                self._rejects = PartWriter(self._rejects_path, REJECT)
            self._rejects.write(split.rejected)

    def commit(self) -> tuple[Part, Part | None]:
        for name, path in self._waiting.items():
            self.beside.append(File.at(path, name))
            files.commit(path, files.join(self._folder, name))
        part, rejects = self._kept.close(self._name), None
        if self._rejects is not None:
            rejects = self._rejects.close(f"rejects/{self._name}")
            files.commit(self._rejects_path, files.join(self._folder, rejects.path))
        files.commit(self._kept_path, files.join(self._folder, part.path))
        return part, rejects

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self._kept.abandon()
            if self._rejects is not None:
                self._rejects.abandon()
            for path in self._waiting.values():
                path.unlink(missing_ok=True)


def _bytes(batch: pa.RecordBatch) -> int:
    return int(pc.sum(pc.binary_length(batch["text"])).as_py() or 0) if "text" in batch.schema.names else 0
