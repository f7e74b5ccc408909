"""Lines and substrings over time: runs with an index, one after the other, against one run over all of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.dataset import Dataset
from corpuskit.dedup import windows
from corpuskit.dedup.lines import Lines
from corpuskit.dedup.substring import Substring
from corpuskit.testing import write_dataset
from tests.dedup.batches import MANY, batch, batches, both_ways, in_turn, run_here

TEXT = st.lists(st.tuples(st.sampled_from("abcé"), st.sampled_from([" ", "\n", ". ", "\n\n"])), max_size=20)
TEXTS = st.lists(TEXT.map(lambda pairs: "".join(word + space for word, space in pairs)), max_size=5)
KINDS = [
    lambda index: Lines(index=index),
    lambda index: Lines(unit="paragraph", normalised=True, index=index),
    lambda index: Lines(unit="sentences", n=2, index=index),
    lambda index: Substring(length=2, index=index),
    lambda index: Substring(length=8, min_left=3, index=index),
]


@given(TEXTS, TEXTS, TEXTS, st.sampled_from(KINDS), st.sampled_from([2, 1 << 20]))
@settings(**{**MANY, "max_examples": 15})
def test_in_batches_is_at_once_and_as_without_an_index(one, two, three, make, size):
    with pytest.MonkeyPatch.context() as patch:  # batches have shards and turns of their own number
        patch.setattr(windows, "SHARD_ROWS", size)
        patch.setattr(windows, "TABLE_ROWS", max(1, size // 2))
        turns, whole, plain = both_ways(make, one, two, three)
    assert _plainly(turns) == _plainly(whole) == _plainly(plain)


def _plainly(found):
    """Rejects of a document come in the order of its shards."""
    return found[0], sorted(map(str, found[1]))


def test_a_line_that_a_reference_keeps_is_remembered_as_the_references(tmp_path):
    reference = write_dataset(tmp_path / "reference", batch(["kept by a reference"], 100))
    sources = batches(tmp_path, ["own\nkept by a reference"], ["kept by a reference\nown\nnew"])
    kept, rejects = in_turn(lambda at: Lines(against=(reference,), index=at), sources, tmp_path / "turns")
    made = Lines(against=(reference,), index=str(tmp_path / "other"))
    assert (kept, rejects) == run_here(made, sources, tmp_path / "whole")
    assert [int(row["twin"], 16) for row in rejects] == [100, 100, 0]
    late = write_dataset(tmp_path / "late", batch(["kept by a reference"], 200))
    _, (row,) = run_here(Lines(index=f"{tmp_path}/turns/index"), [late], tmp_path / "late-run")
    assert int(row["twin"], 16) == 100
    first, second, _ = sorted((tmp_path / "turns" / "index").glob("gen-*"))
    assert sorted(Dataset(str(first)).table(["url"])["url"].to_pylist()) == [
        f"http://example.com/{0:032x}",
        f"http://example.com/{100:032x}",
    ]
    assert Dataset(str(second)).rows == 1


def test_a_first_generation_keeps_what_a_later_one_has_too(tmp_path):
    """Two runs that saw the same index may both add a line: the earlier one's document is the twin."""
    sources = batches(tmp_path, ["same"], ["same"], ["same"])
    for number in (0, 1):
        run_here(Lines(index=f"{tmp_path}/{number}"), [sources[number]], tmp_path / f"run{number}")
    (late,) = (tmp_path / "1").glob("gen-*")
    late.rename(tmp_path / "0" / late.name.replace("00001", "00002"))
    _, (row,) = run_here(Lines(index=f"{tmp_path}/0"), [sources[2]], tmp_path / "third")
    assert int(row["twin"], 16) == 0
