"""The stage contract as an executable check, for our stages and yours."""

# ruff: noqa: S101 - asserting is what this module is for

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpuskit import settings
from corpuskit.dataset import File, PartWriter, as_json
from corpuskit.document import REJECT, SCHEMA
from corpuskit.stage import Chain, Split, Stage, check_conservation

__all__ = ["LAWS", "check_stage", "documents", "write_dataset"]

LAWS = ("pure", "declared", "conserving", "local", "total", "portable", "seeded")

EDGES = (
    "",
    " \n\t ",
    "word",
    "naïve café — “quoted” … 🙂",
    "中文没有空格。日本語もです。",
    "a\u0000b\r\nc\u2028d",
)


def documents(texts: Iterable[str], **columns: Sequence[Any]) -> pa.RecordBatch:
    """Make a batch of documents from texts; `columns` gives other columns.

    >>> documents(["one", "two"], url=["http://a/", None]).to_pylist()[1]["text"]
    'two'
    """
    rows = list(texts)
    given: dict[str, Sequence[Any]] = {
        "id": [f"{number:032x}" for number in range(len(rows))],
        "source": ["test"] * len(rows),
        "origin": [f"test.warc@{number}" for number in range(len(rows))],
        "text": rows,
    } | columns
    known = [pa.array(given.get(field.name, [None] * len(rows)), field.type) for field in SCHEMA]
    extra = {name: pa.array(values) for name, values in given.items() if name not in SCHEMA.names}
    schema = SCHEMA
    for name, values in extra.items():
        schema = schema.append(pa.field(name, values.type))
    return pa.RecordBatch.from_arrays([*known, *extra.values()], schema=schema)


def write_dataset(folder: str | Path, *batches: pa.RecordBatch) -> str:
    """Write batches as a finished dataset of one part each, as if a stage had; return its path."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, batch in enumerate(batches):
        writer = PartWriter(path / f"part-{number:05d}-test.parquet", batch.schema)
        writer.write(batch)
        parts.append(as_json(writer.close(f"part-{number:05d}-test.parquet")))
    rows = sum(len(batch) for batch in batches)
    size = sum(part["text_bytes"] for part in parts)
    told = {"name": "crawl.test", "version": 1, "settings": {}, "content": {}, "digest": "", "rules": {}}
    told |= {"rows_in": rows, "rows_out": rows, "bytes_in": size, "bytes_out": size, "rejected": 0}
    manifest = {"format": 1, "corpuskit": "0", "stages": [told], "inputs": [], "parts": parts, "rejects": []}
    (path / "manifest.json").write_text(json.dumps(manifest))
    (path / "plan.json").write_text(json.dumps({"format": 1, "stages": [told], "sources": [], "tasks": []}))
    return str(path)


def check_stage(stage: Stage, batch: pa.RecordBatch | None = None, *, beside: Sequence[str] = ()) -> None:
    """Check the seven laws on a stage that reads documents.

    pure: the same batch gives the same answer, and is not changed. declared: what is kept has the
    schema that `writes` says. conserving: every document and byte is kept or rejected, once. local:
    cutting the batch elsewhere changes nothing (per-document stages); floats that the stage adds, by no
    more than it is `inexact`. total: an empty batch, empty text and a null url are no error. portable: a
    pickled stage has the same digest and settings, and settings survive their TOML form. seeded: draws do
    not depend on the order of documents.

    `batch` gives documents of the stage's own kind; edge cases are added to it. `beside` names datasets that
    the stage reads as further sources, whatever its first source is.

    Raises:
        AssertionError: A law is broken; its name comes first in the message.
    """
    docs = _with_edges(batch)
    _check_portable(stage)
    if type(stage).split is Stage.split:
        _check_tasks(stage, docs, beside)
        return
    first = _split(stage, docs, "total")
    _check_declared(stage, docs.schema, first)
    _same("pure", first, _split(stage, docs, "pure"))
    _same("pure", first, _split(pickle.loads(pickle.dumps(stage)), docs, "portable"))  # noqa: S301 - made one line up
    _check_local(stage, docs, first)
    _check_seeded(stage, docs, first)
    _check_declared(stage, docs.schema, _split(stage, docs.slice(0, 0), "total"))


def _with_edges(batch: pa.RecordBatch | None) -> pa.RecordBatch:
    edges = documents(EDGES, id=[f"edge{number:028x}" for number in range(len(EDGES))])
    if batch is None:
        return edges
    columns = [
        edges[field.name] if field.name in edges.schema.names else pa.nulls(len(edges), field.type)
        for field in batch.schema
    ]
    return pa.concat_batches([batch, pa.RecordBatch.from_arrays(columns, schema=batch.schema)])


def _split(stage: Stage, batch: pa.RecordBatch, law: str) -> Split:
    before = batch.to_pydict()
    try:
        split = dataclasses.replace(stage.split(batch), source=batch)
    except Exception as error:
        raise AssertionError(f"{law}: {stage.name} raised {error!r}") from error
    assert batch.to_pydict() == before, f"pure: {stage.name} changed its batch"
    try:
        check_conservation(split, stage.name)
    except AssertionError as error:
        raise AssertionError(f"conserving: {error}") from None
    return split


def _check_declared(stage: Stage, schema: pa.Schema, split: Split) -> None:
    said = stage.writes(schema)
    assert split.kept.schema.equals(said), (
        f"declared: {stage.name} says\n{said}\nand keeps\n{split.kept.schema}"
    )
    assert split.rejected.schema.equals(REJECT), (
        f"declared: {stage.name} rejects under\n{split.rejected.schema}"
    )
    wrong = set(pc.unique(split.rejected["stage"]).to_pylist()) - {stage.name}
    assert not wrong, f"declared: {stage.name} rejects in the name of {', '.join(sorted(wrong))}"


def _same(law: str, one: Split, other: Split) -> None:
    assert one.kept.equals(other.kept), (
        f"{law}: kept differs:\n{one.kept.to_pylist()}\n{other.kept.to_pylist()}"
    )
    assert _rows(one) == _rows(other), f"{law}: rejects differ:\n{_rows(one)}\n{_rows(other)}"


def _aligned(whole: Split, cut: Split, known: pa.Schema, inexact: float) -> Split:
    """Give the floats of `cut` that the stage added the values they have in `whole`, where they are close."""
    kept = cut.kept
    for at, field in enumerate(kept.schema):
        inner = field.type.value_type if pa.types.is_fixed_size_list(field.type) else field.type
        if field.name not in known.names and pa.types.is_floating(inner):
            ours, theirs = whole.kept[field.name], cut.kept[field.name]
            alike = ours.is_null().equals(theirs.is_null())
            if alike and np.allclose(_floats(ours), _floats(theirs), inexact, inexact, equal_nan=True):
                kept = kept.set_column(at, field, ours)
    return dataclasses.replace(cut, kept=kept)


def _floats(column: pa.Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the numbers of a column of floats, or of vectors of floats; null is NaN."""
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    return np.asarray(flat.to_numpy(zero_copy_only=False), np.float64)


def _rows(split: Split) -> list[str]:
    """Return rejects in an order of their own: which came first within a batch is no one's promise."""
    return sorted(json.dumps(row, sort_keys=True) for row in split.rejected.to_pylist())


def _joined(splits: Sequence[Split]) -> Split:
    kept = pa.concat_batches([split.kept for split in splits])
    return Split(kept, pa.concat_batches([split.rejected for split in splits]))


def _check_local(stage: Stage, batch: pa.RecordBatch, whole: Split) -> None:
    for size in (1, 3):
        pieces = [batch.slice(start, size) for start in range(0, len(batch), size)]
        cut = _joined([_split(stage, piece, "local") for piece in pieces])
        _same("local", whole, _aligned(whole, cut, batch.schema, stage.inexact) if stage.inexact else cut)


def _check_seeded(stage: Stage, batch: pa.RecordBatch, whole: Split) -> None:
    turned = _split(stage, batch.take(pa.array(range(len(batch) - 1, -1, -1))), "seeded")
    ours, theirs = set(whole.kept["id"].to_pylist()), set(turned.kept["id"].to_pylist())
    assert ours == theirs, f"seeded: in another order other documents are kept: {sorted(ours ^ theirs)[:5]}"
    assert _rows(whole) == _rows(turned), "seeded: in another order the rejects differ"


def _check_portable(stage: Stage) -> None:
    copy = pickle.loads(pickle.dumps(stage))  # noqa: S301 - made in this line
    assert copy == stage and copy.digest() == stage.digest(), f"portable: {stage.name} changes when pickled"
    again = settings.from_mapping(type(stage), json.loads(json.dumps(settings.to_mapping(stage))), stage.name)
    assert again == stage, f"portable: {stage.name} changes on its way through TOML"


def _check_tasks(stage: Stage, batch: pa.RecordBatch, beside: Sequence[str]) -> None:
    """Run a planned stage, or each step of a chain, twice over one dataset and once over it cut in parts."""
    with tempfile.TemporaryDirectory() as folder:
        whole = write_dataset(f"{folder}/whole", batch)
        half = len(batch) // 2
        parts = write_dataset(f"{folder}/parts", batch.slice(0, half), batch.slice(half), batch.slice(0, 0))
        first = _run(stage, [whole, *beside], f"{folder}/a")
        _same("pure", first, _run(stage, [whole, *beside], f"{folder}/b"))
        cut = _run(stage, [parts, *beside], f"{folder}/c")
        if "text" in first.kept.schema.names:
            _check_declared(stage, batch.schema, first)
            assert first.kept.schema.equals(cut.kept.schema), f"declared: {stage.name} has two schemas"
            assert set(first.kept["id"].to_pylist()) == set(cut.kept["id"].to_pylist()), (
                f"local: {stage.name} keeps other documents when its input is cut into parts"
            )
        empty = write_dataset(f"{folder}/empty", batch.slice(0, 0))
        nothing = _run(stage, [empty, *beside], f"{folder}/d")
        assert not len(nothing.kept) and not len(nothing.rejected), f"total: {stage.name} made rows from none"


def _run(stage: Stage, sources: Sequence[str], folder: str) -> Split:
    """Run all tasks of a stage in this process, in order; of a chain, each step into a folder."""
    if not isinstance(stage, Chain):
        return _run_step(stage, stage, sources)
    written: list[str] = []
    for number, step in enumerate(stage.steps()):
        inputs = [written[earlier] for earlier in step.steps] + (list(sources) if step.sources else [])
        if number == len(stage.steps()) - 1:
            break
        target = f"{folder}/{number}"
        split = _run_step(step.stage.placed(target), step.stage, inputs)
        written.append(write_dataset(target, split.kept))
        _place(split, Path(target))
    result = _run_step(step.stage.placed(f"{folder}/last"), stage, inputs)
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _place(split: Split, folder: Path) -> None:
    """Move what a step wrote beside its rows into its dataset, as the engine does."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = [dataclasses.asdict(File.at(path, name)) for name, path in split.beside.items()]
    for name, path in split.beside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        path.replace(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _run_step(step: Stage, told: Stage, sources: Sequence[str]) -> Split:
    kept, rejected = [], []
    beside: dict[str, Path] = {}
    schema = None
    for task in step.plan(*sources):
        schema = step.writes(task.schema)
        for split in step.run(task):
            try:
                check_conservation(split, told.name)
            except AssertionError as error:
                raise AssertionError(f"conserving: {error}") from None
            assert split.kept.schema.equals(schema), (
                f"declared: {step.name} says\n{schema}\nand keeps\n{split.kept.schema}"
            )
            kept.append(split.kept)
            rejected.append(split.rejected)
            beside |= split.beside
    assert schema is not None, f"total: {step.name} plans no task"
    nothing = pa.RecordBatch.from_pylist([], schema)
    return Split(
        pa.concat_batches([nothing, *kept]),
        pa.concat_batches([pa.RecordBatch.from_pylist([], REJECT), *rejected]),
        beside=beside,
    )
