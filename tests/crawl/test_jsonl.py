"""`crawl jsonl`: every line is a document, its text as it was, or a reject that says why not."""

import gzip
import io
import json
import sys
from collections import Counter

import pytest
import zstandard
from crawling import crawl
from hypothesis import given
from hypothesis import strategies as st

from corpuskit import engine, settings
from corpuskit.crawl import corpora
from corpuskit.crawl.corpora import collection
from corpuskit.crawl.jsonl import Jsonl
from corpuskit.document import document_id
from corpuskit.errors import InputError, UsageError
from corpuskit.testing import _check_portable


def write(path, *records):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records), "utf-8")
    return path


def test_a_line_becomes_a_document(tmp_path):
    record = {
        "text": " Ein Text.\n",
        "url": "http://a.example/",
        "date": "2019-04-25",
        "lang": "de",
        "x": [1],
    }
    path = write(tmp_path / "corpus-00017.jsonl", {"text": "first"}, record)
    (_, row), rejected = crawl(Jsonl(), path)
    assert not rejected
    assert (row["text"], row["url"], row["lang"], row["lang_score"]) == (
        " Ein Text.\n",
        "http://a.example/",
        "deu",
        None,
    )
    assert row["date"].isoformat() == "2019-04-25T00:00:00+00:00"
    assert (row["source"], row["origin"]) == ("corpus", f"{path}@18")
    assert row["id"] == document_id("corpus", None, "corpus-00017.jsonl@18")


LAYOUTS = {
    "c4": ({"text": "t", "url": "u", "timestamp": "2019-04-25T12:57:54Z"}, {"url": "u", "year": 2019}),
    "dolma": (
        {
            "id": "x",
            "text": "t",
            "source": "reddit",
            "added": "a",
            "created": "2020-01-01",
            "metadata": {"url": "u"},
        },
        {"url": "u", "year": 2020, "source": "reddit", "id": document_id("reddit", "x", "")},
    ),
    "fineweb": (
        {
            "text": "t",
            "id": "<urn:uuid:1>",
            "dump": "CC-MAIN-2024-10",
            "url": "u",
            "date": "2024-02-01T00:00:00Z",
            "file_path": "s3://x",
            "language": "en",
            "language_score": 0.5,
            "token_count": 7,
        },
        {
            "year": 2024,
            "source": "CC-MAIN-2024-10",
            "lang": "eng",
            "lang_score": 0.5,
            "id": document_id("CC-MAIN-2024-10", "<urn:uuid:1>", ""),
        },
    ),
    "redpajama": (
        {
            "text": "t",
            "meta": {"url": "u", "timestamp": "2023-01-02", "language": "en"},
            "red_pajama_subset": "c4",
        },
        {"url": "u", "year": 2023, "source": "c4", "lang": "eng"},
    ),
    "redpajama2": (
        {
            "raw_content": "t",
            "url": "u",
            "date_download": "2023-02-06T03:32:31Z",
            "language": "fr",
            "language_score": 0.25,
        },
        {"year": 2023, "lang": "fra", "lang_score": 0.25},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_layouts(tmp_path, layout):
    record, expected = LAYOUTS[layout]
    ((row,), rejected) = crawl(Jsonl(layout=layout), write(tmp_path / "a.jsonl", record))
    assert not rejected and row["text"] == "t"
    assert {name: row[name] for name in expected if name != "year"} | {"year": row["date"].year} == {
        "year": row["date"].year,
        **expected,
    }
    with pytest.raises(UsageError, match="has no column"):
        crawl(Jsonl(layout=layout), write(tmp_path / "b.jsonl", {"content": "t"}))


CASES = {
    "text": (b'{"text": "x"}', None, None),
    "unicode": ('{"text": "ä\\u4e2d\\ud83d\\ude42\\u0000"}'.encode(), None, None),
    "cut": (b'{"text": "x', "malformed", 11),
    "no object": (b'["x"]', "malformed", 5),
    "no JSON": (b"text", "malformed", 4),
    "not a number": (b'{"text": NaN}', "malformed", 13),
    "latin-1": (b'{"text": "\xe4"}', "encoding", 13),
    "half a pair": (b'{"text": "\\ud800"}', "encoding", 18),
    "no text": (b'{"id": 1}', "missing", None),
    "null": (b'{"text": null}', "missing", None),
    "number": (b'{"text": 3}', "type", None),
    "list": (b'{"text": ["x"]}', "type", None),
    "url of another type": (b'{"text": "x", "url": 3}', "type", None),
    "empty": (b'{"text": ""}', "empty", 0),
    "white space": ('{"text": " \\n\u3000"}'.encode(), "empty", 3),
    "deep": (b'{"text": ' + b"[" * 10_000, "malformed", 10_009),
}


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_line(tmp_path, name):
    line, rule, value = CASES[name]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "before"}\n\n' + line + b'\n  \n{"text": "after"}')
    kept, rejected = crawl(Jsonl(), path)
    assert len(kept) == 2 + (rule is None)
    assert [(row["rule"], row["value"], row["stage"]) for row in rejected] == (
        [(f"jsonl.{rule}", value, "crawl.jsonl")] if rule else []
    )
    assert all(row["origin"] == f"{path}@20" for row in rejected)
    assert (f"jsonl.{rule}" in Jsonl.bad_rules) == (rule in ("malformed", "encoding", "type"))


def test_a_truncated_archive_is_a_counted_loss(tmp_path):
    rows = b"".join(b'{"text": "row %d"}\n' % number for number in range(90_000))
    packed = zstandard.ZstdCompressor().compress(rows)
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(packed[: len(packed) // 2])
    kept, rejected = crawl(Jsonl(), path)
    assert 0 < len(kept) < 90_000 and [row["rule"] for row in rejected] == ["jsonl.lost"]
    assert [row["text"] for row in kept] == [f"row {number}" for number in range(len(kept))]


def test_columns_are_kept_under_their_types(tmp_path):
    stage = Jsonl(keep_columns=("score:int64", "stars=meta.stars:float64", "ok:bool", "at:date"))
    path = write(
        tmp_path / "a.jsonl",
        {"text": "a", "score": 3, "meta": {"stars": 1}, "ok": True, "at": "2020"},
        {"text": "b"},
        {"text": "c", "score": "many"},
    )
    kept, rejected = crawl(stage, path)
    assert [(row["score"], row["stars"], row["ok"], row["at"] and row["at"].year) for row in kept] == [
        (3, 1.0, True, 2020),
        (None, None, None, None),
    ]
    assert [row["rule"] for row in rejected] == ["jsonl.type"]
    with pytest.raises(UsageError, match="has no type") as error:
        Jsonl(keep_columns=("score",))
    assert "score:string" in error.value.fix


def test_columns_are_named_and_a_misspelt_one_is_corrected(tmp_path):
    path = write(tmp_path / "a.jsonl", {"id": 7, "doc": {"body": "x"}, "when": "2020", "tongue": "fr"})
    stage = Jsonl(
        text_column="doc.body", id_column="id", date_column="when", language_column="tongue", source="mine"
    )
    ((row,), _) = crawl(stage, path)
    assert (row["text"], row["id"], row["lang"]) == ("x", document_id("mine", "7", ""), "fra")
    with pytest.raises(UsageError) as error:
        Jsonl(text_column="doc.bdy").plan(str(path))
    assert "it has id, doc, doc.body, when, tongue" in error.value.what
    assert error.value.fix == "did you mean 'doc.body'?"


def test_an_array_is_no_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "a"}], indent=1))
    with pytest.raises(InputError, match="one JSON array") as error:
        Jsonl().plan(str(path))
    assert "jq" in error.value.fix


def test_ids_of_the_corpus_stay_and_one_that_comes_again_is_named_by_its_place(tmp_path):
    records = [{"text": text, "id": name} for text, name in (("a", "1"), ("b", "1"), ("c", None))]
    path = write(tmp_path / "a.jsonl", *records)
    kept, _ = crawl(Jsonl(id_column="id"), path)
    assert kept[0]["id"] == document_id("a", "1", "")
    places = [row["id"] for row in crawl(Jsonl(), path)[0]]
    assert [row["id"] for row in kept[1:]] == places[1:]


def test_ids_that_two_files_share_are_an_error_that_says_what_to_do(tmp_path):
    for name in "ab":
        write(tmp_path / "in" / f"{name}.jsonl", {"text": name, "id": 1})
    with pytest.raises(InputError, match="out has 1 ids of the corpus") as error:
        engine.run(Jsonl(id_column="id", source="s"), str(tmp_path / "in"), str(tmp_path / "out"))
    assert "--id-column -" in error.value.fix
    dataset = engine.run(
        Jsonl(layout="plain", id_column="-", source="s"), str(tmp_path / "in"), str(tmp_path / "b")
    )
    assert dataset.rows == 2


def test_ids_stay_when_files_move_or_are_packed_otherwise(tmp_path):
    records = [{"text": f"text {number}"} for number in range(9)]
    write(tmp_path / "a" / "x.jsonl", *records)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a" / "x.jsonl").read_bytes()))
    one, two = (crawl(Jsonl(), tmp_path / folder)[0] for folder in "ab")
    assert [row["id"] for row in one] == [row["id"] for row in two]
    both, _ = crawl(Jsonl(), tmp_path)
    assert len({row["id"] for row in both}) == 18


def test_a_large_plain_file_is_cut_into_tasks_that_give_the_same(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", *({"text": "word " * (n % 40) + "."} for n in range(500)))
    whole, _ = crawl(Jsonl(), path)
    assert len(Jsonl().plan(str(path))) == 1
    monkeypatch.setattr(corpora, "TASK_BYTES", 1000)
    monkeypatch.setattr("corpuskit.crawl.jsonl.TASK_BYTES", 1000)
    assert len(Jsonl().plan(str(path))) > 20
    assert crawl(Jsonl(), path)[0] == whole
    one = engine.run(Jsonl(), str(path), str(tmp_path / "one"), options=engine.Options(workers=1))
    two = engine.run(Jsonl(), str(path), str(tmp_path / "two"), options=engine.Options(workers=2))
    assert [part.sha256 for part in one.parts] == [part.sha256 for part in two.parts] and one.rows == 500


def test_a_batch_holds_no_more_than_16_mib(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "BATCH_BYTES", 100)
    path = write(tmp_path / "a.jsonl", *({"text": "ä" * 20} for _ in range(9)))
    (task,) = Jsonl().plan(str(path))
    assert [len(split.kept) for split in Jsonl().run(task)] == [3, 3, 3, 0]


def test_sources(tmp_path, monkeypatch):
    for name in ("b.jsonl", "a.json.gz", "deep/c.ndjson.xz", "notes.txt", ".hidden.jsonl"):
        write(tmp_path / name, {"text": "x"})
    names = [task.inputs[0].name for task in Jsonl().plan(str(tmp_path))]
    assert names == ["a.json.gz", "b.jsonl", "c.ndjson.xz"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "x"}\n')))
    assert [row["source"] for row in crawl(Jsonl(), "-")[0]] == ["stdin"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no such files in"):
        Jsonl().plan(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("c4-train.00000-of-01024.json.gz", "c4-train"),
        ("folder/part-00003.jsonl", "folder"),
        ("s3://bucket/pile/00.jsonl.zst", "pile"),
        ("00.jsonl.zst", "00"),
        ("books/part-00000-6f3c9a1be2d04f58.parquet", "books"),
        ("1234_5.json", "1234"),
        ("wiki_de.jsonl", "wiki_de"),
        ("x", "x"),
        ("-", "stdin"),
    ],
)
def test_a_collection_is_named_after_its_files(name, source):
    assert collection(name) == source


def test_settings_are_portable():
    _check_portable(Jsonl(layout="fineweb", keep_columns=("token_count",), source="x"))
    with pytest.raises(UsageError, match="layout"):
        settings.from_mapping(Jsonl, {"layout": "c5"}, "crawl.jsonl")


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8)))
def test_texts_come_out_as_they_went_in(tmp_path_factory, texts):
    path = write(tmp_path_factory.mktemp("texts") / "a.jsonl", *({"text": text} for text in texts))
    kept, rejected = crawl(Jsonl(), path)
    assert [row["text"] for row in kept] == [text for text in texts if text.strip()]
    assert len(kept) + len(rejected) == len(texts)


def test_real_c4(data):
    kept, rejected = crawl(Jsonl(), data / "text" / "c4")
    assert len(kept) == 1000 and not rejected
    assert Counter(row["source"] for row in kept) == {"c4-sample": 1000}
    assert all(row["url"] and row["date"] for row in kept)
