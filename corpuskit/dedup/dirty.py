"""Which examples of evaluation sets are dirty: found in the training documents; and the report of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from corpuskit import files
from corpuskit.dataset import Dataset
from corpuskit.dedup.evaluation import Evaluation, evaluation
from corpuskit.dedup.numbering import ids_of
from corpuskit.stage import Split, Stage, Task, dataset_input

__all__ = ["REPORT", "Table", "dirty_examples", "report_text"]

DIRTY = pa.struct([("example", pa.string()), ("document", pa.string())])

REPORT = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("ngram", pa.int64(), nullable=False),
        pa.field("examples", pa.int64(), nullable=False),
        pa.field("short", pa.int64(), nullable=False),
        pa.field("clean", pa.int64(), nullable=False),
        pa.field("dirty", pa.int64(), nullable=False),
        pa.field("found", pa.list_(DIRTY), nullable=False),
    ]
)
"""A row for every evaluation set: its examples; those of fewer than `ngram` words, which have no n-gram;
those that are clean (short ones too) and dirty; and the dirty ones, each with the first document that has an
n-gram of it."""


@dataclass(frozen=True)
class Table(Stage):
    """Counts the clean and dirty examples of each evaluation set."""

    name: ClassVar[str] = "dedup.contamination.table"

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of the report."""
        return REPORT

    def plan(self, *sources: str) -> list[Task]:
        """Plan the one task; `sources` are the matches, the training documents, then the sets."""
        names = [files.file_name(path) for path in sources[2:]]
        return [Task(tuple(dataset_input(path) for path in sources), REPORT, {"sets": names})]

    def run(self, task: Task) -> Iterator[Split]:
        """Count."""
        matches, train, *sets = task.inputs
        grams = evaluation(sets, None)
        first = np.full(len(grams.hashes), -1, np.int64)
        for batch in Dataset(matches.path).batches(["gram", "number"]):
            found, at = np.unique(batch["gram"].to_numpy(), return_index=True)
            fresh = first[found] < 0  # matches are in the order of documents
            first[found[fresh]] = batch["number"].to_numpy()[at[fresh]]
        documents: dict[int, int] = {}
        for gram in np.flatnonzero(first >= 0).tolist():
            for example in grams.owners(gram).tolist():
                documents[example] = min(documents.get(example, int(first[gram])), int(first[gram]))
        numbers = np.unique(np.array(list(documents.values()), np.int64))
        ids = dict(zip(numbers.tolist(), ids_of([train.path], numbers).to_pylist(), strict=True))
        named = {example: ids[number] for example, number in documents.items()}
        rows = _rows(grams, task.work["sets"], named)
        yield Split(pa.RecordBatch.from_pylist(rows, REPORT))


def dirty_examples(sets: Sequence[str], ngram: int, found: Mapping[str, str]) -> list[dict[str, Any]]:
    """Count the clean and dirty examples of each evaluation set.

    Args:
        sets: The datasets.
        ngram: Words in an n-gram.
        found: The id of every example that was found, and of the first document it was found in.

    Returns:
        A row for every set, under `REPORT`.
    """
    grams = evaluation([dataset_input(path) for path in sets], ngram)
    named = {place: found[one] for place, one in enumerate(grams.examples.to_pylist()) if one in found}
    return _rows(grams, [files.file_name(path) for path in sets], named)


def _rows(grams: Evaluation, names: Sequence[str], found: Mapping[int, str]) -> list[dict[str, Any]]:
    rows = []
    ids = grams.examples.to_pylist()
    for place, name in enumerate(names):
        mine = np.flatnonzero(grams.sets == place).tolist()
        dirty = [{"example": ids[one], "document": found[one]} for one in mine if one in found]
        told = {"set": name, "ngram": grams.sizes[place], "examples": len(mine)}
        told["short"] = int((grams.lengths[mine] < grams.sizes[place]).sum())
        rows.append(told | {"clean": len(mine) - len(dirty), "dirty": len(dirty), "found": dirty})
    return rows


def report_text(report: Mapping[str, Any]) -> str:
    """Return a report as text: a line for every set, then a line for every dirty example."""
    sets = report["sets"]
    width = max(len("set"), *(len(row["set"]) for row in sets))
    lines = [f"{'set':{width}}  {'n':>2}  {'examples':>10}  {'short':>10}  {'clean':>10}  {'dirty':>10}"]
    lines += [
        f"{row['set']:{width}}  {row['ngram']:>2}  {row['examples']:>10,}  {row['short']:>10,}  "
        f"{row['clean']:>10,}  {row['dirty']:>10,}"
        for row in sets
    ]
    for row in sets:
        if row["found"]:
            lines += ["", f"{row['set']}: example, first document"]
            lines += [f"  {one['example']}  {one['document']}" for one in row["found"]]
    return "\n".join(lines)
