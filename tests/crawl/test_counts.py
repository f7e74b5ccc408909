"""Counts of words and pairs equal those of a few slow lines, however the work is cut."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit import engine
from corpuskit.crawl import counts
from corpuskit.crawl.counts import PAIRS, WORDS, Counts, count_pairs, count_words
from corpuskit.errors import UsageError
from corpuskit.testing import check_stage, documents, write_dataset

TEXTS = ["The cat saw the dog.", "The dog, the cat!", "", "one", "我喜欢猫 the cat", "a b a b a"]


def slow(texts: list[str]) -> tuple[Counter, Counter]:
    words: Counter = Counter()
    pairs: Counter = Counter()
    for text in texts:
        found = "".join(char.lower() if char.isalnum() else " " for char in text).split()
        words.update(found)
        pairs.update(zip(found, found[1:], strict=False))
    return words, pairs


@given(st.lists(st.text("ab ,.Ö1", max_size=30), max_size=8))
def test_a_batch_is_counted_as_slowly(texts):
    words, pairs = slow(texts)
    array = pa.array(texts, pa.large_string())
    assert {row["word"]: row["count"] for row in count_words(array).to_pylist()} == words
    found = {(row["first"], row["second"]): row["count"] for row in count_pairs(array).to_pylist()}
    assert found == pairs


@pytest.mark.parametrize("unit", ["word", "pair"])
def test_parts_workers_and_memory_change_nothing(tmp_path, monkeypatch, unit):
    whole = write_dataset(tmp_path / "whole", documents(TEXTS))
    batch = documents(TEXTS)
    parts = write_dataset(tmp_path / "parts", *(batch.slice(n, 2) for n in (0, 2, 4)))
    tables = []
    for number, (source, workers, held) in enumerate(
        [(whole, 1, 1 << 20), (parts, 2, 1 << 20), (whole, 1, 1)]
    ):
        monkeypatch.setattr(counts, "_HELD_ROWS", held)
        target = str(tmp_path / f"out{number}")
        dataset = engine.run(Counts(unit, buckets=3), source, target, options=engine.Options(workers=workers))
        assert dataset.schema.equals(WORDS if unit == "word" else PAIRS)
        tables.append(dataset.table().to_pylist())
    assert tables[0] == tables[1] == tables[2]
    rows = [tuple(row.values())[:-1] for row in tables[0]]
    assert len(set(rows)) == len(rows)
    expected = {"word": (("the",), 5), "pair": (("the", "cat"), 3)}[unit]
    assert dict(zip(rows, (row["count"] for row in tables[0]), strict=True))[expected[0]] == expected[1]


def test_a_least_count_is_a_bound(tmp_path):
    source = write_dataset(tmp_path / "in", documents(TEXTS))
    rows = (
        engine.run(Counts("word", min_count=3, buckets=2), source, str(tmp_path / "out")).table().to_pylist()
    )
    assert sorted((row["word"], row["count"]) for row in rows) == [("a", 3), ("cat", 3), ("the", 5)]
    with pytest.raises(UsageError):
        Counts(min_count=0)


@pytest.mark.parametrize("unit", ["word", "pair"])
def test_the_laws(unit):
    check_stage(Counts(unit, buckets=3), documents(TEXTS))
