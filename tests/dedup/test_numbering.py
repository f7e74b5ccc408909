import numpy as np
import pyarrow as pa
import pytest

from corpuskit.dedup import numbering
from corpuskit.dedup.numbering import (
    bucket_bits,
    bucket_rows,
    gather,
    ids_of,
    in_bucket,
    numbered_batches,
    numbered_tasks,
    read_between,
)
from corpuskit.testing import documents, write_dataset


@pytest.fixture
def sources(tmp_path):
    """Two datasets of 3 + 0 + 2 and 4 documents, named by their number."""
    docs = documents("abcdefghi")
    one = write_dataset(tmp_path / "one", docs.slice(0, 3), docs.slice(0, 0), docs.slice(3, 2))
    return [one, write_dataset(tmp_path / "two", docs.slice(5))]


def test_documents_are_numbered_through_all_sources(sources):
    work = [task.work for task in numbered_tasks(*sources)]
    assert work == [
        {"first": 0, "rows": 3},
        {"first": 3, "rows": 0},
        {"first": 3, "rows": 2},
        {"first": 5, "rows": 4},
    ]


def test_batches_know_their_first_number(sources):
    found = [(first, batch["text"].to_pylist()) for first, batch in numbered_batches(sources[0], ["text"])]
    assert found == [(0, ["a", "b", "c"]), (3, ["d", "e"])]


def test_gather_finds_documents_by_number(sources):
    found = [(first, rows.tolist()) for first, _, rows in gather(sources, np.array([1, 2, 8]), ["text"])]
    assert found == [(0, [1, 2]), (5, [3])]
    assert ids_of(sources, np.array([0, 4, 5])).to_pylist() == [f"{number:032x}" for number in (0, 4, 5)]
    assert ids_of(sources, np.zeros(0, np.int64)).to_pylist() == []


def test_read_between_takes_its_first_and_leaves_its_end(tmp_path):
    batches = [
        pa.RecordBatch.from_pydict({"number": pa.array(some, pa.int64())}) for some in ([1, 5], [3, 9])
    ]
    path = write_dataset(tmp_path / "n", *batches)
    assert read_between(path, "number", 3, 9)["number"].to_pylist() == [5, 3]


def test_every_hash_is_in_one_bucket():
    hashes = np.random.default_rng(0).integers(0, 1 << 64, 1000, dtype=np.uint64)
    for bits in (0, 1, 6):
        found = np.array([in_bucket(hashes, bucket, bits) for bucket in range(1 << bits)])
        assert (found.sum(axis=0) == 1).all()


@pytest.mark.parametrize("rows", [0, 1, numbering.BUCKET_ROWS, numbering.BUCKET_ROWS + 1, 10**8])
def test_buckets_stay_below_their_size(rows):
    assert bucket_rows(rows) << bucket_bits(rows) >= rows
    assert bucket_rows(rows) <= numbering.BUCKET_ROWS
