"""Parts: the same bytes however rows were batched, bounded row groups, honest errors."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpuskit import dataset as module
from corpuskit.dataset import Dataset, PartWriter, conform, cut, read_batches, row_bytes, unify
from corpuskit.document import IMAGES, SCHEMA
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import documents, write_dataset


@pytest.mark.parametrize("limit", [400, 3000, 64 << 20])
def test_bytes_do_not_depend_on_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(module, "ROW_GROUP_BYTES", limit)
    docs = documents(["word " * size for size in range(60)])
    shas = set()
    for step in (1, 7, 60):
        writer = PartWriter(tmp_path / "x.parquet", docs.schema)
        for start in range(0, 60, step):
            writer.write(docs.slice(start, step))
        shas.add(writer.close("x").sha256)
        sizes = [group["rows"] for group in groups(tmp_path / "x.parquet")]
        assert sum(sizes) == 60
        assert all(group["bytes"] <= limit or group["rows"] == 1 for group in groups(tmp_path / "x.parquet"))
    assert len(shas) == 1


def groups(path: Path) -> list[dict[str, int]]:
    file = pq.ParquetFile(path)
    tables = [file.read_row_group(number) for number in range(file.num_row_groups)]
    return [
        {"rows": len(table), "bytes": int(row_bytes(table.combine_chunks().to_batches()[0]).sum())}
        for table in tables
    ]


def test_row_bytes_counts_images() -> None:
    image = {"offset": 0, "url": "u" * 10, "bytes": b"b" * 1000}
    rows = [
        {"id": "a", "text": "t", "source": "s", "origin": "o", "images": [image] * number}
        for number in (0, 1, 2)
    ]
    none, one, two = row_bytes(pa.RecordBatch.from_pylist(rows, SCHEMA.append(IMAGES))).tolist()
    assert one - none == two - one
    assert one - none >= 1010


def test_cut_never_exceeds_the_limit_and_loses_nothing() -> None:
    docs = documents(["x" * size for size in range(50)])
    pieces = list(cut(docs, 500))
    assert (
        pa.Table.from_batches(pieces).combine_chunks().equals(pa.Table.from_batches([docs]).combine_chunks())
    )
    assert all(row_bytes(piece).sum() <= 500 or len(piece) == 1 for piece in pieces)
    assert not list(cut(docs.slice(0, 0), 500))


def test_unify_and_conform() -> None:
    one, two = pa.schema([("id", pa.string())]), pa.schema([("id", pa.string()), ("n", pa.int64())])
    assert unify([one, two]).names == ["id", "n"]
    assert conform(pa.RecordBatch.from_pylist([{"id": "a"}]), two).to_pylist() == [{"id": "a", "n": None}]
    with pytest.raises(UsageError, match="'n' is int64 in one input and string"):
        unify([two, pa.schema([("n", pa.string())])])


def test_a_dataset_tells_what_it_holds(tmp_path: Path) -> None:
    path = write_dataset(
        tmp_path / "d", documents(["one two", "drei"], lang=["eng", None]), documents(["x"], id=["z"])
    )
    found = Dataset(path)
    assert (found.rows, len(found.parts), found.schema.names[:2]) == (3, 2, ["id", "text"])
    assert found.parts[0].languages == {"eng": (1, 2), "null": (1, 1)}
    assert [batch["text"].to_pylist() for batch in found.batches()] == [["one two", "drei"], ["x"]]
    assert found.table(["id"]).column_names == ["id"]


def test_unreadable_datasets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset at"):
        Dataset(str(tmp_path / "none"))
    with pytest.raises(InputError, match="no manifest.json"):
        Dataset(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        Dataset(str(tmp_path))
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(InputError, match="not a readable Parquet"):
        list(read_batches(str(tmp_path / "x.parquet")))
