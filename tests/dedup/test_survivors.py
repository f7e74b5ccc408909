from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpuskit.dedup.survivors import check_keep, columns_read, duplicates, ranks
from corpuskit.document import SCHEMA
from corpuskit.errors import UsageError
from corpuskit.testing import documents

MEMBERS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.5, float("nan")])), max_size=15)


def twin_of_each(clusters, numbers, rank, keep):
    """Slow twin: number of each document that goes, and of its twin."""
    found = {}
    for cluster in set(clusters):
        members = sorted(
            (-np.inf if np.isnan(r) else r, -n)
            for c, n, r in zip(clusters, numbers, rank, strict=True)
            if c == cluster
        )
        order = [-number for _, number in reversed(members)]
        for number in order[1:]:
            found[number] = order[0]
        if keep == "none" and len(order) > 1:
            found[order[0]] = order[1]
    return found


@given(MEMBERS, st.sampled_from(["longest", "none"]), st.randoms(use_true_random=False))
def test_duplicates_equal_their_twin(members, keep, random):
    numbers = list(range(100, 100 + len(members)))
    random.shuffle(numbers)
    clusters, rank = [m[0] for m in members], [m[1] for m in members]
    gone, twins = duplicates(np.array(clusters, np.int64), np.array(numbers, np.int64), np.array(rank), keep)
    names = np.array(numbers, np.int64)
    assert dict(zip(names[gone].tolist(), names[twins].tolist(), strict=True)) == twin_of_each(
        clusters, numbers, rank, keep
    )
    assert names[gone].tolist() == sorted(names[gone].tolist())


@pytest.mark.parametrize("keep", ["first", "longest", "newest", "none", "best:edu"])
def test_policies_there_are(keep):
    check_keep(keep)


@pytest.mark.parametrize(("keep", "hint"), [("frist", "'first'"), ("best:", "best:SIGNAL"), ("", "known:")])
def test_policies_there_are_not(keep, hint):
    with pytest.raises(UsageError, match="keep is") as error:
        check_keep(keep)
    assert hint in str(error.value.fix)


def test_ranks():
    day = datetime(2024, 5, 1, tzinfo=UTC)
    docs = documents(["ab", "ä\u4e2d", ""], date=[None, day, datetime(1965, 1, 1, tzinfo=UTC)])
    docs = docs.append_column("edu", pa.array([3, None, -1]))
    assert ranks(docs, "longest").to_pylist() == [2.0, 5.0, 0.0]
    assert ranks(docs, "newest").to_pylist() == [None, day.timestamp(), -157766400.0]
    assert ranks(docs, "best:edu").to_pylist() == [3.0, None, -1.0]
    assert len(set(ranks(docs, "first").to_pylist())) == 1


def test_a_signal_of_truth_values_ranks_true_above_false():
    docs = documents(["a", "b"]).append_column("good", pa.array([False, True]))
    assert ranks(docs, "best:good").to_pylist() == [0.0, 1.0]


def test_a_signal_that_is_not_there_is_an_error_that_suggests_one():
    schema = SCHEMA.append(pa.field("edu_score", pa.float64()))
    assert columns_read("best:edu_score", schema) == ["edu_score"]
    with pytest.raises(UsageError) as error:
        columns_read("best:edu_scor", schema)
    assert error.value.fix == "did you mean 'best:edu_score'?"
    with pytest.raises(UsageError, match="no signal 'text'"):
        columns_read("best:text", schema)
