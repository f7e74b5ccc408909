"""Columns of links go along with documents by the record that was fetched; other documents have nulls."""

from __future__ import annotations

import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from building import gz, http, page, record

from corpuskit.crawl import fetched
from corpuskit.crawl.linkcolumns import LinkColumns, link_columns, was_fetched
from corpuskit.crawl.warc import Warc
from corpuskit.document import SCHEMA
from corpuskit.errors import UsageError
from corpuskit.testing import write_dataset

QUERIES = pa.list_(pa.struct([("query", pa.string()), ("clicks", pa.int64())]))


def fetch(folder: Path, numbers: list[int], **columns: pa.Array) -> str:
    """Write what `crawl fetch` would: rows, and one archive with a record for each and one for none."""
    (folder / "warc").mkdir(parents=True)
    items = [record(http(page(number)), number=number) for number in [*numbers, 99]]
    (folder / "warc" / "fetch-00000-00000.warc.gz").write_bytes(gz(items))
    made = {
        "id": pa.array([f"{number:032x}" for number in numbers]),
        "url": pa.array([f"https://town.example/{number}" for number in numbers]),
        "title": pa.array(["the link's"] * len(numbers)),
        **columns,
        **{field.name: pa.nulls(len(numbers), field.type) for field in fetched.SCHEMA},
        "record_id": pa.array([f"<urn:uuid:{uuid.UUID(int=number)}>" for number in numbers]),
        "warc": pa.array(["fetch-00000-00000.warc.gz"] * len(numbers)),
    }
    return write_dataset(folder, pa.RecordBatch.from_pydict(made))


def crawl(*sources: str) -> dict[str, dict]:
    stage, found = Warc(), {}
    for task in stage.plan(*sources):
        for split in stage.run(task):
            assert split.kept.schema.equals(stage.writes(task.schema))
            found |= {f"{row['source']} {row['url'][-2:]}": row for row in split.kept.to_pylist()}
    return found


def test_documents_have_the_columns_of_their_links(tmp_path: Path) -> None:
    pairs = [[{"query": "pier", "clicks": 3}], None]
    scored = fetch(tmp_path / "a", [3, 4], score=pa.array([7, 8]), subreddits=pa.array([["x", "y"], []]))
    clicked = fetch(tmp_path / "b", [5, 6], queries=pa.array(pairs, QUERIES), score=pa.array([None, 9]))
    plain = tmp_path / "other.warc.gz"
    plain.write_bytes(gz([record(http(page(3)), number=3)]))
    assert was_fetched(scored) and not was_fetched(str(plain)) and not was_fetched("-")
    rows = crawl(scored, clicked, str(plain))
    assert {name: (row["score"], row["subreddits"], row["queries"]) for name, row in rows.items()} == {
        "fetch /3": (7, ["x", "y"], None),
        "fetch /4": (8, [], None),
        "fetch /5": (None, None, pairs[0]),
        "fetch /6": (9, None, None),
        "fetch 99": (None, None, None),
        "other /3": (None, None, None),
    }
    assert rows["fetch /3"]["title"] == "Page 3"
    assert list(rows["fetch /3"]) == [*SCHEMA.names, "title", "score", "subreddits", "queries"]


def test_one_column_of_two_types_is_an_error(tmp_path: Path) -> None:
    sources = [
        fetch(tmp_path / "a", [3], score=pa.array([7])),
        fetch(tmp_path / "b", [3], score=pa.array(["7"])),
    ]
    with pytest.raises(UsageError, match="score"):
        link_columns(sources, SCHEMA.names)


def test_without_links_there_are_no_columns_or_nulls() -> None:
    assert LinkColumns(None, "a.warc.gz", []).take(["<urn:uuid:1>", None]) == []
    [column] = LinkColumns(None, "a.warc.gz", [pa.field("score", pa.int64())]).take(["<urn:uuid:1>", None])
    assert column.to_pylist() == [None, None]


def test_the_archive_is_part_of_a_task_and_so_are_the_links(tmp_path: Path) -> None:
    source = fetch(tmp_path / "a", [3], score=pa.array([7]))
    [task] = Warc().plan(source)
    assert [item.name for item in task.inputs] == ["fetch-00000-00000.warc.gz", ""]
    before = task.key([Warc()])
    (tmp_path / "a" / "manifest.json").write_text((tmp_path / "a" / "manifest.json").read_text() + " ")
    assert Warc().plan(source)[0].key([Warc()]) != before
