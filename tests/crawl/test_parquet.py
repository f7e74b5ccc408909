"""`crawl parquet`: every row is a document, its text byte for byte, or a reject that says why not."""

import datetime
import decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crawling import crawl
from hypothesis import given
from hypothesis import strategies as st

from corpuskit import engine
from corpuskit.crawl import parquet as module
from corpuskit.crawl.parquet import Parquet
from corpuskit.document import SCHEMA, document_id
from corpuskit.errors import InputError, UsageError
from corpuskit.shard.parquet import Parquet as Shard
from corpuskit.testing import _check_portable, check_stage, documents, write_dataset


def write(path, group_rows=1000, **columns):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=group_rows)
    return path


def test_the_laws_hold():
    check_stage(Parquet(id_column="id", source="s"), documents(["one", "two", "three"], id=["x", "y", "z"]))
    _check_portable(Parquet(layout="fineweb", keep_columns=("token_count",)))


def test_a_row_becomes_a_document(tmp_path):
    path = write(
        tmp_path / "web-00001.parquet",
        text=["first", " Zweiter Text.\r\n"],
        url=[None, "http://a.example/"],
        date=[None, "2019-04-25T12:00:00Z"],
        lang=["xx", "deu"],
        lang_score=pa.array([None, 0.5], pa.float32()),
        other=[[1], [2]],
    )
    (first, second), rejected = crawl(Parquet(), path)
    assert not rejected
    assert first["lang"] is None and first["date"] is None
    assert (second["text"], second["url"], second["lang"], second["lang_score"]) == (
        " Zweiter Text.\r\n",
        "http://a.example/",
        "deu",
        0.5,
    )
    assert second["date"].isoformat() == "2019-04-25T12:00:00+00:00"
    assert (second["source"], second["origin"]) == ("web", f"{path}@1")
    assert second["id"] == document_id("web", None, "web-00001.parquet@1")


def test_what_gives_no_document_is_a_reject(tmp_path):
    broken = pa.Array.from_buffers(
        pa.large_string(),
        2,
        [None, pa.py_buffer(b"\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"), pa.py_buffer(b"ok\xff")],
    )
    text = pa.concat_arrays([broken, pa.array(["", " \u3000\n", None, "x", "y"], pa.large_string())])
    path = write(tmp_path / "a.parquet", text=text, n=["1", "2", "3", "4", "5", "six", "7"])
    kept, rejected = crawl(Parquet(keep_columns=("n:int64",)), path)
    assert [(row["text"], row["n"]) for row in kept] == [("ok", 1), ("y", 7)]
    assert [(row["origin"].rpartition("@")[2], row["rule"]) for row in rejected] == [
        ("1", "parquet.encoding"),
        ("2", "parquet.empty"),
        ("3", "parquet.empty"),
        ("4", "parquet.missing"),
        ("5", "parquet.type"),
    ]
    assert {"parquet.encoding", "parquet.type", "parquet.lost"} == Parquet.bad_rules


def test_the_file_says_the_type_of_a_column_that_is_kept(tmp_path):
    path = write(
        tmp_path / "a.parquet",
        text=pa.array(["x"]).dictionary_encode(),
        count=pa.array([3], pa.int32()),
        score=pa.array([0.5], pa.float32()),
        ok=[True],
        name=pa.array(["n"], pa.large_string()).dictionary_encode(),
        when=[datetime.datetime(2020, 1, 2)],
        meta=[{"stars": 4, "deep": {"set": "books"}}],
        price=[decimal.Decimal("1.50")],
        tags=[["a"]],
    )
    stage = Parquet(
        keep_columns=(
            "count",
            "score",
            "ok",
            "name",
            "when",
            "price",
            "meta.stars",
            "set=meta.deep.set",
            "n=count:string",
        )
    )
    ((row,), _) = crawl(stage, path)
    kept = {name: row[name] for name in row if name not in SCHEMA.names}
    assert kept == {
        "count": 3,
        "score": 0.5,
        "ok": True,
        "name": "n",
        "when": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        "price": 1.5,
        "stars": 4,
        "set": "books",
        "n": "3",
    }
    with pytest.raises(UsageError, match="only text, numbers"):
        Parquet(keep_columns=("tags",)).plan(str(path))


def test_what_a_file_has_not_is_named_before_anything_runs(tmp_path):
    path = write(tmp_path / "a.parquet", TEXT=["x"], size=[1])
    for stage, what, fix in (
        (Parquet(), "has no column 'text'; it has TEXT, size", "did you mean 'TEXT'?"),
        (Parquet(text_column="size"), "column 'size' is int64, not text", "--text-column"),
        (Parquet(text_column="TEXT", keep_columns=("sise",)), "no column 'sise'", "did you mean 'size'?"),
        (Parquet(text_column="TEXT", url_column="url"), "no column 'url'", "known"),
    ):
        with pytest.raises(UsageError) as error:
            stage.plan(str(path))
        assert str(path) in error.value.what and what in error.value.what and fix in error.value.fix
    other = write(tmp_path / "b.parquet", TEXT=["x"], size=["large"])
    with pytest.raises(UsageError, match="column 'size' is string here and int64 in other files"):
        Parquet(text_column="TEXT", keep_columns=("size",)).plan(str(path), str(other))
    (tmp_path / "c.parquet").write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"c\.parquet is not a readable Parquet file"):
        Parquet().plan(str(tmp_path / "c.parquet"))


def test_a_damaged_row_group_is_lost_and_the_others_are_read(tmp_path):
    path = write(tmp_path / "a.parquet", group_rows=10, text=[f"row number {number}" for number in range(30)])
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    kept, rejected = crawl(Parquet(), path)
    assert [row["text"] for row in kept] == [f"row number {n}" for n in (*range(10), *range(20, 30))]
    assert [(row["rule"], row["value"]) for row in rejected] == [("parquet.lost", 10.0)]


def test_row_groups_become_tasks_that_give_the_same(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", group_rows=10, text=[f"{n} " * 50 for n in range(95)])
    whole = crawl(Parquet(), path)
    monkeypatch.setattr(module, "TASK_BYTES", 1)
    assert len(Parquet().plan(str(path))) == 10
    assert crawl(Parquet(), path) == whole
    runs = [
        engine.run(
            Parquet(), str(path), str(tmp_path / str(workers)), options=engine.Options(workers=workers)
        )
        for workers in (1, 2)
    ]
    assert [[part.sha256 for part in run.parts] for run in runs] == [
        [part.sha256 for part in runs[0].parts]
    ] * 2


def test_batches_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH_BYTES", 1000)
    path = write(tmp_path / "a.parquet", text=["x" * 400] * 5)
    (task,) = Parquet().plan(str(path))
    assert [len(split.kept) for split in Parquet().run(task) if len(split.kept)] == [1, 1, 1, 1, 1]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=20))
def test_texts_come_out_as_they_went_in(tmp_path_factory, texts):
    path = write(tmp_path_factory.mktemp("texts") / "a.parquet", text=pa.array(texts, pa.string()))
    kept, rejected = crawl(Parquet(), path)
    assert [row["text"] for row in kept] == [text for text in texts if text.strip()]
    assert len(kept) + len(rejected) == len(texts)


def test_shards_are_read_back_byte_for_byte(tmp_path):
    texts = ["one", "zwei\u0000\r\n", "三" * 1000, " four "]
    source = write_dataset(tmp_path / "documents", documents(texts))
    engine.run(Shard(), source, str(tmp_path / "shards"))
    again = engine.run(Parquet(), str(tmp_path / "shards"), str(tmp_path / "again"))
    assert sorted(again.table(["text"])["text"].to_pylist()) == sorted(texts)
    assert set(again.table()["source"].to_pylist()) == {"shards"}
