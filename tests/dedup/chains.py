"""Runs a chain that cuts texts in this process, as the engine does, without its workers."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from corpuskit.document import REJECT
from corpuskit.stage import Chain, Split, Stage, check_conservation
from corpuskit.testing import write_dataset


def run_chain(chain: Chain, sources: Sequence[str]) -> Split:
    """Run a chain's steps one after the other; return what its last step keeps and rejects."""
    with tempfile.TemporaryDirectory() as folder:
        written: list[str] = []
        for number, step in enumerate(chain.steps()):
            inputs = [written[earlier] for earlier in step.steps] + (list(sources) if step.sources else [])
            split = _run_step(step.stage, inputs)
            half = len(split.kept) // 2  # several parts, as from several tasks
            if "text" not in split.kept.schema.names:
                parts = (split.kept.slice(0, half), split.kept.slice(half))
                written.append(write_dataset(Path(folder, str(number)), *parts))
        return split


def _run_step(stage: Stage, inputs: Sequence[str]) -> Split:
    kept, rejected, schema = [], [], None
    for task in stage.plan(*inputs):
        schema = stage.writes(task.schema)
        for split in stage.run(task):
            check_conservation(split, stage.name)
            assert split.kept.schema.equals(schema)
            kept.append(split.kept)
            rejected.append(split.rejected)
    nothing = pa.RecordBatch.from_pylist([], schema)
    rejects = pa.concat_batches([pa.RecordBatch.from_pylist([], REJECT), *rejected])
    return Split(pa.concat_batches([nothing, *kept]), rejects)


def texts(split: Split) -> dict[str, str]:
    """Return what is kept by id, the leading zeros of `documents` taken off."""
    names = (name.lstrip("0") or "0" for name in split.kept["id"].to_pylist())
    return {
        "0" + name if name.startswith("#") else name: text
        for name, text in zip(names, split.kept["text"].to_pylist(), strict=True)
    }


def spans(split: Split, rule: str) -> list[tuple[str, int, int]]:
    """Return the cuts by a rule that have a span: id, start and end, in order."""
    rows = [row for row in split.rejected.to_pylist() if row["rule"] == rule and row["start"] is not None]
    return [(row["id"], row["start"], row["end"]) for row in rows if row["end"] > row["start"]]


def whole(split: Split) -> dict[str, list[tuple[str, float | None, float | None]]]:
    """Return the rules (with value and bound) by which whole documents went, by id."""
    rows = [row for row in split.rejected.to_pylist() if row["start"] is None]
    return {
        name: sorted((row["rule"], row["value"], row["bound"]) for row in rows if row["id"] == name)
        for name in {row["id"] for row in rows}
    }
