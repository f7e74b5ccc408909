"""Names from a listing are paths below it, and draws do not depend on the index."""

import numpy as np
import pyarrow as pa
import pytest

from corpuskit.crawl.captures import chances, is_path, smallest


@pytest.mark.parametrize(
    "name",
    [
        "crawl-data/CC-MAIN-2024-22/segments/1715971057216.39/warc/CC-MAIN-20240517233132-00000.warc.gz",
        "cc-index/table/cc-main/warc/crawl=CC-MAIN-2024-22/subset=warc/part-00000-4dd72944.c000.gz.parquet",
        "iana.warc.gz",
        "a..b/c",
    ],
)
def test_plain_paths(name):
    assert is_path(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/..",
        "a/./b",
        "a//b",
        "a/",
        "http://x/y",
        "a?b",
        "a b",
        "a\n",
        "a%2f",
    ],
)
def test_what_is_no_plain_path(name):
    assert not is_path(name)


def test_draws_are_by_where_a_record_lies():
    rows = pa.RecordBatch.from_pydict({"warc": ["a", "b", "a"], "offset": [1, 1, 1], "id": ["x", "y", "z"]})
    numbers = chances(rows, 0)
    assert numbers[0] == numbers[2] != numbers[1]
    assert chances(rows, 1)[0] != numbers[0]
    assert smallest(np.array([0.3, 0.1, 0.3, 0.2]), 2).tolist() == [0.1, 0.2]
    assert smallest(np.array([0.3, 0.3]), 2).tolist() == [0.3]
