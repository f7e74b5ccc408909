"""The vectors of documents: columns that `filter embed` writes, read at length 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpuskit import settings
from corpuskit.dataset import Dataset
from corpuskit.dedup.numbering import numbered_tasks
from corpuskit.document import IMAGE_VECTORS
from corpuskit.errors import InputError, UsageError
from corpuskit.kernels.cosine import Vectors, unit_vectors
from corpuskit.kernels.utf8 import readonly
from corpuskit.stage import Task

__all__ = ["Directions", "as_column", "directions", "is_vector", "matrix", "vector_field", "vector_tasks"]

Numbers = npt.NDArray[np.int64]

_FIX = "write vectors with filter embed, and name their column with --column"


class Directions(NamedTuple):
    """Of some documents those whose vector has a direction; the others are counted."""

    rows: Numbers
    """Their rows in the batch."""
    units: Vectors
    """float32[len(rows), dimensions], at length 1."""
    facts: dict[str, int]


def directions(batch: pa.RecordBatch, columns: Sequence[str]) -> Directions:
    """Take the vector of each document: of several columns the first in which it has one.

    Null is no vector; one that is all zeros, or holds NaN or infinity, has no direction.

    >>> kind = pa.list_(pa.float32(), 2)
    >>> batch = pa.record_batch({"a": pa.array([[3, 4], None, [0, 0]], kind)})
    >>> found = directions(batch, ["a"])
    >>> found.rows.tolist(), found.facts
    ([0], {'documents without a vector': 1, 'vectors without a direction': 1})
    """
    given = [batch[name] for name in columns if name in batch.schema.names]
    values = np.zeros((len(batch), given[0].type.list_size), np.float32)
    absent = np.ones(len(batch), bool)
    for column in given:
        mine = absent & np.asarray(column.is_valid())
        values[mine] = matrix(column.filter(pa.array(mine)))
        absent &= ~mine
    units = np.empty_like(values)
    found = unit_vectors(values, units)
    rows = np.flatnonzero(found)
    facts = {"documents without a vector": int(absent.sum())}
    facts["vectors without a direction"] = len(batch) - len(rows) - facts["documents without a vector"]
    return Directions(rows, units[rows], facts)


def matrix(column: pa.FixedSizeListArray) -> Vectors:
    """Return vectors, none of them null, as float32[rows, dimensions]; a null within one is NaN.

    >>> matrix(pa.array([[1, None]], pa.list_(pa.float16(), 2))).tolist()
    [[1.0, nan]]
    """
    values = column.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float32).reshape(len(column), column.type.list_size)


def as_column(units: Vectors) -> pa.FixedSizeListArray:
    """Return a matrix, float32[rows, dimensions], as a column of vectors.

    >>> as_column(np.ones((1, 2), np.float32)).to_pylist()
    [[1.0, 1.0]]
    """
    return pa.FixedSizeListArray.from_arrays(pa.array(readonly(units).ravel()), units.shape[1])


def vector_field(columns: Sequence[str], schema: pa.Schema) -> pa.Field:
    """Declare a column of unit vectors with as many dimensions as those of the columns have."""
    sizes = [schema.field(name).type.list_size for name in columns if name in schema.names]
    return pa.field("vector", pa.list_(pa.float32(), sizes[0]), nullable=False)


def vector_tasks(against: Sequence[str], sources: Sequence[str], columns: Sequence[str]) -> list[Task]:
    """Plan one task per part, those of references first, each with the number of its first document.

    Raises:
        InputError: A dataset has no such vectors, or they differ in their dimensions or their model.
        UsageError: No dataset has one of the columns.
    """
    _check((*against, *sources), columns)
    tasks, before = [], 0
    for paths, reference in ((against, True), (sources, False)):
        for task in numbered_tasks(*paths) if paths else ():
            work = {"first": before + task.work["first"], "reference": reference}
            tasks.append(dataclasses.replace(task, work=work))
        before += sum(Dataset(path).rows for path in paths)
    return tasks


def _check(paths: Sequence[str], columns: Sequence[str]) -> None:
    known: dict[str, int] = {}
    others: set[str] = set()
    for path in paths:
        schema = Dataset(path).schema
        vectors = {field.name: field.type.list_size for field in schema if is_vector(field.type)}
        others |= set(vectors)
        for name in (name for name in columns if name in schema.names and name not in vectors):
            what = f"{path}: the column {name} is {schema.field(name).type}, and no vector"
            raise InputError(what, fix="vectors are fixed_size_list<float16 or float32>, not lists")
        if not any(name in vectors for name in columns):
            fix = f"columns with vectors: {', '.join(vectors)}" if vectors else _FIX
            raise InputError(f"{path} has no column {' or '.join(columns)}", fix=fix)
        known |= {name: vectors[name] for name in columns if name in vectors}
    for name in columns:
        if name not in known:
            raise UsageError(f"no dataset has the column {name!r}", fix=settings.suggest(name, others))
    _check_models(paths, columns)
    if len(set(known.values())) > 1:
        told = ", ".join(f"{name} {size}" for name, size in known.items())
        raise InputError(f"vectors differ in their dimensions: {told}", fix="use vectors of one model")


def _check_models(paths: Sequence[str], columns: Sequence[str]) -> None:
    """Check that all vectors are of one model, as far as manifests tell."""
    known: dict[str, str] = {}
    for path in paths:
        for model in _models(Dataset(path).manifest, columns):
            known.setdefault(model, path)
    if len(known) > 1:
        first, other = list(known.values())[:2]
        what = f"the vectors of {other} are of another model than those of {first}"
        if first == other:
            what = f"the vectors of {first} are of several models"
        raise InputError(what, fix="embed all of them with one model")


def _models(told: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    """Find the digests of the models that made the columns, in a manifest or in what it tells of an input."""
    for source in told["inputs"]:
        yield from _models({"stages": [], "inputs": [], **source}, columns)
    for stage in told["stages"]:
        if stage["name"] == "filter.embed":
            made = [stage["settings"]["column"]] + [IMAGE_VECTORS] * bool(stage["settings"].get("images"))
            if set(made) & set(columns):
                yield stage["content"]["model"]


def is_vector(kind: pa.DataType) -> bool:
    """Say whether a column's type is that of vectors.

    >>> is_vector(pa.list_(pa.float16(), 2)), is_vector(pa.list_(pa.float16()))
    (True, False)
    """
    return bool(
        pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type) and kind.list_size
    )
