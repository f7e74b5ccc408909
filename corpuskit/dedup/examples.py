"""Evaluation sets: named, read from datasets and files, and divided into examples."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from corpuskit import files, settings
from corpuskit.dataset import Dataset, read_batches
from corpuskit.document import BATCH_BYTES
from corpuskit.errors import InputError, UsageError
from corpuskit.stage import Input, Split, Stage, Task, part_input

__all__ = ["EXAMPLES", "Examples", "identities", "named"]

EXAMPLES = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)
"""A row for every example: its evaluation set, its id there (a document's, or `file:line`), and its text."""

_SUFFIXES = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz")


def named(sets: Sequence[str]) -> dict[str, str]:
    """Divide NAME=PATH.

    Raises:
        UsageError: A name or a path is missing, or a name is given twice.

    >>> named(["gsm8k=data/gsm8k/test.jsonl"])
    {'gsm8k': 'data/gsm8k/test.jsonl'}
    """
    found: dict[str, str] = {}
    for one in sets:
        name, equals, path = one.partition("=")
        if not (name and equals and path):
            raise UsageError(f"{one!r} names no evaluation set", fix="write --eval NAME=PATH")
        if name in found:
            raise UsageError(f"two evaluation sets are called {name!r}", fix="give each a name of its own")
        found[name] = path
    return found


def identities(sets: Sequence[str]) -> dict[str, str]:
    """Say what identifies each evaluation set, wherever it lies: for a stage's `content`.

    Raises:
        InputError: One is missing.
    """
    return {
        f"eval {name}": settings.digest([item.identity for item in _inputs(path)])
        for name, path in named(sets).items()
    }


@dataclass(frozen=True)
class Examples(Stage):
    """Reads evaluation sets: a dataset's documents, the lines of `.jsonl` files, or whole `.txt` files.

    A line of JSON is one example: its `text`, or where it has none all its strings (question and answer), a
    line each. A `.txt` file is one example, since its lines may end in the middle of a sentence.
    """

    name: ClassVar[str] = "dedup.overlap.examples"

    eval: tuple[str, ...] = settings.setting((), "evaluation sets, NAME=PATH", content=False)

    def content(self) -> dict[str, str]:
        """Return what identifies the evaluation sets."""
        return identities(self.eval)

    def writes(self, schema: pa.Schema) -> pa.Schema:
        """Say the schema of examples."""
        return EXAMPLES

    def plan(self, *sources: str) -> list[Task]:
        """Plan one task per file or part of every evaluation set."""
        return [
            Task((item,), EXAMPLES, {"set": name})
            for name, path in named(self.eval).items()
            for item in _inputs(path)
        ]

    def run(self, task: Task) -> Iterator[Split]:
        """Read the examples of one file or part."""
        path, name = task.inputs[0].path, task.work["set"]
        if path.endswith(".parquet"):
            for batch in read_batches(path, columns=["id", "text"]):
                sets = pa.repeat(pa.scalar(name, pa.string()), len(batch))
                yield Split(pa.RecordBatch.from_arrays([sets, *batch.columns], schema=EXAMPLES))
            return
        rows: list[dict[str, str]] = []
        size = 0
        for place, text in _texts(path):
            rows.append({"set": name, "id": place, "text": text})
            size += len(text)
            if size > BATCH_BYTES:
                yield Split(pa.RecordBatch.from_pylist(rows, EXAMPLES))
                rows, size = [], 0
        yield Split(pa.RecordBatch.from_pylist(rows, EXAMPLES))


def _inputs(path: str) -> list[Input]:
    """List the parts of a dataset, or the files a path, a folder or a pattern names."""
    if files.exists(files.join(path, "manifest.json")):
        dataset = Dataset(path)
        return [part_input(dataset, part) for part in dataset.parts]
    folder = not files.is_url(path) and Path(path).is_dir()
    found = sorted(str(item) for item in Path(path).iterdir()) if folder else files.expand(path)
    wanted = [name for name in found if name.endswith(_SUFFIXES)]
    if not wanted:
        raise InputError(f"{path} is no evaluation set", fix="name a dataset, or .txt or .jsonl files")
    return [Input(name, files.file_name(name), *files.identity(name)) for name in wanted]


def _texts(path: str) -> Iterator[tuple[str, str]]:
    """Read a file's examples, each with its name."""
    name = files.file_name(path)
    with files.open_input(path) as file:
        plain: Any = gzip.GzipFile(fileobj=file) if path.endswith(".gz") else file
        if name.removesuffix(".gz").endswith(".txt"):
            yield name, plain.read().decode("utf-8", "replace")
            return
        for number, line in enumerate(plain, 1):
            if line.strip():
                yield f"{name}:{number}", _text(line, f"{path}:{number}")


def _text(line: bytes, where: str) -> str:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where} is not JSON: {error}", fix="mend or remove the line") from None
    if isinstance(row, str):
        return row
    if isinstance(row, dict):
        values = [row["text"]] if isinstance(row.get("text"), str) else row.values()
        if texts := [value for value in values if isinstance(value, str)]:
            return "\n".join(texts).encode("utf-8", "replace").decode()
    raise InputError(f"{where} holds no text", fix="an example is a string, or an object with strings")
