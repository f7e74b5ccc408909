from datetime import UTC, datetime

import pyarrow as pa
import pytest

from corpuskit import settings
from corpuskit.dedup import numbering
from corpuskit.dedup.exact import Exact
from corpuskit.engine import Options, run
from corpuskit.errors import DoesNotFit, UsageError
from corpuskit.testing import check_stage, documents, write_dataset

TEXTS = ["To be, or not.", "to BE or   not", "To be, or not.", "", "", "?", "!", "To be, or not!", "x"]


def dropped(split):
    """Number of each rejected document and of its twin."""
    return {int(row["id"], 16): int(row["twin"], 16) for row in split.rejected.to_pylist()}


@pytest.mark.parametrize("key", ["text", "normalised", "url"])
@pytest.mark.parametrize("keep", ["first", "none"])
def test_the_laws(key, keep):
    check_stage(Exact(key=key, keep=keep), documents(TEXTS, url=["http://a/", "http://a/#x"] + [None] * 7))


@pytest.mark.parametrize(
    ("key", "keep", "expected"),
    [
        ("text", "first", {2: 0}),
        ("text", "none", {0: 2, 2: 0}),
        ("normalised", "first", {1: 0, 2: 0, 7: 0}),
        ("normalised", "longest", {1: 0, 2: 0, 7: 0}),
        ("normalised", "none", {0: 1, 1: 0, 2: 0, 7: 0}),
    ],
)
def test_text(runs, tmp_path, key, keep, expected):
    split = runs(Exact(key=key, keep=keep), [write_dataset(tmp_path / "docs", documents(TEXTS))])
    assert dropped(split) == expected
    assert {row["rule"] for row in split.rejected.to_pylist()} == {f"exact.{key}"}
    assert {row["stage"] for row in split.rejected.to_pylist()} == {"dedup.exact"}


def test_url_in_canonical_form_and_null_urls_stay(runs, tmp_path):
    urls = ["HTTP://Example.com:80/a#top", None, None, "http://example.com/a", "http://example.com/b", "", ""]
    split = runs(Exact(key="url"), [write_dataset(tmp_path / "docs", documents("abcdefg", url=urls))])
    assert dropped(split) == {3: 0}


def test_policies(runs, tmp_path):
    dates = [datetime(2024, 1, day, tzinfo=UTC) if day else None for day in (0, 3, 2, 3)]
    docs = documents(["a b", "a  b", "a,b", "A B"], date=dates)
    path = write_dataset(tmp_path / "docs", docs.append_column("score", pa.array([None, 1.0, 5.0, 5.0])))
    for keep, survivor in {"first": 0, "longest": 1, "newest": 1, "best:score": 2}.items():
        split = runs(Exact(key="normalised", keep=keep), [path])
        assert [int(name, 16) for name in split.kept["id"].to_pylist()] == [survivor], keep
        assert set(dropped(split).values()) == {survivor}


def test_the_earlier_source_wins(runs, tmp_path):
    one = write_dataset(tmp_path / "one", documents(["a", "b"]))
    ids = [f"{number:032x}" for number in (10, 11)]
    two = write_dataset(tmp_path / "two", documents(["b", "c"], id=ids))
    assert dropped(runs(Exact(), [one, two])) == {10: 1}
    assert dropped(runs(Exact(), [two, one])) == {1: 10}


def test_the_same_document_in_two_sources_stays_once(runs, tmp_path):
    paths = [write_dataset(tmp_path / name, documents(["same"])) for name in ("one", "two")]
    split = runs(Exact(), paths)
    assert len(split.kept) == 1
    assert dropped(split) == {0: 0}


def test_pieces_of_a_document_are_documents(runs, tmp_path):
    docs = documents(["same", "same", "other"], id=["x#0", "x#1", "x#2"])
    split = runs(Exact(), [write_dataset(tmp_path / "docs", docs)])
    assert split.kept["id"].to_pylist() == ["x#0", "x#2"]
    assert split.rejected["twin"].to_pylist() == ["x#0"]


def test_empty_parts_and_several(runs, tmp_path):
    docs = documents(TEXTS)
    parts = write_dataset(
        tmp_path / "docs", docs.slice(0, 0), docs.slice(0, 2), docs.slice(2), docs.slice(0, 0)
    )
    assert dropped(runs(Exact(), [parts])) == {2: 0}


def test_buckets_change_nothing(runs, tmp_path, monkeypatch):
    docs = documents([f"text {number % 700}" for number in range(2000)])
    path = write_dataset(tmp_path / "docs", docs.slice(0, 900), docs.slice(900))
    whole = runs(Exact(), [path])
    monkeypatch.setattr(numbering, "BUCKET_ROWS", 100)
    assert len(list(Exact().steps()[1].stage.plan(path, path))) == 32
    assert runs(Exact(), [path]).rejected.sort_by("id").equals(whole.rejected.sort_by("id"))
    assert len(whole.kept) == 700


def test_any_number_of_workers_writes_the_same_bytes(tmp_path):
    docs = documents([f"text {number % 7}" for number in range(40)])
    path = write_dataset(tmp_path / "docs", docs.slice(0, 15), docs.slice(15))
    parts = []
    for workers in (1, 2):
        dataset = run(Exact(), path, str(tmp_path / f"{workers}"), options=Options(workers=workers))
        parts.append([(part.rows, part.sha256) for part in (*dataset.parts, *dataset.rejects)])
    assert parts[0] == parts[1]
    assert sum(rows for rows, _ in parts[0][:2]) == 7


def test_what_does_not_fit_is_told_before_the_work(runs, tmp_path):
    path = write_dataset(tmp_path / "docs", documents(["a"] * 1000))
    with pytest.raises(DoesNotFit, match="dedup.exact needs 1 MiB a worker"):
        runs(Exact(memory=1000), [path])


def test_wrong_settings_are_the_users_error(runs, tmp_path):
    with pytest.raises(UsageError, match="keep is 'frist'"):
        Exact(keep="frist")
    with pytest.raises(UsageError, match="key wants one of text, normalised, url"):
        settings.from_mapping(Exact, {"key": "txt"}, "dedup.exact")
    with pytest.raises(UsageError, match="no signal 'edu'"):
        runs(Exact(keep="best:edu"), [write_dataset(tmp_path / "docs", documents(["a"]))])


def test_memory_is_no_part_of_the_digest():
    assert Exact(memory=1).digest() == Exact().digest()
    assert [step.stage.digest() for step in Exact(memory=1).steps()] == [
        step.stage.digest() for step in Exact().steps()
    ]
    assert Exact(keep="longest").digest() != Exact().digest()
