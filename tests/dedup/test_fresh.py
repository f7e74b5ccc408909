"""N-grams over time: runs with an index, one after the other, against one run over all of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpuskit.dedup import grams
from corpuskit.dedup.fresh import FirstUnits
from corpuskit.dedup.ngram import Ngram
from corpuskit.testing import write_dataset
from tests.dedup.batches import MANY, batch, batches, both_ways, in_turn, run_here, text

TEXT = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([" ", "\n"])), max_size=25).map(
    lambda pairs: "".join(word + space for word, space in pairs)
)
TEXTS = st.lists(TEXT, max_size=5)


@given(TEXTS, TEXTS, TEXTS, st.sampled_from(["document", "paragraph"]), st.sampled_from([0.3, 0.8]))
@settings(**{**MANY, "max_examples": 12})
def test_in_batches_is_at_once_and_as_without_an_index(one, two, three, unit, threshold):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grams, "SHARD_GRAMS", 8)  # batches have shards of their own number

        def make(index):
            return Ngram(ngram=2, unit=unit, threshold=threshold, index=index)

        turns, whole, plain = both_ways(make, one, two, three)
    assert turns == whole == plain


def test_a_rate_that_errs_often_has_no_part():
    lists = [[text(40, 40 * number) for number in range(first, first + 30)] for first in (0, 30, 60)]
    turns, whole, plain = both_ways(lambda index: Ngram(threshold=0.1, rate=0.5, index=index), *lists)
    assert turns == whole
    assert len(turns[0]) == 90
    assert len(plain[0]) < 90


def test_references_are_not_remembered(tmp_path):
    reference = write_dataset(tmp_path / "reference", batch([text(30)], 100))
    sources = batches(tmp_path, [text(30, 50)], [text(30)])
    kept, rejects = in_turn(lambda at: Ngram(against=(reference,), index=at), sources[:1], tmp_path / "a")
    assert (len(kept), rejects) == (1, [])
    kept, _ = run_here(Ngram(index=f"{tmp_path}/a/index"), sources[1:], tmp_path / "b")
    assert len(kept) == 1


@given(st.lists(st.lists(st.integers(0, 6), max_size=6), max_size=6), st.sets(st.integers(0, 6)))
def test_first_units_equals_a_set(units, old):
    """In two calls, against sets of what earlier units had; 2**64 - 1 is a hash like any other."""
    hashes = [[2**64 - 1 - value for value in unit] for unit in units]
    gone = {2**64 - 1 - value for value in old}
    fresh = sorted({value for unit in hashes for value in unit} - gone)
    table, found = FirstUnits(np.array(fresh, np.uint64)), []
    for some in (hashes[:2], hashes[2:]):
        flat = np.array([value for unit in some for value in unit], np.uint64)
        found += table.add_units(flat, np.cumsum([0, *map(len, some)])).tolist()
    expected, seen = [], set(gone)
    for unit in hashes:
        expected += [value in seen for value in unit]
        seen.update(unit)
    assert found == expected
