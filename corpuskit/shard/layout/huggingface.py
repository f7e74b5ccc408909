"""A folder that `datasets.load_dataset` reads: Parquet files of one split each, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpuskit import files
from corpuskit.dataset import Dataset, PartWriter
from corpuskit.shard.layout import TRAIN, VAL, Asked, Layout, Shard, index
from corpuskit.shard.layout.jsonl import finished
from corpuskit.stage import Split

__all__ = ["LAYOUT", "dataset_info", "features"]

SPLITS = {TRAIN: "train", VAL: "validation"}
"""What the splits are called there."""


def _write(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[Split]:
    name = f"data/{SPLITS[shard.split]}-{shard.number:05d}-of-{shard.shards:05d}.parquet"
    path, row = shard.scratch(), 0
    writer: PartWriter | None = None
    for batch in batches:
        writer = writer or PartWriter(path, batch.schema.remove_metadata())
        writer.write(batch)
        yield Split(index(batch["id"], name, range(row, row + len(batch))))
        row += len(batch)
    if writer is None:
        path.touch()
    else:
        writer.close(name)
    yield finished(name, path, row)


def _check(schema: pa.Schema, asked: Asked) -> None:
    """Take documents of any kind."""


def dataset_info(dataset: Dataset) -> list[str]:
    """Return the lines of YAML by which `load_dataset` knows columns and splits without reading the files."""
    lines, told, schema = ["dataset_info:"], [], None
    for split in SPLITS.values():
        found = [file for file in dataset.files if file.path.startswith(f"data/{split}-")]
        rows = size = 0
        for file in found:
            metadata, schema = _footer(files.join(dataset.path, file.path))
            rows += metadata.num_rows
            size += sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        if found:
            told += [f"  - name: {split}", f"    num_bytes: {size}", f"    num_examples: {rows}"]
    if schema is None:
        return []
    columns = features(schema)
    lines += ["  features:", *(f"  {line}" for line in columns)] if columns else []
    stored = sum(file.file_bytes for file in dataset.files)
    size = sum(int(line.rsplit(" ", 1)[1]) for line in told if "num_bytes" in line)
    return [*lines, "  splits:", *told, f"  download_size: {stored}", f"  dataset_size: {size}"]


def _footer(path: str) -> tuple[Any, pa.Schema]:
    with files.open_input(path) as file:
        parquet = pq.ParquetFile(file)
        return parquet.metadata, parquet.schema_arrow


def features(schema: pa.Schema) -> list[str]:
    """Describe columns as `datasets.Features` in YAML; nothing where it has no word for a type.

    >>> features(pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), 2))]))
    ['- name: "id"', '  dtype: string', '- name: "vector"', '  list: float32', '  length: 2']
    """
    try:
        return [line for field in schema for line in _feature(field)]
    except TypeError:
        return []


def _feature(field: pa.Field) -> Iterator[str]:
    yield f"- name: {json.dumps(field.name)}"
    for line in _described(field.type):
        yield f"  {line}"


def _described(kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_struct(kind):
        yield "struct:"
        yield from (line for field in kind for line in _feature(field))
        return
    large = pa.types.is_large_list(kind)
    if large or pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = list(_described(kind.value_type))
        label, first = "large_list" if large else "list", inner[0]
        if first == "struct:":
            yield from (f"{label}:", *inner[1:])
        elif first.startswith("dtype: "):
            yield f"{label}: {first.removeprefix('dtype: ')}"
        else:
            yield from (f"{label}:", *(f"  {line}" for line in inner))
        if pa.types.is_fixed_size_list(kind):
            yield f"length: {kind.list_size}"
        return
    yield f"dtype: {_named(kind)}"


def _named(kind: pa.DataType) -> str:
    """Name a type of values as `datasets` does.

    Raises:
        TypeError: It has no name there.
    """
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_floating(kind):
        return f"float{kind.bit_width}"
    if pa.types.is_date32(kind):
        return "date32"
    told = str(kind)
    if (
        pa.types.is_integer(kind)
        or pa.types.is_timestamp(kind)
        or told in ("string", "large_string", "binary", "large_binary")
    ):
        return told
    raise TypeError(told)


LAYOUT = Layout(_write, _check)
